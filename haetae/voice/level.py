"""How loud audio is, in dB full scale.

What is done about it is not decided here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
FLOOR_DBFS = -120.0
"""Level of digital silence."""


def rms_dbfs(audio: NDArray[np.float32]) -> float:
    """RMS level of audio float32 [N] in [-1, 1], dB full scale; `FLOOR_DBFS` for silence and no samples."""
    if len(audio) == 0:
        return FLOOR_DBFS
    power = float(np.mean(np.square(audio, dtype=np.float64)))
    return max(FLOOR_DBFS, 10.0 * float(np.log10(max(power, 1e-30))))


def frame_dbfs(audio: NDArray[np.float32], frame_s: float = 0.025) -> NDArray[np.float64]:
    """RMS level of each whole stretch of `frame_s` seconds of 16 kHz audio, dB full scale: float64 [n]."""
    size = max(1, round(frame_s * RATE_HZ))
    n = len(audio) // size
    power = np.mean(np.square(audio[: n * size].reshape(n, size), dtype=np.float64), axis=1)
    return np.asarray(np.maximum(FLOOR_DBFS, 10.0 * np.log10(np.maximum(power, 1e-30))))


def loud_dbfs(audio: NDArray[np.float32]) -> float:
    """Level of the louder parts: 95th percentile over stretches of 25 ms, so pauses do not count."""
    levels = frame_dbfs(audio)
    return float(np.percentile(levels, 95)) if len(levels) else rms_dbfs(audio)


def with_gain(audio: NDArray[np.float32], gain_db: float) -> NDArray[np.float32]:
    """Audio made louder by `gain_db`, held in [-1, 1]."""
    return np.asarray(np.clip(audio * 10.0 ** (gain_db / 20.0), -1.0, 1.0), dtype=np.float32)
