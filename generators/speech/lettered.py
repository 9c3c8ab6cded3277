"""When each letter and word of a text is heard, from the times a network gives its tokens.

How a network tells these times is its own matter (`vits`, `speecht5`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.voice.espeak import Phoneme
from haetae.voice.tokens import plain_text, tokenize
from haetae.voice.words import Word

MAX_UNKNOWN = 0.2
"""Share of letters that a vocabulary may lack; a text that loses more is not what is heard."""


def require_letters(text: str, letters: str) -> None:
    """letters: those characters of a text that a network has in its vocabulary.

    Raises: Rejected nothing_to_say, letters_unknown.
    """
    if not letters.strip() or not any(token.is_word for token in tokenize(text)):
        raise Rejected("nothing_to_say", f"the model has no letter of {text[:40]!r}")
    wanted, known = (sum(c.isalnum() for c in part) for part in (text, letters))
    if known < (1 - MAX_UNKNOWN) * wanted:
        raise Rejected("letters_unknown", f"the model knows {known} of {wanted} letters of {text[:40]!r}")


def letter_times(letters: Sequence[str], edges_s: NDArray[np.float64]) -> list[Phoneme]:
    """Each letter from its edge to the next. edges_s: float64 [letters + 1], seconds."""
    return [
        Phoneme(letter, float(a), float(b))
        for letter, a, b in zip(letters, edges_s[:-1], edges_s[1:], strict=True)
    ]


def words_of(text: str, phonemes: Sequence[Phoneme]) -> tuple[Word, ...]:
    """Runs of letters between spaces; named as in the text where it has as many words."""
    runs: list[list[Phoneme]] = [[]]
    for phoneme in phonemes:
        if phoneme.symbol.isspace():
            runs.append([])
        else:
            runs[-1].append(phoneme)
    runs = [run for run in runs if any(p.symbol.isalnum() for p in run)]
    names = [token.text for token in tokenize(plain_text(text)) if token.is_word]
    if len(names) != len(runs):
        names = ["".join(p.symbol for p in run) for run in runs]
    return tuple(Word(name, run[0].start_s, run[-1].end_s) for name, run in zip(names, runs, strict=True))
