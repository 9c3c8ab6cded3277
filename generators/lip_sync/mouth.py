"""Moving a mouth: where each mesh point goes for given lip curves, and what is seen between the lips.

What the lips should do is decided in `visemes`; when and how it is blended in `viseme_sync`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.followed import Followed, shifted, window

Image = NDArray[np.uint8]

UPPER_SHARE = 0.22
"""Share of the opening that the upper lip makes by rising; the jaw makes the rest."""
MIN_INSIDE = 0.12
"""An opening from which on the inside of a mouth is worth keeping for other frames."""
MIN_MOVE = 0.003
"""Skin that moves by less than this share of the face's height stays as it is."""
COLLAR = 1.3
"""How far outside the face, times its radius, the skin stands still while the jaw moves."""


@dataclass(frozen=True)
class MouthFrame:
    """A face's own axes at the mouth: unit vectors `right` and `down` [2], `centre` [2] px, width at rest."""

    right: NDArray[np.float64]
    down: NDArray[np.float64]
    centre: NDArray[np.float64]
    width_px: float


def axes(mesh: NDArray[np.float32], rest_share: float) -> MouthFrame:
    """The mouth's axes in a mesh [478, 3].

    rest_share: width of the resting mouth over the distance of the eyes' outer corners, of this person.
    """
    eyes = (mesh[263, :2] - mesh[33, :2]).astype(np.float64)
    span = float(np.hypot(*eyes))
    right = eyes / max(span, 1e-6)
    down = (mesh[152, :2] - mesh[168, :2]).astype(np.float64)
    down /= max(float(np.hypot(*down)), 1e-6)
    centre = mesh[[61, 291, 13, 14], :2].astype(np.float64).mean(axis=0)
    return MouthFrame(right, down, centre, rest_share * span)


def rest_share(face: Followed) -> float:
    """Width of the mouth at rest over the distance of the outer eye corners: the median of the clip."""
    mesh = face.mesh[face.usable]
    mouth = np.linalg.norm(mesh[:, 61, :2] - mesh[:, 291, :2], axis=1)
    eyes = np.linalg.norm(mesh[:, 33, :2] - mesh[:, 263, :2], axis=1)
    return float(np.median(mouth / np.maximum(eyes, 1e-6)))


def reshaped(
    mesh: NDArray[np.float32],
    frame: MouthFrame,
    openness: float,
    width: float,
    protrusion: float,
    foreshortening: float,
) -> NDArray[np.float32]:
    """The mesh with its mouth as asked: float32 [478, 3] px.

    openness: gap / resting width; width: over the resting width; protrusion: 0 to 1, thickens and gathers the
    lips; foreshortening: how much of a vertical gap the picture shows, 0 to 1 (a nodding head shows less).
    The inner lips get exactly this gap, whatever they had; skin around follows with a smooth decay and the
    face's outline above the jaw stays.
    """
    points = mesh[:468, :2].astype(np.float64)
    local = np.stack([(points - frame.centre) @ frame.right, (points - frame.centre) @ frame.down], axis=1)
    moved = local.copy()
    _open(local, moved, openness * frame.width_px * foreshortening)
    now_px = float(np.hypot(*(points[61] - points[291])))
    scale = np.clip(width * frame.width_px / max(now_px, 1e-6), 0.6, 1.35)
    _widen(local, moved, float(scale) * (1 - 0.06 * protrusion), frame.width_px)
    out = mesh.copy()
    delta = moved - local
    out[:468, :2] += (delta[:, :1] * frame.right + delta[:, 1:] * frame.down).astype(np.float32)
    return out


@functools.cache
def collared_triangles() -> NDArray[np.int32]:
    """The face's triangles and a ring of them around it, for `with_collar`: int32 [M, 3]."""
    from haetae.faces.regions import FACE_OVAL, triangles

    n = len(FACE_OVAL)
    ring = []
    for k in range(n):
        here, there = FACE_OVAL[k], FACE_OVAL[(k + 1) % n]
        outer, further = 468 + k, 468 + (k + 1) % n
        ring += [(here, there, outer), (there, further, outer)]
    return np.concatenate([triangles(), np.array(ring, np.int32)])


