"""Joins are put where it is quiet, fade without a step, and what can be heard of them is measured."""

from __future__ import annotations

import numpy as np
import pytest

from generators.protocol import ClipView
from generators.speech import splice as splicing
from generators.speech.joins import cross_faded, measure_join, quiet_point
from generators.speech.splice import FADE, Place, splice
from generators.speech.stretches import at_level, limited, merged, take_apart
from haetae.voice.level import loud_dbfs
from haetae.voice.world import Frames, analyse
from tests.generators.speech.recordings import RATE_HZ, recording, samples_of


def _tone(n: int = RATE_HZ, hz: float = 200.0, phase: float = 0.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(n) / RATE_HZ + phase)).astype(np.float32)


def test_a_fade_goes_from_old_to_new_and_back() -> None:
    old, new = np.zeros(1000, np.float32), np.ones(1000, np.float32)
    both = cross_faded(old, new, 100)
    assert both[0] < 0.02 and both[-1] < 0.02 and (both[100:900] == 1).all()
    assert np.abs(np.diff(both)).max() < 0.011
    assert cross_faded(old, new, 100, at_start=False)[0] == 1
    assert cross_faded(old, new, 100, at_end=False)[-1] == 1
    assert cross_faded(old[:3], new[:3], 100).shape == (3,)


def test_the_quietest_moment_near_a_place_is_found() -> None:
    audio = _tone()
    audio[8_400:8_640] = 0
    assert quiet_point(audio, 8_000, 960) == pytest.approx(8_520, abs=90)
    assert quiet_point(audio, 4_000, 300) == pytest.approx(4_000, abs=300)
    assert quiet_point(np.zeros(RATE_HZ, np.float32), 5_000, 900) == pytest.approx(5_000, abs=1)
    assert quiet_point(audio, 20, 10) == 20
    assert quiet_point(audio, 99_999, 10) == audio.size


def test_a_click_is_measured_and_a_step_that_was_there_before_is_none() -> None:
    old = _tone()
    new = old.copy()
    new[8_000:] = -new[8_000:]
    new[8_000:8_040] = 0.9
    assert measure_join(old, new, 8_000, old).click > 5
    assert measure_join(new, new, 8_000, old).click == 0
    assert measure_join(old, old + 1e-4 * _tone(phase=1.0), 8_000, old).click == pytest.approx(1.0, abs=0.1)


def test_a_silence_is_measured_where_it_is_new() -> None:
    old = _tone()
    new = old.copy()
    new[8_000:9_600] = 0
    assert measure_join(old, new, 8_000, old).gap_s == pytest.approx(0.1, abs=0.012)
    assert measure_join(old, new, 9_600, old).gap_s == pytest.approx(0.1, abs=0.012)
    assert measure_join(old, new, 4_000, old).gap_s == 0
    assert measure_join(new, new, 8_000, old).gap_s == 0


def test_peaks_are_bent_below_full_scale_and_the_rest_is_left() -> None:
    audio = np.array([0.0, 0.5, -0.79, 0.95, -3.0], np.float32)
    held = limited(audio)
    assert np.array_equal(held[:3], audio[:3])
    assert 0.8 < held[3] < 0.95 and -1 <= held[4] < -0.95
    louder, gain_db = at_level(_tone() * 0.1, _tone())
    assert gain_db == pytest.approx(20.0, abs=0.01)
    assert loud_dbfs(louder) == pytest.approx(loud_dbfs(_tone()), abs=0.1)
    assert at_level(np.zeros(800, np.float32), _tone())[1] == 0


def test_stretches_that_nearly_touch_are_one() -> None:
    assert merged([(2.0, 3.0), (0.0, 1.0), (1.1, 1.5), (1.2, 1.3)]) == [(0.0, 1.5), (2.0, 3.0)]
    (stretch,) = take_apart(recording("ms", "Apa khabar semua?"))
    assert stretch.span.first - stretch.span.low == 1600
    assert len(stretch.inner) == pytest.approx((stretch.span.last - stretch.span.first) / 80, abs=2)


def test_periods_of_old_and_new_coincide_where_they_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words are replaced by themselves: in the fades the sound must not fall together."""
    clip = recording("ms", "Jambatan baharu itu akan dibuka bulan hadapan.", pitch=30)
    frames = analyse(samples_of(clip))
    places = [Place.of(samples_of(clip), word.start_s, word.end_s) for word in clip.words[1:-1:2]]
    alike, dips_db = _likeness(clip, frames, places)

    def left_alone(_audio: object, _place: object, frames: Frames) -> Frames:
        return frames

    monkeypatch.setattr(splicing, "_aligned", left_alone)
    unaligned, _ = _likeness(clip, frames, places)
    assert alike.mean() > 0.6
    assert alike.mean() > unaligned.mean() + 0.1
    assert dips_db.min() > -4.0


def _likeness(clip: ClipView, frames: Frames, places: list[Place]) -> tuple[np.ndarray, np.ndarray]:
    """Correlation and level of new against old sound in each voiced fade."""
    audio = samples_of(clip)
    alike, level_db = [], []
    for word, place in zip(clip.words[1:-1:2], places, strict=True):
        wanted_dbfs = loud_dbfs(audio[place.first : place.last])
        silence = np.zeros(place.high - place.low, np.float32)
        made = splice(audio, place, frames, (word.start_s, word.end_s), wanted_dbfs, silence)
        assert np.array_equal(made[: place.first - FADE], audio[: place.first - FADE])
        assert np.array_equal(made[place.last + FADE :], audio[place.last + FADE :])
        for first in (place.first - FADE, place.last):
            if frames.f0_hz[(first + FADE // 2) // 80] > 0:
                old, new = audio[first : first + FADE], made[first : first + FADE]
                lengths = float(np.linalg.norm(old)), float(np.linalg.norm(new))
                alike.append(float(old @ new) / (lengths[0] * lengths[1]))
                level_db.append(20 * np.log10(lengths[1] / lengths[0]))
    assert len(alike) >= 4
    return np.array(alike), np.array(level_db)
