"""How loud a clip is to the ear, how far its speech stands out, and where it is silent.

Where speech is was found before; what is too loud, too noisy or too silent is decided later, by a query.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from haetae.voice.activity import Region
from haetae.voice.level import FLOOR_DBFS, RATE_HZ, frame_dbfs, loud_dbfs

FRAME_S = 0.01
MIN_LOUDNESS_S = 0.4
"""Length of one gating block of BS.1770."""
SILENCE_DBFS = -60.0
BELOW_LOUD_DB = 30.0
LOWEST_DBFS = -100.0
MARGIN_S = 0.15
"""Left out between speech and what is beside it: word ends and echoes are neither."""
MIN_BETWEEN_S = 0.2
FULL_SCALE = 0.999


def loudness_lufs(audio: NDArray[np.float32]) -> float | None:
    """Integrated loudness of 16 kHz audio float32 [N], LUFS; None below 0.4 s or where all of it is gated.

    After: ITU-R BS.1770-4, as pyloudnorm computes it, with the filters of De Man (2018), which keep to the
    standard at every sampling rate.
    """
    if len(audio) < MIN_LOUDNESS_S * RATE_HZ:
        return None
    import pyloudnorm  # type: ignore[import-untyped,unused-ignore]

    meter = pyloudnorm.Meter(RATE_HZ, filter_class="DeMan")
    value = float(meter.integrated_loudness(audio.astype(np.float64)))
    return value if np.isfinite(value) and value > -70.0 else None


def peak_dbfs(audio: NDArray[np.float32]) -> float | None:
    """Level of the largest sample, dB full scale; None for digital silence."""
    peak = float(np.max(np.abs(audio), initial=0.0))
    return 20.0 * float(np.log10(peak)) if peak > 0 else None


def snr_db(audio: NDArray[np.float32], speech: Sequence[Region]) -> float | None:
    """Power of speech over the power between speech, dB; None where one of them is missing.

    audio: float32 [N] at 16 kHz. What is heard between speech is taken out of what is heard during it. Between
    speech is what lies 0.15 s from it, at least 0.2 s in all. Digital silence there is padding and not a room:
    it counts only where there is nothing else. 0 means that speech is no louder than what is around it, as
    in songs.
    """
    frames = 10.0 ** (frame_dbfs(audio, FRAME_S) / 10.0)
    times = (np.arange(len(frames)) + 0.5) * FRAME_S
    during, near = np.zeros(len(frames), dtype=bool), np.zeros(len(frames), dtype=bool)
    for start_s, end_s in speech:
        during |= (times >= start_s) & (times <= end_s)
        near |= (times >= start_s - MARGIN_S) & (times <= end_s + MARGIN_S)
    if not during.any() or (~near).sum() * FRAME_S < MIN_BETWEEN_S:
        return None
    between = frames[~near]
    sounding = between[between > 10.0 ** (LOWEST_DBFS / 10.0)]
    between = sounding if len(sounding) * FRAME_S >= MIN_BETWEEN_S else between
    noise = max(float(between.mean()), 10.0 ** (FLOOR_DBFS / 10.0))
    both = float(frames[during].mean())
    if both <= noise:
        return 0.0
    return 10.0 * float(np.log10((both - noise) / noise))


def silent_edges_s(audio: NDArray[np.float32], silence_dbfs: float = SILENCE_DBFS) -> tuple[float, float]:
    """Seconds before the first and after the last sound above the silence level, to 10 ms.

    audio: float32 [N] at 16 kHz. The silence level is `silence_dbfs`, lower in audio that is quiet as a whole:
    30 dB below its louder parts, never under -100. Where there is no sound, both are the whole length.
    """
    length_s = len(audio) / RATE_HZ
    level = max(LOWEST_DBFS, min(silence_dbfs, loud_dbfs(audio) - BELOW_LOUD_DB))
    levels = frame_dbfs(audio, FRAME_S)
    heard = np.flatnonzero(levels > level)
    if len(heard) == 0:
        return length_s, length_s
    return float(heard[0] * FRAME_S), max(0.0, float(length_s - (heard[-1] + 1) * FRAME_S))


def speech_fraction(audio: NDArray[np.float32], speech: Sequence[Region]) -> float:
    """Share of the audio that lies in a speech region, 0 to 1."""
    length_s = len(audio) / RATE_HZ
    spoken_s = sum(max(0.0, min(end_s, length_s) - start_s) for start_s, end_s in speech)
    return min(1.0, spoken_s / length_s) if length_s else 0.0


def clipped_fraction(samples: NDArray[np.float32]) -> float:
    """Share of samples at or beyond full scale, in the channel that has most of them: 0 to 1.

    samples: float32 [C, N] as decoded, not cut to [-1, 1].
    """
    return float(np.max(np.mean(np.abs(samples) >= FULL_SCALE, axis=1), initial=0.0)) if samples.size else 0.0
