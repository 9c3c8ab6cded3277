"""Edits change what is said, keep the grammar and the script, and do nothing where no rule is sure."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haetae.errors import UsageError
from haetae.locales import load
from haetae.locales.edits import KINDS, Edit, apply, proposals, propose
from haetae.locales.grammar.korean import with_particle
from haetae.locales.review import script_ratio

LANGUAGES = ("en-SG", "ko", "ms", "ta")
LEAST_EDITABLE = {
    "en-SG": {"negation": 0.80, "number": 0.15, "name": 0.08, "place": 0.10, "word": 0.60},
    "ko": {"negation": 0.90, "number": 0.15, "name": 0.08, "place": 0.10, "word": 0.45},
    "ms": {"negation": 0.85, "number": 0.15, "name": 0.06, "place": 0.10, "word": 0.60},
    "ta": {"negation": 0.80, "number": 0.15, "name": 0.08, "place": 0.06, "word": 0.40},
}
"""Measured: see the table the next test prints. A rule that stops firing falls below."""


def _made(text: str, language: str, kind: str) -> set[str]:
    words = text.split()
    return {apply(words, edit) for edit in proposals(words, language, (kind,))}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nine_in_ten_sentences_of_the_bank_can_be_edited(language: str) -> None:
    sentences = load(language).sentences_for("other")
    counts: Counter[str] = Counter()
    for sentence in sentences:
        kinds = {edit.kind for edit in proposals(sentence.split(), language)}
        counts.update(kinds)
        counts["any"] += bool(kinds)
    shares = {kind: counts[kind] / len(sentences) for kind in ("any", *KINDS)}
    print(language, {kind: f"{share:.0%}" for kind, share in shares.items()})
    assert shares["any"] >= 0.9
    for kind, least in LEAST_EDITABLE[language].items():
        assert shares[kind] >= least, kind


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_edit_of_the_bank_changes_the_text_and_keeps_its_script_and_punctuation(language: str) -> None:
    locale = load(language)
    for sentence in locale.sentences_for("other"):
        words = sentence.split()
        for edit in proposals(words, language):
            changed = apply(words, edit)
            assert changed.casefold() != sentence.casefold()
            assert script_ratio(changed, locale.script) == 1.0, changed
            assert sorted(c for c in changed if c in ",.?") == sorted(c for c in sentence if c in ",.?"), (
                changed
            )
            assert words[edit.index : edit.index + edit.count] == edit.old.split()
            assert "  " not in changed


@pytest.mark.parametrize("language", LANGUAGES)
def test_equal_seeds_give_equal_edits_and_other_seeds_others(language: str) -> None:
    sentences = [s.split() for s in load(language).sentences_for("news")]
    first = [propose(words, language, seed) for seed, words in enumerate(sentences)]
    assert first == [propose(words, language, seed) for seed, words in enumerate(sentences)]
    richest = max(sentences, key=lambda words: len(proposals(words, language)))
    assert len({propose(richest, language, seed) for seed in range(40)}) > 8
    every = {
        edit.kind for words in sentences for seed in range(20) if (edit := propose(words, language, seed))
    }
    assert every == set(KINDS)


@pytest.mark.parametrize(
    ("noun", "particle", "joined"),
    [
        ("김밥", "는", "김밥은"), ("국수", "은", "국수는"), ("만두", "을", "만두를"), ("냉면", "가", "냉면이"),
        ("서울", "으로", "서울로"), ("부산", "로", "부산으로"), ("대구", "으로", "대구로"), ("길", "으로", "길로"),
        ("강릉", "와", "강릉과"), ("광주", "과", "광주와"), ("지훈", "랑", "지훈이랑"), ("서울", "로도", "서울로도"),
        ("수박", "예요", "수박이에요"), ("학교", "에서", "학교에서"), ("인천", "로는", "인천으로는"),
    ],
)  # fmt: skip
def test_korean_particles_follow_the_final_consonant(noun: str, particle: str, joined: str) -> None:
    assert with_particle(noun, particle) == joined


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("지영이랑 명동에서 국수를 먹었어요.", "word", "지영이랑 명동에서 김밥을 먹었어요."),
        ("광주와 대구를 잇는 도로가 열렸습니다.", "place", "강릉과 대구를 잇는 도로가 열렸습니다."),
        ("배송 주소를 인천으로 바꿔 주세요.", "place", "배송 주소를 서울로 바꿔 주세요."),
        ("제 이름은 김지영입니다, 확인해 주세요.", "name", "제 이름은 김수진입니다, 확인해 주세요."),
        ("올해 사과 값이 조금 내렸습니다.", "negation", "올해 사과 값이 조금 내리지 않았습니다."),
        ("박물관이 월요일부터 다시 문을 엽니다.", "negation", "박물관이 월요일부터 다시 문을 열지 않습니다."),
        ("전기 요금은 내년에도 오르지 않습니다.", "negation", "전기 요금은 내년에도 오릅니다."),
        ("이 방은 따뜻하지 않았습니다.", "negation", "이 방은 따뜻했습니다."),
        ("가게 문을 열지 않습니다.", "negation", "가게 문을 엽니다."),
        ("문을 닫아 주세요.", "negation", "문을 닫지 말아 주세요."),
        ("여기 앉으면 안 됩니다.", "negation", "여기 앉으면 됩니다."),
        ("제가 바로 그 의사입니다.", "negation", "제가 바로 그 의사가 아닙니다."),
        ("오늘은 쉬는 날입니다.", "negation", "오늘은 쉬는 날이 아닙니다."),
        ("집에 우유가 없습니다.", "negation", "집에 우유가 있습니다."),
        ("저는 책을 읽고 있습니다.", "negation", "저는 책을 읽고 있지 않습니다."),
        ("새 가방을 이만 원에 샀어요.", "number", "새 가방을 삼만 원에 샀어요."),
        ("친구 다섯 명이 왔어요.", "number", "친구 세 명이 왔어요."),
        ("번호는 공, 오, 이, 구, 사입니다.", "number", "번호는 공, 오, 칠, 구, 사입니다."),
        ("회의는 15:30에 시작합니다.", "number", "회의는 14:30에 시작합니다."),
    ],
)
def test_korean_edits_read_as_a_korean_would_say_them(text: str, kind: str, expected: str) -> None:
    assert expected in _made(text, "ko", kind)


@pytest.mark.parametrize(
    "text",
    [
        "이 사람을 어디에서 봤습니까?",
        "만듭니다.",  # a stem in ㄹ: 만들지, not 만드지
        "그 소리를 들었습니다.",  # 듣다 or 들다
        "오래 걸었습니다.",  # 걷다 or 걸다
        "날씨가 추웠습니다.",  # a stem in ㅂ
        "산이 보입니다.",  # 보이다 is no copula
        "누구입니까?",
        "고맙습니다.",
        "안녕하세요.",
        "못했습니다.",
        "아닙니다.",
    ],
)
def test_korean_forms_that_do_not_tell_their_stem_are_left_alone(text: str) -> None:
    assert _made(text, "ko", "negation") == set()


def test_one_syllable_that_may_be_another_word_is_no_number() -> None:
    assert _made("이 층은 조용합니다.", "ko", "number") == set()
    assert _made("말을 한 시간이 길었습니다.", "ko", "number") == set()
    assert _made("네 사람은 어디 있어?", "ko", "number") == set()
    assert _made("비만이 늘었습니다.", "ko", "word") == set()


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("Please transfer fifty dollars ah.", "negation", "Please don't transfer fifty dollars ah."),
        ("The gate is over there lor.", "negation", "The gate is not over there lor."),
        ("The gate is not over there lor.", "negation", "The gate is over there lor."),
        ("This laksa very shiok lah.", "negation", "This laksa not very shiok lah."),
        ("I queue one hour already leh.", "number", "I queue three hours already leh."),
        ("One, four, seven, nine, that is my code.", "number", "Two, four, seven, nine, that is my code."),
        ("Better go Bedok lah.", "place", "Better go Toa Payoh lah."),
        ("Toa Payoh very far leh.", "place", "Bedok very far leh."),
        ("This is Mei Ling's phone.", "name", "This is Siti's phone."),
        ("I buy a mango.", "word", "I buy a durian."),
    ],
)
def test_singlish_edits_read_as_a_singaporean_would_say_them(text: str, kind: str, expected: str) -> None:
    assert expected in _made(text, "en-SG", kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("This one can or not?", "negation"),
        ("Is it over there?", "negation"),
        ("I don't want lah.", "negation"),
        ("You want or not?", "negation"),
        ("This one damn nice, that one also.", "number"),
        ("One by one lah.", "number"),
    ],
)
def test_singlish_words_with_several_readings_are_left_alone(text: str, kind: str) -> None:
    assert _made(text, "en-SG", kind) - {"This one not nice, that one also."} == set()


def test_a_and_an_stay_right() -> None:
    made = _made("She got an umbrella today.", "en-SG", "word")
    assert not any("an jacket" in text or "an torchlight" in text for text in made)
    assert "She got a torchlight today." in _made("She got a jacket today.", "en-SG", "word")
    assert not any("a umbrella" in text for text in _made("She got a jacket today.", "en-SG", "word"))


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("Suara saya ialah kata laluan saya.", "negation", "Suara saya bukan kata laluan saya."),
        ("Jambatan itu akan dibuka esok.", "negation", "Jambatan itu tidak akan dibuka esok."),
        ("Sila pindahkan wang itu.", "negation", "Jangan pindahkan wang itu."),
        ("Saya tidak minum kopi.", "negation", "Saya minum kopi."),
        ("Pantai ini bersih.", "negation", "Pantai ini tidak bersih."),
        ("Laluan itu belum siap lagi.", "negation", "Laluan itu sudah siap."),
        ("Tambang naik sepuluh sen.", "number", "Tambang naik dua puluh sen."),
        ("Kucingnya tidur.", "word", "Arnabnya tidur."),
        ("Kerajaan memperkenalkan dasar itu.", "negation", "Kerajaan tidak memperkenalkan dasar itu."),
        ("Bas itu tidak diberhentikan.", "negation", "Bas itu diberhentikan."),
        ("Kami ke Johor Bahru.", "place", "Kami ke Ipoh."),
    ],
)
def test_malay_edits_read_as_a_malay_would_say_them(text: str, kind: str, expected: str) -> None:
    assert expected in _made(text, "ms", kind)


@pytest.mark.parametrize(
    "text",
    [
        "Jom makan.",
        "Hujan lebat turun juga akhirnya?",
        "Jangan tidur.",
        "Kami tidak pernah lupa.",
        "Berita sukan.",
    ],
)
def test_malay_commands_and_words_that_only_look_like_verbs_are_left_alone(text: str) -> None:
    assert not any(
        "tidak tidak" in t or "tidak lebat" in t or "Jangan tidak" in t for t in _made(text, "ms", "negation")
    )
    if text in ("Jom makan.", "Berita sukan.", "Jangan tidur."):
        assert _made(text, "ms", "negation") == set()


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("புதிய பாலம் நாளை திறக்கப்படும்.", "negation", "புதிய பாலம் நாளை திறக்கப்படாது."),
        ("பூனை தூங்குகிறது.", "negation", "பூனை தூங்கவில்லை."),
        ("நான் பார்க்கிறேன்.", "negation", "நான் பார்க்கவில்லை."),
        ("உடனே முடக்கவும்.", "negation", "உடனே முடக்க வேண்டாம்."),
        ("மெதுவாகச் சொல்லுங்கள்.", "negation", "மெதுவாகச் சொல்லாதீர்கள்."),
        ("அது சுவையாக இருக்கிறது.", "negation", "அது சுவையாக இல்லை."),
        ("ஐந்து கிலோமீட்டர் ஓடினேன்.", "number", "ஏழு கிலோமீட்டர் ஓடினேன்."),
        ("அவன் வேகமாக ஓட்டினான்.", "negation", "அவன் வேகமாக ஓட்டவில்லை."),
        ("கவிதா கடைக்குச் சென்றார்.", "negation", "கவிதா கடைக்குச் செல்லவில்லை."),
        ("மீனா மதுரையில் இருக்கிறார்.", "place", "மீனா வேலூரில் இருக்கிறார்."),
        ("மீனா வந்தார்.", "name", "கவிதா வந்தார்."),
    ],
)
def test_tamil_edits_read_as_a_tamil_would_say_them(text: str, kind: str, expected: str) -> None:
    assert expected in _made(text, "ta", kind)


def test_a_tamil_negative_that_tells_no_person_is_not_taken_back() -> None:
    assert _made("நான் செல்லவில்லை.", "ta", "negation") == set()
    assert _made("அவள் வாங்கவில்லை.", "ta", "negation") == set()


def test_tamil_sandhi_is_kept() -> None:
    # அந்தக் doubles the க that follows: nothing that begins otherwise may stand there.
    assert _made("அந்தக் காய்கறி நல்லது.", "ta", "word") <= {"அந்தக் கீரை நல்லது."}
    assert _made("கடற்கரைக்குப் போனேன்.", "ta", "word") == {
        f"{place}க்குப் போனேன்." for place in ("கோயிலு", "சந்தை")
    } | {"நூலகத்திற்குப் போனேன்.", "பூங்காவிற்குப் போனேன்.", "திரையரங்கிற்குப் போனேன்.", "வீட்டிற்குப் போனேன்."}
    # எட்டு would double the ப of பேர்.
    assert "எட்டு பேர் வந்தனர்." not in _made("ஐந்து பேர் வந்தனர்.", "ta", "number")
    # ஆறு alone is a river.
    assert _made("ஆறு ஓடுகிறது.", "ta", "number") == set()


def test_figures_stay_possible_times_and_dates() -> None:
    assert _made("Mesyuarat pukul 9:30 pagi.", "ms", "number") == {
        f"Mesyuarat pukul {hour}:30 pagi." for hour in range(1, 9)
    }
    assert _made("Harga 50 sen.", "ms", "number") == {f"Harga {n}0 sen." for n in (1, 2, 3, 4, 6, 7, 8, 9)}
    assert _made("3/4/2026", "en-SG", "number") == {f"{day}/4/2026" for day in (1, 2, 4, 5, 6, 7, 8, 9)}
    assert _made("Jam 19:05", "ms", "number") == {f"Jam 1{n}:05" for n in range(1, 9)}


def test_nothing_is_proposed_where_nothing_can_be_changed() -> None:
    assert propose([], "ko", 1) is None
    assert propose(["...", "—"], "ms", 1) is None
    assert propose(["zzz"], "en-SG", 1) is None
    assert propose(["My", "name", "is", "Hafiz"], "en-SG", 1, ("number",)) is None


def test_wrong_use_is_told() -> None:
    with pytest.raises(UsageError, match="no edits of kind 'colour'; there are negation"):
        propose(["a"], "ko", 1, ("colour",))
    with pytest.raises(UsageError, match="no locale for language 'xx'"):
        propose(["a"], "xx", 1)
    with pytest.raises(UsageError, match="'b' at word 0"):
        apply(["a"], Edit(0, 1, "b", "c", "word"))


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.text(max_size=12), max_size=12), seed=st.integers(0, 2**62))
def test_any_words_are_taken_without_harm(language: str, words: list[str], seed: int) -> None:
    edit = propose(words, language, seed)
    if edit is not None:
        assert " ".join(words[edit.index : edit.index + edit.count]) == edit.old
        assert apply(words, edit) != " ".join(words)


def test_a_long_hostile_text_costs_little() -> None:
    words = ["가" * 4000, "은" * 79] * 3000
    assert proposals(words, "ko") == ()
