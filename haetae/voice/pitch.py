"""How high a voice is: the median fundamental frequency of speech.

Making a voice higher or lower is not done here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
MIN_F0_HZ, MAX_F0_HZ = 65.0, 400.0
_FRAME, _HOP = 640, 320
_VOICED = 0.5


def median_f0_hz(audio: NDArray[np.float32]) -> float | None:
    """Median fundamental frequency of the voiced parts of 16 kHz audio, in hertz; None without any.

    Autocorrelation of 40 ms frames, corrected for the window; of peaks almost as high as the highest the one
    with the shortest period counts, which avoids the octave below.
    After: Boersma, Accurate Short-Term Analysis of the Fundamental Frequency, 1993.
    """
    if audio.size < _FRAME:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64), _FRAME)[::_HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    loud = (frames**2).sum(axis=1)
    frames = frames[loud > 0.05 * np.percentile(loud, 90)]
    if not len(frames) or not np.any(frames):
        return None
    window = np.hanning(_FRAME)
    correlation = _autocorrelation(frames * window) / np.maximum(_autocorrelation(window[None]), 1e-3)
    low, high = int(RATE_HZ / MAX_F0_HZ), int(RATE_HZ / MIN_F0_HZ)
    inner = correlation[:, low - 1 : high + 2]
    peaks = (inner[:, 1:-1] > inner[:, :-2]) & (inner[:, 1:-1] >= inner[:, 2:])
    height = np.where(peaks, inner[:, 1:-1], 0.0)
    best = height.max(axis=1)
    first = np.argmax(height >= 0.88 * best[:, None], axis=1)
    voiced = best > _VOICED
    if np.count_nonzero(voiced) < 3:
        return None
    return float(np.median(RATE_HZ / (low + first[voiced])))


def _autocorrelation(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Autocorrelation of each row at lags 0 to its length, 1 at lag 0."""
    spectrum = np.fft.rfft(frames, 2 * frames.shape[1], axis=1)
    raw = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, : frames.shape[1]]
    scaled: NDArray[np.float64] = raw / np.maximum(raw[:, :1], 1e-12)
    return scaled
