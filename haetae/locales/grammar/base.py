"""What the languages have in common: a word without its punctuation, a change to it, figures that are exchanged.

What a single language does is told in its own module.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from haetae.locales.schema import Locale

MAX_WORD = 80
"""Longer words are never changed: no language has them, and rules are run over every word."""
_FIGURE = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Piece:
    """One word: its core and the punctuation before and after it."""

    before: str
    core: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """Words [index, index + count) become `new`; neither holds the punctuation around them."""

    index: int
    count: int
    new: str
    kind: str


def pieces_of(words: Sequence[str]) -> list[Piece]:
    """Words split from the punctuation around them; a word of punctuation alone has an empty core."""
    found = []
    for word in words:
        kept = [i for i, c in enumerate(word) if unicodedata.category(c)[0] in "LMN"]
        if not kept or len(word) > MAX_WORD:
            found.append(Piece(word, "", ""))
        else:
            found.append(Piece(word[: kept[0]], word[kept[0] : kept[-1] + 1], word[kept[-1] + 1 :]))
    return found


class Grammar:
    """Rules of one language. The defaults suit a language that leaves nouns as they are."""

    endings: ClassVar[tuple[str, ...]] = ()
    """What may hang on a noun and stays as it is when the noun is exchanged."""

    def __init__(self, locale: Locale) -> None:
        self.locale = locale

    def splits(self, core: str) -> Iterator[tuple[str, str]]:
        """Ways to part a word into a noun and what hangs on it, the whole word first."""
        yield core, ""
        for ending in self.endings:
            if core.endswith(ending) and len(core) > len(ending):
                yield core[: -len(ending)], ending

    def joined(self, noun: str, ending: str, old: str) -> str | None:
        """A noun with what hung on the noun `old`; None where the two do not go together."""
        del old
        return noun + ending

    def fits(self, pieces: Sequence[Piece], index: int, count: int, new: str) -> bool:
        """Whether the words beside words [index, index + count) may stay as they are beside `new`."""
        del pieces, index, count, new
        return True

    def negations(self, pieces: Sequence[Piece]) -> Iterator[Change]:
        """Statements turned into their opposite."""
        negation = self.locale.negation
        table = [*negation.pairs, *((b, a) for a, b in negation.pairs), *negation.opposites]
        for old, new in table:
            n = len(old.split())
            for i in range(len(pieces) - n + 1):
                if same_words(pieces, i, old) and self.may_negate(pieces, i, n, old, new):
                    yield Change(i, n, cased(pieces[i].core, new), "negation")

    def may_negate(self, pieces: Sequence[Piece], index: int, count: int, old: str, new: str) -> bool:
        """Whether a pair of the file may be used on words [index, index + count)."""
        del old
        return self.fits(pieces, index, count, new)

    def numbers(self, pieces: Sequence[Piece]) -> Iterator[Change]:
        """Number words exchanged for others, and figures for figures."""
        yield from self.number_words(pieces)
        yield from figures(pieces)

    def number_words(self, pieces: Sequence[Piece]) -> Iterator[Change]:
        """Number words exchanged for others of the same form."""
        for i, piece in enumerate(pieces):
            group = next((g for g in self.locale.numbers.groups if piece.core.lower() in g), None)
            if group is None or not self.is_number(pieces, i):
                continue
            for other in group:
                if other != piece.core.lower() and self.fits(pieces, i, 1, other):
                    yield Change(i, 1, cased(piece.core, other), "number")

    def is_number(self, pieces: Sequence[Piece], index: int) -> bool:
        """Whether a word that is listed as a number word is one here."""
        del pieces, index
        return True

    def in_digits(self, pieces: Sequence[Piece], index: int) -> bool:
        """Whether a word is one of three and more digits in a row."""
        digits = {word.lower() for word in self.locale.numbers.digits}
        first = last = index
        while first > 0 and self.as_digit(pieces[first - 1].core) in digits:
            first -= 1
        while last + 1 < len(pieces) and self.as_digit(pieces[last + 1].core) in digits:
            last += 1
        return self.as_digit(pieces[index].core) in digits and last - first >= 2

    def as_digit(self, core: str) -> str:
        """A word without what may hang on the last digit of a row."""
        return core.lower()


def same_words(pieces: Sequence[Piece], index: int, phrase: str) -> bool:
    """Whether the words from `index` on are those of a phrase, with nothing but spaces between them."""
    words = phrase.split()
    here = pieces[index : index + len(words)]
    return (
        len(here) == len(words)
        and all(p.core.casefold() == w.casefold() for p, w in zip(here, words, strict=True))
        and closed(here)
    )


def closed(run: Sequence[Piece]) -> bool:
    """Whether no punctuation lies inside a run of words."""
    return not any(p.after for p in run[:-1]) and not any(p.before for p in run[1:])


def cased(old: str, new: str) -> str:
    """`new` with a capital first letter if `old` has one."""
    return new[0].upper() + new[1:] if old[:1].isupper() and new[:1].islower() else new


def figures(pieces: Sequence[Piece]) -> Iterator[Change]:
    """Numbers in figures exchanged for others of the same length, the rest of the word as it is.

    Only the last digit that is not a mere zero is changed, so that hours, days and prices stay possible.
    """
    for i, piece in enumerate(pieces):
        found = list(_FIGURE.finditer(piece.core))
        if not found:
            continue
        first = found[0]
        digits = first.group()
        at = max((k for k, digit in enumerate(digits) if digit != "0"), default=len(digits) - 1)
        for other in "123456789":
            if other == digits[at] or not _possible(digits, at, other, piece.core, first.end()):
                continue
            new = digits[:at] + other + digits[at + 1 :]
            yield Change(i, 1, piece.core[: first.start()] + new + piece.core[first.end() :], "number")


def _possible(digits: str, at: int, other: str, core: str, end: int) -> bool:
    """Hours stay below 24, and days and months possible, wherever a clock or date may be meant."""
    rest = core[end : end + 2]
    if not (rest[:1] in (":", "/", ".", "-") and rest[1:].isdigit()):
        return True
    new = int(digits[:at] + other + digits[at + 1 :])
    return len(digits) > 2 or new <= (12 if rest[0] in "/.-" or int(digits) <= 12 else 23)
