"""Where people are in a frame, so that everything but them can be painted, or everything but the others.

What is painted is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.followed import Followed, smoothed_in_time
from generators.protocol import ClipView, Face
from haetae.faces import regions

_HAIR, _BESIDE, _BELOW = 0.55, 0.35, 0.2
"""How far a head reaches beyond the face, in heights of the face."""
_NECK, _SHOULDERS, _HIPS = 0.75, 1.7, 2.0
"""Half widths of the body, in heights of the face: at the chin, a little below it, and where the frame ends."""
_SMOOTH_FRAMES = 3.0


@dataclass(frozen=True)
class Person:
    """Where someone is in each frame. mesh: float64 [T, 478, 2] px, steady, NaN where the face is not followed."""

    mesh: NDArray[np.float64]

    def at(self, t: int) -> NDArray[np.float64] | None:
        """The face in a frame, or the nearest one in time where it is not found: someone who turns away is still
        there. None for someone who was never found."""
        known = np.flatnonzero(np.isfinite(self.mesh[:, 0, 0]))
        return self.mesh[known[np.abs(known - t).argmin()]] if len(known) else None


def people(clip: ClipView, followed: Followed) -> tuple[Person, tuple[Person, ...]]:
    """The followed person, and the others of the clip."""
    others = tuple(_person(face, len(followed.mesh)) for face in clip.faces[1:])
    return Person(smoothed_in_time(followed.mesh[..., :2], _SMOOTH_FRAMES)), others


def _person(face: Face, n_frames: int) -> Person:
    mesh = np.full((n_frames, *face.mesh.shape[1:2], 2), np.nan)
    span = slice(face.first_frame, min(n_frames, face.first_frame + len(face.mesh)))
    mesh[span] = face.mesh[: span.stop - span.start, :, :2]
    return Person(smoothed_in_time(mesh, _SMOOTH_FRAMES))


def body_area(mesh: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Head, hair, shoulders and what is below them, drawn generously: uint8 [H, W], 0 or 1.

    mesh: float64 [478, 2] px; size: (height, width). There is no network that tells where a body ends, so what is
    around it and moves with it belongs to it too.
    """
    skin = mesh[: regions.N_SKIN]
    up, tall = _axis(mesh)
    across = np.array([-up[1], up[0]])
    area = np.zeros(size, np.uint8)
    oval = mesh[regions.FACE_OVAL]
    middle = oval.mean(axis=0)
    along, beside = (oval - middle) @ up, (oval - middle) @ across
    along += (
        np.where(along > 0, _HAIR, -_BELOW) * tall * np.abs(along) / max(float(np.abs(along).max()), 1e-6)
    )
    beside *= 1 + _BESIDE * tall / max(float(np.abs(beside).max()), 1e-6)
    head = middle + along[:, None] * up + beside[:, None] * across
    _fill(area, head)
    # Shoulders hang from the neck, however the head is tilted.
    x, chin = float(mesh[152, 0] * 0.5 + middle[0] * 0.5), float(skin[:, 1].max())
    bottom = max(size[0] + 1.0, chin + 1.0)
    slope = chin + 0.55 * tall
    left = [(x - _NECK * tall * 0.6, chin - 0.25 * tall), (x - _SHOULDERS * tall * 0.75, slope)]
    left += [(x - _SHOULDERS * tall, slope + 0.4 * tall), (x - _HIPS * tall, bottom + tall)]
    body = np.array([*left, *[(2 * x - a, b) for a, b in reversed(left)]])
    _fill(area, body)
    return area


def face_area(mesh: NDArray[np.float64], size: tuple[int, int], grow: float = 0.15) -> NDArray[np.uint8]:
    """The hull of a face, grown by a share of its height: uint8 [H, W], 0 or 1."""
    area = np.zeros(size, np.uint8)
    _fill(area, cv2.convexHull(mesh[: regions.N_SKIN].astype(np.float32))[:, 0])
    radius = max(1, round(grow * _axis(mesh)[1]))
    return np.asarray(
        cv2.dilate(area, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)), np.uint8
    )


def softened(area: NDArray[np.uint8], feather_px: float) -> NDArray[np.float32]:
    """Weights 0 outside an area, rising to 1 within it: float32 [H, W]. The frame's border is no edge."""
    padded = cv2.copyMakeBorder(area, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(np.clip(depth / max(feather_px, 1.0), 0, 1), np.float32)


def without(area: NDArray[np.uint8], others: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """An area less others."""
    out = area.copy()
    for other in others:
        out[other > 0] = 0
    return out


def _axis(mesh: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The way up along a face, and its height in px."""
    up = mesh[10] - mesh[152]
    tall = max(float(np.hypot(*up)), 1.0)
    # A face that looks down is short on the picture, but its head is not.
    skin = mesh[: regions.N_SKIN]
    return up / tall, max(tall, 0.9 * float(np.ptp(skin[:, 0])))


def _fill(area: NDArray[np.uint8], points: NDArray[np.floating]) -> None:
    fixed = np.round(np.clip(points, -20_000, 20_000) * 16).astype(np.int32)
    cv2.fillPoly(area, [fixed], 1, cv2.LINE_8, 4)
