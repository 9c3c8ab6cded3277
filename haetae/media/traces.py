"""What coding leaves in pictures and in sound: block edges, their grid, and where a spectrum ends.

How a stretch of a file is read is in `stretch`; what the traces say of a clip's past is put together in
`haetae.voice.signals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_PX = 8
MIN_SIDE_PX = 64
_STEEP = 24.0
"""Levels from which on a step is an edge of the scene and not of a block."""
_FLAT = 0.02
_STANDS_OUT, _OF_OWN = 1.2, 0.4

_WINDOW = 2048
_EMPTY_DBFS = -118.0
"""Level of one bin of a full-scale sine's spectrum below which there is nothing: 16-bit rounding is at -126."""
_CLIFF_DB, _STAYS_DB, _EDGE_DB = 30.0, 25.0, 10.0
_FALL_HZ, _SIDE_HZ = 600.0, 400.0
"""A cliff falls by 30 dB within 600 Hz, between the medians of 400 Hz on both sides, and nothing above it comes
within 25 dB. The steepest falls of speech without a filter were measured at 23 dB."""
_LOUD_SHARE = 0.25
_NEARLY_ALL = 0.93
"""Filters of converters take the rest."""


@dataclass(frozen=True)
class Blocks:
    """blockiness: edge strength on the 8 px grid at the top left corner over that beside it, 1 where there is
    no grid. corner: (x, y), 0 to 7, of the strongest grid elsewhere; strength: the same ratio for that grid,
    the smaller one of both directions."""

    blockiness: float
    corner: tuple[int, int]
    strength: float


def find_blocks(lumas: Sequence[NDArray[np.uint8]]) -> Blocks | None:
    """Measure the edges of 8 x 8 blocks in pictures uint8 [H, W] as coded; None for small or flat ones.

    The step across a column edge beyond what the slopes on both sides explain, averaged over rows and over
    the middle half of the edges (single straight lines of the scene are no grid), by position modulo 8; the
    same across rows. After: Wang, Bovik & Evans, ICIP 2000 (blockiness as excess of differences at block
    edges), and Fan & de Queiroz, IEEE TIP 12(2), 2003 (finding the grid).
    """
    usable = [luma for luma in lumas if min(luma.shape) >= MIN_SIDE_PX]
    if not usable:
        return None
    across = _phases([_steps(luma) for luma in usable])
    down = _phases([_steps(luma.T) for luma in usable])
    if across is None or down is None:
        return None
    x, y = _corner(across), _corner(down)
    strength = min(across[x], down[y]) if (x, y) != (0, 0) else 1.0
    return Blocks(float((across[0] + down[0]) / 2), (x, y), float(strength))


def _corner(phases: NDArray[np.float64]) -> int:
    """Position of the strongest grid beside the own one; 0 where none stands out, as after a cut in the other
    direction alone, when the old grid lies on the own one."""
    other = 1 + int(np.argmax(phases[1:]))
    enough = max(_STANDS_OUT, 1 + _OF_OWN * (phases[0] - 1))
    return other if phases[other] >= enough else 0


