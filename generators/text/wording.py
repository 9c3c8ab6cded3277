"""Other words in the place of those of a clip: when each is shown, and which stretches differ.

Which words these are is decided by the generators beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from generators.protocol import ClipView, FakeResult, Segment, Word
from generators.text.changes import changed_words, middle_s
from haetae.errors import Rejected
from haetae.locales.edits import Edit
from haetae.voice.subtitles import runs_of
from haetae.voice.tokens import plain_text

MAX_CHARACTERS = 2000
"""Longer texts are no subtitles of a clip of seconds."""
MIN_SEGMENT_S = 0.04
"""One picture: what is shown for less is not shown."""
MAX_CHARACTERS_PER_S = 30.0
"""Nobody reads faster in any of the four scripts."""


def words_of(target: ClipView) -> tuple[Word, ...]:
    """The words of a clip. Raises: Rejected("no_words")."""
    if not any(word.word.strip() for word in target.words):
        raise Rejected("no_words", f"what is said in clip {target.clip_id}, and when, is not known")
    return target.words


def edited(words: Sequence[Word], edit: Edit) -> FakeResult:
    """The transcript after one edit: the new words share the time of those they replace.

    Raises: Rejected("no_time") where these have none.
    """
    old = words[edit.index : edit.index + edit.count]
    start_s, end_s = old[0].start_s, old[-1].end_s
    if end_s - start_s < MIN_SEGMENT_S:
        raise Rejected("no_time", f"{edit.old!r} lasts {end_s - start_s:.3f} s")
    new = shared(edit.new.split(), start_s, end_s)
    after = (*words[: edit.index], *new, *words[edit.index + edit.count :])
    return _result(after, (Segment("text", start_s, end_s),))


def reworded(words: Sequence[Word], texts: Sequence[str]) -> FakeResult:
    """Another text over the whole of what is said: shown while somebody speaks, in the rhythm of the old one.

    texts: the new words, in order; those that nobody could read in the time are left out at the end.
    Raises: Rejected same_text (nothing differs), no_words (none left), no_time (no room for them).
    """
    spans_s = [(words[a].start_s, words[b - 1].end_s) for a, b in runs_of(words)]
    stretches = [(start_s, end_s) for start_s, end_s in spans_s if end_s - start_s >= MIN_SEGMENT_S]
    if not stretches:
        raise Rejected("no_time", "no words of the clip last long enough to be shown")
    kept = _readable(texts, sum(end_s - start_s for start_s, end_s in stretches))
    if not kept:
        raise Rejected("no_words", "the other text has no words that could be read in the time")
    new = spread(kept, stretches)
    if [w.word.casefold() for w in new] == [w.word.casefold() for w in words]:
        raise Rejected("same_text", "the other text says the same")
    changed = [middle_s(word) for word in changed_words(words, new)]
    spans = [span for span in stretches if any(span[0] <= at <= span[1] for at in changed)]
    return _result(new, tuple(Segment("text", start_s, end_s) for start_s, end_s in spans))


def spread(texts: Sequence[str], stretches: Sequence[tuple[float, float]]) -> tuple[Word, ...]:
    """Words laid over stretches of time, each wholly in one of them, longer words for longer."""
    total_s = sum(end_s - start_s for start_s, end_s in stretches)
    edges_s = [0.0, *accumulate(end_s - start_s for start_s, end_s in stretches)]
    weights = [len(text) + 1 for text in texts]
    middles = [
        (below - weight / 2) / sum(weights)
        for below, weight in zip(accumulate(weights), weights, strict=True)
    ]
    found: list[Word] = []
    for i, (start_s, end_s) in enumerate(stretches):
        low, high = edges_s[i] / total_s, edges_s[i + 1] / total_s
        is_last = i == len(stretches) - 1
        mine = [
            t for t, at in zip(texts, middles, strict=True) if low <= at < high or (is_last and at >= high)
        ]
        found += shared(mine, start_s, end_s)
    return tuple(found)


def shared(texts: Sequence[str], start_s: float, end_s: float) -> list[Word]:
    """Words one after the other over a stretch of time, longer words for longer."""
    weights = [len(text) + 1 for text in texts]
    edges = [start_s, *(start_s + (end_s - start_s) * below / sum(weights) for below in accumulate(weights))]
    return [
        Word(text, first, min(last, end_s))
        for text, first, last in zip(texts, edges, edges[1:], strict=False)
    ]


def _readable(texts: Sequence[str], seconds: float) -> list[str]:
    """The first words of a text, as many as can be read in a time; one at least."""
    most = min(MAX_CHARACTERS, max(8, int(MAX_CHARACTERS_PER_S * seconds)))
    plain = [part for text in texts for part in plain_text(text).split()]
    lengths = accumulate(len(text) + 1 for text in plain)
    return [
        text for i, (text, length) in enumerate(zip(plain, lengths, strict=True)) if length <= most or i == 0
    ]


def _result(words: Sequence[Word], segments: tuple[Segment, ...]) -> FakeResult:
    return FakeResult(segments=segments, text=" ".join(w.word for w in words), words=tuple(words))