def with_collar(mesh: NDArray[np.float32], moved: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """The skin points and 36 points around them, which stand where `mesh` puts them: float32 [504, 3].

    mesh: [478, 3]; moved: the same face with its mouth moved, whose skin points are taken instead. Between
    face and collar the neck gives way to the jaw, so that a rising chin leaves no second chin behind.
    """
    from haetae.faces.regions import FACE_OVAL

    oval = mesh[FACE_OVAL]
    centre = oval.mean(axis=0)
    collar = centre + (oval - centre) * np.float32(COLLAR)
    return np.concatenate([(mesh if moved is None else moved)[:468], collar]).astype(np.float32)


def moved_mask(
    source: NDArray[np.float32], target: NDArray[np.float32], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Soft mask of the triangles that move: float32 [h, w]; 0 where the picture stays.

    source, target: collared meshes, float32 [504, 3] px of the window; size: its (height, width).
    """
    triangles = collared_triangles()
    face_px = float(np.ptp(source[:468, 1]))
    moves = np.hypot(*(target[:, :2] - source[:, :2]).T) > max(0.15, MIN_MOVE * face_px)
    mask = np.zeros(size, np.uint8)
    for points in (source, target):
        corners = np.round(points[:, :2] * 16).astype(np.int32)[triangles[moves[triangles].any(axis=1)]]
        for triangle in corners:
            cv2.fillConvexPoly(mask, triangle, 1, cv2.LINE_8, 4)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5) / max(2.0, 0.03 * face_px)
    return np.asarray(np.clip(depth, 0, 1), np.float32)


def _open(local: NDArray[np.float64], moved: NDArray[np.float64], gap_px: float) -> None:
    """Set the gap of the inner lips and let lips, chin and cheeks follow."""
    from haetae.faces.regions import LIPS_INNER, LIPS_OUTER

    upper, lower = LIPS_INNER[1:10], LIPS_INNER[:10:-1]
    left, right = local[LIPS_INNER[0]], local[LIPS_INNER[10]]
    along = np.clip((local[upper, 0] - left[0]) / max(right[0] - left[0], 1e-6), 0, 1)
    arch = np.sin(np.pi * along) ** 0.7
    change = gap_px * arch - (local[lower, 1] - local[upper, 1])
    # A closed mouth closes along all its length; an opening one opens most in its middle.
    rise, drop = -UPPER_SHARE * change, (1 - UPPER_SHARE) * change
    middle_up, middle_down = float(rise[3:6].mean()), float(drop[3:6].mean())
    wide = max(right[0] - left[0], 1e-6)
    _follow_lips(local, moved, middle_up, middle_down, wide)
    outer_upper, outer_lower = LIPS_OUTER[1:10], LIPS_OUTER[:10:-1]
    for inner, outer, step in ((upper, outer_upper, rise), (lower, outer_lower, drop)):
        moved[inner, 1] = local[inner, 1] + step
        moved[outer, 1] = local[outer, 1] + step * 0.92
        red = _red(tuple(inner), tuple(outer))
        nearest = np.abs(local[red, 0][:, None] - local[inner, 0][None]).argmin(axis=1)
        moved[red, 1] = local[red, 1] + step[nearest] * 0.96


@functools.cache
def _red(inner: tuple[int, ...], outer: tuple[int, ...]) -> NDArray[np.int64]:
    """Mesh points on the red of a lip, between its inner and outer rim, read off the canonical face."""
    from haetae.faces.canonical import canonical_points
    from haetae.faces.regions import LIPS_INNER, LIPS_OUTER

    points = canonical_points()[:468, :2].astype(np.float64)
    x, y = points[:, 0], points[:, 1]
    rims = [points[list(rim)] for rim in (inner, outer)]
    a, b = (np.interp(x, rim[np.argsort(rim[:, 0]), 0], rim[np.argsort(rim[:, 0]), 1]) for rim in rims)
    between = (y > np.minimum(a, b)) & (y < np.maximum(a, b))
    between &= (x > rims[0][:, 0].min()) & (x < rims[0][:, 0].max())
    between[[*LIPS_INNER, *LIPS_OUTER]] = False
    return np.flatnonzero(between)


def _follow_lips(
    local: NDArray[np.float64], moved: NDArray[np.float64], up_px: float, down_px: float, wide_px: float
) -> None:
    """Skin around the mouth: below, it goes with the jaw, less towards the ears; above, less to the nose."""
    lower_lip, chin, nose = local[17, 1], local[152, 1], local[2, 1]
    y, x = local[:, 1], local[:, 0]
    beside = np.exp(-((x / (1.05 * wide_px)) ** 2))
    corner = 0.5 * (local[61, 1] + local[291, 1])
    depth = np.clip((y - corner) / max(lower_lip - corner, 1e-6), 0, 1)
    # The chin goes down with the lip, a little less, since soft tissue stretches.
    jaw = 1 - 0.25 * np.clip((y - lower_lip) / max(chin - lower_lip, 1e-6), 0, 1)
    below = y > corner
    moved[:, 1] += np.where(below, down_px * beside * depth * jaw, 0)
    above = np.clip((y - nose) / max(local[0, 1] - nose, 1e-6), 0, 1) * (y <= corner)
    moved[:, 1] += up_px * above * np.exp(-((x / (0.6 * wide_px)) ** 2))


def _widen(local: NDArray[np.float64], moved: NDArray[np.float64], scale: float, rest_px: float) -> None:
    """Scale the mouth sideways about its middle; the cheeks take it up."""
    x, y = local[:, 0], local[:, 1]
    half = 0.5 * abs(local[291, 0] - local[61, 0])
    away = np.maximum(np.abs(x) - half, 0) / rest_px
    level = np.maximum(np.abs(y) - 0.25 * rest_px, 0) / rest_px
    reach = np.exp(-((away / 0.45) ** 2) - (level / 0.45) ** 2)
    held = np.minimum(np.abs(x), half) * np.sign(x)
    moved[:, 0] += (scale - 1) * held * reach


@dataclass(frozen=True)
class Inside:
    """What is seen between open lips: a frame of the clip to take it from, or None, and colours to paint it.

    frame: index of the target's own frame with the most open mouth; cavity, teeth: RGB float32 [3].
    """

    frame: int | None
    cavity: NDArray[np.float32]
    teeth: NDArray[np.float32]


def find_inside(face: Followed, openness: NDArray[np.float64], wanted: float) -> Inside:
    """Look through the clip for a mouth that is open as wanted, and for the colours of one that never opens.

    openness: float64 [T], NaN where unusable; wanted: the openness that is mostly needed. A dark
    cavity takes the hue of the lips, teeth the light of the whites of the eyes.
    """
    from haetae.faces import regions

    known = np.where(np.isfinite(openness), openness, -1.0)
    enough = np.minimum(known.max(), wanted)
    best = int(np.argmin(np.where(known >= 0.9 * enough, np.abs(known - enough), np.inf)))
    where = window(face.mesh[best, :468], face.size, 0.0)
    assert where is not None
    img, mesh = face.frames[best][where], shifted(face.mesh[best], where)
    lips = regions.region_mask(mesh, regions.LIPS_OUTER, img.shape[:2]) > 0
    lips &= regions.region_mask(mesh, regions.LIPS_INNER, img.shape[:2], grow_px=1) <= 0
    lip = np.median(img[lips], axis=0) if lips.any() else np.array([120.0, 70.0, 70.0])
    whites = np.zeros(img.shape[:2], np.bool_)
    for eye in regions.EYES:
        whites |= regions.region_mask(mesh, eye, img.shape[:2]) > 0
    white = np.percentile(img[whites], 85, axis=0) if whites.any() else np.array([200.0, 195.0, 185.0])
    cavity = 0.25 * lip * np.array([1.0, 0.75, 0.75])
    teeth = 0.55 * white + 0.25 * lip
    own = best if known[best] >= MIN_INSIDE else None
    return Inside(own, cavity.astype(np.float32), np.minimum(teeth, 235).astype(np.float32))


def painted_inside(
    inside: Inside, face: Followed, mesh: NDArray[np.float32], frame: MouthFrame, size: tuple[int, int]
) -> tuple[Image, NDArray[np.float32]]:
    """The inside of the mouth on a reshaped mesh: picture uint8 [h, w, 3] and soft mask float32 [h, w].

    Taken from the clip's own open mouth where there is one, else painted: dark, with a hint of upper teeth.
    """
    from haetae.faces import regions
    from haetae.faces.warp import warp_mesh

    soft_px = max(0.8, 0.02 * frame.width_px)
    mask = regions.region_mask(mesh, regions.LIPS_INNER, size, grow_px=0.5 * soft_px)
    mask = cv2.GaussianBlur(mask, (0, 0), soft_px)
    if inside.frame is not None:
        source = face.mesh[inside.frame]
        img, _ = warp_mesh(face.frames[inside.frame], source, mesh[:, :2], size)
        return img, mask
    gap = float(np.linalg.norm(mesh[14, :2] - mesh[13, :2]))
    ys, xs = np.mgrid[: size[0], : size[1]].astype(np.float32)
    x = (xs - frame.centre[0]) * frame.right[0] + (ys - frame.centre[1]) * frame.right[1]
    y = (xs - frame.centre[0]) * frame.down[0] + (ys - frame.centre[1]) * frame.down[1]
    upper = mesh[regions.LIPS_INNER[:11], :2].astype(np.float64) - frame.centre
    lip_x, lip_y = upper @ frame.right, upper @ frame.down
    order = np.argsort(lip_x)
    below_lip = y - np.interp(x, lip_x[order], lip_y[order]).astype(np.float32)
    tooth_px = 0.11 * frame.width_px
    teeth = np.clip(1.2 - below_lip / max(tooth_px, 1.0), 0, 1) * np.clip(
        1 - (np.abs(x) / (0.36 * frame.width_px)) ** 4, 0, 1
    )
    teeth = cv2.GaussianBlur(teeth.astype(np.float32), (0, 0), max(0.8, 0.25 * tooth_px))
    teeth *= np.clip(gap / max(tooth_px, 1.0) - 0.35, 0, 1) * 0.85
    shade = np.clip(1.15 - below_lip / max(gap, 1.0) * 0.25, 0.8, 1.15)[..., None]
    img = inside.cavity * (1 - teeth[..., None]) * shade + inside.teeth * teeth[..., None]
    return np.clip(img, 0, 255).astype(np.uint8), mask
