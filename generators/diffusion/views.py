"""Areas of a face, and the square views in which a network sees them: of a face to learn from, and of one in a clip.

What is done with a view is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.crops import Cut, cut
from generators.followed import Followed, smoothed_in_time
from haetae.faces import regions

_BASE_PX = 128
_MAX_ENLARGED = 4
_CENTRE_SIGMA_FRAMES = 3.0
_MIDLINE = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 0, 17, 152)
_CHIN_AT = 18
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Area:
    """A part of the face. outline: mesh points of its polygon, in order; hull: whether the polygon is their convex
    hull instead; view: side of its view over the side of a crop; grow, feather: shares of the face's height."""

    outline: tuple[int, ...]
    view: float
    hull: bool = False
    grow: float = 0.0
    feather: float = 0.06

    def mask(self, mesh: NDArray[np.float32], size_px: int, grow: float = 0.0) -> NDArray[np.float32]:
        """Weights in a view: float32 [S, S], 0 outside the area, rising to 1 within it. mesh: float32 [478, 2] px."""
        points = list(self.outline)
        if self.hull:
            around = cv2.convexHull(np.ascontiguousarray(mesh[points, :2], np.float32), returnPoints=False)
            points = [points[int(k)] for k in around[:, 0]]
        face_px = float(np.ptp(mesh[: regions.N_SKIN, 1]))
        grown, feather = (self.grow + grow) * face_px, self.feather * face_px
        return regions.region_mask(mesh, points, (size_px, size_px), grown, feather)


FACE = Area((*regions.FACE_OVAL,), view=1.0, feather=0.1)
AREAS: Mapping[str, Area] = MappingProxyType(
    {
        "eyes": Area(
            (*regions.RIGHT_BROW, *regions.LEFT_BROW, *regions.RIGHT_EYE, *regions.LEFT_EYE, 119, 348),
            view=0.7, hull=True, grow=0.02, feather=0.04,
        ),
        "mouth": Area((*regions.LIPS_OUTER,), view=0.5, hull=True, grow=0.05, feather=0.04),
        "nose": Area((*regions.NOSE,), view=0.5, hull=True, grow=0.02, feather=0.04),
        "left_half": Area((*regions.FACE_OVAL[: _CHIN_AT + 1], *_MIDLINE[-2:0:-1]), view=1.0),
        "right_half": Area((*regions.FACE_OVAL[_CHIN_AT:], *_MIDLINE[:-1]), view=1.0),
        "lower_half": Area((*regions.JAW[1:-1], 50, 205, 98, 2, 327, 425, 280), view=0.8, hull=True),
    }
)  # fmt: skip
"""Parts of a face that are made anew, by name; left and right are the person's own."""


def seen(
    crop: Image, mesh: NDArray[np.float32], area: Area, size_px: int
) -> tuple[Image, NDArray[np.float32]]:
    """The view of an area in a crop to learn from: uint8 [S, S, 3], and the mesh in it, float32 [478, 2].

    crop: uint8 [C, C, 3], eyes level; mesh: float32 [478, 2], its pixels.
    """
    matrix = _zoom(_centre(mesh, area), area.view * crop.shape[0], size_px)
    return _warped(crop, matrix, size_px), (mesh @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


@dataclass(frozen=True)
class Views:
    """An area of a followed face. at: int64 [N] frames; matrices: float64 [N, 2, 3], from frame to view pixels at
    size_px; large_px: side at which a view loses nothing of the frame, a multiple of size_px."""

    face: Followed
    area: Area
    size_px: int
    large_px: int
    at: NDArray[np.int64]
    matrices: NDArray[np.float64]

    def small(self) -> Image:
        """What the network sees: uint8 [N, S, S, 3]."""
        return np.stack([self._small(self.large(n)) for n in range(len(self.at))])

    def masks(self, grow: float = 0.0) -> NDArray[np.float32]:
        """Weights of the area in them: float32 [N, S, S]."""
        return np.stack([self.area.mask(self._mesh(n, 1), self.size_px, grow) for n in range(len(self.at))])

    def large(self, n: int) -> Cut:
        """The n-th view without loss, as `generators.crops.put_back` takes it."""
        factor = self.large_px // self.size_px
        matrix = _larger(self.matrices[n], factor)
        crop = _warped(self.face.frames[self.at[n]], matrix, self.large_px)
        return Cut(crop, self._mesh(n, factor), matrix)

    def exact(self, n: int) -> Cut:
        """The n-th view at size_px, cut from the frame at once: for networks that see more than the frame shows."""
        return Cut(
            _warped(self.face.frames[self.at[n]], self.matrices[n], self.size_px),
            self._mesh(n, 1),
            self.matrices[n],
        )

    def _mesh(self, n: int, factor: int) -> NDArray[np.float32]:
        matrix = _larger(self.matrices[n], factor)
        points = self.face.mesh[self.at[n], :, :2].astype(np.float64)
        return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)

    def _small(self, at: Cut) -> Image:
        size = (self.size_px, self.size_px)
        return np.asarray(cv2.resize(at.crop, size, interpolation=cv2.INTER_AREA), np.uint8)


def views(face: Followed, area: Area, size_px: int) -> Views:
    """The views of an area in all usable frames of a face, held steady over time."""
    at = np.flatnonzero(face.usable)
    cuts = [cut(face, int(t), _BASE_PX) for t in at]
    centres = np.full((len(face.mesh), 2), np.nan)
    centres[at] = [_centre(one.mesh, area) for one in cuts]
    # Speaking and blinking move the middle of an area, and the noise would move with it.
    centres = smoothed_in_time(centres, _CENTRE_SIGMA_FRAMES)
    matrices = np.stack(
        [
            _after(one.matrix, _zoom(centres[t], area.view * _BASE_PX, size_px))
            for t, one in zip(at, cuts, strict=True)
        ]
    )
    side_px = size_px / float(np.median(np.hypot(matrices[:, 0, 0], matrices[:, 0, 1])))
    large_px = size_px * int(np.clip(np.ceil(side_px / size_px), 1, _MAX_ENLARGED))
    return Views(face, area, size_px, large_px, at, matrices)


def _centre(mesh: NDArray[np.float32], area: Area) -> NDArray[np.float64]:
    """Middle of the view: that of the area's box, or of the crop for a view of all of it. mesh: in the crop."""
    points = mesh[list(area.outline) if area.view < 1 else slice(0, regions.N_SKIN), :2].astype(np.float64)
    return np.asarray((points.min(axis=0) + points.max(axis=0)) / 2)


def _zoom(centre: NDArray[np.float64], side_px: float, size_px: int) -> NDArray[np.float64]:
    """From crop pixels to those of a view around a centre."""
    factor = size_px / side_px
    shift = (size_px - 1) / 2 - factor * centre
    return np.array([[factor, 0.0, shift[0]], [0.0, factor, shift[1]]])


def _after(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both maps, one after the other."""
    linear = second[:, :2] @ first[:, :2]
    return np.concatenate([linear, (second[:, :2] @ first[:, 2] + second[:, 2])[:, None]], axis=1)


def _larger(matrix: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    scaled = matrix * factor
    scaled[:, 2] += (factor - 1) / 2
    return scaled


def _warped(img: Image, matrix: NDArray[np.float64], size_px: int) -> Image:
    factor = float(np.hypot(matrix[0, 0], matrix[0, 1]))
    source = img if factor > 0.67 else cv2.GaussianBlur(img, (0, 0), 0.4 / factor)
    warped = cv2.warpAffine(
        source, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)