def _steps(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean excess of the step between columns x - 1 and x, for x = 8, 9, ... (whole blocks): float64 [n, 8]."""
    values = luma.astype(np.int16)
    change = np.abs(np.diff(values, axis=1))
    beside = (change[:, :-2] + change[:, 2:]) / 2.0
    excess = np.minimum(np.maximum(change[:, 1:-1] - beside, 0.0), _STEEP).mean(axis=0)
    # excess[i] belongs to the edge between columns i + 1 and i + 2.
    edges = np.r_[np.zeros(2), excess]
    n = len(edges) // BLOCK_PX * BLOCK_PX
    return np.asarray(edges[:n].reshape(-1, BLOCK_PX)[1:])


def _phases(steps: Sequence[NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """Strength of each position modulo 8 over the median of the others: float64 [8]; None for flat pictures."""
    ordered = np.sort(np.concatenate(steps), axis=0)
    quarter = len(ordered) // 4
    mean = ordered[quarter : len(ordered) - quarter].mean(axis=0)
    if mean.max() < _FLAT:
        return None
    others = np.array([np.median(np.delete(mean, i)) for i in range(BLOCK_PX)])
    return np.asarray((mean + _FLAT) / (others + _FLAT))


@dataclass(frozen=True)
class Spectrum:
    """bandwidth_hz: frequency above which the spectrum is empty. is_cut: whether it ends at a cliff below
    93 % of what the sampling rate holds, which filters and codecs make and rooms do not."""

    bandwidth_hz: float
    is_cut: bool


def find_bandwidth(samples: NDArray[np.float32], rate_hz: int) -> Spectrum | None:
    """Where the spectrum of sound ends.

    samples: float32 [C, N]. Returns None for digital silence and less than a window of 2048 samples.
    The level of each bin is its 95th percentile over the louder quarter of windows, so that neither pauses nor
    single clicks count. Empty is what is below 16-bit rounding, or lies for good beyond a cliff.
    """
    levels = _levels(samples)
    if levels is None:
        return None
    step_hz = rate_hz / _WINDOW
    filled = np.flatnonzero(levels > _EMPTY_DBFS)
    if len(filled) == 0:
        return None
    top = int(filled[-1])
    cliff = _cliff(levels, step_hz)
    last = min(top, cliff) if cliff is not None else top
    whole = rate_hz / 2
    bandwidth_hz = min(whole, (last + 0.5) * step_hz)
    steep = cliff is not None or _falls_off(levels, top, max(2, round(_SIDE_HZ / step_hz)))
    return Spectrum(float(bandwidth_hz), bool(steep and bandwidth_hz < _NEARLY_ALL * whole))


def _levels(samples: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Level of each bin, dB relative to a full-scale sine, smoothed over 3 bins: float64 [1025]."""
    n = samples.shape[1]
    if n < _WINDOW or not np.any(samples):
        return None
    power = None
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    for channel in samples[:2]:
        frames = np.lib.stride_tricks.sliding_window_view(channel, _WINDOW)[:: _WINDOW // 2]
        spectra = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / (window.sum() / 2) ** 2
        power = spectra if power is None else np.maximum(power, spectra)
    assert power is not None
    loudness = power.sum(axis=1)
    count = max(1, round(_LOUD_SHARE * len(loudness)))
    loud = power[np.argsort(-loudness, kind="stable")[: max(count, min(8, len(loudness)))]]
    level = np.percentile(loud, 95, axis=0)
    smooth = np.convolve(np.pad(level, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")
    return np.asarray(10.0 * np.log10(np.maximum(smooth, 1e-20)))


def _cliff(levels: NDArray[np.float64], step_hz: float) -> int | None:
    """Last bin before the levels fall steeply and for good; None where they do not."""
    width, gap = max(3, round(_SIDE_HZ / step_hz)), max(2, round(_FALL_HZ / step_hz))
    highest_above = np.maximum.accumulate(levels[::-1])[::-1]
    for i in range(width, len(levels) - gap - 2):
        below = float(np.median(levels[i - width : i + 1]))
        above = float(np.median(levels[i + gap : i + gap + width]))
        if below - above >= _CLIFF_DB and below - highest_above[i + gap] >= _STAYS_DB:
            # From here the fall is seen; the edge is where it begins.
            fallen = np.flatnonzero(levels[i : i + gap + 1] <= below - _EDGE_DB)
            return i + int(fallen[0]) - 1 if len(fallen) else i
    return None


def _falls_off(levels: NDArray[np.float64], top: int, width: int) -> bool:
    """Whether the level shortly before the last filled bin is far above empty."""
    return bool(np.median(levels[max(0, top - width) : top + 1]) > _EMPTY_DBFS + _CLIFF_DB / 2)
