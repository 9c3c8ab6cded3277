"""Boxes from mask videos: the right frame, the right place, and nothing beyond the mask's end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from haetae.labels.masks import BoxesOfMasks, mask_box
from haetae.lake import Lake
from haetae.media.encode import write_video


def moving_mask(n: int) -> np.ndarray:
    """White squares of 24 px that move right by 4 px a frame, on black; 64 x 128 px."""
    masks = np.zeros((n, 64, 128, 3), np.uint8)
    for k in range(n):
        masks[k, 20:44, 4 * k : 4 * k + 24] = 255
    return masks


@pytest.fixture
def step(tmp_path: Path) -> BoxesOfMasks:
    made = BoxesOfMasks(str(tmp_path / "lake"))
    made.setup()
    return made


def clip_with(tmp_path: Path, step: BoxesOfMasks, n_masks: int, **changes: float) -> dict[str, object]:
    write_video(tmp_path / "mask.mp4", moving_mask(n_masks), None, fps=25, crf=10)
    blob = Lake(step.lake_root).put_blob(tmp_path / "mask.mp4", "mp4")
    return {
        "clip_id": "clip-1",
        "masks_blob": blob,
        "media_fps": 25.0,
        "fps": 25.0,
        "start_s": 0.0,
        "n_frames": 10,
        "width": 256,
        "height": 128,
        **changes,
    }


def test_boxes_follow_the_mask_and_are_scaled_to_the_clip(tmp_path, step):
    (row,) = step(clip_with(tmp_path, step, 20, start_s=0.2))
    (region,) = row["boxes"]
    boxes = np.array(region["boxes"])
    assert boxes.shape == (10, 4)
    wanted = [[2 * 4 * (k + 5), 40, 2 * (4 * (k + 5) + 24), 88] for k in range(10)]
    np.testing.assert_allclose(boxes, wanted, atol=4.1)


def test_a_mask_of_another_frame_rate_is_read_by_time(tmp_path, step):
    (row,) = step(clip_with(tmp_path, step, 20, media_fps=50.0))
    left = [box[0] for box in row["boxes"][0]["boxes"]]
    np.testing.assert_allclose(left, [2 * 4 * (2 * k) for k in range(10)], atol=4.1)


def test_beyond_the_end_of_a_short_mask_nothing_is_marked(tmp_path, step):
    (row,) = step(clip_with(tmp_path, step, 6))
    boxes = row["boxes"][0]["boxes"]
    assert [len(box) for box in boxes] == [4] * 6 + [0] * 4


def test_an_empty_mask_marks_no_region(tmp_path, step):
    row = clip_with(tmp_path, step, 6, start_s=1.0)
    assert step(row) == [{"clip_id": "clip-1", "boxes": []}]


def test_grey_of_compression_and_specks_mark_nothing():
    mask = np.full((40, 40, 3), 90, np.uint8)
    mask[3:5, 3:5] = 255
    assert mask_box(mask, (40, 40)) == []
