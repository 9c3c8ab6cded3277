"""Figures and signs become the words that a native speaker reads out, and no digit is ever left."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haetae.errors import Rejected, UsageError
from haetae.locales.normalise import normalise
from haetae.locales.numerals import native_korean, ordinal, sino_korean, sino_korean_value, words_for

LANGUAGES = ("ko", "en-SG", "ms", "ta")
SMALL = {
    "en-SG": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen",
    "ms": "kosong satu dua tiga empat lima enam tujuh lapan sembilan",
    "ta": "பூஜ்ஜியம் ஒன்று இரண்டு மூன்று நான்கு ஐந்து ஆறு ஏழு எட்டு ஒன்பது பத்து பதினொன்று பன்னிரண்டு பதின்மூன்று"
    " பதினான்கு பதினைந்து பதினாறு பதினேழு பதினெட்டு பத்தொன்பது",
}


def _english(words: str) -> int:
    """What an English number says: read independently of how it was made."""
    small = {word: n for n, word in enumerate(SMALL["en-SG"].split())}
    names = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    tens = {name: 10 * n for n, name in enumerate(names, 2)}
    total = group = 0
    for word in words.replace("-", " ").replace(" and ", " ").split():
        if word in small or word in tens:
            group += small.get(word, 0) + tens.get(word, 0)
        elif word == "hundred":
            group *= 100
        else:
            total, group = total + group * {"thousand": 10**3, "million": 10**6}[word], 0
    return total + group


def _malay(words: str) -> int:
    small = {word: n for n, word in enumerate(SMALL["ms"].split())}
    powers = {"puluh": 10, "ratus": 100}
    total = group = one = 0
    for word in words.replace("seribu", "satu ribu").replace("sejuta", "satu juta").split():
        if word in small:
            one = small[word]
        elif word in ("sepuluh", "sebelas", "seratus"):
            group += {"sepuluh": 10, "sebelas": 11, "seratus": 100}[word]
        elif word == "belas":
            group, one = group + 10 + one, 0
        elif word in powers:
            group, one = group + one * powers[word], 0
        else:
            total, group, one = total + (group + one) * {"ribu": 10**3, "juta": 10**6}[word], 0, 0
    return total + group + one


def _korean(words: str) -> int:
    total = group = digit = 0
    for letter in words.replace(" ", ""):
        if letter in "일이삼사오육칠팔구":
            digit = "영일이삼사오육칠팔구".index(letter)
        elif letter in "십백천":
            group, digit = group + (digit or 1) * {"십": 10, "백": 100, "천": 1000}[letter], 0
        elif letter in "만억":
            total, group, digit = total + (group + digit or 1) * {"만": 10**4, "억": 10**8}[letter], 0, 0
    return total + group + digit


def _tamil_below_thousand() -> dict[str, int]:
    """Tamil numbers from 1 to 999 spelled out by hand-written parts, with their joints."""
    ones = SMALL["ta"].split()
    joints = ["ொன்று", "ிரண்டு", "-மூன்று", "-நான்கு", "ைந்து", "ாறு", "ேழு", "ெட்டு", "ொன்பது"]
    tens = ["இருபது", "முப்பது", "நாற்பது", "ஐம்பது", "அறுபது", "எழுபது", "எண்பது", "தொண்ணூறு"]
    bound = ["இருபத்த்", "முப்பத்த்", "நாற்பத்த்", "ஐம்பத்த்", "அறுபத்த்", "எழுபத்த்", "எண்பத்த்", "தொண்ணூற்ற்"]
    found = {word: n for n, word in enumerate(ones)}
    for t, (alone, stem) in enumerate(zip(tens, bound, strict=True), 2):
        found[alone] = 10 * t
        for one, joint in enumerate(joints, 1):
            # The stem's pulli gives way to the vowel; before a consonant u stands between.
            word = stem[:-1] + (f"ு {joint[1:]}" if joint.startswith("-") else joint)
            found[word] = 10 * t + one
    hundreds = ["நூறு", "இருநூறு", "முந்நூறு", "நானூறு", "ஐந்நூறு", "அறுநூறு", "எழுநூறு", "எண்ணூறு", "தொள்ளாயிரம்"]
    more = [
        "நூற்று",
        "இருநூற்று",
        "முந்நூற்று",
        "நானூற்று",
        "ஐந்நூற்று",
        "அறுநூற்று",
        "எழுநூற்று",
        "எண்ணூற்று",
        "தொள்ளாயிரத்து",
    ]
    below = dict(found)
    for n, (alone, stem) in enumerate(zip(hundreds, more, strict=True), 1):
        found[alone] = 100 * n
        found.update({f"{stem} {word}": 100 * n + value for word, value in below.items() if value})
    return found


@pytest.mark.parametrize(("language", "parse"), [("en-SG", _english), ("ms", _malay), ("ko", _korean)])
@settings(max_examples=300, deadline=None)
@given(
    number=st.one_of(
        st.integers(0, 10**8),
        st.integers(0, 1100),
        st.builds(lambda digit, power: digit * 10**power, st.integers(1, 99), st.integers(0, 6)),
    )
)
def test_numbers_up_to_a_hundred_million_are_understood_again(language: str, parse, number: int) -> None:  # type: ignore[no-untyped-def]
    said = normalise(str(number), language)
    assert parse(said) == number
    assert normalise(f"{number:,}", language) == said


def test_every_tamil_number_below_a_thousand_is_spelled_as_by_hand() -> None:
    by_hand = {value: word for word, value in _tamil_below_thousand().items()}
    assert len(by_hand) == 1000
    assert {n: words_for(n, "ta") for n in range(1000)} == by_hand


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1000, "ஆயிரம்"),
        (1001, "ஆயிரத்து ஒன்று"),
        (1234, "ஆயிரத்து இருநூற்று முப்பத்து நான்கு"),
        (2000, "இரண்டாயிரம்"),
        (10_000, "பத்தாயிரம்"),
        (11_000, "பதினோராயிரம்"),
        (21_000, "இருபத்தோராயிரம்"),
        (50_000, "ஐம்பதாயிரம்"),
        (99_999, "தொண்ணூற்றொன்பதாயிரத்து தொள்ளாயிரத்து தொண்ணூற்றொன்பது"),
        (100_000, "ஒரு லட்சம்"),
        (100_500, "ஒரு லட்சத்து ஐந்நூறு"),
        (10_000_000, "ஒரு கோடி"),
        (10_000_001, "ஒரு கோடியே ஒன்று"),
        (10**8, "பத்து கோடி"),
    ],
)
def test_large_tamil_numbers_use_lakh_and_crore(number: int, said: str) -> None:
    assert normalise(str(number), "ta") == said


@settings(max_examples=200, deadline=None)
@given(numbers=st.sets(st.integers(0, 10**8), min_size=2, max_size=30))
def test_different_tamil_numbers_are_said_differently(numbers: set[int]) -> None:
    assert len({words_for(number, "ta") for number in numbers}) == len(numbers)


@given(number=st.integers(1, 99_999_999))
def test_sino_korean_in_one_word_is_read_back(number: int) -> None:
    assert sino_korean_value(sino_korean(number).replace(" ", "")) == number


@pytest.mark.parametrize("word", ["", "일십", "십십", "만만", "사과", "이상", "삼사", "백천"])
def test_what_is_no_sino_korean_number_has_no_value(word: str) -> None:
    assert sino_korean_value(word) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3시 20분", "세 시 이십 분"),
        ("15:30까지", "십오 시 삼십 분까지"),
        ("학생 25명이", "학생 스물다섯 명이"),
        ("사과 20개와", "사과 스무 개와"),
        ("고양이 1마리", "고양이 한 마리"),
        ("120명", "백이십 명"),
        ("3층", "삼 층"),
        ("30분", "삼십 분"),
        ("6월 10일", "유월 십일"),
        ("2026-11-22", "이천이십육년 십일월 이십이일"),
        ("10월", "시월"),
        ("5만 원", "오만 원"),
        ("1만 명", "만 명"),
        ("₩50,000", "오만 원"),
        ("S$5.50", "오 싱가포르 달러 오십 센트"),
        ("010-1234-5678로", "공일공, 일이삼사, 오육칠팔로"),
        ("3.14", "삼 점 일사"),
        ("12% 인상", "십이 퍼센트 인상"),
        ("2번 출구", "이 번 출구"),
        ("2번 갔다", "두 번 갔다"),
        ("10000", "만"),
        ("110000", "십일만"),
        ("007", "공공칠"),
    ],
)
def test_korean_is_read_with_the_number_that_its_counter_takes(text: str, said: str) -> None:
    assert normalise(text, "ko") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("S$5.50", "five dollars and fifty cents"),
        ("$1", "one dollar"),
        ("RM20.05", "twenty ringgit and five sen"),
        ("3:30pm", "three thirty pm"),
        ("9:00", "nine o'clock"),
        ("3:05", "three oh five"),
        ("12% off", "twelve percent off"),
        ("22/11/2026", "twenty-second of November twenty twenty-six"),
        ("5 Nov 2005", "fifth of November two thousand and five"),
        ("since 1998", "since nineteen ninety-eight"),
        ("21st floor", "twenty-first floor"),
        ("1998 people", "one thousand nine hundred and ninety-eight people"),
        ("call 9123 4567.", "call nine one two three, four five six seven."),
        ("Dr. Tan", "Doctor Tan"),
        ("4D", "four D"),
        ("+65 6123 4567", "plus six five, six one two three, four five six seven"),
        ("2.5 km", "two point five kilometres"),
        ("-3", "minus three"),
        ("2019-2020", "two thousand and nineteen-two thousand and twenty"),
        ("US$3 million", "three million US dollars"),
    ],
)
def test_singapore_english_is_read_in_the_british_way(text: str, said: str) -> None:
    assert normalise(text, "en-SG") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RM5.50", "lima ringgit lima puluh sen"),
        ("pukul 3.30 petang", "pukul tiga tiga puluh petang"),
        ("22/11/2026", "dua puluh dua November dua ribu dua puluh enam"),
        ("ke-21", "kedua puluh satu"),
        ("ke-1", "pertama"),
        ("kanak2 itu", "kanak-kanak itu"),
        ("kawan2nya", "kawan-kawannya"),
        ("En. Ali", "Encik Ali"),
        ("12%", "dua belas peratus"),
        ("2.5 km", "dua perpuluhan lima kilometer"),
        ("RM5 juta", "lima juta ringgit"),
        ("111", "seratus sebelas"),
        ("012-345 6789", "kosong satu dua, tiga empat lima, enam tujuh lapan sembilan"),
    ],
)
def test_malay_is_read_as_in_malaysia(text: str, said: str) -> None:
    assert normalise(text, "ms") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ரூ. 500", "ஐந்நூறு ரூபாய்"),
        ("₹5.50", "ஐந்து ரூபாய் ஐம்பது பைசா"),
        ("RM20", "இருபது ரிங்கிட்"),
        ("S$3", "மூன்று வெள்ளி"),
        ("12%", "பன்னிரண்டு சதவீதம்"),
        ("1,23,456", "ஒரு லட்சத்து இருபத்து மூன்றாயிரத்து நானூற்று ஐம்பத்தாறு"),
        ("5ஆம் வகுப்பு", "ஐந்தாம் வகுப்பு"),
        ("2.5 கி.மீ.", "இரண்டு புள்ளி ஐந்து கிலோமீட்டர்"),
        ("௧௨ நாட்கள்", "பன்னிரண்டு நாட்கள்"),
        ("3:20", "மூன்று மணி இருபது நிமிடம்"),
        ("திரு. குமார்", "திருவாளர் குமார்"),
        ("௰", "பத்து"),
        ("22/11/2026", "இரண்டாயிரத்து இருபத்தாறாம் ஆண்டு நவம்பர் இருபத்திரண்டாம் தேதி"),
    ],
)
def test_tamil_is_read_with_its_joints(text: str, said: str) -> None:
    assert normalise(text, "ta") == said


def test_native_korean_counts_to_ninety_nine() -> None:
    assert [native_korean(n) for n in (1, 4, 11, 20, 21, 99)] == [
        "한",
        "네",
        "열한",
        "스무",
        "스물한",
        "아흔아홉",
    ]
    assert native_korean(20, before_noun=False) == "스물"
    with pytest.raises(UsageError, match="1 to 99, not 100"):
        native_korean(100)


def test_ordinals() -> None:
    assert [ordinal(n, "en-SG") for n in (1, 12, 20, 23, 100)] == [
        "first",
        "twelfth",
        "twentieth",
        "twenty-third",
        "one hundredth",
    ]
    assert [ordinal(n, "ta") for n in (1, 2, 100, 2000)] == ["முதல்", "இரண்டாம்", "நூறாம்", "இரண்டாயிரமாம்"]
    assert ordinal(3, "ko") == "삼 번째"
    with pytest.raises(UsageError, match="no number words in language 'xx'"):
        words_for(1, "xx")
    with pytest.raises(UsageError, match="no words for -1"):
        words_for(-1, "ko")


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=150, deadline=None)
@given(
    text=st.one_of(
        st.text(max_size=60),
        st.text(alphabet="0123456789.,:/-+%$₩₹()RMS kmpயரூ개시월번만ndth", max_size=40),
        st.text(alphabet=st.characters(categories=("Nd", "No", "Nl", "Zs")), max_size=20),
    )
)
def test_no_digit_is_left_whatever_comes_and_twice_is_once(language: str, text: str) -> None:
    said = normalise(text, language)
    assert not any(unicodedata.category(c)[0] == "N" for c in said)
    assert normalise(said, language) == said


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_stay_as_they_are(language: str) -> None:
    from haetae.locales import load

    for sentence in load(language).sentences_for("other"):
        assert normalise(sentence, language) == sentence


def test_far_too_long_texts_and_numbers_are_bounded() -> None:
    assert normalise("9" * 40, "en-SG") == " ".join(["nine"] * 40)
    with pytest.raises(Rejected, match="text_too_long"):
        normalise("1" * 20_001, "ko")
    with pytest.raises(UsageError, match="no locale for language 'xx'"):
        normalise("1", "xx")
