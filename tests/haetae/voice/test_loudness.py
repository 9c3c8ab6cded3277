"""Levels of sound whose levels are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from haetae.voice.loudness import (
    clipped_fraction,
    loudness_lufs,
    peak_dbfs,
    silent_edges_s,
    snr_db,
    speech_fraction,
)

RATE_HZ = 16_000


def tone(seconds: float, dbfs: float = -20.0, hz: float = 997.0) -> NDArray[np.float32]:
    """A sine with its peak at `dbfs`."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def noise(seconds: float, rms_dbfs: float, seed: int = 0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))
    return (10 ** (rms_dbfs / 20) * drawn).astype(np.float32)


@pytest.mark.parametrize("dbfs", [-6.0, -20.0, -40.0])
def test_a_tone_of_997_hz_has_the_loudness_that_the_standard_gives(dbfs: float) -> None:
    # BS.1770: a sine at full scale in one channel reads -3.01 LKFS.
    assert loudness_lufs(tone(5.0, dbfs)) == pytest.approx(dbfs - 3.01, abs=0.1)
    assert peak_dbfs(tone(5.0, dbfs)) == pytest.approx(dbfs, abs=0.01)


def test_silence_is_gated_and_what_is_too_short_or_silent_has_no_loudness() -> None:
    padded = np.concatenate([tone(4.0), np.zeros(8 * RATE_HZ, np.float32)])
    assert loudness_lufs(padded) == pytest.approx(-23.0, abs=0.2)
    assert loudness_lufs(tone(0.3)) is None
    assert loudness_lufs(np.zeros(5 * RATE_HZ, np.float32)) is None
    assert peak_dbfs(np.zeros(100, np.float32)) is None


@pytest.mark.parametrize("wanted_db", [0.0, 10.0, 20.0, 40.0])
def test_the_ratio_of_speech_to_noise_is_found(wanted_db: float) -> None:
    speech = np.concatenate([np.zeros(RATE_HZ), noise(2.0, -23.0, 1), np.zeros(RATE_HZ)]).astype(np.float32)
    heard = speech + noise(4.0, -23.0 - wanted_db, 2)
    assert snr_db(heard, [(1.0, 3.0)]) == pytest.approx(wanted_db, abs=0.5)


def test_padding_with_digital_silence_does_not_make_a_recording_cleaner() -> None:
    heard = noise(3.0, -43.0)
    heard[RATE_HZ : 2 * RATE_HZ] += noise(1.0, -23.0, 1)
    padding = np.zeros(4 * RATE_HZ, np.float32)
    padded = np.concatenate([padding, heard, padding])
    assert snr_db(padded, [(5.0, 6.0)]) == pytest.approx(20.0, abs=0.5)
    assert snr_db(np.concatenate([padding, tone(1.0), padding]), [(4.0, 5.0)]) == pytest.approx(97.0, abs=1.0)


def test_without_speech_or_without_a_pause_there_is_no_ratio() -> None:
    heard = noise(2.0, -30.0)
    assert snr_db(heard, []) is None
    assert snr_db(heard, [(0.0, 2.0)]) is None
    assert snr_db(heard, [(0.1, 1.9)]) is None


@pytest.mark.parametrize("dbfs", [-10.0, -50.0])
def test_silent_edges_are_measured_also_in_quiet_sound(dbfs: float) -> None:
    parts = [noise(0.73, -90.0), tone(1.5, dbfs), noise(0.31, -90.0)]
    leading_s, trailing_s = silent_edges_s(np.concatenate(parts))
    assert leading_s == pytest.approx(0.73, abs=0.011)
    assert trailing_s == pytest.approx(0.31, abs=0.011)


def test_sound_to_the_edges_has_no_silence_and_silence_has_nothing_else() -> None:
    assert silent_edges_s(tone(1.0)) == (0.0, 0.0)
    assert silent_edges_s(np.zeros(RATE_HZ, np.float32)) == (1.0, 1.0)


def test_the_silence_level_is_the_callers() -> None:
    humming = np.concatenate([tone(0.5, -50.0), tone(1.0, -10.0), tone(0.5, -50.0)])
    assert silent_edges_s(humming, -60.0) == (0.0, 0.0)
    assert silent_edges_s(humming, -40.0) == pytest.approx((0.5, 0.5), abs=0.011)


def test_shares_of_speech_and_of_clipped_samples() -> None:
    audio = np.zeros(4 * RATE_HZ, np.float32)
    assert speech_fraction(audio, [(0.5, 1.5), (3.0, 9.0)]) == pytest.approx(0.5)
    loud = np.clip(1.4 * tone(1.0, 0.0), -1, 1)
    expected = 1 - 2 * np.arcsin(1 / 1.4) / np.pi
    assert clipped_fraction(np.stack([tone(1.0), loud])) == pytest.approx(expected, abs=0.02)
    assert clipped_fraction(tone(1.0, -0.2)[None]) == 0.0
