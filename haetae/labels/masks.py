"""Where a picture was changed, from the mask video of a public data set: boxes per frame of a clip.

Which item has a mask is told by its importer; what the boxes are evidence of, by `imported`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.lake import Lake

Row = dict[str, Any]
CHANGED = 128
"""Masks are black and white; compression greys their edges."""
LEAST_PX = 4


@dataclass
class BoxesOfMasks:
    """Step: clip row with `masks_blob` and `media_fps` → one row {clip_id, boxes}: a list of regions.

    boxes holds one region over all frames of the clip: per frame [x1, y1, x2, y2] in pixels of the clip around
    all that the mask marks; an empty box where it marks nothing, or where the mask is shorter than the video.
    Raises, per row: Rejected, as the readers of `media.frames` do.
    """

    lake_root: str
    timeout_s: float = 300.0
    stage: ClassVar[str] = "original_labels"
    key: ClassVar[str] = "clip_id"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0
    _lake: Lake | None = field(init=False, default=None, compare=False, repr=False)

    def setup(self) -> None:
        self._lake = Lake(self.lake_root)

    def __call__(self, row: Row) -> Sequence[Row]:
        from haetae.media.frames import iter_frames

        assert self._lake is not None, "setup() was not called"
        fps = row["media_fps"] or row["fps"]
        wanted = [round((row["start_s"] + k / row["fps"]) * fps) for k in range(row["n_frames"])]
        with closing(iter_frames(self._lake.open_local(row["masks_blob"]))) as masks:
            found = dict(_boxes(masks, set(wanted), (row["width"], row["height"])))
        boxes = [found.get(number, []) for number in wanted]
        regions = [{"track_id": None, "first_frame": 0, "boxes": boxes}] if any(boxes) else []
        return [{"clip_id": row["clip_id"], "boxes": regions}]


def _boxes(
    masks: Iterator[NDArray[np.uint8]], wanted: set[int], size: tuple[int, int]
) -> Iterator[tuple[int, list[float]]]:
    """Frame number and box of the wanted masks, scaled to a clip of `size` (width, height)."""
    last = max(wanted, default=-1)
    for number, mask in enumerate(masks):
        if number > last:
            return
        if number in wanted:
            yield number, mask_box(mask, size)


def mask_box(mask: NDArray[np.uint8], size: tuple[int, int]) -> list[float]:
    """Box of what a mask (uint8 [H, W, 3]) marks, xyxy px of a picture of `size`; empty where it is nothing."""
    x, y, width, height = cv2.boundingRect((mask.max(axis=2) >= CHANGED).astype(np.uint8))
    if min(width, height) < LEAST_PX:
        return []
    across, down = size[0] / mask.shape[1], size[1] / mask.shape[0]
    return [x * across, y * down, (x + width) * across, (y + height) * down]
