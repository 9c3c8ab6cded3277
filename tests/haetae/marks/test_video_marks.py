"""The watermark in pictures: unseen, read after coding, scaling, cropping and mirroring, and only where it is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from haetae.marks import video
from haetae.media.encode import write_video
from haetae.media.frames import read_frames
from tests.haetae.marks.conftest import recode

MARK = "3f9a0123456789ab"
SMALLER = "scale=trunc(iw*0.75/2)*2:-2"
HARM = {
    "crf28": ("-c:v", "libx264", "-crf", "28"),
    "scaled": ("-vf", SMALLER, "-c:v", "libx264", "-crf", "18"),
    "both": ("-vf", SMALLER, "-c:v", "libx264", "-crf", "28"),
    "cropped": ("-vf", "crop=364:368:12:6", "-c:v", "libx264", "-crf", "23"),
    "mirrored": ("-vf", "hflip", "-c:v", "libx264", "-crf", "23"),
    "slower": ("-r", "12", "-c:v", "libx264", "-crf", "23"),
    "brighter": ("-vf", "eq=brightness=0.06:contrast=0.9", "-c:v", "libx264", "-crf", "23"),
}


@pytest.fixture(scope="module")
def marked(moving):
    return np.stack(list(video.mark_frames(moving(), MARK)))


@pytest.fixture(scope="module")
def film(marked, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("marked") / "film.mp4"
    write_video(path, iter(marked), None)
    return path


def test_a_marked_picture_is_within_forty_decibels_of_the_unmarked(moving, marked):
    plain = moving()
    assert marked.shape == plain.shape and marked.dtype == np.uint8
    assert min(video.psnr_db(a, b) for a, b in zip(plain, marked, strict=True)) >= 40.0
    assert np.abs(marked.astype(int) - plain).max() <= 16


@pytest.mark.parametrize("harm", HARM)
def test_the_mark_is_read_after(film, tmp_path, harm):
    changed = recode(film, tmp_path / "changed.mp4", *HARM[harm], "-an")
    read = video.read_frames_mark(read_frames(changed))
    assert read is not None
    assert read.mark == MARK
    assert read.shape.mirrored == (harm == "mirrored")
    if harm == "cropped":
        assert read.shape.x == pytest.approx(12 / 384, abs=0.006)
        assert read.shape.width == pytest.approx(364 / 384, abs=0.006)


def test_a_second_taken_from_a_longer_clip_holds_the_mark(moving):
    marked = list(video.mark_frames(iter(moving(n=70)), MARK))
    assert len(marked) == 70
    for start in (0, 20, 45):
        read = video.read_frames_mark(iter(marked[start : start + 25]))
        assert read is not None and read.mark == MARK


def test_flat_parts_show_no_pattern_and_still_pictures_do_not_flicker():
    """A wall of one colour: within the levels that the module promises, and the same in every frame."""
    wall = np.full((30, 512, 512, 3), 128, np.uint8)
    marked = np.stack(list(video.mark_frames(iter(wall), MARK)))
    delta = marked.astype(np.float32) - wall
    assert 0.3 < delta.std() <= 2.0
    assert np.abs(delta).max() <= 10
    assert not np.diff(marked.astype(int), axis=0).any()
    # No line or grid: the power is spread, no single frequency holds a visible part of it.
    power = np.abs(np.fft.rfft2(delta[0, ..., 0])) ** 2
    assert power.max() / power.sum() < 0.01


def test_the_pattern_of_a_moving_picture_changes_slowly(moving):
    plain = moving(n=60)
    marked = np.stack(list(video.mark_frames(iter(plain), MARK)))
    delta = cv2.GaussianBlur(
        (marked.astype(np.float32) - plain)[..., 1].transpose(1, 2, 0)[..., :4], (0, 0), 2
    )
    assert np.abs(np.diff(delta, axis=2)).mean() < 0.35 * np.abs(delta).mean()


def test_nothing_is_read_of_unmarked_pictures(moving):
    assert video.read_frames_mark(iter(moving(size=256, n=6))) is None
    for frame in (np.zeros((64, 64, 3), np.uint8), np.full((90, 160, 3), 255, np.uint8)):
        assert video.read_frames_mark([frame] * 3) is None
    assert video.read_frames_mark([]) is None


def test_a_mark_under_a_secret_key_is_read_with_it_alone(moving):
    marked = list(video.mark_frames(iter(moving(size=320, n=10)), MARK, b"secret"))
    assert video.read_frames_mark(iter(marked)) is None
    assert video.read_frames_mark(iter(marked), b"secret").mark == MARK


def test_equal_frames_give_equal_bytes(moving, marked):
    again = np.stack(list(video.mark_frames(moving(), MARK)))
    assert np.array_equal(again, marked)


def test_a_single_frame_and_no_frame_are_marked_too(moving):
    (one,) = video.mark_frames([moving(n=1)[0]], MARK)
    assert video.read_frames_mark([one]).mark == MARK
    assert list(video.mark_frames([], MARK)) == []


@pytest.mark.slow
def test_clips_of_real_people_keep_the_mark(dev_media, tmp_path):
    for path in sorted((dev_media / "video").glob("real_*.mp4"))[:4]:
        frames = read_frames(path, last=24)
        write_video(tmp_path / "m.mp4", video.mark_frames(iter(_even(frames)), MARK), None)
        changed = recode(tmp_path / "m.mp4", tmp_path / "c.mp4", *HARM["both"], "-an")
        read = video.read_frames_mark(read_frames(changed))
        assert read is not None and read.mark == MARK, path.name


def _even(frames: np.ndarray) -> np.ndarray:
    high, wide = frames.shape[1:3]
    k = min(1.0, 640 / max(high, wide))
    size = (round(wide * k / 2) * 2, round(high * k / 2) * 2)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
