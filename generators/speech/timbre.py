"""What makes a voice this one: its pitch and its long-term spectrum, measured, and moved onto other speech.

Which speech is converted, and what is done with it, is not known here.
After: Morise et al., WORLD, 2016 (the parts); Lee & Rose, Speaker Normalization Using Efficient Frequency
Warping Procedures, 1996 (vocal-tract length as one factor on the frequency axis).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.voice.world import MAX_F0_HZ, MIN_F0_HZ, N_BINS, PERIOD_S, Frames, frame_level_db

Floats = NDArray[np.float64]

MIN_VOICED_S = 0.3
RATIOS = np.exp(np.linspace(np.log(0.8), np.log(1.25), 46))
"""Vocal tracts of adults differ by up to about a quarter in length."""
MOST_BOOST_DB, MOST_CUT_DB = 18.0, 48.0
"""Noise would be made audible by more of a boost; a cut must silence what a band-limited recording does not have."""
_NEPER = 10.0 / np.log(10.0)
_HZ = np.linspace(0.0, 8000.0, N_BINS)
_SHAPE_BAND = (_HZ >= 300.0) & (_HZ <= 5500.0)
_LIFTER = 40
"""Cepstral coefficients kept of a long-term spectrum: what is finer belongs to single sounds."""
_ROOM_DB = 12.0


@dataclass(frozen=True)
class Voiceprint:
    """A voice. log_f0, log_f0_spread: mean and standard deviation of the natural logarithm of the pitch in
    hertz; log_envelope: float64 [513], mean natural logarithm of the envelope, level removed."""

    log_f0: float
    log_f0_spread: float
    log_envelope: Floats


def voiceprint(frames: Frames, who: str, min_voiced_s: float = MIN_VOICED_S) -> Voiceprint:
    """Measure a voice on the voiced frames that are no more than 25 dB below the louder ones.

    Raises: Rejected("too_little_voice") where they last less than `min_voiced_s`; `who` goes into the detail.
    """
    level = frame_level_db(frames)
    voiced = frames.voiced
    if voiced.any():
        voiced = voiced & (level > np.percentile(level[voiced], 90) - 25.0)
    found_s = float(np.count_nonzero(voiced)) * PERIOD_S
    if found_s < max(min_voiced_s, 2 * PERIOD_S):
        raise Rejected("too_little_voice", f"{who}: {found_s:.2f} s of voiced speech, of {min_voiced_s} s")
    log_f0 = np.log(frames.f0_hz[voiced])
    # A few frames an octave off would double the spread.
    middle = float(np.median(log_f0))
    kept = log_f0[np.abs(log_f0 - middle) < 0.5]
    shape = np.log(frames.envelope[voiced])
    shape = (shape - shape.mean(axis=1, keepdims=True)).mean(axis=0)
    return Voiceprint(float(kept.mean()), max(float(kept.std()), 1e-3), _liftered(shape))


def distance_db(one: Voiceprint, two: Voiceprint) -> float:
    """RMS difference of two long-term spectra between 300 and 5500 Hz, level removed, dB."""
    difference = (one.log_envelope - two.log_envelope)[_SHAPE_BAND] * _NEPER
    return float(np.std(difference))


def formant_ratio(of: Voiceprint, to: Voiceprint) -> float:
    """By which factor the formants of `to` lie above those of `of`: 0.8 to 1.25.

    The factor whose warp brings the two long-term spectra nearest, tilt removed; far factors need more proof.
    """
    wanted = _flat(to.log_envelope[_SHAPE_BAND])
    errors = [
        float(np.mean((_flat(_warped(of.log_envelope[None], r)[0][_SHAPE_BAND]) - wanted) ** 2))
        for r in RATIOS
    ]
    cost = np.asarray(errors) / max(min(errors), 1e-6) + 2.0 * np.log(RATIOS) ** 2 / np.log(1.25) ** 2
    return float(RATIOS[int(np.argmin(cost))])


def converted(frames: Frames, of: Voiceprint, to: Voiceprint) -> Frames:
    """Speech of one voice in another's pitch and timbre; what is said, how loud, and the noise share stay.

    Mean and spread of the logarithm of the pitch become those of `to`; the envelope is stretched along the
    frequency axis by the ratio of the vocal tracts, and its long-term average moved to that of `to` (up by at most
    18 dB, down by 48). The power of every frame stays, and so does the spectrum of frames that hold hardly more
    than the room.
    """
    ratio = formant_ratio(of, to)
    log_envelope = np.log(frames.envelope)
    new = _warped(log_envelope, ratio)
    lack = _liftered(to.log_envelope - _warped(of.log_envelope[None], ratio)[0])
    new += np.clip(lack - lack[_SHAPE_BAND].mean(), -MOST_CUT_DB / _NEPER, MOST_BOOST_DB / _NEPER)
    share = _speech_share(frames)[:, None]
    mixed = np.exp(log_envelope * (1 - share) + new * share)
    mixed *= frames.envelope.mean(axis=1, keepdims=True) / mixed.mean(axis=1, keepdims=True)
    return Frames(_moved_f0(frames.f0_hz, of, to), mixed, frames.aperiodicity)


def _moved_f0(f0_hz: Floats, of: Voiceprint, to: Voiceprint) -> Floats:
    spread = float(np.clip(to.log_f0_spread / of.log_f0_spread, 0.5, 2.0))
    safe = np.where(f0_hz > 0, f0_hz, 1.0)
    moved = np.exp((np.log(safe) - of.log_f0) * spread + to.log_f0)
    return np.asarray(np.where(f0_hz > 0, np.clip(moved, MIN_F0_HZ, MAX_F0_HZ), 0.0))


def _warped(log_envelope: Floats, ratio: float) -> Floats:
    """float64 [T, 513] stretched along frequency: what was at f comes to lie at f * ratio."""
    where = np.minimum(np.arange(N_BINS) / ratio, N_BINS - 1)
    low = np.floor(where).astype(int)
    high = np.minimum(low + 1, N_BINS - 1)
    share = where - low
    return np.asarray(log_envelope[:, low] * (1 - share) + log_envelope[:, high] * share)


def _liftered(log_spectrum: Floats) -> Floats:
    """A log spectrum float64 [513] without its fine structure."""
    cepstrum = np.fft.irfft(log_spectrum)
    cepstrum[_LIFTER : cepstrum.size - _LIFTER + 1] = 0.0
    return np.asarray(np.fft.rfft(cepstrum).real)


def _flat(log_spectrum: Floats) -> Floats:
    """Without level and tilt."""
    at = np.arange(log_spectrum.size, dtype=np.float64)
    slope, level = np.polyfit(at, log_spectrum, 1)
    return np.asarray(log_spectrum - slope * at - level)


def _speech_share(frames: Frames) -> Floats:
    """0 where a frame is at the level of the room, 1 where it stands 12 dB above it: float64 [T]."""
    level = frame_level_db(frames)
    floor = min(float(np.percentile(level, 5)), float(np.percentile(level, 95)) - 30.0)
    return np.asarray(np.clip((level - floor - 3.0) / (_ROOM_DB - 3.0), 0.0, 1.0))
