"""The room as it is heard between speech, where it is known when somebody speaks.

Where nothing is known but the sound itself, `room` looks for its quietest parts; these must lie 20 dB below the
speech, so a loud room is not found that way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from haetae.voice.level import FLOOR_DBFS, RATE_HZ, rms_dbfs
from haetae.voice.room import RoomTone, measure_room

MARGIN_S = 0.06
"""Kept away from speech: word ends and echoes are not the room."""
MIN_PAUSE_S = 0.2
_SIZE = 400
_WINDOW = 512


def room_beside(audio: NDArray[np.float32], speech: Sequence[tuple[float, float]]) -> RoomTone:
    """Room tone of 16 kHz audio float32 [N], from the quieter half of what lies between its speech.

    speech: stretches in seconds, in any order. Where less than 0.2 s lie between them, the room is looked for in
    the quietest parts of all (see `measure_room`).
    """
    free = np.ones(audio.size, np.bool_)
    for start_s, end_s in speech:
        free[max(0, round((start_s - MARGIN_S) * RATE_HZ)) : max(0, round((end_s + MARGIN_S) * RATE_HZ))] = (
            False
        )
    n = audio.size // _SIZE
    pieces = audio[: n * _SIZE].reshape(n, _SIZE)[free[: n * _SIZE].reshape(n, _SIZE).all(axis=1)]
    if len(pieces) * _SIZE < MIN_PAUSE_S * RATE_HZ:
        return measure_room(audio)
    power = np.square(pieces, dtype=np.float64).mean(axis=1)
    pieces = pieces[power <= np.median(power)].astype(np.float64)
    level = rms_dbfs(pieces.reshape(-1).astype(np.float32))
    if level <= FLOOR_DBFS:
        return RoomTone(FLOOR_DBFS, np.zeros(_WINDOW // 2 + 1))
    centred = (pieces - pieces.mean(axis=1, keepdims=True)) * np.hanning(_SIZE)
    return RoomTone(level, np.asarray((np.abs(np.fft.rfft(centred, _WINDOW, axis=1)) ** 2).mean(axis=0)))
