"""What was said before and after, word by word, with the words that differ marked.

Which stretches of sound or subtitles were changed is told by the fake; nothing is drawn here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from haetae.voice.tokens import tokenize

Span = tuple[float, float]
_SAME_TIME_S = 0.05


@dataclass(frozen=True)
class Said:
    """One word with its time in the clip, seconds; `changed`: the other side does not have it there."""

    text: str
    start_s: float
    end_s: float
    changed: bool = False


@dataclass(frozen=True)
class Wording:
    """What the target says, and what the fake says."""

    before: tuple[Said, ...]
    after: tuple[Said, ...]

    @property
    def is_changed(self) -> bool:
        return any(word.changed for word in (*self.before, *self.after))


def wording(
    before: Sequence[Mapping[str, Any]],
    made: Sequence[Mapping[str, Any]],
    changed_s: Sequence[Span],
) -> Wording:
    """Both sides of a fake, with the words marked that the other side does not have there.

    before: words of the target; made: words of the fake (none: it says the same). A generator may tell only the
    words that it made: those of the target outside the changed stretches are still said.
    """
    old = _in_order(before)
    if not made:
        return Wording(old, old)
    new = _in_order(made)
    kept = [w for w in old if not _overlaps(w, changed_s) and not any(_is_same(w, other) for other in new)]
    return _compared(old, tuple(sorted((*new, *kept), key=lambda word: (word.start_s, word.end_s))))


def _compared(old: Sequence[Said], new: Sequence[Said]) -> Wording:
    match = SequenceMatcher(None, [_heard(w) for w in old], [_heard(w) for w in new], autojunk=False)
    gone, come = set[int](), set[int]()
    for kind, a, b, c, d in match.get_opcodes():
        if kind != "equal":
            gone |= set(range(a, b))
            come |= set(range(c, d))
    return Wording(_marked(old, gone), _marked(new, come))


def _marked(words: Sequence[Said], changed: set[int]) -> tuple[Said, ...]:
    return tuple(Said(w.text, w.start_s, w.end_s, i in changed) for i, w in enumerate(words))


def _in_order(words: Sequence[Mapping[str, Any]]) -> tuple[Said, ...]:
    said = (Said(str(w["word"]), float(w["start_s"]), float(w["end_s"])) for w in words)
    return tuple(sorted(said, key=lambda word: (word.start_s, word.end_s)))


def _overlaps(word: Said, spans: Sequence[Span]) -> bool:
    return any(start_s < word.end_s and word.start_s < end_s for start_s, end_s in spans)


def _is_same(one: Said, other: Said) -> bool:
    return _heard(one) == _heard(other) and abs(one.start_s - other.start_s) < _SAME_TIME_S


def _heard(word: Said) -> str:
    """The word without the punctuation that it may be written with."""
    return " ".join(token.text for token in tokenize(word.text))
