"""What each language does to a word that is exchanged, negated or counted.

Which words may be exchanged stands in the locale files; which edit is made is decided in `edits`.
"""

from __future__ import annotations

from functools import cache

from haetae.locales.grammar.base import Change, Grammar, Piece, pieces_of
from haetae.locales.grammar.korean import Korean
from haetae.locales.grammar.malay import Malay
from haetae.locales.grammar.singlish import Singlish
from haetae.locales.grammar.tamil import Tamil
from haetae.locales.load import load

__all__ = ["Change", "Grammar", "Piece", "grammar_of", "pieces_of"]

_GRAMMARS: dict[str, type[Grammar]] = {"ko": Korean, "en-SG": Singlish, "ms": Malay, "ta": Tamil}


@cache
def grammar_of(language: str) -> Grammar:
    """The rules of a language. Raises: UsageError for a language without locale."""
    locale = load(language)
    return _GRAMMARS[language](locale)
