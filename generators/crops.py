"""Aligned crops of a followed face: cut out for a network, and put back into the frame where it was changed.

What a network makes of a crop is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.followed import Followed
from haetae.faces.warp import align_crop

CROP_SCALE = 1.3
"""Side of a crop over the longer side of the face: forehead, chin and cheeks are in it."""
_LEAST_WEIGHT = 1 / 255
_PAD_PX = 2


@dataclass(frozen=True)
class Cut:
    """One face of one frame. crop: uint8 [S, S, 3] RGB, eyes level; mesh: float32 [478, 2], pixels of the crop;
    matrix: float64 [2, 3], from frame to crop pixels."""

    crop: NDArray[np.uint8]
    mesh: NDArray[np.float32]
    matrix: NDArray[np.float64]


def cut(face: Followed, t: int, size_px: int, scale: float = CROP_SCALE) -> Cut:
    """The face in frame t, which must be usable. size_px: side of the crop."""
    crop, matrix = align_crop(face.frames[t], face.mesh[t], size_px, scale)
    points = face.mesh[t, :, :2].astype(np.float64)
    mesh = points @ matrix[:, :2].T + matrix[:, 2]
    return Cut(crop, mesh.astype(np.float32), matrix)


def put_back(
    frame: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    at: Cut,
    made: NDArray[np.uint8],
    soft: NDArray[np.float32],
) -> None:
    """Blend a changed crop into its frame, in place, and mark the pixels that may differ now.

    frame: uint8 [H, W, 3]; mask: bool [H, W]; made: uint8 [S', S', 3] and soft: float32 [S', S'], 0 keeps the frame,
    1 takes `made`; they may be larger or smaller than the crop. Pixels of weight below 1/255 stay as they are.
    """
    size = made.shape[0]
    to_made = _scaled(at.matrix, size / at.crop.shape[0])
    where = _window(to_made, soft, frame.shape[:2])
    if where is None:
        return
    rows, columns = where
    back = cv2.invertAffineTransform(to_made)
    back[:, 2] -= (columns.start, rows.start)
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    # Enlarging wants a smooth kernel; shrinking is blurred away first, as warps have no area averaging.
    shrink = float(np.hypot(to_made[0, 0], to_made[0, 1]))
    source = made if shrink < 1.5 else cv2.GaussianBlur(made, (0, 0), 0.4 * shrink)
    face = cv2.warpAffine(source, back, shape, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(soft.astype(np.float32), back, shape, flags=cv2.INTER_LINEAR)
    weight = np.where(weight < _LEAST_WEIGHT, 0, np.clip(weight, 0, 1))[..., None].astype(np.float32)
    behind = frame[rows, columns]
    mixed = weight * face.astype(np.float32) + (1 - weight) * behind
    changed = weight[..., 0] > 0
    frame[rows, columns] = np.where(changed[..., None], np.rint(mixed).astype(np.uint8), behind)
    mask[rows, columns] |= changed


def _scaled(matrix: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """The map to a picture `factor` times as large; pixel centres stay pixel centres."""
    scaled = matrix * factor
    scaled[:, 2] += (factor - 1) / 2
    return scaled


def _window(
    to_made: NDArray[np.float64], soft: NDArray[np.float32], size: tuple[int, int]
) -> tuple[slice, slice] | None:
    """Rows and columns of the frame that the weight reaches; None where it reaches none."""
    ys, xs = np.nonzero(soft >= _LEAST_WEIGHT)
    if not len(ys):
        return None
    corners = np.array(
        [[x, y] for x in (xs.min() - 1, xs.max() + 1) for y in (ys.min() - 1, ys.max() + 1)], np.float64
    )
    back = cv2.invertAffineTransform(to_made)
    inside = corners @ back[:, :2].T + back[:, 2]
    low = np.maximum(np.floor(inside.min(0)).astype(int) - _PAD_PX, 0)
    high = np.minimum(np.ceil(inside.max(0)).astype(int) + _PAD_PX + 1, (size[1], size[0]))
    if (low >= high).any():
        return None
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
