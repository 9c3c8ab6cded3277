"""The watermark in sound: unheard, read after coding, resampling and cutting, and only where it is."""

from __future__ import annotations

import numpy as np
import pytest

from haetae.marks import audio
from haetae.media.audio import read_audio
from haetae.media.encode import write_wav
from tests.haetae.marks.conftest import recode

MARK = "3f9a0123456789ab"
HARM = {
    "aac96": ("m4a", "-c:a", "aac", "-b:a", "96k"),
    "aac64": ("m4a", "-c:a", "aac", "-b:a", "64k"),
    "mp3": ("mp3", "-c:a", "libmp3lame", "-b:a", "64k"),
    "mp3 at 44.1 kHz": ("mp3", "-ar", "44100", "-c:a", "libmp3lame", "-b:a", "64k"),
    "44.1 kHz": ("wav", "-ar", "44100"),
    "softer": ("wav", "-af", "volume=-12dB"),
}


@pytest.fixture(scope="module")
def marked(spoken):
    return audio.mark_audio(spoken(), MARK)


def test_marked_sound_is_as_long_and_nearly_the_same(spoken, marked):
    plain = spoken()
    assert marked.shape == plain.shape and marked.dtype == np.float32
    assert audio.snr_db(plain, marked) >= 24.0
    assert np.abs(marked).max() <= 1.0
    # Shaped by the sound: where it is silent, nothing is added.
    change = np.abs(marked - plain)
    level = np.convolve(np.abs(plain), np.ones(4000) / 4000, "same")
    quiet, loud = level < np.quantile(level, 0.1), level > np.quantile(level, 0.9)
    assert change[quiet].mean() < 0.6 * change[loud].mean()


@pytest.mark.parametrize("harm", HARM)
def test_the_mark_is_heard_after(marked, tmp_path, harm):
    ending, *options = HARM[harm]
    write_wav(tmp_path / "m.wav", marked)
    changed = recode(tmp_path / "m.wav", tmp_path / f"changed.{ending}", *options)
    read = audio.read_audio_mark(read_audio(changed))
    assert read is not None
    assert (read.mark, read.offset) == (MARK, 0)


@pytest.mark.parametrize("cut", [1, 8593])
def test_the_mark_is_heard_wherever_the_sound_was_cut(marked, cut):
    read = audio.read_audio_mark(marked[cut : cut + 3 * 16_000])
    assert read is not None and read.mark == MARK
    assert (read.offset + cut) % audio.BLOCK in (0, 1, audio.BLOCK - 1)


def test_two_seconds_are_enough(spoken):
    for which in (0, 1):
        marked = audio.mark_audio(spoken(2.0, which), MARK)
        assert audio.read_audio_mark(marked).mark == MARK


def test_nothing_is_heard_in_unmarked_sound(spoken):
    assert audio.read_audio_mark(spoken(3.0)) is None
    assert audio.read_audio_mark(np.zeros(48_000, np.float32)) is None
    assert audio.read_audio_mark(np.full(48_000, np.nan, np.float32)) is None
    assert audio.read_audio_mark(spoken(0.5)) is None


def test_what_is_too_short_or_silent_comes_back_as_it_was(spoken):
    short = spoken(0.9)
    assert np.array_equal(audio.mark_audio(short, MARK), short)
    silence = np.zeros(40_000, np.float32)
    assert np.abs(audio.mark_audio(silence, MARK)).max() < 1e-3
    with pytest.raises(ValueError):
        audio.mark_audio(np.full(40_000, np.inf, np.float32), MARK)


def test_a_mark_under_a_secret_key_is_heard_with_it_alone(spoken):
    marked = audio.mark_audio(spoken(2.0), MARK, b"secret")
    assert audio.read_audio_mark(marked, b"secret").mark == MARK
    assert audio.read_audio_mark(marked) is None


def test_equal_sound_gives_equal_bytes(spoken, marked):
    assert np.array_equal(audio.mark_audio(spoken(), MARK), marked)


@pytest.mark.slow
def test_real_voices_keep_the_mark(dev_media, tmp_path):
    for path in sorted((dev_media / "audio").glob("*_real_*.wav"))[:8]:
        sound = read_audio(path)[: 3 * 16_000]
        if len(sound) < 2 * 16_000:
            continue
        write_wav(tmp_path / "m.wav", audio.mark_audio(sound, MARK))
        changed = recode(tmp_path / "m.wav", tmp_path / "c.m4a", *HARM["aac64"][1:])
        read = audio.read_audio_mark(read_audio(changed))
        assert read is not None and read.mark == MARK, path.name
