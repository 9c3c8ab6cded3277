"""Frames painted one by one that belong together: the same noise, a start from the frame before, a steady hand.

What paints a frame is handed in. Crops are aligned to the face, so equal noise lies on equal places of it; the frame
before is carried over by the mesh, triangle by triangle, so that a mouth that moves is carried along.
After: Meng et al., SDEdit, ICLR 2022 (a start from a picture in place of noise).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.crops import Cut
from haetae.faces.blend import LabStats, colour_transfer, lab_stats
from haetae.faces.warp import warp_mesh

Image = NDArray[np.uint8]
Paint = Callable[[Image, NDArray[np.bool_], float, int], Image]
"""picture, mask, strength, frame → the picture painted anew."""
_COLOUR_STEP = 0.15


@dataclass(frozen=True)
class Ties:
    """How frames hang together. first_strength: of a frame without one before; strength: of the others; carried: share
    of the frame before in what these begin with; steadiness: share of it in what comes out."""

    first_strength: float
    strength: float
    carried: float
    steadiness: float


@dataclass
class Sequence:
    """Paints the frames of a clip in order, remembering the last."""

    paint: Paint
    ties: Ties
    _last: tuple[int, Image, NDArray[np.float32]] | None = field(init=False, default=None)
    _colours: tuple[LabStats, LabStats] | None = field(init=False, default=None)

    def frame(self, t: int, at: Cut, mask: NDArray[np.bool_]) -> Image:
        """The crop of frame t painted anew, in the target's colours: uint8 [S, S, 3]. mask: bool [S, S]."""
        before = self._carried(t, at)
        if before is None:
            made = self.paint(at.crop, mask, self.ties.first_strength, t)
        else:
            begin = _mixed(at.crop, *before, self.ties.carried)
            made = self.paint(begin, mask, self.ties.strength, t)
        made = self._recoloured(made, at.crop, mask, fresh=before is None)
        if before is not None:
            made = _mixed(made, *before, self.ties.steadiness)
        self._last = (t, made, at.mesh)
        return made

    def _carried(self, t: int, at: Cut) -> tuple[Image, NDArray[np.float32]] | None:
        """The last frame's face on this one's mesh, and its weight, float32 [S, S, 1]; None after a gap."""
        if self._last is None or self._last[0] != t - 1:
            return None
        picture, covered = warp_mesh(self._last[1], self._last[2], at.mesh, at.crop.shape[:2])
        inside = cv2.erode(covered.astype(np.uint8), np.ones((3, 3), np.uint8))
        return picture, inside.astype(np.float32)[..., None]

    def _recoloured(self, made: Image, target: Image, mask: NDArray[np.bool_], fresh: bool) -> Image:
        """In the target's colours; the statistics follow slowly, so that a frame does not flash."""
        if not mask.any():
            return made
        now = lab_stats(made, mask), lab_stats(target, mask)
        if self._colours is None or fresh:
            self._colours = now
        else:
            old = self._colours
            self._colours = old[0].towards(now[0], _COLOUR_STEP), old[1].towards(now[1], _COLOUR_STEP)
        return colour_transfer(made, target, mask, self._colours)


def _mixed(picture: Image, other: Image, weight: NDArray[np.float32], share: float) -> Image:
    """`share` of the other picture, where its weight is 1."""
    part = np.float32(share) * weight
    return np.asarray(np.rint(picture + part * (other.astype(np.float32) - picture)), np.uint8)
