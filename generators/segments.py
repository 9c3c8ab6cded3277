"""Segments measured from what changed: stretches of frames and stretches of samples.

What changed them is not known here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generators.protocol import Segment

FPS = 25.0
RATE_HZ = 16_000
AUDIO_GAP_S = 0.03
"""Unchanged samples shorter than this lie inside one change (a new sample may equal the old by chance)."""


def runs(flags: NDArray[np.bool_], max_gap: int = 0) -> list[tuple[int, int]]:
    """Stretches [first, end) of true values; false stretches of at most `max_gap` inside are bridged."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    found = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    merged: list[tuple[int, int]] = []
    for start, end in found:
        if merged and start - merged[-1][1] <= max_gap:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def changed_frames(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool [T]: frames with at least one different value. before, after: uint8 [T, H, W, 3]."""
    return np.array([not np.array_equal(a, b) for a, b in zip(before, after, strict=True)], dtype=np.bool_)


def video_segments(changed: NDArray[np.bool_], fps: float = FPS) -> tuple[Segment, ...]:
    """Video segments of the true frames; one unchanged frame in between does not split a segment."""
    return tuple(Segment("video", start / fps, end / fps) for start, end in runs(changed, max_gap=1))


def audio_segments(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[Segment, ...]:
    """Audio segments where samples differ; before, after: float32 [N] at 16 kHz."""
    n = min(before.size, after.size)
    changed = before[:n] != after[:n]
    stretches = runs(changed, max_gap=int(AUDIO_GAP_S * RATE_HZ))
    return tuple(Segment("audio", start / RATE_HZ, end / RATE_HZ) for start, end in stretches)
