"""How strong the voice is from moment to moment, for comparing it with a mouth.

Whether there is a voice at all is not decided here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from haetae.voice.level import RATE_HZ

LOW_HZ, HIGH_HZ = 200.0, 4000.0
SMOOTH_S = 0.04
"""Half-width of the smoothing window: syllables come at 3 to 8 a second, vibrations at 80 and more."""


def speech_envelope(audio: NDArray[np.float32], fps: float = 25.0) -> NDArray[np.float32]:
    """Strength of the voice at each frame.

    audio: float32 [N] at 16 kHz. Returns: float32 [T], T = round(N * fps / 16000), the square root of the
    RMS in 200 to 4000 Hz under a Hann window of 80 ms; value t is centred on t / fps seconds, the moment
    that video frame t shows. The square root brings the range nearer to that of a mouth.
    """
    n_frames = round(len(audio) * fps / RATE_HZ)
    if n_frames == 0:
        return np.zeros(0, np.float32)
    voice = _band(np.asarray(audio, dtype=np.float64))
    half = round(SMOOTH_S * RATE_HZ)
    window = np.hanning(2 * half + 3)[1:-1]
    window /= window.sum()
    power = np.pad(voice**2, half)
    centres = np.minimum(np.round(np.arange(n_frames) * RATE_HZ / fps).astype(int), len(audio) - 1)
    rows = np.lib.stride_tricks.sliding_window_view(power, 2 * half + 1)[centres]
    return np.asarray(np.sqrt(np.sqrt(rows @ window)), dtype=np.float32)


def _band(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    """The band of the voice, without delay (forwards and backwards)."""
    from scipy.signal import sosfiltfilt

    sections = _sections()
    padding = min(len(audio) - 1, 3 * (2 * len(sections) + 1))
    return np.asarray(sosfiltfilt(sections, audio, padlen=padding))


@cache
def _sections() -> NDArray[np.float64]:
    from scipy.signal import butter

    return np.asarray(butter(2, (LOW_HZ, HIGH_HZ), btype="bandpass", fs=RATE_HZ, output="sos"))
