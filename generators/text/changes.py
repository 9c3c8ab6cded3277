"""Which words of two transcripts differ.

What the difference means is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from generators.protocol import Word


def changed_words(before: Sequence[Word], after: Sequence[Word]) -> list[Word]:
    """Words of either text that the other does not have there; by place where there are as many as before."""
    if len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return [word for one, other in pairs if one.word != other.word for word in (one, other)]
    match = SequenceMatcher(None, [w.word for w in before], [w.word for w in after], autojunk=False)
    return [
        word
        for kind, a, b, c, d in match.get_opcodes()
        if kind != "equal"
        for word in (*before[a:b], *after[c:d])
    ]


def middle_s(word: Word) -> float:
    """The moment half-way through a word, seconds."""
    return (word.start_s + word.end_s) / 2
