"""Spectral features of speech: log-mel bands and cepstra, in plain NumPy so that they never change.

What is learnt or decided from them is not known here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
N_MELS = 64
WINDOW = 400
HOP = 160
N_FFT = 512
LOG_FLOOR = 1e-10
LOW_HZ, HIGH_HZ = 20.0, 7600.0


def log_mel(audio: NDArray[np.float32], n_mels: int = N_MELS) -> NDArray[np.float32]:
    """Log-mel energies of 16 kHz audio.

    audio: float32 [N] in [-1, 1]. Returns: float32 [N // 160 + 1, n_mels], natural logarithm of the energy
    (floor 1e-10) in mel bands from 20 to 7600 Hz. Hann windows of 25 ms every 10 ms; row t is centred on
    t * 10 ms, with silence assumed outside the audio. Mel scale after O'Shaughnessy (HTK formula).
    """
    frames = _frames(np.asarray(audio, dtype=np.float64))
    power = np.abs(np.fft.rfft(frames, N_FFT, axis=1)) ** 2
    return np.log(np.maximum(power @ _mel_bank(n_mels).T, LOG_FLOOR)).astype(np.float32)


def mfcc(audio: NDArray[np.float32], n_cepstra: int = 20) -> NDArray[np.float32]:
    """Mel-frequency cepstra c0 to c[n-1]: float32 [N // 160 + 1, n_cepstra]; c0 follows the loudness."""
    from scipy.fft import dct

    cepstra = dct(log_mel(audio, 40), type=2, axis=1, norm="ortho")[:, :n_cepstra]
    return np.asarray(cepstra, dtype=np.float32)


def _frames(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(audio, (WINDOW // 2, WINDOW // 2 + HOP))
    n = len(audio) // HOP + 1
    rows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:n]
    return np.asarray(rows * np.hanning(WINDOW + 1)[:-1])


@cache
def _mel_bank(n_mels: int) -> NDArray[np.float64]:
    """Triangles of height 1, evenly spaced on the mel scale: [n_mels, N_FFT // 2 + 1]."""
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in (LOW_HZ, HIGH_HZ))
    edges_hz = 700.0 * (10.0 ** (np.linspace(low, high, n_mels + 2) / 2595.0) - 1.0)
    bins_hz = np.arange(N_FFT // 2 + 1) * RATE_HZ / N_FFT
    rising = (bins_hz - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    falling = (edges_hz[2:, None] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rising, falling))
