"""Where a changed face takes the place of the picture: the soft mask on a crop.

Cutting crops and putting them back is `generators.crops`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.faces import regions

ERODE = 0.03
FEATHER = 0.10
"""How far the mask stays within the face, and the width of its rim: shares of the face's height."""
_INNER_MOUTH_GAP = 0.08
"""Gap over width of the lips from which on the inside of the mouth stays the target's."""


def soft_mask(
    mesh: NDArray[np.float32], size_px: int, erode: float = ERODE, feather: float = FEATHER
) -> NDArray[np.float32]:
    """1 on the face, 0 outside and at its rim: float32 [S, S]. mesh: float32 [478, 2+] px of the crop."""
    face_px = float(np.ptp(mesh[: regions.N_SKIN, 1]))
    inside = regions.face_mask(mesh, (size_px, size_px), grow_px=-erode * face_px) > 0
    return faded(inside, feather * face_px)


def faded(inside: NDArray[np.bool_], feather_px: float) -> NDArray[np.float32]:
    """0 outside, rising smoothly inwards to 1 over `feather_px`: float32 of the mask's shape."""
    padded = np.pad(inside.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1] / max(feather_px, 1.0)
    rise = np.clip(depth, 0, 1)
    return np.asarray(rise * rise * (3 - 2 * rise), np.float32)


def open_mouth(mesh: NDArray[np.float32], size_px: int, gap: float) -> NDArray[np.float32]:
    """1 where the inside of an open mouth shows, which a swap leaves as it is: float32 [S, S].

    mesh: px of the crop; gap: `regions.mouth_openness` of the frame.
    """
    weight = np.clip((gap - _INNER_MOUTH_GAP) / _INNER_MOUTH_GAP, 0, 1)
    if weight <= 0:
        return np.zeros((size_px, size_px), np.float32)
    feather = max(1.0, 0.015 * float(np.ptp(mesh[: regions.N_SKIN, 1])))
    inner = regions.region_mask(mesh, regions.LIPS_INNER, (size_px, size_px), feather_px=feather)
    return np.asarray(weight * inner, np.float32)
