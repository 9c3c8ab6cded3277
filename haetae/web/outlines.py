"""Where a fake was changed, as outlines that a page draws over its video: one path for each frame.

Masks themselves are read in `pictures`; photographs with marks are made there too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from haetae.web.pictures import Mask, boxes_at

MAX_POINTS = 400
"""Of one frame: a page holds hundreds of frames."""
_FINEST_PX = 0.6


def outline(mask: Mask) -> str:
    """The changed pixels of a frame as SVG path data, in pixels; holes are kept by the even-odd rule.

    mask: bool [H, W]. The path runs through the centres of the outermost pixels; a stroke of 1 px covers them whole.
    Empty where nothing was changed. Corners give way until there are at most `MAX_POINTS`.
    """
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    edges = sorted(found, key=len, reverse=True)[: MAX_POINTS // 2]
    finest = _FINEST_PX
    shapes = [cv2.approxPolyDP(edge, finest, closed=True) for edge in edges]
    while sum(map(len, shapes)) > MAX_POINTS and finest < max(mask.shape):
        finest *= 1.6
        shapes = [cv2.approxPolyDP(edge, finest, closed=True) for edge in edges]
    return "".join(_closed([(int(x), int(y)) for x, y in shape[:, 0]]) for shape in shapes)


def outlines(masks: Iterable[Mask]) -> list[str]:
    """`outline` of every frame, in order."""
    return [outline(mask) for mask in masks]


def box_paths(regions: Sequence[Mapping[str, Any]] | None, n_frames: int) -> list[str]:
    """The labelled boxes of every frame as SVG path data, pixels."""
    paths = []
    for frame in range(n_frames):
        boxes = ([round(side) for side in box] for box in boxes_at(regions, frame))
        paths.append("".join(f"M{x1} {y1}H{x2}V{y2}H{x1}Z" for x1, y1, x2, y2 in boxes))
    return paths


def _closed(points: Sequence[tuple[int, int]]) -> str:
    (x, y), *rest = points
    steps = []
    for to_x, to_y in rest:
        steps.append(f"{to_x - x} {to_y - y}")
        x, y = to_x, to_y
    return f"M{points[0][0]} {points[0][1]}" + (f"l{' '.join(steps)}" if steps else "h0") + "Z"
