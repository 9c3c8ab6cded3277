"""New speech takes on the loudness and the room tone of what it replaces; measured, not asserted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from haetae.voice.activity import speech_regions
from haetae.voice.espeak import speak
from haetae.voice.features import log_mel
from haetae.voice.level import loud_dbfs, with_gain
from haetae.voice.room import match_room, measure_room, rms_dbfs


def reference(noise_dbfs: float = -50.0, speech_db: float = -14.0) -> NDArray[np.float32]:
    """Speech in a room with low-pitched noise: brown at the given level, speech in the middle."""
    rng = np.random.default_rng(7)
    quiet = np.zeros(12000, np.float32)
    speech = with_gain(speak("Hari ini cuaca baik.", "ms", variant="m3").audio, speech_db)
    whole = np.concatenate([quiet, speech, quiet])
    white = np.fft.rfft(rng.standard_normal(len(whole)))
    brown = np.fft.irfft(white / (1 + np.arange(len(white)) * 16000 / len(whole) / 300), len(whole))
    brown *= 10 ** (noise_dbfs / 20) / np.sqrt(np.mean(brown**2))
    return (whole + brown).astype(np.float32)


def fresh() -> NDArray[np.float32]:
    quiet = np.zeros(12000, np.float32)
    return np.concatenate([quiet, speak("오늘은 비가 옵니다.", "ko", variant="f2").audio, quiet])


@pytest.mark.parametrize(("noise_dbfs", "speech_db"), [(-50.0, -14.0), (-40.0, -6.0), (-70.0, -30.0)])
def test_loudness_and_noise_floor_become_those_of_the_reference(noise_dbfs: float, speech_db: float) -> None:
    room = reference(noise_dbfs, speech_db)
    matched = match_room(fresh(), room, seed=1)
    assert loud_dbfs(matched) == pytest.approx(loud_dbfs(room), abs=1.0)
    assert rms_dbfs(matched[:8000]) == pytest.approx(rms_dbfs(room[:8000]), abs=1.5)
    assert len(matched) == len(fresh())
    assert len(speech_regions(matched)) == 1


def test_the_noise_has_the_colour_of_the_room() -> None:
    room = reference()
    ours = log_mel(match_room(fresh(), room, seed=3)[:11000])[5:60].mean(axis=0)
    theirs = log_mel(room[:11000])[5:60].mean(axis=0)
    assert theirs[5] - theirs[60] > 2, "the reference has a slope to copy"
    assert np.abs(ours - theirs).mean() < 0.5
    assert np.abs(ours - theirs).max() < 1.8


def test_only_the_seed_changes_the_noise() -> None:
    room = reference()
    assert np.array_equal(match_room(fresh(), room, 5), match_room(fresh(), room, 5))
    assert not np.array_equal(match_room(fresh(), room, 5), match_room(fresh(), room, 6))


def test_a_reference_without_pauses_or_sound_adds_no_noise() -> None:
    steady = np.random.default_rng(0).standard_normal(32000).astype(np.float32) * 0.1
    assert measure_room(steady).level_dbfs == -120.0
    assert np.array_equal(match_room(fresh(), np.zeros(16000, np.float32), 1), fresh())
    assert match_room(fresh(), np.zeros(0, np.float32), 1).shape == fresh().shape
    assert np.all(match_room(np.zeros(16000, np.float32), steady, 1) == 0)


def test_loudness_is_what_it_says() -> None:
    tone = np.sin(np.arange(16000) * 2 * np.pi * 440 / 16000).astype(np.float32)
    assert rms_dbfs(tone) == pytest.approx(-3.01, abs=0.01)
    assert rms_dbfs(with_gain(tone, -57.0)) == pytest.approx(-60.01, abs=0.01)
    assert rms_dbfs(np.zeros(10, np.float32)) == rms_dbfs(np.zeros(0, np.float32)) == -120.0


def test_nothing_clips() -> None:
    loud = reference(speech_db=0.0)
    matched = match_room(with_gain(fresh(), -30), loud, 2)
    assert np.abs(matched).max() <= 1.0
    assert np.mean(np.abs(matched) >= 0.999) < 1e-4
