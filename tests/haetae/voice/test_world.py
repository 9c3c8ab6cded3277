"""Speech taken apart and put together again is the same speech; any other sound does no harm."""

from __future__ import annotations

import numpy as np
import pytest

from haetae.voice.envelope import speech_envelope
from haetae.voice.espeak import speak
from haetae.voice.level import rms_dbfs
from haetae.voice.world import FFT_SIZE, PERIOD_S, Frames, analyse, contour_hz, frame_level_db, synthesise

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    return 0.5 * speak("Selamat pagi semua.", "ms", variant="m3").audio


def test_speech_put_together_again_has_the_level_the_rhythm_and_the_pitch_of_before(
    spoken: np.ndarray,
) -> None:
    frames = analyse(spoken)
    made = synthesise(frames, spoken.size)
    assert rms_dbfs(made) == pytest.approx(rms_dbfs(spoken), abs=1.0)
    assert np.corrcoef(speech_envelope(spoken), speech_envelope(made))[0, 1] > 0.98
    again = analyse(made)
    both = frames.voiced & again.voiced
    assert both.sum() > 0.85 * frames.voiced.sum()
    assert np.median(np.abs(np.log(again.f0_hz[both] / frames.f0_hz[both]))) < 0.01
    assert np.array_equal(synthesise(frames, spoken.size), made)
    assert len(frames) == spoken.size // round(PERIOD_S * RATE_HZ) + 1


def test_the_quick_analysis_hears_the_same_pitch(spoken: np.ndarray) -> None:
    fine, quick = analyse(spoken), analyse(spoken, quick=True)
    both = fine.voiced & quick.voiced
    assert both.sum() > 0.75 * fine.voiced.sum()
    assert np.median(np.abs(np.log(fine.f0_hz[both] / quick.f0_hz[both]))) < 0.005


@pytest.mark.parametrize("hz", [90, 180, 310])
def test_a_buzz_of_known_frequency_is_measured(hz: int) -> None:
    t = np.arange(RATE_HZ // 2) / RATE_HZ
    buzz = (0.1 * sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 12))).astype(np.float32)
    f0_hz = analyse(buzz).f0_hz[10:-10]
    assert np.median(f0_hz) == pytest.approx(hz, rel=0.01)


def test_silence_noise_and_scraps_are_taken_apart_without_harm() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE_HZ).astype(np.float32)
    for audio in (np.zeros(RATE_HZ, np.float32), noise, noise[:7], noise[:0], np.ones(4000, np.float32)):
        frames = analyse(audio)
        for values in (frames.f0_hz, frames.envelope, frames.aperiodicity):
            assert np.isfinite(values).all()
        assert (frames.envelope > 0).all()
        made = synthesise(frames, audio.size)
        assert made.shape == audio.shape
        assert made.dtype == np.float32
        assert np.isfinite(made).all()
    assert not analyse(np.zeros(RATE_HZ, np.float32)).voiced.any()


def test_twice_as_many_positions_make_speech_twice_as_long_in_the_same_pitch(spoken: np.ndarray) -> None:
    frames = analyse(spoken)
    slow = frames.at(np.arange(0, len(frames) - 1, 0.5))
    made = synthesise(slow, 2 * spoken.size)
    again = analyse(made, quick=True)
    assert np.median(again.f0_hz[again.voiced]) == pytest.approx(
        np.median(frames.f0_hz[frames.voiced]), rel=0.04
    )
    assert np.count_nonzero(again.voiced) == pytest.approx(2 * np.count_nonzero(frames.voiced), rel=0.15)
    whole = frames.at(np.arange(len(frames), dtype=np.float64))
    assert np.array_equal(whole.f0_hz > 0, frames.voiced)
    assert np.allclose(whole.envelope, frames.envelope)


def test_positions_beyond_the_ends_hold_the_ends(spoken: np.ndarray) -> None:
    frames = analyse(spoken)
    beyond = frames.at(np.array([-5.0, 1e9]))
    assert np.allclose(beyond.envelope, frames.envelope[[0, -1]])


def test_the_pitch_runs_on_over_unvoiced_frames() -> None:
    f0_hz = np.array([0.0, 100.0, 0.0, 0.0, 0.0, 400.0, 0.0])
    assert contour_hz(f0_hz)[[0, 1, 3, 5, 6]] == pytest.approx([100, 100, 200, 400, 400])
    assert contour_hz(f0_hz, np.array([1.5])) == pytest.approx([100 * 4 ** (1 / 8)])
    assert not contour_hz(np.zeros(4)).any()


def test_the_level_of_frames_follows_a_gain() -> None:
    n_bins = FFT_SIZE // 2 + 1
    quiet = Frames(np.zeros(3), np.full((3, n_bins), 1e-6), np.ones((3, n_bins)))
    loud = Frames(quiet.f0_hz, quiet.envelope * 100, quiet.aperiodicity)
    assert frame_level_db(loud) - frame_level_db(quiet) == pytest.approx([20.0] * 3)
