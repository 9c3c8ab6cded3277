"""Malay: `tidak` before verbs and adjectives, `bukan` before nouns, `jangan` for `sila`, and number words.

Words that only look like verbs are left alone: what may be negated stands in the locale file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from haetae.locales.grammar.base import Change, Grammar, Piece, cased

_NEGATIVES = ("tidak", "tak", "bukan", "belum", "jangan", "tiada", "usah", "pernah")
_MODALS = ("akan", "boleh", "dapat", "ingin", "mahu", "perlu", "mampu", "berani", "sempat")
_ASKED = ("sila", "tolong")
_COMMANDS = (*_ASKED, "jom", "mari", "cuba", "ayuh")
_BEFORE_ADJECTIVE = ("itu", "ini", "saya", "kami", "kita", "dia", "mereka", "memang")
"""Behind these an adjective says something of the noun; behind the noun itself it may belong to it."""
_DEGREES = ("sangat", "amat", "terlalu", "paling", "lebih", "kurang", "semakin", "makin")
_POWERS = ("belas", "puluh", "ratus", "ribu", "juta")
_ONES = {"sepuluh": "puluh", "sebelas": "belas", "seratus": "ratus", "seribu": "ribu", "sejuta": "juta"}


class Malay(Grammar):
    """Rules of Malay."""

    endings = ("nya",)

    def negations(self, pieces: Sequence[Piece]) -> Iterator[Change]:
        yield from super().negations(pieces)
        for i, piece in enumerate(pieces):
            core = piece.core.lower()
            before = pieces[i - 1].core.lower() if i and not pieces[i - 1].after else ""
            after = pieces[i + 1].core.lower() if i + 1 < len(pieces) and not piece.after else ""
            if core in _ASKED and after in self.locale.negation.verbs:
                yield Change(i, 1, cased(piece.core, "jangan"), "negation")
            elif core == "ialah" and after:
                yield Change(i, 1, "bukan", "negation")
            elif core == "tidak" and self._is_known(after) and not before.startswith("ke"):
                yield Change(i, 2, cased(piece.core, pieces[i + 1].core), "negation")
            elif self._is_modal(core, before) or (
                self._is_known(core) and self._is_predicate(pieces, i, before)
            ):
                yield Change(i, 1, f"tidak {core}", "negation")

    def _is_known(self, core: str) -> bool:
        """Whether a word is a verb or adjective: listed, or with a prefix and -kan around it, as only verbs have."""
        negation = self.locale.negation
        if core in negation.verbs or core in negation.adjectives:
            return True
        return len(core) >= 9 and core.startswith(("mem", "men", "di")) and core.endswith("kan")

    def _is_modal(self, core: str, before: str) -> bool:
        return core in _MODALS and bool(before) and not _bound(before)

    def may_negate(self, pieces: Sequence[Piece], index: int, count: int, old: str, new: str) -> bool:
        del new
        before = pieces[index - 1].core.lower() if index else ""
        after = pieces[index + count].core.lower() if index + count < len(pieces) else ""
        # "belum ... lagi" belongs together, and what is negated already is not negated again.
        return before not in _NEGATIVES and not (old.startswith("belum") and after == "lagi")

    def _is_predicate(self, pieces: Sequence[Piece], i: int, before: str) -> bool:
        """Whether a verb or adjective says something of what stands before it, in the same clause.

        A word at the start of a clause may be a command, one after another verb its complement.
        """
        if not before or _bound(before) or before in self.locale.negation.verbs:
            return False
        if any(p.core.lower() in _COMMANDS for p in pieces[:i]):
            return False
        if pieces[i].core.lower() in self.locale.negation.adjectives:
            return before in _BEFORE_ADJECTIVE
        return before not in (
            "untuk",
            "kerja",
            "bagi",
            "dengan",
            "secara",
            "dan",
            "atau",
            "sambil",
            "mulai",
            "lupa",
            "kembali",
        )

    def is_number(self, pieces: Sequence[Piece], index: int) -> bool:
        core = pieces[index].core.lower()
        after = pieces[index + 1].core.lower() if index + 1 < len(pieces) else ""
        if core == "satu" or (core in self.locale.numbers.digits and self.in_digits(pieces, index)):
            return self.in_digits(pieces, index)
        return not after.startswith("per")  # dua pertiga: two thirds

    def number_words(self, pieces: Sequence[Piece]) -> Iterator[Change]:
        yield from super().number_words(pieces)
        for i, piece in enumerate(pieces):
            power = _ONES.get(piece.core.lower())
            after = pieces[i + 1].core.lower() if i + 1 < len(pieces) and not piece.after else ""
            if power and after not in _POWERS:
                for digit in ("dua", "tiga", "empat", "lima", "tujuh", "lapan"):
                    yield Change(i, 1, cased(piece.core, f"{digit} {power}"), "number")


def _bound(before: str) -> bool:
    """Whether a word already negates what follows, or asks for it as it is."""
    return before in (
        *_NEGATIVES,
        *_MODALS,
        *_COMMANDS,
        *_DEGREES,
        "telah",
        "sudah",
        "sedang",
        "masih",
        "baru",
    )
