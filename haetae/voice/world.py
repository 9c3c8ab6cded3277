"""Speech taken apart into pitch, spectral envelope and aperiodicity, and put together again (WORLD).

Whose voice the parts get is not decided here.
After: Morise, Yokomori & Ozawa, WORLD: A Vocoder-Based High-Quality Speech Synthesis System, 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haetae.voice.level import RATE_HZ

Samples = NDArray[np.float32]
Floats = NDArray[np.float64]

PERIOD_S = 0.005
FFT_SIZE = 1024
N_BINS = FFT_SIZE // 2 + 1
MIN_F0_HZ, MAX_F0_HZ = 65.0, 500.0
MIN_SAMPLES = 1600
"""Shorter audio is filled up with silence: the analysis needs a few periods of the lowest pitch."""
_LOWEST = 1e-16
"""Smallest power of the envelope; digital silence has none, and its logarithm is needed."""


@dataclass(frozen=True)
class Frames:
    """Speech by frames of 5 ms; frame t is centred on t * 5 ms.

    f0_hz: float64 [T], 0 where unvoiced; envelope: float64 [T, 513], power from 0 to 8000 Hz, above 0;
    aperiodicity: float64 [T, 513], share of noise, 0 to 1.
    """

    f0_hz: Floats
    envelope: Floats
    aperiodicity: Floats

    def __len__(self) -> int:
        return len(self.f0_hz)

    @property
    def voiced(self) -> NDArray[np.bool_]:
        """bool [T]: frames that have a pitch."""
        return np.asarray(self.f0_hz > 0)

    def cut(self, first: int, last: int) -> Frames:
        """Frames [first, last)."""
        return Frames(self.f0_hz[first:last], self.envelope[first:last], self.aperiodicity[first:last])

    def at(self, positions: Floats) -> Frames:
        """Frames read at float64 [N] positions (in frames, held at the ends): slower, faster or rearranged.

        The envelope is interpolated in its logarithm; voicing is that of the nearest frame, its pitch is
        interpolated between voiced frames only.
        """
        where = np.clip(positions, 0, len(self) - 1)
        low = np.floor(where).astype(int)
        high = np.minimum(low + 1, len(self) - 1)
        share = (where - low)[:, None]
        nearest = np.rint(where).astype(int)
        log_envelope = np.log(self.envelope)
        f0_hz = np.where(self.voiced[nearest], contour_hz(self.f0_hz, where), 0.0)
        return Frames(
            f0_hz,
            np.exp(log_envelope[low] * (1 - share) + log_envelope[high] * share),
            self.aperiodicity[low] * (1 - share) + self.aperiodicity[high] * share,
        )


def analyse(audio: Samples, quick: bool = False) -> Frames:
    """Take 16 kHz audio float32 [N] apart; T = N // 80 + 1 frames, at least 21.

    Pitch by Harvest within 65 to 500 Hz, refined by StoneMask; envelope by CheapTrick; aperiodicity by D4C.
    quick: pitch by DIO, which takes a thirtieth of the time and finds a little less in noise: good enough to
    measure a voice, but what it misses would be hoarse when synthesised.
    """
    import pyworld

    wave = np.asarray(audio, np.float64)
    if wave.size < MIN_SAMPLES:
        wave = np.pad(wave, (0, MIN_SAMPLES - wave.size))
    find = pyworld.dio if quick else pyworld.harvest
    f0_hz, times = find(wave, RATE_HZ, f0_floor=MIN_F0_HZ, f0_ceil=MAX_F0_HZ, frame_period=1000 * PERIOD_S)
    f0_hz = pyworld.stonemask(wave, f0_hz, times, RATE_HZ)
    f0_hz = np.where((f0_hz >= MIN_F0_HZ) & (f0_hz <= MAX_F0_HZ), f0_hz, 0.0)
    envelope = pyworld.cheaptrick(wave, f0_hz, times, RATE_HZ, fft_size=FFT_SIZE)
    aperiodicity = pyworld.d4c(wave, f0_hz, times, RATE_HZ, fft_size=FFT_SIZE)
    return Frames(
        f0_hz,
        np.maximum(np.nan_to_num(envelope, nan=_LOWEST), _LOWEST),
        np.clip(np.nan_to_num(aperiodicity, nan=1.0), 0.0, 1.0),
    )


def synthesise(frames: Frames, n: int) -> Samples:
    """Put frames together: float32 [n] at 16 kHz, cut or filled with silence; not limited to [-1, 1].

    The same frames give the same samples: the noise of unvoiced parts starts anew with every call.
    """
    import pyworld

    made = pyworld.synthesize(
        np.ascontiguousarray(frames.f0_hz),
        np.ascontiguousarray(frames.envelope),
        np.ascontiguousarray(frames.aperiodicity),
        RATE_HZ,
        1000 * PERIOD_S,
    )
    out = np.zeros(n, np.float32)
    kept = min(n, len(made))
    out[:kept] = np.nan_to_num(made[:kept])
    return out


def contour_hz(f0_hz: Floats, positions: Floats | None = None) -> Floats:
    """The pitch as an unbroken line: interpolated in its logarithm over unvoiced frames, held at the ends.

    f0_hz: float64 [T], 0 where unvoiced; positions: float64 [N] in frames, else every frame. All 0 where
    nothing is voiced.
    """
    where = np.arange(len(f0_hz), dtype=np.float64) if positions is None else positions
    voiced = np.flatnonzero(f0_hz > 0)
    if not len(voiced):
        return np.zeros(len(where))
    return np.asarray(np.exp(np.interp(where, voiced, np.log(f0_hz[voiced]))))


def frame_level_db(frames: Frames) -> Floats:
    """Level of every frame, dB, on one scale for all frames of WORLD: float64 [T]."""
    return np.asarray(10.0 * np.log10(frames.envelope.mean(axis=1)))
