"""Making new speech sound as if it was recorded where other speech was: its loudness and its room tone.

What is said, and by which voice, is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haetae.voice.level import FLOOR_DBFS, frame_dbfs, loud_dbfs, rms_dbfs, with_gain

__all__ = ["RoomTone", "match_room", "measure_room", "rms_dbfs"]

_WINDOW = 512
_FRAME_S = 0.025
_QUIET_ABOVE_FLOOR_DB = 6.0
_PEAK = 0.99


@dataclass(frozen=True)
class RoomTone:
    """What is heard when nobody speaks. level_dbfs: RMS; power: mean power per bin of a 512-point FFT."""

    level_dbfs: float
    power: NDArray[np.float64]


def measure_room(reference: NDArray[np.float32]) -> RoomTone:
    """Room tone of 16 kHz audio, from its quietest parts.

    Those are stretches of 25 ms no more than 6 dB above the 10th percentile of levels, at least 20 dB below
    the loud parts; where there are none (speech without a pause), the room is taken as silent.
    """
    levels = frame_dbfs(reference, _FRAME_S)
    silent = RoomTone(FLOOR_DBFS, np.zeros(_WINDOW // 2 + 1))
    if len(levels) == 0:
        return silent
    limit = min(np.percentile(levels, 10) + _QUIET_ABOVE_FLOOR_DB, loud_dbfs(reference) - 20.0)
    size = round(_FRAME_S * 16_000)
    pieces = reference[: len(levels) * size].reshape(-1, size)[levels <= limit].astype(np.float64)
    if len(pieces) == 0:
        return silent
    window = np.hanning(size)
    centred = pieces - pieces.mean(axis=1, keepdims=True)
    spectra = np.abs(np.fft.rfft(centred * window, _WINDOW, axis=1)) ** 2
    return RoomTone(rms_dbfs(pieces.reshape(-1).astype(np.float32)), spectra.mean(axis=0))


def match_room(speech: NDArray[np.float32], reference: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Bring speech to the loudness of a reference and put the reference's room tone under it.

    speech, reference: float32 [N], [M] at 16 kHz. Returns: float32 [N]. The louder parts (95th percentile
    over 25 ms) get the level of the reference's; noise with the spectrum and level of the reference's
    silent parts is added, drawn from `seed`. The same arguments give the same samples. A silent reference
    leaves the speech as it is; a level that would clip is held at the highest that does not.
    """
    level, wanted = loud_dbfs(speech), loud_dbfs(reference)
    matched = speech
    if level > FLOOR_DBFS and wanted > FLOOR_DBFS:
        headroom_db = -20.0 * float(np.log10(max(float(np.abs(speech).max()), 1e-9) / _PEAK))
        matched = with_gain(speech, min(wanted - level, headroom_db))
    noise = room_noise(measure_room(reference), len(speech), seed)
    return np.asarray(np.clip(matched + noise, -1.0, 1.0), dtype=np.float32)


def room_noise(tone: RoomTone, n: int, seed: int) -> NDArray[np.float32]:
    """Noise of a room tone: float32 [n], Gaussian, shaped in one FFT, with the tone's RMS level."""
    if n == 0 or tone.level_dbfs <= FLOOR_DBFS:
        return np.zeros(n, np.float32)
    white = np.random.default_rng(seed).standard_normal(n)
    shape = np.sqrt(np.interp(np.fft.rfftfreq(n), np.fft.rfftfreq(_WINDOW), tone.power))
    shape[0] = 0.0
    noise = np.fft.irfft(np.fft.rfft(white) * shape, n)
    rms = float(np.sqrt(np.mean(noise**2)))
    return np.asarray(noise * (10.0 ** (tone.level_dbfs / 20.0) / max(rms, 1e-12)), dtype=np.float32)
