"""Text as it is read aloud: numbers, telephones, dates, clocks, money, shares and titles in words.

How a number becomes words is told in `numerals`; what signs and currencies are called, in the locale files.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

from haetae.errors import Rejected
from haetae.locales.load import load
from haetae.locales.numerals import MAX_NUMBER, words_for
from haetae.locales.reading import Reader, reader_of
from haetae.locales.schema import Currency
from haetae.voice.tokens import plain_text

MAX_CHARACTERS = 20_000
_SIGNS: dict[str, Currency] = {
    **dict.fromkeys(("S$", "SGD"), "SGD"),
    **dict.fromkeys(("RM", "MYR"), "MYR"),
    **dict.fromkeys(("₩", "KRW"), "KRW"),
    **dict.fromkeys(("₹", "INR", "Rs.", "Rs", "ரூ.", "ரூ"), "INR"),
    **dict.fromkeys(("US$", "USD", "$"), "USD"),
}
_NUMBER = r"\d{1,3}(?:,\d{2,3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_DATE = re.compile(
    r"(?<![\d/.-])(?:(\d{4})-(\d{1,2})-(\d{1,2})|(\d{1,2})[/.](\d{1,2})[/.](\d{4}))(?![\d/-]|\.\d)"
)
_PHONE = re.compile(
    r"(?<![\w.,+-])(?:"
    r"\+\d{1,3}(?:[ -]\d{2,5}){1,4}"  # +65 6123 4567
    r"|\(?0\d{1,3}\)?[ -]\d{3,4}[ -]?\d{3,4}"  # 012-345 6789, 010-1234-5678
    r"|(?!(?:19|20)\d\d-(?:19|20)\d\d)\d{4}[ -]\d{4}|\d{5} \d{5}"  # 9123 4567, but 2019-2020 are years
    r"|0\d{8,10}|\d{3}-\d{3,4}-\d{4})(?!\d|[.,-]\d)"
)
_CLOCK = re.compile(r"(?<![\d:.])([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d)?(?![\d:])")
_SHARE = re.compile(rf"({_NUMBER})\s?%")
_WHOLE = re.compile(_NUMBER)


def normalise(text: str, language: str) -> str:
    """A text on one line without any digit, as it is read aloud in ko, en-SG, ms or ta.

    Dates written 22/11/2026 are day, month, year; 2026-11-22 is read alike. Numbers above ten thousand
    billions, numbers with leading zeros and telephones are read digit by digit. Words stay as they are.
    Raises: UsageError for a language without locale; Rejected("text_too_long") above 20,000 characters.
    """
    if len(text) > MAX_CHARACTERS:
        raise Rejected("text_too_long", f"{len(text)} characters, of at most {MAX_CHARACTERS}")
    reader = reader_of(language)
    said = _plain_digits(plain_text(text))
    said = _titles(said, language)
    for pattern, read in _rules(language):
        said = pattern.sub(read, said)
    said = _WHOLE.sub(lambda found: _spaced(found, _number(found.group(), reader), reader), said)
    return " ".join(_without_digits(said).split())


def _plain_digits(text: str) -> str:
    """Digits of any script as 0 to 9; superscripts, circled and other signs of numbers too."""
    kept = []
    for character in text:
        if character.isascii() or unicodedata.category(character)[0] != "N":
            kept.append(character)
        elif (value := unicodedata.decimal(character, None)) is not None:
            kept.append(str(value))
        else:
            number = unicodedata.numeric(character)
            kept.append(f" {int(number)} " if number == int(number) else f" {number:.2f} ")
    return "".join(kept)


def _without_digits(text: str) -> str:
    return "".join(" " if unicodedata.category(c)[0] == "N" else c for c in text)


def _titles(text: str, language: str) -> str:
    for short, title in load(language).reading.titles.items():
        text = re.sub(rf"(?<!\w){re.escape(short)}(?=\s|\w)", title, text)
    return text


Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


@cache
def _rules(language: str) -> tuple[Rule, ...]:
    """Patterns in the order in which they are tried; what one reads, the next no longer sees as digits."""
    reader = reader_of(language)
    signs = "|".join(re.escape(sign) for sign in sorted(_SIGNS, key=len, reverse=True))
    units = "|".join(re.escape(unit) for unit in sorted(load(language).reading.units, key=len, reverse=True))
    scaled = rf"(?:\s?({'|'.join(reader.scales)})(?!\w))?" if reader.scales else "()"
    money = re.compile(rf"(?<!\w)({signs})\s?({_NUMBER}){scaled}")
    measure = re.compile(rf"({_NUMBER})\s?({units})(?!\w)")
    readings: tuple[Rule, ...] = (
        (_DATE, lambda m: _date(m, reader)),
        (_PHONE, lambda m: _telephone(m.group(), reader)),
        (money, lambda m: _money(m, reader)),
        *reader.rules(),
        (_CLOCK, lambda m: reader.clock(int(m[1]), int(m[2]))),
        (_SHARE, lambda m: f"{_number(m[1], reader)} {reader.reading.percent}"),
        (measure, lambda m: f"{_number(m[1], reader)} {reader.reading.units[m[2]]}"),
    )
    minus, plus, ampersand = (
        f" {sign} " for sign in (reader.reading.minus, reader.reading.plus, reader.reading.ampersand)
    )
    return (
        *((pattern, _beside(read, reader)) for pattern, read in readings),
        (re.compile(rf"(?<![\w)])[-−](?={_NUMBER})"), lambda _: minus),
        (re.compile(r"(?<=\d)\s?\+\s?(?=\d)"), lambda _: plus),
        (re.compile(r"\s&\s"), lambda _: ampersand),
    )


def _beside(read: Callable[[re.Match[str]], str], reader: Reader) -> Callable[[re.Match[str]], str]:
    return lambda found: _spaced(found, read(found), reader)


def _spaced(found: re.Match[str], said: str, reader: Reader) -> str:
    """What is read, apart from letters and digits right beside it."""
    text, first, last = found.string, found.start(), found.end()
    before = " " if first and text[first - 1].isalnum() else ""
    return before + said + (" " if reader.parts(found.group(), text[last : last + 8]) else "")


def _number(written: str, reader: Reader) -> str:
    """A number as written, with commas between thousands or lakhs and a point before decimals."""
    whole, _, fraction = written.replace(",", "").partition(".")
    if (len(whole) > 1 and whole[0] == "0") or int(whole) > MAX_NUMBER:
        said = reader.digit_by_digit(whole)
    else:
        said = words_for(int(whole), reader.language)
    return f"{said} {reader.reading.point} {reader.digit_by_digit(fraction)}" if fraction else said


def _telephone(written: str, reader: Reader) -> str:
    groups = re.findall(r"\d+", written)
    plus = f"{reader.reading.plus} " if written.startswith("+") else ""
    return plus + ", ".join(reader.digit_by_digit(group) for group in groups)


def _date(found: re.Match[str], reader: Reader) -> str:
    year, month, day = (found[1], found[2], found[3]) if found[1] else (found[6], found[5], found[4])
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return " ".join(_number(part, reader) for part in re.findall(r"\d+", found.group()))
    return reader.date(int(year), int(month), int(day))


def _money(found: re.Match[str], reader: Reader) -> str:
    """An amount, its currency behind it; two decimals are its hundredths."""
    sign, written, scale = found[1], found[2], found[3]
    code: Currency = "SGD" if sign == "$" and reader.language == "en-SG" else _SIGNS[sign]
    money = reader.reading.currency[code]
    whole, _, cents = written.replace(",", "").partition(".")
    if scale:
        return f"{_number(written, reader)} {scale} {money.many}"
    if len(cents) not in (0, 2) or int(whole) > MAX_NUMBER:
        return f"{_number(written, reader)} {money.many}"
    said = f"{words_for(int(whole), reader.language)} {money.one if int(whole) == 1 else money.many}"
    if not int(cents or 0):
        return said
    hundredths = (
        f"{words_for(int(cents), reader.language)} {money.one_cent if int(cents) == 1 else money.many_cents}"
    )
    return hundredths if int(whole) == 0 else said + reader.and_cents + hundredths
