"""Tamil: verb endings that tell their own negative, and words that leave the sandhi around them as it is.

Before க, ச, த and ப a preceding word may double that consonant, so a word is exchanged only for one that begins
alike; whatever else changes with the case stands in the locale file as whole forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from haetae.locales.grammar.base import Change, Grammar, Piece

_HARD = "கசதப"
_PULLI = "்"
_DOUBLING = ("எட்டு", "பத்து")
"""Of the numbers, these double the hard consonant that follows."""
_PERSONS = ("து", "ேன்", "ார்", "ாள்", "ான்", "ார்கள்", "ோம்", "ாய்", "ீர்கள்", "ன")
_PAST_PERSONS = ("ேன்", "ார்", "ாள்", "ான்", "ார்கள்", "ோம்", "ாய்", "ீர்கள்")
_FIXED = {
    "வேண்டும்": "வேண்டாம்",
    "முடியும்": "முடியாது",
    "உள்ளது": "இல்லை",
    "இருக்கிறது": "இல்லை",
    "இருக்கிறேன்": "இல்லை",
    "இருக்கிறார்": "இல்லை",
    "இருந்தது": "இல்லை",
    "திறந்திருக்கும்": "திறந்திருக்காது",
}


class Tamil(Grammar):
    """Rules of Tamil."""

    def splits(self, core: str) -> Iterator[tuple[str, str]]:
        yield core, ""
        # The doubled consonant belongs to the next word, which stays.
        if len(core) > 3 and core[-1] == _PULLI and core[-2] in _HARD:
            yield core[:-2], core[-2:]

    def joined(self, noun: str, ending: str, old: str) -> str | None:
        # Only forms of the same case double what follows; words of one group have the same ending.
        return noun + ending if not ending or noun[-1] == old[-1] else None

    def fits(self, pieces: Sequence[Piece], index: int, count: int, new: str) -> bool:
        """Whether `new` begins so that the word before it keeps its end, and ends so that the next may stay."""
        old = pieces[index].core
        if index and not pieces[index - 1].after and not _begin_alike(old, new):
            return False
        last = pieces[index + count - 1]
        if index + count == len(pieces) or last.after or not _is_hard(pieces[index + count].core):
            return True
        return _end_alike(last.core, new) and not {last.core, new} & set(_DOUBLING)

    def may_negate(self, pieces: Sequence[Piece], index: int, count: int, old: str, new: str) -> bool:
        del old, new
        # Pairs are verbs at the end of a clause; inside it the same letters may be another form.
        last = index + count - 1
        return _ends_clause(pieces, last) and "?" not in pieces[last].after

    def negations(self, pieces: Sequence[Piece]) -> Iterator[Change]:
        yield from super().negations(pieces)
        listed = {old for pair in self.locale.negation.pairs for old in pair}
        listed |= {old for old, _ in self.locale.negation.opposites}
        for i, piece in enumerate(pieces):
            if piece.core in listed or not _ends_clause(pieces, i) or "?" in piece.after:
                continue
            new = _negated(piece.core)
            if new:
                yield Change(i, 1, new, "negation")

    def is_number(self, pieces: Sequence[Piece], index: int) -> bool:
        if self.in_digits(pieces, index):
            return True
        after = pieces[index + 1].core if index + 1 < len(pieces) and not pieces[index].after else ""
        return bool(after) and any(after.startswith(unit) for unit in self.locale.numbers.counted)


def _ends_clause(pieces: Sequence[Piece], index: int) -> bool:
    return index == len(pieces) - 1 or bool(pieces[index].after)


def _is_hard(word: str) -> bool:
    return word[:1] in _HARD


def _begin_alike(old: str, new: str) -> bool:
    return old[:1] == new[:1] or not (_is_hard(old) or _is_hard(new))


def _end_alike(old: str, new: str) -> bool:
    return old[-1:] == new[-1:]


def _negated(core: str) -> str | None:
    """The negative of a verb form whose ending tells it; None for all others."""
    if core in _FIXED:
        return _FIXED[core]
    for person in _PERSONS:
        strong, weak = "க்கிற" + person, "ுகிற" + person
        if core.endswith(strong) and len(core) > len(strong):
            return core.removesuffix(strong) + "க்கவில்லை"
        # The weak stem loses its u: தூங்கு becomes தூங்கவில்லை.
        if core.endswith(weak) and len(core) > len(weak):
            return core.removesuffix(weak) + "வில்லை"
    # Verbs in -u have a past in -inār; the same stem takes the negative: பேசினார் becomes பேசவில்லை.
    for person in _PAST_PERSONS:
        stem = core.removesuffix("ின" + person)
        if stem != core and len(stem) > 1 and _is_letter(stem[-1]):
            return stem + "வில்லை"
    for end, negative in (
        ("ப்பட்டது", "ப்படவில்லை"),
        ("ப்பட்டன", "ப்படவில்லை"),
        ("ப்படும்", "ப்படாது"),
        ("ப்படுகிறது", "ப்படவில்லை"),
    ):
        if core.endswith(end) and len(core) > len(end):
            return core.removesuffix(end) + negative
    base = core.removesuffix("வும்")
    if base != core and len(base) > 1 and _is_letter(base[-1]):
        return base + " வேண்டாம்"
    base = core.removesuffix("ுங்கள்")
    if base != core and len(base) > 1 and _is_letter(base[-1]):
        return base + "ாதீர்கள்"
    return None


def _is_letter(character: str) -> bool:
    """Whether a consonant stands without a vowel sign, and so is spoken with a."""
    return "க" <= character <= "ஹ"
