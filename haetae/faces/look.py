"""How a face looks, small enough to compare in every frame: an aligned thumbnail of light and skin colour.

It tells the people of one shot apart over a second or so, under the same light. Who somebody is across shots
is told by `embed` and `identities`, which need weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.faces.warp import similarity

SIDE_PX = 24
_TEMPLATE = np.array([[7.5, 8.5], [16.5, 8.5], [12, 13.5], [8.5, 18], [15.5, 18]], np.float32)
"""Where eyes, nose and corners of the mouth come to lie in the thumbnail, px."""
_FINER = 4
"""Samples for each pixel of the thumbnail and direction, so that it averages and does not pick."""
_COLOUR_STEP = 12.0
"""Difference of mean skin colour (CIE a*, b*) that weighs as much as thumbnails without any correlation."""


@dataclass(frozen=True, eq=False)
class Look:
    """Light of the thumbnail, float32 [24 * 24] of mean 0 and length 1, and its mean colour, float32 [2]."""

    light: NDArray[np.float32]
    colour: NDArray[np.float32]

    def distance(self, other: Look) -> float:
        """0 for the same picture; about 1 for unlike faces of the same colour; at most 2 by light alone."""
        light = 1 - float(self.light @ other.light)
        return light + float(np.hypot(*(self.colour - other.colour))) / _COLOUR_STEP


def look_at(frame: NDArray[np.uint8], points: NDArray[np.float32]) -> Look | None:
    """The look of a face by its five points (float32 [5, 2] px, as `Detection.points`).

    frame: uint8 [H, W, 3] RGB. None where a point lies outside the frame or all in a line.
    """
    inside = (points > -1).all() and (points < frame.shape[1::-1]).all()
    if not inside or np.ptp(points, axis=0).min() < 1:
        return None
    matrix = similarity(points, _TEMPLATE * _FINER)
    fine = cv2.warpAffine(frame, matrix, (SIDE_PX * _FINER,) * 2, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(fine, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    light = lab[..., 0].ravel() - lab[..., 0].mean()
    length = float(np.linalg.norm(light))
    return Look(light / length if length > 0 else light, lab[..., 1:].mean((0, 1)))
