"""What Wav2Lip hears: 80 mel bands at 80 steps a second, as its checkpoints were trained on.

After: Prajwal et al., A Lip Sync Expert Is All You Need for Speech to Lip Generation In The Wild, ACM MM 2020;
mel scale after Slaney, Auditory Toolbox, 1998.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
N_FFT, HOP, N_MELS = 800, 200, 80
LOW_HZ, HIGH_HZ = 55.0, 7600.0
PREEMPHASIS = 0.97
REF_LEVEL_DB, MIN_LEVEL_DB = 20.0, -100.0
MAX_ABS = 4.0
STEPS = 16
"""Steps of the mel spectrogram that one frame is made from: the 0.2 s that begin with it."""
FPS = 25.0


def mel_spectrogram(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mel levels of 16 kHz audio, float32 [N]: float32 [80, N // 200 + 1] in [-4, 4]; silence is -4.

    Hann windows of 50 ms every 12.5 ms, mirrored at both ends. N must be above 400.
    """
    samples = np.asarray(audio, np.float64)
    sharp = np.append(samples[:1], samples[1:] - PREEMPHASIS * samples[:-1])
    padded = np.pad(sharp, N_FFT // 2, mode="reflect")
    rows = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    window = np.hanning(N_FFT + 1)[:-1]
    power = np.abs(np.fft.rfft(rows * window, axis=1)) @ _mel_bank().T
    level_db = 20 * np.log10(np.maximum(10 ** (MIN_LEVEL_DB / 20), power)) - REF_LEVEL_DB
    scaled = 2 * MAX_ABS * (level_db - MIN_LEVEL_DB) / -MIN_LEVEL_DB - MAX_ABS
    return np.ascontiguousarray(np.clip(scaled, -MAX_ABS, MAX_ABS).T.astype(np.float32))


def windows(mel: NDArray[np.float32], frames: NDArray[np.int64]) -> NDArray[np.float32]:
    """The steps that belong to frames of a 25 fps clip: float32 [N, 1, 80, 16].

    Frames too near to the end of the sound get its last 16 steps. Raises: ValueError for less than 16 steps.
    """
    if mel.shape[1] < STEPS:
        raise ValueError(f"{mel.shape[1]} steps of sound, at least {STEPS} are needed")
    per_frame = RATE_HZ / HOP / FPS
    starts = np.minimum((np.asarray(frames) * per_frame + 1e-9).astype(int), mel.shape[1] - STEPS)
    return np.stack([mel[None, :, start : start + STEPS] for start in starts])


@cache
def _mel_bank() -> NDArray[np.float64]:
    """Triangles of equal area, evenly spaced on Slaney's mel scale: [80, 401]."""
    edges_hz = _hz(np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), N_MELS + 2))
    bins_hz = np.arange(N_FFT // 2 + 1) * RATE_HZ / N_FFT
    rising = (bins_hz - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    falling = (edges_hz[2:, None] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    area = 2.0 / (edges_hz[2:] - edges_hz[:-2])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)) * area[:, None])


_LINEAR_HZ, _LOG_FROM_HZ = 200.0 / 3, 1000.0
_LOG_STEP = np.log(6.4) / 27.0


def _mel(hz: float) -> float:
    if hz < _LOG_FROM_HZ:
        return hz / _LINEAR_HZ
    return float(_LOG_FROM_HZ / _LINEAR_HZ + np.log(hz / _LOG_FROM_HZ) / _LOG_STEP)


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = mel - _LOG_FROM_HZ / _LINEAR_HZ
    return np.where(above < 0, mel * _LINEAR_HZ, _LOG_FROM_HZ * np.exp(_LOG_STEP * np.maximum(above, 0)))
