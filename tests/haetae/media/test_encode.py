"""Writing: the same bytes each time, frame for frame, sound on time, and colours that do not drift."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from haetae.errors import Rejected
from haetae.media.audio import iter_audio, level_db, read_audio
from haetae.media.encode import fitted, write_video, write_wav
from haetae.media.frames import iter_frames, read_frames
from haetae.media.probe import probe
from tests.haetae.media.broken import make, picture, sound

RATE = 16_000


@pytest.fixture(scope="module")
def moving(portrait) -> np.ndarray:
    """uint8 [50, 256, 256, 3]: the portrait, panning."""
    return np.stack([np.roll(portrait[::2, ::2], 3 * n, axis=1) for n in range(50)])


def noise(n_samples: int) -> np.ndarray:
    return np.clip(np.random.default_rng(3).standard_normal(n_samples) * 0.1, -1, 1).astype(np.float32)


def lag_samples(heard: np.ndarray, sent: np.ndarray) -> int:
    """By how many samples `heard` is later than `sent`, by their cross-correlation."""
    inner = sent[2000:-2000]
    return int(np.correlate(heard, inner, "valid").argmax()) - 2000


def test_the_same_frames_and_sound_give_the_same_bytes(tmp_path, moving):
    audio = noise(2 * RATE)
    write_video(tmp_path / "a.mp4", moving, audio)
    write_video(tmp_path / "another-name.mp4", iter(moving), audio)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "another-name.mp4").read_bytes()


def test_as_many_frames_come_out_as_went_in_at_25_a_second(tmp_path, moving):
    path = tmp_path / "a.mp4"
    assert write_video(path, moving[:37], None) == 37
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([n / 25 for n in range(37)], abs=1e-9)
    assert probe(path).fps == 25.0
    assert not probe(path).has_audio


@pytest.mark.parametrize("n_frames", [1, 7, 50])
def test_the_sound_is_on_time_and_as_long_as_the_frames(tmp_path, moving, n_frames):
    audio = noise(3 * RATE)
    write_video(tmp_path / "a.mp4", moving[:n_frames], audio)
    heard = read_audio(tmp_path / "a.mp4")
    assert len(heard) == n_frames * 640
    if n_frames > 7:
        assert abs(lag_samples(heard, audio[: len(heard)])) <= 5 * RATE // 1000, "late or early by over 5 ms"
        power = np.mean(audio[: len(heard)] ** 2) / np.mean((heard - audio[: len(heard)]) ** 2)
        assert 10 * np.log10(power) > 15, "white noise through AAC; out of step it is below 0"


def test_short_sound_is_filled_with_silence(tmp_path, moving):
    write_video(tmp_path / "a.mp4", moving, noise(RATE))
    heard = read_audio(tmp_path / "a.mp4")
    assert len(heard) == 2 * RATE
    assert np.abs(heard[RATE + 1100 :]).max() < 0.01
    assert np.abs(heard[: RATE - 100]).max() > 0.1


def test_colours_do_not_drift_through_writing_and_reading(tmp_path, moving):
    """A pipeline that darkened each copy by one level would give fakes away by their brightness."""
    frames = moving[:10]
    for generation in range(3):
        write_video(tmp_path / f"{generation}.mp4", frames, None, crf=12)
        frames = read_frames(tmp_path / f"{generation}.mp4")
    drift = (frames.astype(float) - moving[:10]).mean(axis=(0, 1, 2))
    assert np.abs(drift).max() < 1.0, f"{drift}: swscale's fast path loses 3 levels here"
    assert np.abs(frames.astype(float) - moving[:10]).mean() < 4


def test_pictures_are_tagged_as_what_they_are(tmp_path, moving):
    write_video(tmp_path / "a.mp4", moving[:2], None)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)  # BT.709
        assert frame.format.name == "yuv420p"
        assert not [k for k in container.metadata if k in ("creation_time", "encoder", "title")]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([np.zeros((63, 64, 3), np.uint8)], "even"),
        ([np.zeros((64, 64, 3), np.float32)], "float32"),
        ([np.zeros((64, 64, 3), np.uint8), np.zeros((32, 64, 3), np.uint8)], "frame 1"),
    ],
)
def test_frames_that_do_not_fit_are_refused_and_leave_no_file(tmp_path, frames, message):
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / "a.mp4", frames, None)
    assert os.listdir(tmp_path) == []


def test_an_unexpected_size_is_refused(tmp_path, moving):
    with pytest.raises(ValueError, match="256, 256"):
        write_video(tmp_path / "a.mp4", moving, None, size=(256, 128))


@pytest.mark.parametrize("audio", [np.zeros((2, 9), np.float32), np.zeros(9, np.int16), np.full(9, np.nan)])
def test_sound_that_does_not_fit_is_refused(tmp_path, moving, audio):
    with pytest.raises(ValueError, match="sound"):
        write_wav(tmp_path / "a.wav", audio)
    with pytest.raises(ValueError, match="sound"):
        write_video(tmp_path / "a.mp4", moving[:2], audio)


def test_a_file_is_seen_whole_or_not_at_all(tmp_path, moving):
    target = tmp_path / "a.mp4"
    sizes: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if target.exists():
                sizes.add(target.stat().st_size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    write_video(target, moving, noise(2 * RATE))
    done.set()
    watcher.join()
    assert sizes <= {target.stat().st_size}
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_wav_keeps_the_samples_and_the_bytes(tmp_path):
    audio = noise(5000)
    write_wav(tmp_path / "a.wav", audio)
    write_wav(tmp_path / "b.wav", audio)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    heard = read_audio(tmp_path / "a.wav")
    assert len(heard) == 5000
    assert np.abs(heard - audio).max() < 1e-4


def test_loud_sound_is_clipped_and_does_not_wrap_around(tmp_path):
    write_wav(tmp_path / "a.wav", np.array([2.0, -2.0, 0.5], np.float32))
    assert read_audio(tmp_path / "a.wav") == pytest.approx([1.0, -1.0, 0.5], abs=1e-3)


def test_fitted_cuts_and_fills():
    assert fitted(np.ones(3, np.float32), 2).tolist() == [1, 1]
    assert fitted(np.ones(1, np.float32), 3).tolist() == [1, 0, 0]


def test_stretches_of_frames_are_read_and_a_limit_is_an_error(tmp_path, moving):
    write_video(tmp_path / "a.mp4", moving, None)
    everything = read_frames(tmp_path / "a.mp4")
    assert everything.shape == (50, 256, 256, 3)
    part = read_frames(tmp_path / "a.mp4", first=10, last=19)
    assert np.array_equal(part, everything[10:20])
    assert np.array_equal(next(iter_frames(tmp_path / "a.mp4")), everything[0])
    with pytest.raises(Rejected, match="too_many_frames"):
        read_frames(tmp_path / "a.mp4", max_frames=49)
    with pytest.raises(Rejected, match="no frame from 50 on"):
        read_frames(tmp_path / "a.mp4", first=50)


def test_missing_streams_are_told(tmp_path):
    make(tmp_path / "seen.mp4", picture("64x64", 1))
    make(tmp_path / "heard.wav", sound(1))
    with pytest.raises(Rejected, match="no_audio"):
        read_audio(tmp_path / "seen.mp4")
    with pytest.raises(Rejected, match="no_video"):
        read_frames(tmp_path / "heard.wav")


def test_sound_is_mixed_to_mono_and_resampled(tmp_path):
    make(tmp_path / "stereo.flac", sound(1), "-ac", "2", "-ar", "48000")
    heard = read_audio(tmp_path / "stereo.flac")
    assert len(heard) == RATE
    peak_hz = np.abs(np.fft.rfft(heard * np.hanning(RATE))).argmax()
    assert peak_hz == 300


def test_sound_that_begins_late_is_preceded_by_silence(tmp_path):
    late = ["-itsoffset", "0.5", *sound(1)]
    make(tmp_path / "late.mp4", [*picture("64x64", 2), *late], "-map", "0", "-map", "1")
    heard = read_audio(tmp_path / "late.mp4")
    first_loud_s = np.flatnonzero(np.abs(heard) > 0.02)[0] / RATE
    assert first_loud_s == pytest.approx(0.5, abs=0.03)


def test_too_much_sound_is_an_error_and_blocks_stay_small(tmp_path):
    make(tmp_path / "long.wav", sound(30))
    with pytest.raises(Rejected, match="too_long"):
        read_audio(tmp_path / "long.wav", max_s=20)
    assert max(len(block) for block in iter_audio(tmp_path / "long.wav")) < RATE


def test_levels_follow_the_loudness(tmp_path):
    audio = np.concatenate([np.zeros(RATE, np.float32), np.full(RATE, 0.1, np.float32)])
    write_wav(tmp_path / "step.wav", audio)
    levels = level_db(Path(tmp_path / "step.wav"), hop_s=0.1)
    assert levels == pytest.approx([-100.0] * 10 + [-20.0] * 10, abs=0.1)
