"""How each language reads dates, clocks, digits and counted things aloud.

Where in a text these stand is found in `normalise`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import ClassVar

from haetae.locales.load import load
from haetae.locales.numerals import (
    MAX_NUMBER,
    english,
    english_year,
    native_korean,
    ordinal,
    sino_korean,
    tamil_ordinal,
    words_for,
)

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


class Reader:
    """Reads numbers in one language."""

    scales: ClassVar[tuple[str, ...]] = ()
    """Words for large powers that may follow figures: RM5 juta."""
    and_cents: ClassVar[str] = " "
    """What stands between an amount and its hundredths."""

    def __init__(self, language: str) -> None:
        locale = load(language)
        self.language = language
        self.reading = locale.reading
        self._digits = locale.numbers.digits

    def digit_by_digit(self, digits: str) -> str:
        """Each digit by its own word."""
        return " ".join(self._digits[int(digit)] for digit in digits)

    def date(self, year: int, month: int, day: int) -> str:
        """A day of the calendar: day, month, year."""
        return f"{words_for(day, self.language)} {self.reading.months[month - 1]} {words_for(year, self.language)}"

    def clock(self, hour: int, minute: int) -> str:
        """A time of the day; a full hour without its minutes."""
        said = words_for(hour, self.language)
        return f"{said} {words_for(minute, self.language)}" if minute else said

    def parts(self, figures: str, rest: str) -> bool:
        """Whether what is read for `figures` is written apart from the text `rest` that follows."""
        del figures
        return rest[:1].isalnum()

    def rules(self) -> tuple[Rule, ...]:
        """What only this language writes: patterns, and how what they find is read."""
        return ()


_PARTICLES = (
    "(?:이|가|은|는|을|를|의|에|도|만|과|와|로|으로|까지|부터|째|쯤|씩|정도|동안|이나|나|보다|에서|에게|마다"
    "|입니다|예요|이에요)(?![가-힣])"
)


class Korean(Reader):
    """Sino-Korean for dates, money and measures; native numbers for hours and what is counted."""

    scales = ("천만", "백만", "만", "억", "조", "천", "백")

    def digit_by_digit(self, digits: str) -> str:
        return "".join(self._digits[int(digit)] for digit in digits)

    def parts(self, figures: str, rest: str) -> bool:
        # A particle hangs on what stands before it; after a unit nothing is put in between.
        is_unit = not figures[-1].isdigit() and figures[-1] not in "%)"
        return rest[:1].isalnum() and not is_unit and not re.match(_PARTICLES, rest)

    def date(self, year: int, month: int, day: int) -> str:
        return f"{sino_korean(year)}년 {self.reading.months[month - 1]} {sino_korean(day)}일"

    def clock(self, hour: int, minute: int) -> str:
        # The clock of twelve hours takes native numbers, that of twenty-four Sino-Korean ones.
        said = native_korean(hour) if 1 <= hour <= 12 else sino_korean(hour)
        return f"{said} 시" + (f" {sino_korean(minute)} 분" if minute else "")

    def rules(self) -> tuple[Rule, ...]:
        numbers = load("ko").numbers
        counted = "|".join(sorted((*numbers.counted, "번"), key=len, reverse=True))
        after = rf"(?![가-힣])|(?={_PARTICLES})"
        return (
            (re.compile(r"(\d{1,2})월(?!요일)"), lambda m: self._month(m[1])),
            (re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)\s?(년|일|호|호선)"), lambda m: self._sino(m[1]) + m[2]),
            (re.compile(rf"(\d+(?:\.\d+)?)\s?({'|'.join(self.scales)})(?=\s?[가-힣])"), self._scaled),
            (
                re.compile(r"(\d+)\s?(번)(?=\s?(?:출구|버스|문제|게이트|창구|홈|국도|선수))"),
                lambda m: self._sino(m[1]) + " 번",
            ),
            (re.compile(rf"(?<![\d.,])(\d{{1,2}})\s?({counted})(?:{after})"), self._counted),
        )

    def _month(self, written: str) -> str:
        month = int(written)
        return self.reading.months[month - 1] if 1 <= month <= 12 else f"{sino_korean(month)}월"

    def _sino(self, written: str) -> str:
        number = int(written.replace(",", ""))
        return sino_korean(number) if number <= MAX_NUMBER else self.digit_by_digit(str(number))

    def _scaled(self, found: re.Match[str]) -> str:
        whole, _, fraction = found[1].partition(".")
        said = self._sino(whole)
        if fraction:
            return f"{said} {self.reading.point} {self.digit_by_digit(fraction)}{found[2]}"
        return ("" if whole == "1" and found[2] not in ("억", "조") else said) + found[2]

    def _counted(self, found: re.Match[str]) -> str:
        number = int(found[1])
        if not 1 <= number <= 99 or (found[2] == "시" and number > 12):
            return f"{sino_korean(number)} {found[2]}"
        return f"{native_korean(number)} {found[2]}"


class English(Reader):
    """Singapore English: British order of dates, `o'clock`, years in two halves."""

    scales = ("thousand", "million", "billion", "trillion")
    and_cents = " and "

    def date(self, year: int, month: int, day: int) -> str:
        return f"{ordinal(day, self.language)} of {self.reading.months[month - 1]} {english_year(year)}"

    def clock(self, hour: int, minute: int) -> str:
        if not minute:
            return f"{english(hour)} o'clock" if 1 <= hour <= 12 else f"{english(hour)} hundred hours"
        return f"{english(hour)} " + (f"oh {english(minute)}" if minute < 10 else english(minute))

    def rules(self) -> tuple[Rule, ...]:
        months = "|".join(
            f"{month[:3]}(?:{month[3:]})?" if month[3:] else month for month in self.reading.months
        )
        return (
            (
                re.compile(r"(?<![\d:.])(\d{1,2})(?:[.:]([0-5]\d))?\s?([ap])\.?m\b\.?", re.IGNORECASE),
                self._half_day,
            ),
            (
                re.compile(r"(?<![\d.,])(\d{1,15})(?:st|nd|rd|th)\b"),
                lambda m: ordinal(max(1, int(m[1])), "en-SG"),
            ),
            (re.compile(rf"(?<![\d.,])(\d{{1,2}}) ({months})\b\.?(?: (\d{{4}})\b)?"), self._day_of_month),
            (
                re.compile(rf"\b(in|since|until|by|from|year|{months}) ((?:1[1-9]|20)\d\d)\b(?![.,]?\d|%)"),
                lambda m: f"{m[1]} {english_year(int(m[2]))}",
            ),
        )

    def _day_of_month(self, found: re.Match[str]) -> str:
        month = next(name for name in self.reading.months if name.startswith(found[2][:3]))
        year = f" {english_year(int(found[3]))}" if found[3] else ""
        return f"{ordinal(max(1, int(found[1])), self.language)} of {month}{year}"

    def _half_day(self, found: re.Match[str]) -> str:
        minute = int(found[2] or 0)
        said = english(int(found[1]))
        if minute:
            said += f" oh {english(minute)}" if minute < 10 else f" {english(minute)}"
        return f"{said} {found[3].lower()}m"


class Malay(Reader):
    """Malay of Malaysia: `pukul 3.30`, ordinals with ke-, words written twice with a 2."""

    scales = ("ribu", "juta", "bilion", "trilion")

    def parts(self, figures: str, rest: str) -> bool:
        # A word written with a 2 keeps its ending: kawan2nya.
        return rest[:1].isalnum() and not figures[:1].islower()

    def rules(self) -> tuple[Rule, ...]:
        return (
            (
                re.compile(r"\b([Pp]ukul|[Jj]am) (\d{1,2})\.([0-5]\d)(?!\d)"),
                lambda m: f"{m[1]} {self.clock(int(m[2]), int(m[3]))}",
            ),
            (re.compile(r"\b[Kk]e-?(\d{1,15})\b"), lambda m: ordinal(max(1, int(m[1])), "ms")),
            # Anak2 is how anak-anak is written in haste; a model or street may end in 2 as well, in capitals.
            (re.compile(r"\b([a-z]{3,})2(?:\b|(?=nya\b))"), lambda m: f"{m[1]}-{m[1]}"),
            (re.compile(r"\b([A-Z]?[a-z]{3,})2(?=nya\b)"), lambda m: f"{m[1]}-{m[1].lower()}"),
        )


class Tamil(Reader):
    """Tamil: year, month, day, each in the form that the next word asks for."""

    scales = ("லட்சம்", "கோடி", "மில்லியன்", "ஆயிரம்")

    def date(self, year: int, month: int, day: int) -> str:
        said = f"{self.reading.months[month - 1]} {tamil_ordinal(day)} தேதி"
        return f"{tamil_ordinal(year)} ஆண்டு {said}" if year else said

    def clock(self, hour: int, minute: int) -> str:
        said = f"{words_for(hour, 'ta')} மணி"
        return f"{said} {words_for(minute, 'ta')} நிமிடம்" if minute else said

    def rules(self) -> tuple[Rule, ...]:
        return (
            (
                re.compile(r"(?<![\d:.])(\d{1,2})[:.]([0-5]\d)(?=\s?மணி)"),
                lambda m: f"{words_for(int(m[1]), 'ta')} {words_for(int(m[2]), 'ta')}",
            ),
            (re.compile(r"(\d{1,15})[\s-]?(?:ஆம்|ம்|வது|ஆவது)(?!\w)"), lambda m: tamil_ordinal(int(m[1]))),
            (
                re.compile(r"(?<![\d.,])(\d{4})(?=\s(?:ஆண்டு|ஆம் ஆண்டு))"),
                lambda m: tamil_ordinal(int(m[1])),
            ),
        )


_READERS: dict[str, type[Reader]] = {"ko": Korean, "en-SG": English, "ms": Malay, "ta": Tamil}


@cache
def reader_of(language: str) -> Reader:
    """How a language is read. Raises: UsageError for a language without locale."""
    load(language)
    return _READERS[language](language)
