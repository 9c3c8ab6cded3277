"""Putting the mouth of one frame on the face of another of the same clip: pose, shape, light and border.

Which frame lends its mouth to which is decided in `retrieval`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.followed import Followed, shifted, smoothed_in_time, window
from generators.lip_sync.mouth import axes, collared_triangles, moved_mask, reshaped, rest_share, with_collar

Image = NDArray[np.uint8]
Points = NDArray[np.float64]

REACH = 0.42
"""How far around the lips the other frame's skin is taken, in widths of the resting mouth."""
REACH_OF_GAP = 1.0
"""And how much further where the own mouth was open wider, times the difference: a wide gap is followed short of the
lip's edge, which would be left standing."""
SMOOTH_FRAMES = 0.7
"""Where the path jumps, the shape of the mouth is smoothed over time a little, so that lips glide."""
MAX_BEND = 0.12
"""Most that a retrieved lip gap is changed towards the one that was asked for, in widths at rest."""
SHUT = 0.08
"""A mouth with less of a gap than this is opened less than it might be: it has nothing to show between the lips."""
THREAD_PX = 1.2
"""A triangle that is lower than this, and was higher, is no longer drawn."""
MAX_MIXED = 0.06
"""Most that the lip gaps of two mouths may differ, in widths at rest, for one to fade into the other."""
_LIGHT_REACH = 0.5


@dataclass(frozen=True)
class Lent:
    """Where the mouth of a frame comes from: `share` of each frame's picture; one, or two at a join."""

    frame: int
    share: float


@dataclass(frozen=True)
class Pasting:
    """What to paste: moments [N] (frames of the clip), their weight 0 to 1, the lenders of each, and the lip gap to
    bend towards, in widths at rest; bend: how far, 0 to 1."""

    face: Followed
    moments: NDArray[np.int64]
    weight: NDArray[np.float64]
    lent: Sequence[Sequence[Lent]]
    openness: NDArray[np.float64]
    bend: float

    def shapes(self) -> list[NDArray[np.float32]]:
        """The mesh that the face shall have at each moment: float32 [478, 3] px."""
        own = [self.face.mesh[t] for t in self.moments]
        heads = [_to_canonical(mesh) for mesh in own]
        normal = np.stack(
            [sum(one.share * _normal(self.face.mesh[one.frame]) for one in lenders) for lenders in self.lent]
        )
        normal = _gliding(normal, self.moments, np.array([lenders[0].frame for lenders in self.lent]))
        follow, rest = _follows()[:, None], rest_share(self.face)
        shaped = []
        for k, mesh in enumerate(own):
            posed = _from_canonical(normal[k], heads[k])
            moved = mesh.copy()
            moved[:468] += (self.weight[k] * follow * (posed - mesh[:468])).astype(np.float32)
            shaped.append(self._bent(moved, rest, k))
        return shaped

    def _bent(self, mesh: NDArray[np.float32], rest: float, k: int) -> NDArray[np.float32]:
        """The lips a little nearer to the gap that the sounds ask for."""
        from haetae.faces.regions import mouth_openness, rotation

        frame = axes(mesh, rest)
        width = float(np.linalg.norm(mesh[61, :2] - mesh[291, :2])) / frame.width_px
        short = float(np.clip(np.linalg.norm(rotation(mesh)[:2, 1]), 0.5, 1))
        found = float(mouth_openness(mesh)) * width
        by = self.bend * self.weight[k] * float(np.clip(self.openness[k] - found, -MAX_BEND, MAX_BEND))
        by *= min(found / SHUT, 1.0) if by > 0 else 1.0
        return mesh if abs(by) < 1e-3 else reshaped(mesh, frame, max(found + by, 0.0), width, 0.0, short)

    def draw(self, k: int, shape: NDArray[np.float32], frames: Image, masks: NDArray[np.bool_]) -> None:
        """Draw moment k into `frames` uint8 [T, H, W, 3] and mark it in `masks` bool [T, H, W], in place."""
        from haetae.faces import blend, regions
        from haetae.faces.warp import warp_mesh

        t, face = int(self.moments[k]), self.face
        where = window(face.mesh[t][[*regions.FACE_OVAL, 152]], face.size, 0.25)
        if where is None:
            return
        own, shaped, img = shifted(face.mesh[t], where), shifted(shape, where), face.frames[t][where]
        size = (img.shape[0], img.shape[1])
        source, target = with_collar(own), with_collar(own, shaped)
        corners = _solid(collared_triangles(), source, target)
        warped, covered = warp_mesh(img, source, target, size, corners, cv2.INTER_CUBIC)
        warped, covered = _closed_up(warped, covered)
        moved = moved_mask(source, target, size) * covered
        base = blend.alpha_blend(warped, img, moved)
        width_px = axes(own, rest_share(face)).width_px
        closed = max(float(_gap(own) - _gap(shaped)), 0.0) / width_px
        soft = _patch_mask(shaped, size, width_px, REACH + REACH_OF_GAP * closed) * np.float32(self.weight[k])
        patch, seen = self._patch(k, shaped, size)
        soft *= seen
        soft[soft < 1 / 255] = 0
        lit = _relit(patch, base, soft, shaped, width_px)
        frames[t][where] = blend.alpha_blend(lit, base, soft)
        masks[t][where] = np.maximum(moved, soft) > 0

    def _patch(
        self, k: int, shaped: NDArray[np.float32], size: tuple[int, int]
    ) -> tuple[Image, NDArray[np.bool_]]:
        """The lenders' mouths in the wanted shape, mixed: uint8 [h, w, 3], and where all are seen: bool [h, w]."""
        from haetae.faces.warp import warp_mesh

        mixed, seen = np.zeros((*size, 3), np.float32), np.ones(size, np.bool_)
        target = shaped[:468, :2]
        for one in self.lent[k]:
            mesh = self.face.mesh[one.frame][:468]
            corners = _solid(_lower_face(), mesh, target)
            picture = self.face.frames[one.frame]
            drawn, covered = _closed_up(*warp_mesh(picture, mesh, target, size, corners, cv2.INTER_CUBIC))
            mixed += np.float32(one.share) * drawn
            seen &= covered
        return np.rint(mixed).astype(np.uint8), seen


