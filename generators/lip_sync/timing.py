"""When a mouth is moved: a sentence spoken into the room that a clip has, and how its frames ease in and out.

What the lips do meanwhile is decided in `visemes`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generators.protocol import ClipView
from generators.segments import FPS, runs
from haetae.errors import Rejected
from haetae.voice.espeak import Phoneme, speak

EASE_FRAMES = 3
MAX_RATE_WPM = 240


def spoken(sentence: str, language: str, rate_wpm: int, room_s: float) -> tuple[Phoneme, ...]:
    """The sounds of a sentence, from time 0, spoken faster where it would not fit.

    Raises: Rejected sentence_does_not_fit, and those of `speak`.
    """
    for rate in range(rate_wpm, max(rate_wpm, MAX_RATE_WPM) + 1, 15):
        sounds = speak(sentence, language, rate_wpm=rate).phonemes
        first_s = sounds[0].start_s
        if sounds[-1].end_s - first_s <= room_s:
            return tuple(Phoneme(p.symbol, p.start_s - first_s, p.end_s - first_s) for p in sounds)
    lasts_s = sounds[-1].end_s - first_s
    raise Rejected(
        "sentence_does_not_fit", f"{lasts_s:.2f} s even when spoken fast, the clip has {room_s:.2f} s"
    )


def starts_at(clip: ClipView, lasts_s: float) -> float:
    """Where new speech starts, in seconds: with the clip's own speech, or earlier if it would not end in time."""
    n_frames = 0 if clip.frames is None else len(clip.frames)
    wanted_s = clip.speech[0][0] if clip.speech else 0.2
    return min(wanted_s, n_frames / FPS - lasts_s)


def frames_within(span_s: tuple[float, float], n_frames: int) -> NDArray[np.bool_]:
    """bool [T]: frames that are shown from their start to their end within a span of the clip."""
    start_s = np.arange(n_frames) / FPS
    return np.asarray((start_s >= span_s[0] - 1e-6) & (start_s + 1 / FPS <= span_s[1] + 1e-6))


def eased(active: NDArray[np.bool_], frames: int) -> NDArray[np.float64]:
    """1 while active, falling to 0 over a few frames before and after: float64 [T]."""
    weight = active.astype(np.float64)
    for start, end in runs(active):
        for k in range(1, frames + 1):
            level = 0.5 * (1 + np.cos(np.pi * k / (frames + 1)))
            for t in (start - k, end - 1 + k):
                if 0 <= t < weight.size:
                    weight[t] = max(weight[t], level)
    return weight
