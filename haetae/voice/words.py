"""A spoken word with its times, and what words look like in a row of the lake.

How the times were found is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word. Times are seconds from the start of the audio; score is 0 to 1, 1 for ground truth."""

    word: str
    start_s: float
    end_s: float
    score: float = 1.0

    def shifted(self, by_s: float) -> Word:
        """The same word, `by_s` seconds later."""
        return Word(self.word, self.start_s + by_s, self.end_s + by_s, self.score)


def as_rows(words: Iterable[Word]) -> list[dict[str, Any]]:
    """The value of a `words` column of the lake."""
    return [asdict(word) for word in words]
