"""How two clips lie on each other: at which offset and speed their hashes agree best, and how well.

Which clips are compared is decided in `index`, what counts as a duplicate in `duplicates`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Distances = NDArray[np.float32]
SPEEDS = np.round(np.arange(0.95, 1.0501, 0.005), 3)
COARSE_SPEEDS = SPEEDS[::5]
COARSE_STEPS = 3
AROUND = 6
LEAST_MOVING_STEPS = 5
LEAST_CHANGE = 0.012
"""A clip whose steps differ in fewer bits than this, as a share, stands still."""


@dataclass(frozen=True)
class Line:
    """One way to lay a clip on another.

    offset_steps: where the clip begins in the other one; speed: of the clip over that of the other;
    apart: mean share of bits that differ; steps: how many steps were compared.
    """

    offset_steps: int
    speed: float
    apart: float
    steps: int


def best_line(apart: Distances, least_apart: float, about: range | None = None) -> Line | None:
    """The line through a table of distances on which most speaks for a copy, or None where none can be laid.

    apart: float32 [N, M], share of bits by which step i of the other clip and step j of the clip differ,
    NaN where one of them says nothing. Every step nearer than `least_apart` speaks for, every other against,
    by its distance from it: so a long stretch that agrees well wins over a short one that agrees better.
    Equal lines: the speed nearest to 1, then the offset nearest to 0. about: the offsets that are tried.
    """
    n, m = apart.shape
    if n == 0 or m == 0:
        return None
    known = ~np.isnan(apart)
    gain = np.where(known, np.float32(least_apart) - apart, np.float32(0))
    margin = int(np.ceil(m * SPEEDS[-1])) + 1
    padded = np.pad(gain, ((margin, margin), (0, 0)))
    columns = np.arange(0, m, COARSE_STEPS if m > 4 * COARSE_STEPS else 1)
    low, high = (about.start, about.stop) if about is not None else (-margin + 1, n)
    all_offsets = np.arange(max(low, -margin + 1), min(high, n))
    if not len(all_offsets):
        return None
    coarse = _strongest(padded, columns, all_offsets, COARSE_SPEEDS, margin)
    near = np.arange(max(-margin + 1, coarse[0] - AROUND), min(n - 1, coarse[0] + AROUND) + 1)
    offset, speed = _strongest(padded, np.arange(m), near, SPEEDS, margin)
    rows = offset + np.round(np.arange(m) * speed).astype(int)
    inside = (rows >= 0) & (rows < n)
    met = apart[rows[inside], np.arange(m)[inside]]
    met = met[~np.isnan(met)]
    if not len(met):
        return None
    return Line(int(offset), float(speed), float(met.mean()), len(met))


def moving_alike(own: Distances, apart: Distances, line: Line) -> float | None:
    """Whether two clips change alike, and not only look alike: correlation, -1 to 1.

    own: float32 [N, N], how the steps of the other clip differ from each other; apart: float32 [N, M], as
    for `best_line`. In a copy, step j differs from each step of the other clip as the step under it does; in
    another take at the same place, or another moment of the same scene, it does not. Rows and columns are
    centred first, so that a step unlike all others, in either clip, tells nothing. After: Székely, Rizzo &
    Bakirov, "Measuring and testing dependence by correlation of distances", 2007. None where the common
    stretch is below 5 steps or shows no change.
    """
    steps = np.arange(apart.shape[1])
    under = line.offset_steps + np.round(steps * line.speed).astype(int)
    inside = (under >= 0) & (under < len(own))
    if inside.sum() < LEAST_MOVING_STEPS:
        return None
    expected, met = own[:, under[inside]], apart[:, steps[inside]]
    known = ~(np.isnan(expected) | np.isnan(met))
    if known.sum() < LEAST_MOVING_STEPS**2 or expected[known].mean() < LEAST_CHANGE:
        return None
    one, other = _centred(expected, known)[known], _centred(met, known)[known]
    spread = float(np.sqrt(np.sum(one**2) * np.sum(other**2)))
    return float(np.sum(one * other)) / spread if spread > 0 else None


def _centred(values: Distances, known: NDArray[np.bool_]) -> Distances:
    """Without the means of rows and columns; only known values count."""
    kept = np.where(known, values, np.float32(0))
    total = kept.sum() / max(1, known.sum())
    rows = kept.sum(axis=1, keepdims=True) / np.maximum(1, known.sum(axis=1, keepdims=True))
    columns = kept.sum(axis=0, keepdims=True) / np.maximum(1, known.sum(axis=0, keepdims=True))
    return np.asarray(kept - rows - columns + total, dtype=np.float32)


def _strongest(
    padded: Distances,
    columns: NDArray[np.int64],
    offsets: NDArray[np.int64],
    speeds: NDArray[np.float64],
    margin: int,
) -> tuple[int, float]:
    """Offset and speed of the line with the largest sum of gains."""
    sums = np.stack(
        [
            padded[
                np.clip(
                    offsets[:, None] + np.round(columns * speed).astype(np.int64)[None, :] + margin,
                    0,
                    len(padded) - 1,
                ),
                columns[None, :],
            ].sum(axis=1)
            for speed in speeds
        ]
    )
    close = sums >= sums.max() - 1e-5
    which, where = np.nonzero(close)
    order = np.lexsort((np.abs(offsets[where]), np.abs(speeds[which] - 1)))
    best = order[0]
    return int(offsets[where[best]]), float(speeds[which[best]])
