"""The sheet: a triangle mesh over the canvas that carries an actor's picture, and how it is moved.

Its points are the 468 of the face mesh and a lattice around them. What moves them over time is `motion`;
what is painted on it is `paint`.

The basis movements are in canvas pixels at full strength and add up: points = base + sum of strength × basis.
Where only landmarks are given, a thin-plate spline carries the movement to the other points
(Bookstein, Principal Warps, 1989).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.faces.regions import FACE_OVAL
from haetae.sample.portrait import CANVAS_PX, F32, Portrait, load_portrait

N_FACE = 468
LATTICE_PX = 22
_DEPTH_PX = 52.0

UPPER_OUTER = (185, 40, 39, 37, 0, 267, 269, 270, 409)
LOWER_OUTER = (146, 91, 181, 84, 17, 314, 405, 321, 375)
UPPER_INNER = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_INNER = (95, 88, 178, 87, 14, 317, 402, 318, 324)
CORNERS_OUTER = (61, 291)
CORNERS_INNER = (78, 308)
CHIN = (152, 148, 377, 176, 400, 175, 171, 396, 199, 208, 428, 140, 369)
JAW = (149, 378, 150, 379, 136, 365)
OVAL_UP = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 127, 234, 93, 162, 21, 54, 103, 67, 109)
NOSE = (1, 2, 4, 5, 6, 98, 327, 64, 294, 168, 195, 197)
BROWS = ((70, 63, 105, 66, 107, 46, 53, 52, 65, 55), (300, 293, 334, 296, 336, 276, 283, 282, 295, 285))
LID_UP = ((246, 161, 160, 159, 158, 157, 173), (466, 388, 387, 386, 385, 384, 398))
LID_LOW = ((7, 163, 144, 145, 153, 154, 155), (249, 390, 373, 374, 380, 381, 382))
LID_ENDS = ((33, 133), (263, 362))
LID_CREASE = ((247, 30, 29, 27, 28, 56, 190), (467, 260, 259, 257, 258, 286, 414))
LID_BAG = ((25, 110, 24, 23, 22, 26, 112), (255, 339, 254, 253, 252, 256, 341))
_EYES = tuple(i for side in (*LID_UP, *LID_LOW, *LID_ENDS, *BROWS) for i in side)
INNER_LOOP = (78, *UPPER_INNER, 308, *reversed(LOWER_INNER))


@dataclass(frozen=True, eq=False)
class Sheet:
    """base: float32 [N, 3] canvas px, mouth closed and relaxed; texture: float32 [N, 2] where on the canvas
    each point's picture is; triangles: int32 [M, 3]; bases: name → float32 [N, 2]; head: float32 [N], how
    much a point follows the head, 1 for the face, less towards the foot of the neck."""

    portrait: Portrait
    base: F32
    texture: F32
    triangles: NDArray[np.int32]
    bases: dict[str, F32]
    head: F32


@lru_cache(maxsize=2)
def load_sheet(mirrored: bool = False) -> Sheet:
    """Build the sheet of the portrait (or of its mirror image)."""
    portrait = load_portrait(mirrored)
    points = np.concatenate([portrait.mesh[:N_FACE], _lattice(portrait)]).astype(np.float32)
    # The oval's sides run almost along the line of sight and would fold over at small turns: less depth.
    points[:, 2] = np.where(points[:, 2] > 0, _DEPTH_PX * np.tanh(points[:, 2] / _DEPTH_PX), points[:, 2])
    triangles = _triangulate(points[:, :2])
    relax = _relax(points)
    base = points.copy()
    base[:, :2] += relax
    bases = {
        "jaw": _jaw(points, base),
        "wide": _sideways(points, base, (0.16, -0.02), -0.06),
        "round": _sideways(points, base, (-0.30, 0.0), 0.22),
        "smile": _sideways(points, base, (0.10, -0.16), -0.08),
        "brows": _brows(points),
        "blink_0": _blink(points, 0),
        "blink_1": _blink(points, 1),
    }
    chin_y = float(base[152, 1])
    # The neck lets go of the head beside the jaw already, or its sides would swing with every turn.
    head = 1 - 0.80 * np.clip((base[:, 1] - chin_y + 65) / 110, 0, 1)
    head[:N_FACE] = 1
    return Sheet(portrait, base, points[:, :2].copy(), triangles, bases, head.astype(np.float32))


def _lattice(portrait: Portrait) -> F32:
    """Points around the face, hexagonally spaced, with a depth that goes on from the oval's."""
    face = portrait.mesh[:N_FACE]
    hull = cv2.convexHull(face[:, :2].astype(np.float32))
    rim = portrait.mesh[FACE_OVAL].astype(np.float64)
    points: list[tuple[float, float, float]] = []
    step_y = LATTICE_PX * 0.866
    for row, y in enumerate(np.arange(-LATTICE_PX, CANVAS_PX + 2 * LATTICE_PX, step_y)):
        shift = 0.5 * LATTICE_PX * (row % 2)
        for x in np.arange(-LATTICE_PX, CANVAS_PX + 2 * LATTICE_PX, LATTICE_PX) + shift:
            outside_px = -cv2.pointPolygonTest(hull, (float(x), float(y)), True)
            if outside_px > 0.45 * LATTICE_PX:
                away = np.hypot(rim[:, 0] - x, rim[:, 1] - y)
                weight = 1 / (away + 4) ** 3
                # Hardly deeper than the oval: a steep side would fold over when the head turns.
                depth = min(100.0, float((weight * rim[:, 2]).sum() / weight.sum()) + 0.12 * outside_px)
                points.append((float(x), float(y), depth))
    return np.array(points, np.float32)


