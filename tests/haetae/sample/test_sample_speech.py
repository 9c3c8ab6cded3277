"""Scripts fit into their clips; recordings add a room and a microphone, not a delay."""

from __future__ import annotations

import numpy as np
import pytest

from haetae.locales.load import load
from haetae.sample.cast import cast, look_of
from haetae.sample.speech import Recording, record, write_script
from haetae.voice.level import loud_dbfs, rms_dbfs


def test_every_actor_finds_whole_sentences_for_four_seconds_and_says_something_else() -> None:
    said: set[str] = set()
    for look in cast(0):
        sentences = load(look.language).sentences_for("news")
        turn = [other.identity for other in cast(0) if other.language == look.language].index(look.identity)
        script = write_script(look, "news", 100, seed=0, turn=turn)
        assert script.lines
        assert all(line.text in sentences for line in script.lines), look.identity
        assert all(0.2 < line.start_s < line.end_s < 3.8 for line in script.lines)
        assert script.phonemes[-1].end_s <= 3.9
        assert script.text not in said
        said.add(script.text)


def test_a_recording_has_the_level_and_the_noise_it_was_asked_for() -> None:
    dry = write_script(look_of("nadia"), "news", 100, seed=0).audio
    room = Recording(0.3, 0.2, 80, 7000, -2, noise_dbfs=-50, level_dbfs=-18)
    wet = record(dry, room, seed=1)
    assert len(wet) == len(dry)
    assert loud_dbfs(wet) == pytest.approx(-18, abs=0.7)
    silent = record(np.zeros(16000, np.float32), room, seed=1)
    assert rms_dbfs(silent) == pytest.approx(-50, abs=0.2)


def test_a_recording_does_not_shift_the_voice() -> None:
    dry = write_script(look_of("arjun"), "news", 100, seed=0).audio.astype(np.float64)
    wet = record(dry.astype(np.float32), Recording.drawn(7), seed=7).astype(np.float64)
    spectrum = np.fft.rfft(wet, 2**17) * np.conj(np.fft.rfft(dry, 2**17))
    correlation = np.fft.irfft(spectrum)
    lag = int(np.argmax(correlation))
    assert min(lag, 2**17 - lag) <= 16  # a thousandth of a second


def test_recordings_of_different_actors_differ() -> None:
    rooms = [Recording.drawn(seed) for seed in range(6)]
    assert len({round(room.rt60_s, 3) for room in rooms}) == 6
    assert all(-55 <= room.noise_dbfs <= -45 for room in rooms)