def _solid(
    corners: NDArray[np.int32], source: NDArray[np.float32], target: NDArray[np.float32]
) -> NDArray[np.int32]:
    """The triangles that are not squeezed to a thread.

    Between lips that close, a row of teeth would be squeezed into a bright line on the lips.
    """
    (from_area, from_long), (to_area, to_long) = (
        _area_and_length(x[:, :2][corners]) for x in (source, target)
    )
    high, thin = np.abs(from_area) / from_long, np.abs(to_area) / to_long
    return corners[~((thin < THREAD_PX) & (high > 1.5 * thin))]


def _area_and_length(triangles: NDArray[np.float32]) -> tuple[Points, Points]:
    """Twice the signed area and the longest side of triangles [M, 3, 2]."""
    a, b, c = (triangles[:, k].astype(np.float64) for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    sides = [np.hypot(*(x - y).T) for x, y in ((a, b), (b, c), (c, a))]
    return area, np.maximum(np.max(sides, axis=0), 1e-6)


def _closed_up(img: Image, covered: NDArray[np.bool_]) -> tuple[Image, NDArray[np.bool_]]:
    """Cracks of a pixel or two, where threads were left out, take on the colour around them."""
    whole = cv2.morphologyEx(covered.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0
    cracks = whole & ~covered
    if not cracks.any():
        return img, covered
    weight = cv2.GaussianBlur(covered.astype(np.float32), (0, 0), 1.2)
    around = cv2.GaussianBlur(img.astype(np.float32), (0, 0), 1.2) / np.maximum(weight, 1e-3)[..., None]
    out = img.copy()
    out[cracks] = np.clip(np.rint(around[cracks]), 0, 255).astype(np.uint8)
    return out, covered | cracks


def lenders(
    path: NDArray[np.int64],
    moments: NDArray[np.int64],
    usable: NDArray[np.bool_],
    openness: NDArray[np.float64],
) -> list[list[Lent]]:
    """The path's frames, and at each join also the frame that would have gone on, so that one fades into the other.

    openness: [T] of each frame's mouth. An open and a shut mouth are not mixed: teeth would shine through lips.
    """
    out: list[list[Lent]] = []
    for k, now in enumerate(path):
        going_on = int(path[k - 1]) + 1 if k and moments[k] == moments[k - 1] + 1 else int(now)
        joined = going_on not in (int(now), int(path[k - 1]) if k else -1)
        alike = joined and going_on < len(usable) and usable[going_on]
        if alike and abs(openness[going_on] - openness[now]) < MAX_MIXED:
            out.append([Lent(int(now), 0.65), Lent(going_on, 0.35)])
        else:
            out.append([Lent(int(now), 1.0)])
    return out


def _to_canonical(mesh: NDArray[np.float32]) -> Points:
    """The similarity from a head to the canonical one, from what speech does not move: [3, 4]."""
    from haetae.faces.canonical import canonical_points
    from haetae.faces.regions import RIGID
    from haetae.faces.warp import similarity

    there = canonical_points()[RIGID].astype(np.float32)
    return similarity(mesh[RIGID].astype(np.float32), there)


def _normal(mesh: NDArray[np.float32]) -> Points:
    """The skin points of a mesh on the canonical head: [468, 3]."""
    matrix = _to_canonical(mesh)
    return np.asarray(mesh[:468].astype(np.float64) @ matrix[:, :3].T + matrix[:, 3])


def _from_canonical(points: Points, matrix: Points) -> Points:
    return np.asarray((points - matrix[:, 3]) @ np.linalg.inv(matrix[:, :3]).T)


def _gliding(values: Points, moments: NDArray[np.int64], frame: NDArray[np.int64]) -> Points:
    """Shapes smoothed over time on both sides of each jump; elsewhere the clip itself was smooth already.

    values: [N, 468, 3]; frame: [N], where each comes from. Nothing reaches over moments that are left out.
    """
    out = values.copy()
    jump = (np.diff(frame) != 1) & (np.diff(moments) == 1)
    beside = np.append(jump, False) | np.insert(jump, 0, False)
    for run in np.split(np.arange(len(moments)), np.flatnonzero(np.diff(moments) > 1) + 1):
        smooth = smoothed_in_time(values[run], SMOOTH_FRAMES)
        out[run] = np.where(beside[run, None, None], smooth, values[run])
    return out


@functools.cache
def _lower_face() -> NDArray[np.int32]:
    """The triangles below the middle of the nose: int32 [M, 3]; nothing is lent from above."""
    from haetae.faces.canonical import canonical_points
    from haetae.faces.regions import triangles

    points = canonical_points()[:468].astype(np.float64)
    below = (points[:, 1] - points[197, 1]) * np.sign(points[152, 1] - points[10, 1]) > 0
    return np.asarray(triangles()[below[triangles()].any(axis=1)], np.int32)


@functools.cache
def _follows() -> Points:
    """How far each skin point goes with the retrieved mouth: 1 on lips and chin, 0 above the nose: [468]."""
    from haetae.faces.canonical import canonical_points

    points = canonical_points()[:468].astype(np.float64)
    lips, nose, ear = points[[61, 291, 13, 14]].mean(axis=0), points[2], points[454]
    width = abs(points[61, 0] - points[291, 0])
    down = np.sign(points[152, 1] - points[10, 1])
    below_nose = np.clip((points[:, 1] - nose[1]) * down / (0.35 * width), 0, 1)
    beside = np.clip((abs(ear[0]) - np.abs(points[:, 0] - lips[0])) / (0.45 * abs(ear[0])), 0, 1)
    smooth = below_nose * beside
    return np.asarray(smooth * smooth * (3 - 2 * smooth))


def _gap(mesh: NDArray[np.float32]) -> float:
    """Between the inner lips, px."""
    return float(np.linalg.norm(mesh[14, :2] - mesh[13, :2]))


def _patch_mask(
    mesh: NDArray[np.float32], size: tuple[int, int], width_px: float, reach: float
) -> NDArray[np.float32]:
    """1 on the lips, falling to 0 around them, never above the nose's base or beyond the jaw: float32 [h, w].

    reach: how far around the lips, in widths.
    """
    from haetae.faces import regions

    lips = regions.mouth_mask(mesh, size) > 0
    if not lips.any():
        return np.zeros(size, np.float32)
    away = cv2.distanceTransform((~lips).astype(np.uint8), cv2.DIST_L2, 5) / max(reach * width_px, 1.0)
    near = np.clip(1.25 * (1 - away), 0, 1)
    inside = regions.lower_face_mask(mesh, size, feather_px=max(2.0, 0.12 * width_px))
    return np.asarray(near * near * (3 - 2 * near) * np.maximum(inside, lips), np.float32)


def _relit(
    patch: Image, base: Image, soft: NDArray[np.float32], mesh: NDArray[np.float32], width_px: float
) -> Image:
    """The patch in the light of the frame it goes to: the slow difference of the skin around the lips is added."""
    from haetae.faces import regions

    size = (base.shape[0], base.shape[1])
    skin = (soft > 0) & (regions.mouth_mask(mesh, size, grow_px=0.06 * width_px) <= 0)
    known = np.dstack([(base.astype(np.float32) - patch) * skin[..., None], skin.astype(np.float32)])
    # Blurred small: nothing finer than half a mouth is kept of it.
    step = max(1.0, width_px / 24)
    small = cv2.resize(
        known, (max(1, round(size[1] / step)), max(1, round(size[0] / step))), interpolation=cv2.INTER_AREA
    )
    blurred = cv2.GaussianBlur(small, (0, 0), max(1.0, _LIGHT_REACH * width_px / step))
    slow = blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-4)
    slow[blurred[..., 3] < 1e-4] = 0
    slow = cv2.resize(slow, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.rint(np.clip(patch + slow, 0, 255)), np.uint8)
