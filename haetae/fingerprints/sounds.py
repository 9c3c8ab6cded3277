"""Sound hashes: what a clip sounds like at each step, as 32 bits that survive low bit rates and small speed changes.

How hashes are compared is in `align`, how they are found among many in `index`; pictures are in `pictures`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from haetae.media.audio import RATE_HZ

METHOD = "bands32.1"
BITS = 32
HOP = 512
STEP_S = HOP / RATE_HZ
WINDOW = 6144
LAG = 6
"""Steps between the two spectra that are compared: 0.19 s."""
LOWEST_HZ, HIGHEST_HZ = 250.0, 3400.0
"""What a telephone and the lowest rates of speech codecs keep."""
FLOOR = 1e-3
QUIET = 1e-4
"""A step below this share of the clip's loud level, in power, counts as silence."""
SILENT_POWER = 10 ** (-80 / 10)
SHIFTS = (0, 1, -1)
"""Bands by which the pitch of a copy may have moved: 8 % each."""
AT_ONCE = 512


def hash_sound(audio: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Hash sound of float32 [N], mono, 16 kHz, in [-1, 1]: uint32 [steps], one for each 32 ms; 0 in silence.

    Bit b of a step says whether the level of band b over band b + 1 rises in the next 0.19 s; the 33 bands
    part 250 to 3400 Hz evenly in pitch. A constant gain or tone control cancels out, as levels are logarithms.
    Sound below 0.6 s has no hash. After: Haitsma & Kalker, "A Highly Robust Audio Fingerprinting System",
    ISMIR 2002, with logarithmic levels, a longer lag and a floor, which speech at low bit rates needs.
    """
    n = (len(audio) - WINDOW) // HOP + 1
    if n <= LAG:
        return np.zeros(0, np.uint32)
    powers = _band_powers(audio, n)
    total = powers.sum(axis=1)
    loud_level = float(np.percentile(total, 95))
    levels = np.log(powers + FLOOR * loud_level / (BITS + 1) + 1e-20)
    slope = levels[:, :-1] - levels[:, 1:]
    bits = slope[LAG:] > slope[:-LAG]
    hashes = (bits.astype(np.uint64) << np.arange(BITS, dtype=np.uint64)).sum(axis=1).astype(np.uint32)
    louder = np.maximum(total[LAG:], total[:-LAG])
    heard = louder > max(QUIET * loud_level, SILENT_POWER)
    return np.where(heard, np.maximum(hashes, 1), 0).astype(np.uint32)


def _band_powers(audio: NDArray[np.float32], n: int) -> NDArray[np.float64]:
    """Mean power of each band at each step, of a full-scale square of 1: float64 [n, 33]."""
    windows = np.lib.stride_tricks.sliding_window_view(audio, WINDOW)[::HOP][:n]
    taper = np.hanning(WINDOW).astype(np.float32)
    edges = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BITS + 2) * WINDOW / RATE_HZ + 0.5
    whole, part = np.floor(edges).astype(int), edges % 1
    powers = []
    for first in range(0, n, AT_ONCE):
        spectrum = np.abs(np.fft.rfft(windows[first : first + AT_ONCE] * taper, axis=1)) ** 2
        up_to = np.cumsum(np.pad(spectrum, ((0, 0), (1, 0))), axis=1)
        below = up_to[:, whole] * (1 - part) + up_to[:, whole + 1] * part
        powers.append(np.diff(below, axis=1))
    return np.concatenate(powers) * 2 / float(np.sum(taper**2)) / WINDOW


def shifted(hashes: NDArray[np.uint32], bands: int) -> NDArray[np.uint32]:
    """Hashes as they would be with all sound `bands` bands higher (8 % in pitch each); 0 stays 0."""
    moved = hashes << np.uint32(bands) if bands >= 0 else hashes >> np.uint32(-bands)
    return np.where(hashes == 0, np.uint32(0), np.maximum(moved, np.uint32(1))).astype(np.uint32)
