"""Numbers as words: Sino-Korean and native Korean, English, Malay, Tamil.

What a number stands for in a text (a price, a date, a telephone) is decided in `normalise`.
"""

from __future__ import annotations

from haetae.errors import UsageError

MAX_NUMBER = 10**16 - 1
"""Larger numbers are read digit by digit."""


def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_SINO = ("영", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
_SINO_POWERS = ((1000, "천"), (100, "백"), (10, "십"))
_SINO_GROUPS = ((10**12, "조"), (10**8, "억"), (10**4, "만"))
_NATIVE_ONES = ("", "하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉")
_NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_BEFORE_NOUN = {"하나": "한", "둘": "두", "셋": "세", "넷": "네"}
NATIVE_BEFORE_NOUN = ("한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉", "열", "스무")
"""Native Korean numbers as they stand before what is counted: 1 to 10, and 20."""

_ENGLISH = _split(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
)
_ENGLISH_TENS = _split("_ _ twenty thirty forty fifty sixty seventy eighty ninety")
_ENGLISH_POWERS = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (10**3, "thousand"))
_ENGLISH_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip

_MALAY = _split("kosong satu dua tiga empat lima enam tujuh lapan sembilan")
_MALAY_POWERS = (
    (10**12, "trilion"), (10**9, "bilion"), (10**6, "juta"), (10**3, "ribu"), (100, "ratus"), (10, "puluh"),
)  # fmt: skip

_TAMIL = _split(
    "பூஜ்ஜியம் ஒன்று இரண்டு மூன்று நான்கு ஐந்து ஆறு ஏழு எட்டு ஒன்பது பத்து பதினொன்று பன்னிரண்டு பதின்மூன்று"
    " பதினான்கு பதினைந்து பதினாறு பதினேழு பதினெட்டு பத்தொன்பது"
)
_TAMIL_TENS = _split("_ _ இருபது முப்பது நாற்பது ஐம்பது அறுபது எழுபது எண்பது தொண்ணூறு")
_TAMIL_TENS_AND = _split("_ _ இருபத்து முப்பத்து நாற்பத்து ஐம்பத்து அறுபத்து எழுபத்து எண்பத்து தொண்ணூற்று")
_TAMIL_HUNDREDS = _split("_ நூறு இருநூறு முந்நூறு நானூறு ஐந்நூறு அறுநூறு எழுநூறு எண்ணூறு தொள்ளாயிரம்")
_VOWEL_SIGNS = {
    "அ": "", "ஆ": "ா", "இ": "ி", "ஈ": "ீ", "உ": "ு", "ஊ": "ூ", "எ": "ெ", "ஏ": "ே", "ஐ": "ை", "ஒ": "ொ", "ஓ": "ோ",
}  # fmt: skip


def words_for(number: int, language: str) -> str:
    """A number of 0 to `MAX_NUMBER` as a cardinal in words.

    language: ko (Sino-Korean), en-SG, ms or ta. Raises: UsageError for others, or a number out of range.
    """
    makers = {"ko": sino_korean, "en-SG": english, "ms": malay, "ta": tamil}
    if language not in makers:
        raise UsageError(f"no number words in language {language!r}; there are {', '.join(makers)}")
    if not 0 <= number <= MAX_NUMBER:
        raise UsageError(f"no words for {number}: give 0 to {MAX_NUMBER}")
    return makers[language](number)


def ordinal(number: int, language: str) -> str:
    """A number of 1 and more as an ordinal in words, as dates need it. Raises: as `words_for`."""
    cardinal = words_for(number, language)
    if language == "ko":
        return cardinal + " 번째"
    if language == "ms":
        return "pertama" if number == 1 else "ke" + cardinal
    if language == "ta":
        return "முதல்" if number == 1 else tamil_ordinal(number)
    head, last = _parted(cardinal)
    if last in _ENGLISH_ORDINALS:
        return head + _ENGLISH_ORDINALS[last]
    return head + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def _parted(words: str) -> tuple[str, str]:
    """An English number without its last word, and that word: twenty-one → ("twenty-", "one")."""
    at = max(words.rfind(" "), words.rfind("-")) + 1
    return words[:at], words[at:]


def sino_korean(number: int) -> str:
    """Sino-Korean, each group of ten thousand apart: 123456 → 십이만 삼천사백오십육."""
    if number == 0:
        return _SINO[0]
    parts: list[str] = []
    for size, name in _SINO_GROUPS:
        count, number = divmod(number, size)
        if count:
            # 만 alone is ten thousand; 억 and 조 always take their 일.
            parts.append(("" if count == 1 and size == 10**4 and not parts else _sino_group(count)) + name)
    if number:
        parts.append(_sino_group(number))
    return " ".join(parts)


def _sino_group(number: int) -> str:
    said = ""
    for size, name in _SINO_POWERS:
        count, number = divmod(number, size)
        said += ("" if count == 1 else _SINO[count]) + name if count else ""
    return said + (_SINO[number] if number else "")


def sino_korean_value(word: str) -> int | None:
    """The number that one Sino-Korean word without spaces stands for, below a hundred million; else None."""
    head, ten_thousand, tail = word.partition("만")
    high = _sino_group_value(head) if head else (1 if ten_thousand else 0)
    if not ten_thousand:
        return _sino_group_value(word)
    low = _sino_group_value(tail) if tail else 0
    return None if high is None or low is None else high * 10**4 + low