def _triangulate(xy: F32) -> NDArray[np.int32]:
    """Delaunay triangles, without the many flat ones of the rim."""
    from scipy.spatial import Delaunay

    return np.asarray(Delaunay(xy.astype(np.float64)).simplices, dtype=np.int32)


def _spread(
    points: F32,
    moved: dict[int, tuple[float, float]],
    still: tuple[int, ...],
    reach_px: float,
    below_eyes: bool = True,
) -> F32:
    """Carry the movement of landmarks to all points: thin-plate spline, faded out beyond `reach_px`.

    points: where the portrait has them; with its mouth open, so that the lips do not share a place.
    """
    from scipy.interpolate import RBFInterpolator

    held = dict.fromkeys(still, (0.0, 0.0)) | moved
    xy = points[:, :2].astype(np.float64)
    centre = xy[list(moved)].mean(0)
    ring = centre + 1.6 * reach_px * np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
    sites = np.concatenate([xy[list(held)], ring])
    values = np.concatenate([np.array(list(held.values())), np.zeros_like(ring)])
    field = RBFInterpolator(sites, values, kernel="thin_plate_spline", smoothing=0.0, degree=1)(xy)
    distance = np.linalg.norm(xy - centre, axis=1) / reach_px
    field *= np.clip(1.6 - distance, 0, 0.6)[:, None] / 0.6
    if below_eyes:
        # What the mouth does ends at the tip of the nose at the latest.
        eyes_y, nose_y = float(xy[list(_EYES), 1].mean()), float(xy[4, 1])
        field *= np.clip((xy[:, 1] - eyes_y - 12) / (nose_y - eyes_y - 12), 0, 1)[:, None]
    return np.asarray(field, dtype=np.float32)


_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)


def _mouth(points: F32) -> tuple[NDArray[np.float64], float]:
    """Middle between the corners of the mouth, and half its width."""
    left, right = points[78, :2].astype(np.float64), points[308, :2].astype(np.float64)
    return (left + right) / 2, float(np.linalg.norm(right - left)) / 2


