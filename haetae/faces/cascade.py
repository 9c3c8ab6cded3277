"""The three networks of MTCNN run over one picture: proposals, refinement, output with five points.

Which pictures are looked at, at which size, and which faces are kept is `detect`. The networks and their
weights are facenet-pytorch's. The way from one to the next is written for a single frame here: the package
resizes every crop by itself as a float tensor, which costs more than its networks do.
After: Zhang et al., Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks,
2016.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]

WINDOW_PX = 12
"""What the first network sees at once: nothing smaller can be found."""
_STRIDE_PX = 2
_PYRAMID = 0.709
_SAME_SCALE_IOU = 0.5
_SAME_FACE_IOU = 0.7
_MAX_PROPOSALS = 1000
"""A picture made to look like faces all over may not hold the networks up."""


class Faces(NamedTuple):
    """Boxes float32 [N, 4] xyxy px, scores float32 [N], points float32 [N, 5, 2] px; best first."""

    boxes: Floats
    scores: Floats
    points: Floats


class Cascade:
    """The networks, loaded. Same picture, same thread count → same faces."""

    def __init__(self, thresholds: tuple[float, float, float]) -> None:
        from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

        self._thresholds = thresholds
        self._proposing, self._refining, self._deciding = PNet().eval(), RNet().eval(), ONet().eval()

    def find(self, picture: Picture, smallest_px: float) -> Faces:
        """Faces of a picture (uint8 [H, W, 3] RGB) from about `smallest_px` up."""
        boxes = self._proposed(picture, max(smallest_px, WINDOW_PX))
        boxes, crops = _crops(picture, boxes, 24)
        if len(boxes):
            shifts, chances = _run(self._refining, crops)
            sure = np.flatnonzero(chances[:, 1] > self._thresholds[1])
            kept = sure[_distinct(boxes[sure], chances[sure, 1], _SAME_FACE_IOU)]
            boxes = _squares(_moved(boxes[kept], shifts[kept]))
            boxes, crops = _crops(picture, boxes, 48)
        if not len(boxes):
            return Faces(*(np.zeros(shape, np.float32) for shape in ((0, 4), (0,), (0, 5, 2))))
        shifts, points, chances = _run(self._deciding, crops)
        sure = np.flatnonzero(chances[:, 1] > self._thresholds[2])
        boxes, scores, shifts = boxes[sure], chances[sure, 1], shifts[sure]
        size = (boxes[:, 2:] - boxes[:, :2])[:, None]
        five = np.stack([points[sure, :5], points[sure, 5:]], axis=2) * size + boxes[:, None, :2]
        boxes = _moved(boxes, shifts)
        kept = _distinct(boxes, scores, _SAME_FACE_IOU, of_smaller=True)
        return Faces(boxes[kept], scores[kept], five[kept])

    def _proposed(self, picture: Picture, smallest_px: float) -> Floats:
        """Squares in which a face may be: float32 [N, 4]."""
        height, width = picture.shape[:2]
        found, scores = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)]
        scale, level = WINDOW_PX / smallest_px, picture
        while min(height, width) * scale >= WINDOW_PX:
            size = int(width * scale + 1), int(height * scale + 1)
            # Each level is made of the one before it, which is half as large, not of the whole picture.
            level = np.asarray(cv2.resize(level, size, interpolation=cv2.INTER_AREA), np.uint8)
            shifts, chances = (out[0] for out in _run(self._proposing, level[None]))
            rows, columns = np.nonzero(chances[1] >= self._thresholds[0])
            corner = np.stack([columns, rows], axis=1) * _STRIDE_PX
            ratio = np.array([width / size[0], height / size[1]], np.float32)
            boxes = np.concatenate([corner * ratio, (corner + WINDOW_PX) * ratio], axis=1)
            chance = chances[1, rows, columns]
            kept = _distinct(boxes, chance, _SAME_SCALE_IOU)
            found.append(_moved(boxes[kept], shifts[:, rows[kept], columns[kept]].T))
            scores.append(chance[kept])
            scale *= _PYRAMID
        boxes, chance = np.concatenate(found).astype(np.float32), np.concatenate(scores)
        return _squares(boxes[_distinct(boxes, chance, _SAME_FACE_IOU)[:_MAX_PROPOSALS]])


def _run(network: Any, pictures: Picture) -> list[Floats]:
    """Outputs of a network for pictures uint8 [N, h, w, 3]."""
    import torch

    with torch.inference_mode():
        values = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
        return [np.asarray(out.numpy(), np.float32) for out in network((values - 127.5) / 128)]


def _crops(picture: Picture, boxes: Floats, side_px: int) -> tuple[Floats, Picture]:
    """The boxes that show some of the picture, and those parts resized: uint8 [N, side, side, 3].

    What lies outside is not made up: the part inside is stretched, as the package does that trained weights
    are judged with.
    """
    height, width = picture.shape[:2]
    low = np.clip(np.floor(boxes[:, :2]), 0, None).astype(int)
    high = np.minimum(np.floor(boxes[:, 2:]), (width, height)).astype(int)
    kept = np.flatnonzero((high > low).all(axis=1))
    crops = np.empty((len(kept), side_px, side_px, 3), np.uint8)
    for n, k in enumerate(kept):
        part = picture[low[k, 1] : high[k, 1], low[k, 0] : high[k, 0]]
        crops[n] = cv2.resize(part, (side_px, side_px), interpolation=cv2.INTER_AREA)
    return boxes[kept], crops


def _squares(boxes: Floats) -> Floats:
    """Each box grown to a square about its middle."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=0) / 2
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def _moved(boxes: Floats, shifts: Floats) -> Floats:
    """Corners moved by `shifts` [N, 4], in widths and heights of their box."""
    size = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes + shifts * np.concatenate([size, size], axis=1), np.float32)


def _distinct(boxes: Floats, scores: Floats, max_iou: float, of_smaller: bool = False) -> NDArray[np.int64]:
    """Indices of the boxes, best first, that do not overlap a better one by more than `max_iou`.

    of_smaller: the overlap counts as a share of the smaller of both boxes instead of their union.
    """
    order = np.argsort(-scores, kind="stable")
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        both = np.clip(high - low, 0, None).prod(axis=1)
        whole = np.minimum(area[best], area[rest]) if of_smaller else area[best] + area[rest] - both
        order = rest[both <= max_iou * whole]
    return np.array(kept, np.int64)
