"""Frames, masks and overlays of the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from generators.masks import masks_to_bytes
from haetae.errors import Rejected
from haetae.media.encode import write_video
from haetae.media.frames import read_frames
from haetae.web import pictures


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory, portrait: NDArray[np.uint8]) -> Path:
    path = tmp_path_factory.mktemp("clip") / "long.mp4"
    small = portrait[::4, ::4]
    write_video(path, (np.roll(small, 3 * i, axis=1) for i in range(130)), None)
    return path


def test_picked_frames_are_those_that_a_full_read_gives(long_clip: Path) -> None:
    every = read_frames(long_clip)
    picked = pictures.pick_frames(long_clip, [129, 0, 1, 49, 50, 51, 95, 400])
    assert sorted(picked) == [0, 1, 49, 50, 51, 95, 129]
    for number, frame in picked.items():
        np.testing.assert_array_equal(frame, every[number])


def test_a_file_that_is_no_video_is_refused_with_its_reason(tmp_path: Path) -> None:
    page = tmp_path / "page.mp4"
    page.write_text("<html>not found</html>")
    with pytest.raises(Rejected) as refused:
        pictures.pick_frames(page, [0])
    assert refused.value.reason == "decode_failed"


def test_masks_come_back_for_the_frames_asked_for(tmp_path: Path) -> None:
    masks = np.random.default_rng(1).random((5, 9, 13)) > 0.5
    path = tmp_path / "masks.npz"
    path.write_bytes(masks_to_bytes(masks))
    found = pictures.load_mask_frames(path, [1, 4, 7])
    assert sorted(found) == [1, 4]
    np.testing.assert_array_equal(found[4], masks[4])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"\x80\x04\x95pickle"])
def test_a_file_that_holds_no_masks_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "masks.npz"
    path.write_bytes(content)
    with pytest.raises(Rejected) as refused:
        pictures.load_mask_frames(path, [0])
    assert refused.value.reason == "bad_masks"


def test_masks_that_claim_another_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "masks.npz"
    np.savez(path, bits=np.zeros((2, 3, 1), np.uint8), shape=np.array([2, 3, 99]))
    with pytest.raises(Rejected):
        pictures.load_mask_frames(path, [0])


def test_moments_lie_inside_the_changed_stretches_and_spread_over_them() -> None:
    moments = pictures.representative_frames([(1.0, 2.0), (4.0, 5.0)], [], 250, 25.0)
    assert len(moments) == 3
    assert all(25 <= m < 50 or 100 <= m < 125 for m in moments)
    assert moments[0] < 50 <= moments[-1]


def test_moments_prefer_frames_with_a_box() -> None:
    boxes = [[], [], [1.0, 1.0, 5.0, 5.0], [1.0, 1.0, 5.0, 5.0]]
    regions = [{"track_id": "t", "first_frame": 10, "boxes": boxes}]
    assert pictures.representative_frames([(0.0, 4.0)], regions, 100, 25.0) == [12, 13]


def test_a_clip_of_one_frame_has_one_moment_and_an_empty_one_has_none() -> None:
    assert pictures.representative_frames([(0.0, 1.0)], [], 1, 25.0) == [0]
    assert pictures.representative_frames([(0.0, 1.0)], [], 0, 25.0) == []


def test_a_small_face_is_shown_in_a_window_of_the_pictures_proportions() -> None:
    x1, y1, x2, y2 = pictures.window_around([[1000.0, 100.0, 1100.0, 220.0]], 1280, 720)
    assert x1 <= 1000
    assert x2 >= 1100
    assert y1 <= 100
    assert y2 >= 220
    assert (x2 - x1) / (y2 - y1) == pytest.approx(1280 / 720, rel=0.02)
    assert (y2 - y1) < 0.5 * 720


@pytest.mark.parametrize("boxes", [[], [[0.0, 0.0, 600.0, 600.0]]])
def test_a_large_face_is_shown_in_the_whole_picture(boxes: list[list[float]]) -> None:
    assert pictures.window_around(boxes, 640, 640) == (0, 0, 640, 640)


def test_marks_touch_the_mask_and_the_box_and_nothing_else() -> None:
    picture = np.full((120, 160, 3), 90, np.uint8)
    mask = np.zeros((120, 160), bool)
    mask[40:60, 50:80] = True
    marked = pictures.marked(picture, [[100.0, 80.0, 140.0, 110.0]], mask, (0, 0, 160, 120), 160)
    differs = (marked != picture).any(axis=2)
    assert differs[45:55, 55:75].all(), "the mask is tinted"
    assert (marked[45, 60] > marked[5, 5]).any()
    assert not differs[:36, :].any()
    assert not differs[86:104, 108:132].any(), "the inside of a box stays"
    assert differs[80, 100:139].any()


def test_equal_pictures_are_equal_files(portrait: NDArray[np.uint8]) -> None:
    assert pictures.webp(portrait[:64, :64]) == pictures.webp(portrait[:64, :64].copy())


def test_a_mel_strip_has_low_pitches_below() -> None:
    t = np.arange(16_000) / 16_000
    strip = pictures.mel_strip((0.5 * np.sin(2 * np.pi * 150 * t)).astype(np.float32))
    light = strip.astype(int).sum(axis=(1, 2))
    assert strip.shape == (64, 480, 3)
    assert light[-16:].sum() > 2 * light[:16].sum()
