"""Small edits that turn what is said into something else: a negation, a number, a name, a place, a word.

The words that may be exchanged stand in the locale files, the rules of each language in `grammar`. Who speaks or
shows the edited text is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from haetae.errors import UsageError
from haetae.locales.grammar import Change, Grammar, Piece, grammar_of, pieces_of
from haetae.locales.grammar.base import cased, closed
from haetae.locales.load import load
from haetae.provenance.ids import seed_of

Kind = Literal["negation", "number", "name", "place", "word"]
KINDS: tuple[Kind, ...] = ("negation", "number", "name", "place", "word")
MAX_WORDS = 2_000
"""Of longer texts the first words only are looked at."""
_LONGEST_PHRASE = 3


@dataclass(frozen=True, slots=True)
class Edit:
    """Words [index, index + count) of a text, `old`, are replaced by `new`, punctuation around them kept.

    `new` may hold more or fewer words than `old`. kind: one of `KINDS`.
    """

    index: int
    count: int
    old: str
    new: str
    kind: str


def propose(words: Sequence[str], language: str, seed: int, kinds: Sequence[str] = KINDS) -> Edit | None:
    """One edit that changes what the words say, drawn by the seed; None where no rule is sure to be right.

    words: in the order in which they are said or written, with or without their punctuation. Each kind that is
    possible is as likely as any other, and so is each edit of the kind. Equal arguments give equal edits.
    Raises: UsageError for a language without locale or an unknown kind.
    """
    found = proposals(words, language, kinds)
    possible = sorted({edit.kind for edit in found})
    if not possible:
        return None
    kind = possible[seed_of("edit kind", language, seed) % len(possible)]
    of_kind = [edit for edit in found if edit.kind == kind]
    return of_kind[seed_of("edit", language, seed, kind) % len(of_kind)]


def proposals(words: Sequence[str], language: str, kinds: Sequence[str] = KINDS) -> tuple[Edit, ...]:
    """Every edit that is sure to be right, in the order of the words. Raises: as `propose`."""
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise UsageError(f"no edits of kind {unknown[0]!r}; there are {', '.join(KINDS)}")
    grammar = grammar_of(language)
    words = list(words[:MAX_WORDS])
    pieces = pieces_of(words)
    made: dict[Edit, None] = {}
    for change in _changes(pieces, language, grammar, kinds):
        edit = _edit(words, pieces, change)
        if edit.new != edit.old:
            made[edit] = None
    return tuple(sorted(made, key=lambda e: (e.index, e.count, e.kind, e.new)))


def apply(words: Sequence[str], edit: Edit) -> str:
    """The text after an edit, words between single spaces. Raises: UsageError if the edit is of other words."""
    if " ".join(words[edit.index : edit.index + edit.count]) != edit.old:
        raise UsageError(f"the edit replaces {edit.old!r} at word {edit.index}, and that is not there")
    return " ".join([*words[: edit.index], edit.new, *words[edit.index + edit.count :]])


def _changes(
    pieces: Sequence[Piece], language: str, grammar: Grammar, kinds: Sequence[str]
) -> Iterator[Change]:
    if "negation" in kinds:
        yield from grammar.negations(pieces)
    if "number" in kinds:
        yield from grammar.numbers(pieces)
    if {"name", "place", "word"} & set(kinds):
        yield from (c for c in _swaps(pieces, language, grammar) if c.kind in kinds)


def _swaps(pieces: Sequence[Piece], language: str, grammar: Grammar) -> Iterator[Change]:
    """Words of the lexicon exchanged within their group; the longest phrase that is known counts."""
    i = 0
    while i < len(pieces):
        for n in range(min(_LONGEST_PHRASE, len(pieces) - i), 0, -1):
            run = pieces[i : i + n]
            found = list(_exchanged(run, language, grammar)) if closed(run) else []
            if found:
                yield from (Change(i, n, c.new, c.kind) for c in found if grammar.fits(pieces, i, n, c.new))
                i += n
                break
        else:
            i += 1


def _exchanged(run: Sequence[Piece], language: str, grammar: Grammar) -> Iterator[Change]:
    phrase = " ".join(piece.core for piece in run)
    if not all(piece.core for piece in run):
        return
    for noun, ending in grammar.splits(phrase):
        known = _lexicon(language).get(noun.casefold())
        if known is None:
            continue
        kind, group = known
        for other in group:
            new = grammar.joined(other, ending, noun) if other.casefold() != noun.casefold() else None
            if new is not None:
                yield Change(0, len(run), cased(phrase, new), kind)
        return


@cache
def _lexicon(language: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Each word that may be exchanged, folded: its kind and its group."""
    locale = load(language)
    groups = [("name", locale.names.female), ("name", locale.names.male)]
    groups += [("place", group) for group in locale.places]
    groups += [("word", group) for group in locale.swaps]
    return {word.casefold(): (kind, group) for kind, group in groups for word in group}


def _edit(words: Sequence[str], pieces: Sequence[Piece], change: Change) -> Edit:
    first, last = pieces[change.index], pieces[change.index + change.count - 1]
    old = " ".join(words[change.index : change.index + change.count])
    return Edit(change.index, change.count, old, first.before + change.new + last.after, change.kind)
