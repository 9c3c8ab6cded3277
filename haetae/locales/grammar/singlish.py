"""Singlish and English: auxiliaries, bare verbs after pronouns, degrees before adjectives, `a` and `an`.

`one`, `can` and `so` do too many things in Singlish: they are touched only where one reading is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from haetae.locales.grammar.base import Change, Grammar, Piece, cased, closed

_AUXILIARIES = {
    "is": "is not", "are": "are not", "am": "am not", "was": "was not", "were": "were not", "will": "will not",
    "must": "must not", "should": "should not", "could": "could not", "would": "would not", "can": "cannot",
}  # fmt: skip
_BE = ("is", "are", "am", "was", "were")
_DEGREES = {
    "very": "not very",
    "so": "not so",
    "damn": "not",
    "quite": "not",
    "super": "not",
    "really": "not",
}
_PRONOUNS = ("i", "you", "he", "she", "it", "we", "they")
_SUBJECTS = ("i", "you", "we", "they")
_BEFORE_NOUN = ("a", "an", "the", "this", "that", "my", "your", "his", "her", "our", "their", "no", "every")
_NOT = ("not", "never", "no", "don't", "cannot", "hardly", "or")
_ASKING = ("who", "what", "where", "when", "why", "how", "which", "whether", "if")
_GOT_WHAT = ("enough", "new", "free", "many", "more", "fresh", "cheap", "extra")


class Singlish(Grammar):
    """Rules of Singlish, which are those of English where it has no other."""

    def splits(self, core: str) -> Iterator[tuple[str, str]]:
        yield core, ""
        for ending in ("'s", "’s"):
            if core.endswith(ending):
                yield core.removesuffix(ending), ending

    def fits(self, pieces: Sequence[Piece], index: int, count: int, new: str) -> bool:
        del count
        before = pieces[index - 1].core.lower() if index else ""
        if before not in ("a", "an"):
            return True
        return (before == "an") == (new[:1].lower() in "aeiou")

    def negations(self, pieces: Sequence[Piece]) -> Iterator[Change]:
        yield from super().negations(pieces)
        negation = self.locale.negation
        for i, piece in enumerate(pieces):
            core = piece.core.lower()
            before = pieces[i - 1].core.lower() if i and not pieces[i - 1].after else ""
            after = pieces[i + 1].core.lower() if i + 1 < len(pieces) and not piece.after else ""
            if before in _NOT or after in ("not", "never", "or", "no"):
                if core in _BE and after == "not":
                    yield Change(i, 2, piece.core, "negation")
            elif core in _AUXILIARIES and self._is_auxiliary(pieces, i, before, after):
                yield Change(i, 1, _AUXILIARIES[core], "negation")
            elif core == "cannot" and after in negation.verbs:
                yield Change(i, 1, cased(piece.core, "can"), "negation")
            elif (
                core in _DEGREES and after in negation.adjectives and before not in ("", "be", *_BEFORE_NOUN)
            ):
                yield Change(i, 1, _DEGREES[core], "negation")
            elif core == "too" and after in negation.adjectives and before not in ("", *_BEFORE_NOUN):
                yield Change(i, 1, "not so", "negation")
            elif core == "please" and after in negation.verbs:
                yield Change(i, 1, cased(piece.core, "please don't"), "negation")
            elif core in negation.verbs and before in _SUBJECTS and not self._is_asked(pieces, i):
                yield Change(i, 1, f"don't {core}", "negation")
            elif core == "got" and after in _GOT_WHAT and before:
                yield Change(i, 1, "don't have", "negation")

    def _is_auxiliary(self, pieces: Sequence[Piece], i: int, before: str, after: str) -> bool:
        """Whether a statement may be negated here: not a question, not `can or not`, not `the can`."""
        core = pieces[i].core.lower()
        rest = [piece.core.lower() for piece in pieces[i + 1 : i + 12]]
        if core == "can" and "or" in rest and rest[rest.index("or") + 1 :][:1] == ["not"]:
            return False
        if not before or not after or after in _PRONOUNS or before in (*_BEFORE_NOUN, *_ASKING):
            return before in ("this", "that") and core in _BE and bool(after) and after not in _PRONOUNS
        if core == "can":
            return after in self.locale.negation.verbs
        return True

    def _is_asked(self, pieces: Sequence[Piece], i: int) -> bool:
        """Whether the clause of word `i` is a question, or another verb or `already` leaves no room for `don't`."""
        start = i
        while start > 0 and not pieces[start - 1].after:
            start -= 1
        end = next((k for k in range(i, len(pieces)) if pieces[k].after), len(pieces) - 1)
        words = [piece.core.lower() for piece in pieces[start:i]]
        if "already" in (piece.core.lower() for piece in pieces[i : end + 1]):
            return True  # "don't ... already" means no longer
        others = {*_ASKING, *_AUXILIARIES, "do", "did", "does", "let", "make", "help", *_NOT}
        return bool(others & set(words)) or "?" in pieces[end].after

    def is_number(self, pieces: Sequence[Piece], index: int) -> bool:
        core = pieces[index].core.lower()
        after = pieces[index + 1].core.lower() if index + 1 < len(pieces) else ""
        if core in self.locale.numbers.digits and self.in_digits(pieces, index):
            return True
        return core != "one" and after not in ("hundredth", "thirds", "quarters", "tenths")

    def number_words(self, pieces: Sequence[Piece]) -> Iterator[Change]:
        yield from super().number_words(pieces)
        digits = self.locale.numbers.digits
        for i, piece in enumerate(pieces):
            if piece.core.lower() == "one" and self.in_digits(pieces, i):
                yield from (Change(i, 1, cased(piece.core, d), "number") for d in digits[2:10])
            if piece.core.lower() == "one" and i + 1 < len(pieces) and closed(pieces[i : i + 2]):
                after = pieces[i + 1].core.lower()
                plural = dict(self.locale.numbers.singular).get(after)
                if plural:
                    for digit in digits[2:10]:
                        yield Change(i, 2, cased(piece.core, f"{digit} {plural}"), "number")
