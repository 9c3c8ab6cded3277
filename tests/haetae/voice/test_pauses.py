"""The room is measured where nobody speaks, however loud it is."""

from __future__ import annotations

import numpy as np
import pytest

from haetae.voice.level import FLOOR_DBFS, rms_dbfs
from haetae.voice.pauses import room_beside
from haetae.voice.room import measure_room, room_noise

RATE_HZ = 16_000


def _recording(room: float) -> tuple[np.ndarray, tuple[tuple[float, float], ...]]:
    """Three seconds of a room, with a loud hum from 1 to 2 s in it."""
    audio = np.random.default_rng(0).normal(0, room, 3 * RATE_HZ)
    t = np.arange(RATE_HZ) / RATE_HZ
    audio[RATE_HZ : 2 * RATE_HZ] += 0.1 * sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 9))
    return audio.astype(np.float32), ((1.0, 2.0),)


@pytest.mark.parametrize("room", [0.001, 0.02])
def test_a_quiet_and_a_loud_room_are_measured(room: float) -> None:
    audio, speech = _recording(room)
    tone = room_beside(audio, speech)
    assert tone.level_dbfs == pytest.approx(20 * np.log10(room), abs=0.6)
    made = room_noise(tone, RATE_HZ, 1)
    assert rms_dbfs(made) == pytest.approx(tone.level_dbfs, abs=0.1)
    spectrum = tone.power[10:240]
    assert 10 * np.log10(spectrum.max() / spectrum.min()) < 6, "the hum is not part of the room"


def test_without_pauses_the_quietest_parts_are_taken() -> None:
    audio, _ = _recording(0.001)
    everywhere = room_beside(audio, ((0.0, 3.0),))
    assert everywhere.level_dbfs == measure_room(audio).level_dbfs
    assert room_beside(audio[:100], ()).level_dbfs == measure_room(audio[:100]).level_dbfs


def test_digital_silence_has_no_room_and_odd_stretches_do_no_harm() -> None:
    audio, _ = _recording(0.001)
    audio[:RATE_HZ] = 0
    audio[2 * RATE_HZ :] = 0
    assert room_beside(audio, ((1.0, 2.0),)).level_dbfs == FLOOR_DBFS
    odd = room_beside(_recording(0.02)[0], ((-9.0, -8.0), (1.0, 2.0), (5.0, 9.0), (2.0, 1.0)))
    assert odd.level_dbfs == pytest.approx(20 * np.log10(0.02), abs=0.6)