def _relax(points: F32) -> F32:
    """From the portrait's smile to a closed, relaxed mouth."""
    middle, half = _mouth(points)
    line_y = 0.72 * float(points[13, 1]) + 0.28 * float(points[14, 1])
    corner_y = float(middle[1]) + 0.70 * (line_y - float(middle[1]))
    narrow = 0.83
    moved: dict[int, tuple[float, float]] = {}

    def target(index: int) -> tuple[float, float]:
        u = (float(points[index, 0]) - middle[0]) / half
        return middle[0] + narrow * u * half, corner_y + (line_y - corner_y) * (1 - min(1.0, u * u))

    for up, low, up_out, low_out in zip(UPPER_INNER, LOWER_INNER, UPPER_OUTER, LOWER_OUTER, strict=True):
        for inner, outer, gap, fuller in ((up, up_out, -0.35, 1.20), (low, low_out, 0.35, 1.10)):
            x, y = target(inner)
            moved[inner] = (x - float(points[inner, 0]), y + gap - float(points[inner, 1]))
            thick = float(points[outer, 1] - points[inner, 1]) * fuller
            x_out = middle[0] + narrow * (float(points[outer, 0]) - middle[0])
            moved[outer] = (x_out - float(points[outer, 0]), y + gap + thick - float(points[outer, 1]))
    for inner, outer in zip(CORNERS_INNER, CORNERS_OUTER, strict=True):
        for index in (inner, outer):
            x, y = target(index)
            moved[index] = (x - float(points[index, 0]), y - float(points[index, 1]))
    for index in CHIN:
        moved[index] = (0.0, -2.0)
    return _spread(points, moved, OVAL_UP + NOSE + JAW + _EYES, 170)


def _jaw(points: F32, base: F32) -> F32:
    """Jaw fully dropped: the gap between the lips is 0.55 of the mouth's width."""
    middle, half = _mouth(base)
    drop = 0.55 * 2 * half
    moved: dict[int, tuple[float, float]] = {}
    for row, sign in ((LOWER_INNER, 1.0), (LOWER_OUTER, 0.97), (UPPER_INNER, -0.10), (UPPER_OUTER, -0.07)):
        for index in row:
            u = (float(base[index, 0]) - middle[0]) / half
            arch = max(0.0, 1 - u * u) ** 0.6
            sag = 0.18 if sign > 0 else 0.0
            moved[index] = (-0.10 * u * half, drop * (sign * (sag + (1 - sag) * arch)))
    for index in CORNERS_INNER + CORNERS_OUTER:
        u = np.sign(float(base[index, 0]) - middle[0])
        moved[index] = (-0.12 * u * half, 0.12 * drop)
    for index in CHIN:
        moved[index] = (0.0, 0.80 * drop)
    for index in JAW:
        moved[index] = (0.0, 0.45 * drop)
    return _spread(points, moved, OVAL_UP + NOSE + _EYES, 190)


def _sideways(points: F32, base: F32, corner: tuple[float, float], lips: float) -> F32:
    """Corners of the mouth moved outwards by `corner` (share of half the width, down), and lips with them."""
    middle, half = _mouth(base)
    moved: dict[int, tuple[float, float]] = {}
    for row in (UPPER_INNER, LOWER_INNER, UPPER_OUTER, LOWER_OUTER, CORNERS_INNER, CORNERS_OUTER):
        for index in row:
            u = float(np.clip((float(base[index, 0]) - middle[0]) / half, -1, 1))
            from_line = float(base[index, 1] - middle[1])
            moved[index] = (corner[0] * half * u, corner[1] * half * abs(u) ** 1.5 + lips * from_line)
    return _spread(points, moved, OVAL_UP + NOSE + CHIN + _EYES, 130)


def _brows(points: F32) -> F32:
    """Both brows raised by a tenth of the distance between the eyes."""
    lift = -0.10 * float(np.linalg.norm(points[33, :2] - points[263, :2]))
    moved = {i: (0.0, lift) for side in BROWS for i in side}
    still = (10, 338, 109, 67, 297, 103, 332, 168, 6, 127, 356, 234, 454)
    lids = tuple(i for side in (*LID_UP, *LID_LOW, *LID_ENDS, *LID_CREASE) for i in side)
    return _spread(points, moved, still + lids, 140, below_eyes=False)


def _blink(points: F32, side: int) -> F32:
    """One eye closed: the upper lid meets the lower one a little below the middle of the opening."""
    field = np.zeros((len(points), 2), np.float32)
    for up, low, crease, bag in zip(
        LID_UP[side], LID_LOW[side], LID_CREASE[side], LID_BAG[side], strict=True
    ):
        gap = points[low, :2] - points[up, :2]
        field[up] = 0.88 * gap
        field[low] = -0.12 * gap
        field[crease] = 0.34 * gap
        field[bag] = -0.03 * gap
    return field
