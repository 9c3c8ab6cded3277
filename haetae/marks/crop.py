"""Where a picture lies in the one that was marked, when it was cropped or mirrored: found by the pilot.

Rotation, perspective and crops of more than `MOST_CROPPED` of a side are not looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from haetae.marks.grid import SIDE, Plane

MOST_CROPPED = 0.16
SHAPES_TRIED = 4
"""Shapes at which decoding is attempted, besides the whole picture: they count in the false reads."""
_COARSE, _FINE = 0.01, 0.0025
_MIN_PEAK = 4.5


@dataclass(frozen=True, order=True)
class Shape:
    """The part of the marked picture that is left: x, y, width, height as shares of its sides; mirrored or not."""

    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0
    mirrored: bool = False

    def placed(self, plane: Plane) -> Plane:
        """The plane of the part, laid where it was in the whole; nothing elsewhere."""
        if self == Shape():
            return plane
        side = plane.shape[0]
        turned = plane[:, ::-1] if self.mirrored else plane
        # Pixel centres: the part's pixel i lies at (i + 0.5) * width + x * side - 0.5 of the whole.
        matrix = np.array(
            [
                [self.width, 0.0, self.x * side + 0.5 * self.width - 0.5],
                [0.0, self.height, self.y * side + 0.5 * self.height - 0.5],
            ]
        )
        laid = cv2.warpAffine(np.ascontiguousarray(turned), matrix, (side, side), flags=cv2.INTER_LINEAR)
        return np.asarray(laid, np.float32)


def shapes(plane: Plane, pilot: Plane) -> Iterator[Shape]:
    """The likeliest shapes of a picture, best first, whose pilot stands out of chance."""
    conjugate = np.conj(fft.rfft2(pilot))
    # Half the resolution still holds the whole band of the patterns, and the search costs a quarter.
    coarse, coarse_conjugate = _halved(plane), np.conj(fft.rfft2(_halved(pilot)))
    best: list[tuple[float, Shape]] = []
    for mirrored in (False, True):
        sizes = [1.0 - n * _COARSE for n in range(round(MOST_CROPPED / _COARSE) + 1)]
        best += [
            _peak(coarse, coarse_conjugate, width, height, mirrored) for width in sizes for height in sizes
        ]
    best.sort(reverse=True)
    refined = [_refined(plane, conjugate, shape) for peak, shape in best[:SHAPES_TRIED] if peak >= _MIN_PEAK]
    seen: set[Shape] = set()
    for _, shape in sorted(refined, reverse=True):
        if shape not in seen:
            seen.add(shape)
            yield shape


def _refined(plane: Plane, conjugate: NDArray[np.complexfloating], shape: Shape) -> tuple[float, Shape]:
    around = [n * _FINE for n in range(-2, 3)]
    tried = [
        _peak(plane, conjugate, min(1.0, shape.width + dx), min(1.0, shape.height + dy), shape.mirrored)
        for dx in around
        for dy in around
    ]
    return max(tried)


def _peak(
    plane: Plane, conjugate: NDArray[np.complexfloating], width: float, height: float, mirrored: bool
) -> tuple[float, Shape]:
    """How far the pilot stands out at the best offset of a part of this size, in standard deviations."""
    laid = Shape(0.0, 0.0, round(width, 4), round(height, 4), mirrored).placed(plane)
    side = plane.shape[0]
    correlation = fft.irfft2(fft.rfft2(laid) * conjugate, s=(side, side))
    # laid(u) = marked(u + offset): the peak is at minus the offset, wrapped around.
    reach_y, reach_x = round((1 - height) * side) + 1, round((1 - width) * side) + 1
    down, across = -np.arange(reach_y) % side, -np.arange(reach_x) % side
    window = correlation[np.ix_(down, across)]
    at = np.unravel_index(int(np.argmax(window)), window.shape)
    peak = float(window[at]) / max(float(correlation.std()), 1e-12)
    y, x = (round(float(offset) / side, 6) for offset in at)
    return peak, Shape(x, y, round(width, 4), round(height, 4), mirrored)


def _halved(plane: Plane) -> Plane:
    return np.asarray(cv2.resize(plane, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA), np.float32)
