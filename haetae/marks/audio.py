"""An inaudible watermark in speech: put into 16 kHz sound, read back without the original and from any offset.

Each bit is the sum of some whitened MDCT coefficients along a keyed pattern, moved to the nearest of a grid of
values that stand for it, so the sound's own content is no noise to it. After: Chen & Wornell, "Quantization index
modulation", IEEE Trans. Information Theory 2001 (spread-transform dither modulation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter, uniform_filter1d
from scipy.sparse import csr_array

from haetae.marks import payload
from haetae.marks.payload import N_BITS, OPEN_KEY

RATE_HZ = 16_000
HOP, FRAME = 256, 512
BLOCK_FRAMES = 60
BLOCK = BLOCK_FRAMES * HOP
"""Samples that carry the whole word, 0.96 s; the word is repeated in each such stretch."""
MIN_S = (BLOCK + HOP) / RATE_HZ
MAX_READ_S = 60.0
MAX_SEARCH_S = 4.0
"""Where the stretches begin is searched in the loudest part of this length; where they do, all of it is read."""
FIRST_BIN, LAST_BIN = 6, 44
"""MDCT coefficients that carry bits: 190 Hz to 1.4 kHz, which every codec keeps best."""
POSITIONS_TRIED = 6
"""Offsets at which decoding is attempted: they count in the false reads."""
_STEP = 0.6
_HALF_WEIGHT_BIN = 60.0
_ROUNDS = 4
_ENVELOPE_FRAMES, _ENVELOPE_BINS = 7, 21
_FLOOR = 0.03
_SILENCE = 1e-9
_LEAST_FIT = 0.05
Samples = NDArray[np.float32]
Cells = NDArray[np.float32]
_N_BINS = LAST_BIN - FIRST_BIN
_PER_BIT = BLOCK_FRAMES * _N_BINS // N_BITS


@dataclass(frozen=True)
class AudioMark:
    """A mark that was read: see `payload.Decoded`; offset: samples before the first whole stretch."""

    mark: str
    bit_errors: int
    agreement: float
    offset: int


@dataclass(frozen=True)
class _Layout:
    """cell: [N_BITS, per bit], flat indices in a stretch; weight: theirs, of unit norm for each bit; matrix: the
    same, sparse [N_BITS, cells]; shift: each bit's grid, as a share of the step."""

    cell: NDArray[np.intp]
    weight: Cells
    matrix: Any
    shift: NDArray[np.float64]


def mark_audio(audio: Samples, mark: str, key: bytes = OPEN_KEY) -> Samples:
    """Sound float32 [N], 16 kHz mono, in [-1, 1], with the mark (16 hex digits) in it; equally long.

    What is shorter than `MIN_S`, the rest after the last whole stretch, and silence come back unmarked.
    Raises: ValueError for sound or a mark of another form.
    """
    word = payload.word_of(mark, key)
    if audio.ndim != 1 or not np.isfinite(audio).all():
        raise ValueError(f"sound must be finite float [N], mono; it is {audio.dtype} {audio.shape}")
    n_blocks = (len(audio) - HOP) // BLOCK
    if n_blocks < 1:
        return audio.astype(np.float32)
    layout = _layout(key)
    n_frames = n_blocks * BLOCK_FRAMES
    cells = _cells(audio[: n_frames * HOP + HOP], 0)
    before = cells.copy()
    target: NDArray[np.float64] | None = None
    for _ in range(_ROUNDS):
        envelope = _envelope(cells)
        sums = _sums(_blocks(cells / envelope), layout)
        target = _nearest(sums, word, layout) if target is None else target
        moved = np.zeros((n_blocks, BLOCK_FRAMES * _N_BINS), np.float32)
        moved[:, layout.cell] = (target - sums)[:, :, None] * layout.weight
        cells = cells + envelope * moved.reshape(n_frames, _N_BINS)
    marked = audio.astype(np.float32)
    marked[: n_frames * HOP + HOP] += _sound(cells - before)
    return np.clip(marked, -1.0, 1.0).astype(np.float32)


def read_audio_mark(audio: Samples, key: bytes = OPEN_KEY) -> AudioMark | None:
    """The mark in sound float32 [N] at 16 kHz, cut anywhere, or None. At most `MAX_READ_S` seconds are looked at."""
    sound = np.asarray(audio[: round(MAX_READ_S * RATE_HZ)], np.float32)
    if len(sound) < BLOCK + HOP or not np.isfinite(sound).all():
        return None
    layout = _layout(key)
    for offset in _likely_offsets(sound, layout):
        decoded = payload.read_word(-_phasors(sound, offset, layout).real, key)
        if decoded is not None:
            return AudioMark(decoded.mark, decoded.bit_errors, decoded.agreement, offset)
    return None


def snr_db(before: Samples, after: Samples) -> float:
    """Power of the sound over that of what was changed, dB; inf where nothing was."""
    noise = float(np.mean(np.square(after.astype(np.float64) - before)))
    power = float(np.mean(np.square(before, dtype=np.float64)))
    return float("inf") if noise == 0 else 10.0 * float(np.log10(max(power, 1e-30) / noise))


@lru_cache(maxsize=8)
def _layout(key: bytes) -> _Layout:
    n = BLOCK_FRAMES * _N_BINS
    cell = payload.order(key, "audio cells", n)[: N_BITS * _PER_BIT].reshape(N_BITS, _PER_BIT)
    # Codecs keep low frequencies best, so they count more.
    strength = 1.0 / (1.0 + (FIRST_BIN + cell % _N_BINS) / _HALF_WEIGHT_BIN)
    weight = strength * payload.signs(key, "audio signs", n)[cell]
    weight = (weight / np.sqrt(np.square(weight).sum(axis=1, keepdims=True))).astype(np.float32)
    ends = np.arange(N_BITS + 1) * _PER_BIT
    matrix = csr_array((weight.reshape(-1), cell.reshape(-1), ends), shape=(N_BITS, n))
    return _Layout(cell, weight, matrix, payload.uniform(key, "audio shifts", N_BITS))


