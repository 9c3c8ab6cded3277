"""Subtitles made of timed words: cues that can be read in time, and the WebVTT document that holds them.

How subtitles that others made are read is told in `captions`; what they should say is not known here.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from haetae.voice.captions import Caption
from haetae.voice.words import Word

PAUSE_S = 0.5
"""A longer silence between two words begins a new cue."""
MAX_CUE_S = 7.0
MAX_CUE_CHARACTERS = 84
"""Two lines of 42, the usual limit for subtitles."""


def runs_of(words: Sequence[Word]) -> list[tuple[int, int]]:
    """Words [first, last) that belong to one cue, in order: no long pause inside, not too long to be read."""
    runs: list[tuple[int, int]] = []
    for i, word in enumerate(words):
        if runs:
            first = runs[-1][0]
            letters = sum(len(w.word) + 1 for w in words[first : i + 1])
            is_near = word.start_s - words[i - 1].end_s <= PAUSE_S
            if is_near and word.end_s - words[first].start_s <= MAX_CUE_S and letters <= MAX_CUE_CHARACTERS:
                runs[-1] = (first, i + 1)
                continue
        runs.append((i, i + 1))
    return runs


def cues_of(words: Sequence[Word]) -> list[Caption]:
    """Timed words as cues, seconds as theirs."""
    return [
        Caption(words[first].start_s, words[last - 1].end_s, " ".join(w.word for w in words[first:last]))
        for first, last in runs_of(words)
    ]


def webvtt(cues: Sequence[Caption]) -> str:
    """The cues as a WebVTT document; a cue lasts a millisecond at least. `captions.parse` reads it back.

    After: W3C, WebVTT: The Web Video Text Tracks Format, 2019.
    """
    blocks = ["WEBVTT"]
    for cue in cues:
        start_ms = round(1000 * cue.start_s)
        end_ms = max(round(1000 * cue.end_s), start_ms + 1)
        blocks.append(f"{_clock(start_ms)} --> {_clock(end_ms)}\n{html.escape(cue.text, quote=False)}")
    return "\n\n".join(blocks) + "\n"


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"
