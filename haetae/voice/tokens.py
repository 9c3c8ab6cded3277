"""Text cut into the pieces that are timed as words.

What a token sounds like is not known here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """A stretch of text between spaces: characters [first, last), and its text without outer punctuation."""

    first: int
    last: int
    text: str

    @property
    def is_word(self) -> bool:
        """Whether it holds a letter or a digit, and so is normally spoken."""
        return any(unicodedata.category(c)[0] in "LN" for c in self.text)


def plain_text(text: str) -> str:
    """Text in composed form (NFC) on one line, without control and invisible format characters."""
    kept = []
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if category != "Cf":
            kept.append(" " if category[0] in "CZ" else character)
    return " ".join("".join(kept).split())


def tokenize(text: str) -> list[Token]:
    """Tokens in order. Combining marks (Tamil vowel signs) belong to their letter and are never cut off."""
    tokens = []
    for match in re.finditer(r"\S+", text):
        raw = match.group()
        kept = [i for i, c in enumerate(raw) if unicodedata.category(c)[0] in "LMN"]
        inner = raw[kept[0] : kept[-1] + 1] if kept else raw
        tokens.append(Token(match.start(), match.end(), inner))
    return tokens