def _sino_group_value(word: str) -> int | None:
    value, rest = 0, word
    for size, name in (*_SINO_POWERS, (1, "")):
        digit = _SINO.index(rest[0]) if rest and rest[0] in _SINO[1:] else 0
        if size == 1:
            return value + digit if rest == (_SINO[digit] if digit else "") and word else None
        after = rest[1:] if digit else rest
        if after.startswith(name):
            if digit == 1:
                return None
            value, rest = value + max(digit, 1) * size, after[1:]
    return None


def native_korean(number: int, before_noun: bool = True) -> str:
    """Native Korean for 1 to 99: 스물한 before what is counted, 스물하나 alone. Raises: UsageError else."""
    if not 1 <= number <= 99:
        raise UsageError(f"native Korean numbers run from 1 to 99, not {number}")
    ten, one = _NATIVE_TENS[number // 10], _NATIVE_ONES[number % 10]
    if not before_noun:
        return ten + one
    return "스무" if number == 20 else ten + _BEFORE_NOUN.get(one, one)


def english(number: int) -> str:
    """English on the short scale, with `and` before tens and ones: 1205 → one thousand two hundred and five."""
    if number < 20:
        return _ENGLISH[number]
    if number < 100:
        ten, one = divmod(number, 10)
        return _ENGLISH_TENS[ten] + (f"-{_ENGLISH[one]}" if one else "")
    if number < 1000:
        hundred, rest = divmod(number, 100)
        return f"{_ENGLISH[hundred]} hundred" + (f" and {english(rest)}" if rest else "")
    size, name = next(power for power in _ENGLISH_POWERS if number >= power[0])
    count, rest = divmod(number, size)
    if not rest:
        return f"{english(count)} {name}"
    return f"{english(count)} {name} " + ("and " if rest < 100 else "") + english(rest)


def english_year(year: int) -> str:
    """A year of four digits as it is said: nineteen ninety-eight, two thousand and five, twenty twenty-six."""
    high, low = divmod(year, 100)
    if year < 1000 or year > 9999 or year // 10 == 200:
        return english(year)
    if low == 0:
        return english(year) if high % 10 == 0 else f"{english(high)} hundred"
    return f"{english(high)} " + (f"oh {english(low)}" if low < 10 else english(low))


def malay(number: int) -> str:
    """Malay: 125 → seratus dua puluh lima."""
    if number < 10:
        return _MALAY[number]
    if 10 < number < 20:
        return "sebelas" if number == 11 else f"{_MALAY[number - 10]} belas"
    size, name = next(power for power in _MALAY_POWERS if number >= power[0])
    count, rest = divmod(number, size)
    said = f"se{name}" if count == 1 and size <= 10**6 else f"{malay(count)} {name}"
    return said + (f" {malay(rest)}" if rest else "")


def tamil(number: int) -> str:
    """Tamil with lakh and crore: 1234 → ஆயிரத்து இருநூற்று முப்பத்து நான்கு.

    Vowels join (இருபத்தொன்று), and all but the last part are in the form that more follows.
    """
    if number >= 10**7:
        return _tamil_large(number, 10**7, "கோடி", "கோடியே")
    if number >= 10**5:
        return _tamil_large(number, 10**5, "லட்சம்", "லட்சத்து")
    if number >= 1000:
        count, rest = divmod(number, 1000)
        thousands = _tamil_thousands(count)
        return thousands if not rest else f"{thousands.removesuffix('ம்')}த்து {tamil(rest)}"
    if number >= 100:
        hundred, rest = divmod(number, 100)
        name = _TAMIL_HUNDREDS[hundred]
        if not rest:
            return name
        more = name.removesuffix("று") + "ற்று" if hundred < 9 else name.removesuffix("ம்") + "த்து"
        return f"{more} {tamil(rest)}"
    if number < 20:
        return _TAMIL[number]
    ten, one = divmod(number, 10)
    return _joined(_TAMIL_TENS_AND[ten], _TAMIL[one]) if one else _TAMIL_TENS[ten]


def _tamil_large(number: int, size: int, alone: str, more: str) -> str:
    count, rest = divmod(number, size)
    counted = "ஒரு" if count == 1 else tamil(count)
    return f"{counted} {more} {tamil(rest)}" if rest else f"{counted} {alone}"


def _tamil_thousands(count: int) -> str:
    """1 to 99 thousand in one word: ஆயிரம், இரண்டாயிரம், இருபத்தோராயிரம்."""
    if count == 1:
        return "ஆயிரம்"
    counted = tamil(count)
    if counted.endswith("ொன்று"):
        return counted.removesuffix("ொன்று") + "ோராயிரம்"
    return _joined(counted, "ஆயிரம்")


def _joined(first: str, second: str) -> str:
    """Two words, the final u of the first giving way to a vowel: இருபத்து + ஒன்று = இருபத்தொன்று."""
    if second[0] in _VOWEL_SIGNS and first.endswith("ு"):
        return first[:-1] + _VOWEL_SIGNS[second[0]] + second[1:]
    return f"{first} {second}"


def tamil_ordinal(number: int) -> str:
    """Tamil with -ஆம், as in dates: இருபத்திரண்டாம்."""
    cardinal = tamil(number)
    if cardinal.endswith("ு"):
        return cardinal[:-1] + "ாம்"
    return cardinal[:-1] + "ாம்" if cardinal.endswith("ம்") else cardinal + "யாம்"
