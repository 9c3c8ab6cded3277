"""Films of two heads that cross, one behind the other, and the count of tracks that took the wrong one.

Made of frames of any two faces; who is where is known because the film was made so. Used by the benchmark
and by the tests of following.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Row = dict[str, Any]
Boxes = NDArray[np.float32]
HEAD_PX = (320, 240)
"""Height and width of a head's picture; the face is 1.8 times smaller than it is high."""


def head_of(frame: NDArray[np.uint8], box: Boxes) -> NDArray[np.uint8]:
    """The head around a face (xyxy px), at one size for all: uint8 [320, 240, 3]."""
    height, width = HEAD_PX
    scale = float(box[3] - box[1]) * 1.8 / height
    corner = (box[:2] + box[2:]) / 2 - np.array([width, height]) * scale / 2
    matrix = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    head = cv2.warpAffine(frame, matrix, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(head, np.uint8)


def cross(
    front: NDArray[np.uint8], back: NDArray[np.uint8], px_a_frame: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A film of two heads (uint8 [T, H, W, 3] each, repeated as needed), the first passing before the second.

    Returns frames uint8 [N, H + 40, 3 W, 3] and the middles of both heads, float32 [N, 2 (who), 2 (x, y)] px.
    """
    height, width = front.shape[1:3]
    n = (2 * width - 20) // px_a_frame
    oval = np.zeros((height, width, 1), np.uint8)
    middle = (width // 2, height // 2)
    cv2.ellipse(oval, middle, (width // 2 - 8, height // 2 - 4), 0, 0, 360, 1, -1)
    frames = np.full((n, height + 40, 3 * width, 3), (96, 104, 112), np.uint8)
    middles = np.zeros((n, 2, 2), np.float32)
    for t in range(n):
        places = (10 + px_a_frame * t, 2 * width - 10 - px_a_frame * t)
        for who, heads in ((1, back), (0, front)):
            x = places[who]
            part = frames[t, 20 : 20 + height, x : x + width]
            np.copyto(part, heads[t % len(heads)], where=oval[:, : part.shape[1]] > 0)
            middles[t, who] = x + middle[0], 20 + middle[1]
    return frames, middles


def against_truth(tracks: Sequence[Row], middles: NDArray[np.float32]) -> tuple[int, int]:
    """Identity switches of tracks, and of how many people no track holds both the first and the last frame.

    middles: float32 [T, N, 2] px, where each person's head is; a box is on the nearest within half its width.
    A switch is a track that goes from one person to another.
    """
    switches, whole = 0, set[int]()
    for track in tracks:
        boxes = np.asarray(track["boxes"], np.float32)
        who = [_who(box, middles[track["first_frame"] + k]) for k, box in enumerate(boxes)]
        seen = [person for person in who if person is not None]
        switches += sum(a != b for a, b in pairwise(seen))
        if seen and seen[0] == seen[-1] and len(boxes) >= len(middles) - 4:
            whole.add(seen[0])
    return switches, middles.shape[1] - len(whole)


def _who(box: Boxes, middles: NDArray[np.float32]) -> int | None:
    """Who a box is on; None where two people are too near to tell."""
    x = float(box[0] + box[2]) / 2
    away = np.abs(middles[:, 0] - x)
    near = np.argsort(away)
    width = float(box[2] - box[0])
    clear = away[near[0]] < width / 2 and away[near[1]] > away[near[0]] + width / 4
    return int(near[0]) if clear else None
