"""Texts are judged in the words of the house; Singlish is told from English, and Malay from Indonesian."""

from __future__ import annotations

import subprocess
import sys

import pytest
from spoken_texts import LEARNT, UNSEEN

from haetae.voice.singlish import ENOUGH, singlish_evidence, total
from haetae.voice.spoken import Spoken, spoken_language, written_language

HOUSE = {"ko": "ko", "en-SG": "en-SG", "ms": "ms", "ta": "ta"}


def judged(text: str) -> Spoken:
    spoken = spoken_language(text)
    assert spoken is not None, text
    return spoken


def right(texts: dict[str, tuple[str, ...]], code: str) -> float:
    """Share of the sentences of a language that are judged as it."""
    return sum(judged(text).language == HOUSE.get(code, "other") for text in texts[code]) / len(texts[code])


def test_nineteen_of_twenty_known_and_nine_of_ten_unseen_sentences_are_judged_right() -> None:
    for texts, least in ((LEARNT, 0.95), (UNSEEN, 0.90)):
        n = sum(len(sentences) for sentences in texts.values())
        assert n >= 60
        share = sum(right(texts, code) * len(sentences) for code, sentences in texts.items()) / n
        assert share >= least


@pytest.mark.parametrize(
    ("code", "least"), [("ko", 1.0), ("ta", 1.0), ("ms", 0.9), ("id", 0.85), ("en-SG", 0.75), ("en", 1.0)]
)
def test_each_language_is_found_in_sentences_that_were_not_seen(code: str, least: float) -> None:
    assert right(UNSEEN, code) >= least


def test_plain_english_is_never_taken_for_singlish_nor_singlish_for_another_language() -> None:
    for texts in (LEARNT, UNSEEN):
        for text in texts["en"]:
            spoken = judged(text)
            assert (spoken.language, spoken.detail) == ("other", "en"), text
            assert spoken.singlish_score < 0.15
        assert all(judged(text).detail == "en" for text in texts["en-SG"])


def test_other_languages_are_other_and_named() -> None:
    for texts in (LEARNT, UNSEEN):
        for code in set(texts) - set(HOUSE) - {"en", "id"}:
            for text in texts[code]:
                assert (judged(text).language, judged(text).detail) == ("other", code), text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The food here is good lah", "particle"),
        ("I am so paiseh about it", "lexicon"),
        ("This time confirm plus chop", "phrase"),
        ("The weather so hot", "grammar"),
        ("I calling to ask about my bill", "grammar"),
        ("He eat his dinner already", "grammar"),
        ("We talk talk for a while", "reduplication"),
        ("My sister pergi to the shop", "code_switching"),
    ],
)
def test_every_kind_of_evidence_counts(text: str, kind: str) -> None:
    assert kind in {sign.kind for sign in singlish_evidence(text)}


@pytest.mark.parametrize(
    "text",
    [
        "Ah, so that is how it works.",
        "I have eaten already.",
        "Give me the red one.",
        "That was the very best day.",
        "The car was so fast.",
        "It happened again and again, very very slowly.",
        "I bring my own lunch.",
        "I do not know why you always win.",
        "La la la, la la la, sing with me.",
        "Tell me whether you can or not.",
    ],
)
def test_english_that_looks_alike_is_not_evidence_enough(text: str) -> None:
    assert total(singlish_evidence(text)) < ENOUGH


def test_the_score_is_the_share_of_evidence_among_the_words() -> None:
    assert (
        judged("Can lah, can lah").singlish_score
        > judged("Of course you can come with us lah").singlish_score
    )
    assert judged("Of course you can come with us lah").singlish_score == pytest.approx(1 / 8, abs=0.01)
    assert judged("Kita pergi makan di kopitiam lah").singlish_score == 0.0


def test_what_fits_malay_and_indonesian_is_malay_but_not_for_sure() -> None:
    both, malay, indonesian = (
        judged(text)
        for text in (
            "Dia pergi ke sekolah.",
            "Saya mahu pergi ke pejabat polis kerana kereta saya hilang.",
            "Saya mau pergi ke kantor polisi karena mobil saya hilang.",
        )
    )
    assert (both.language, both.detail) == ("ms", "ms")
    assert both.confidence <= 0.6 < 0.9 <= malay.confidence
    assert malay.language == "ms"
    assert (indonesian.language, indonesian.detail) == ("other", "id")
    assert indonesian.confidence >= 0.9


def test_a_foreign_word_does_not_change_the_language_around_it() -> None:
    assert judged("오늘 meeting 있어서 late 할 것 같아요").language == "ko"
    assert judged("நான் office-க்கு போறேன்").language == "ta"
    assert judged("I really love 김치 with my rice").detail == "en"


@pytest.mark.parametrize("text", ["", " ", "...", "12 345", "ok", "Lah", "🙂🙂", "ㅋ", "a b c"])
def test_what_is_too_short_is_not_judged(text: str) -> None:
    assert spoken_language(text) is None


def test_hostile_text_is_judged_in_bounded_time() -> None:
    for text in ("lah " * 500_000, "가" * 1_000_000, "\u0301" * 100_000, "x" * 100_000, "so so " * 100_000):
        spoken_language(text)
    assert judged("can\u200blah or not lah\x00").language == "en-SG"


def test_two_processes_judge_the_same_and_load_nothing_heavy() -> None:
    code = (
        "import sys; from haetae.voice.spoken import spoken_language as s;"
        "print([s(t) for t in ('Dia pergi ke sekolah.', 'so hot today lah', 'We left early', 'Enna da machan')]);"
        "print([m for m in ('torch', 'scipy', 'librosa') if m in sys.modules])"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert runs[0].strip().endswith("[]")


@pytest.mark.parametrize(
    ("text", "expected", "tag"),
    [
        ("봄꽃 축제가 목요일에 열립니다.", "en-SG", "ko"),
        ("அட்டை தொலைந்துவிட்டது, உடனே முடக்கவும்.", "ms", "ta"),
        ("Saya mahu pergi ke pejabat polis kerana kereta saya hilang.", "ta", "ms"),
        ("Weekend go East Coast cycle lah, can or not?", "ko", "en-SG"),
        ("The library will be closed on Monday morning.", "ko", "en"),
        ("The library will be closed on Monday morning.", "en-SG", "en-SG"),
        ("Saya mau pergi ke kantor polisi karena mobil saya hilang.", "ko", "id"),
        ("Dia pergi ke sekolah.", "ms", "ms"),
        ("Dia pergi ke sekolah.", "ko", None),
        ("ok", "en-SG", None),
        ("1 2 3", "ko", None),
    ],
)
def test_the_language_of_a_text_is_told_where_script_and_words_tell_it(
    text: str, expected: str, tag: str | None
) -> None:
    """What fits Malay and Indonesian alike is Malay only where Malay is expected."""
    assert written_language(text, expected) == tag