@lru_cache(maxsize=1)
def _basis() -> Cells:
    """The marked part of the MDCT with a sine window: [FRAME, bins], orthonormal over overlapping frames."""
    n = np.arange(FRAME)[:, None]
    k = np.arange(FIRST_BIN, LAST_BIN)[None, :]
    window = np.sin(np.pi * (n + 0.5) / FRAME)
    waves = np.cos(np.pi / HOP * (n + 0.5 + HOP / 2) * (k + 0.5))
    return np.asarray(np.sqrt(2.0 / HOP) * window * waves, np.float32)


def _cells(sound: Samples, offset: int) -> Cells:
    """Coefficients of all whole frames from a sample on: [frames, bins]."""
    n = (len(sound) - offset) // HOP - 1
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[offset : offset + n * HOP : HOP]
    return np.asarray(frames @ _basis(), np.float32)


def _sound(cells: Cells) -> Samples:
    """The sound of coefficients [frames, bins], by overlap and add: float32 [(frames + 1) * HOP]."""
    frames = cells @ _basis().T
    out = np.zeros((len(cells) + 1, HOP), np.float32)
    out[:-1] += frames[:, :HOP]
    out[1:] += frames[:, HOP:]
    return out.reshape(-1)


def _envelope(cells: Cells) -> Cells:
    """The local level of coefficients [frames, bins], never far below the level of the stretches around."""
    power = cells * cells
    local = uniform_filter(power, (_ENVELOPE_FRAMES, _ENVELOPE_BINS), mode="nearest")
    around = uniform_filter1d(local, BLOCK_FRAMES + 1, axis=0, mode="nearest")
    return np.asarray(np.sqrt(np.maximum(local, 0) + _FLOOR * around + _SILENCE), np.float32)


def _blocks(cells: Cells) -> Cells:
    """Whole stretches: [blocks, cells of a stretch]."""
    n = len(cells) // BLOCK_FRAMES
    return np.asarray(cells[: n * BLOCK_FRAMES].reshape(n, BLOCK_FRAMES * _N_BINS), np.float32)


def _sums(blocks: Cells, layout: _Layout) -> NDArray[np.float64]:
    """The value that carries each bit: [blocks, N_BITS]."""
    return np.asarray((layout.matrix @ blocks.T).T, np.float64)


def _nearest(sums: NDArray[np.float64], word: NDArray[np.bool_], layout: _Layout) -> NDArray[np.float64]:
    """The nearest value of each bit's grid that reads as the word has it."""
    grid = _STEP * (layout.shift + 0.5 * word)
    return np.asarray(np.round((sums - grid) / _STEP) * _STEP + grid)


def _phasors(sound: Samples, offset: int, layout: _Layout) -> NDArray[np.complex128]:
    """Where each bit's value lies between its two grids: [N_BITS], 1 on that of zeros, -1 on that of ones.

    Stretches count by how near to the grids they are: in silence there is nothing to read.
    """
    cells = _cells(sound, offset)
    turned = _turns(_sums(_blocks(cells / _envelope(cells)), layout), layout)
    sure = np.array([max(_fit(one), _LEAST_FIT) for one in turned])
    return np.asarray(sure @ turned / sure.sum())


def _turns(sums: NDArray[np.float64], layout: _Layout) -> NDArray[np.complex128]:
    return np.asarray(np.exp(2j * np.pi * (sums / _STEP - layout.shift)), np.complex128)


def _likely_offsets(sound: Samples, layout: _Layout) -> Iterator[int]:
    """Offsets of the first whole stretch, likeliest first; the very beginning before all others."""
    yield 0
    begin = _loudest(sound, round(MAX_SEARCH_S * RATE_HZ))
    part = sound[begin : begin + round(MAX_SEARCH_S * RATE_HZ)]
    fits: list[tuple[float, int]] = []
    for phase in range(HOP):
        cells = _cells(part, phase)
        even = (cells / _envelope(cells)).reshape(-1)
        starts = np.lib.stride_tricks.sliding_window_view(even, BLOCK_FRAMES * _N_BINS)[::_N_BINS]
        turned = _turns(_sums(starts, layout), layout)
        for first in range(min(BLOCK_FRAMES, len(turned))):
            offset = (begin + phase + first * HOP) % BLOCK
            fits.append((_fit(turned[first::BLOCK_FRAMES].mean(axis=0)), offset))
    taken: list[int] = []
    for _, offset in sorted(fits, reverse=True):
        if len(taken) == POSITIONS_TRIED - 1:
            return
        if offset and all(abs(offset - other) > 2 for other in taken):
            taken.append(offset)
            yield offset


def _loudest(sound: Samples, n: int) -> int:
    """Where the loudest n samples begin, to a tenth of a second; 0 where there are no more."""
    if len(sound) <= n:
        return 0
    power = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
    starts = np.arange(0, len(sound) - n + 1, RATE_HZ // 10)
    return int(starts[np.argmax(power[starts + n] - power[starts])])


def _fit(turned: NDArray[np.complex128]) -> float:
    """How much nearer the values are to the grids than to the middle between them; about 0 by chance."""
    return float(np.mean(turned.real**2 - turned.imag**2))
