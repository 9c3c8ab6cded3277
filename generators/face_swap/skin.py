"""What is skin on a face, and what hangs in front of it: hair, hands, a microphone.

Colours are judged against each person's own skin, so that no complexion is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.followed import Followed, shifted, window

_WORK_PX = 128


@dataclass(frozen=True)
class Skin:
    """One person's skin in CIE Lab: its centre, and the reach beyond which it ends; float64 [3]."""

    centre: NDArray[np.float64]
    reach: NDArray[np.float64]

    @classmethod
    def of(cls, stats: NDArray[np.float64]) -> Skin:
        """From `skin_stats` of a clip."""
        known = stats[np.isfinite(stats).all(axis=(1, 2))]
        if not len(known):
            return cls(np.zeros(3), np.full(3, np.inf))
        centre, spread = np.median(known[:, 0], axis=0), np.median(known[:, 1], axis=0)
        return cls(centre, np.maximum(3.0 * spread, (20.0, 9.0, 9.0)))

    def unlikeness(self, img: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Distance of each pixel from the skin, 1 at the reach: float32 [H, W]. img: uint8 [H, W, 3] RGB."""
        lab = cv2.cvtColor(img.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
        away = (lab - self.centre.astype(np.float32)) / self.reach.astype(np.float32)
        return np.asarray(np.sqrt((away**2).sum(axis=2)), np.float32)


def skin_stats(face: Followed, at: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean and spread of Lab on the middle of the face, without brows, eyes and lips: float64 [T, 2, 3].

    NaN in frames that are not asked for. at: bool [T].
    """
    from haetae.faces import regions
    from haetae.faces.blend import lab_stats

    out = np.full((len(face.mesh), 2, 3), np.nan)
    for t in np.flatnonzero(at & face.usable):
        where = window(face.mesh[t, :468], face.size, 0.0)
        if where is None:
            continue
        img, mesh = _small(face.frames[t][where], shifted(face.mesh[t], where))
        size = img.shape[:2]
        skin = regions.face_mask(mesh, size, grow_px=-0.16 * float(np.ptp(mesh[:468, 1]))) > 0
        for outline in (regions.LIPS_OUTER, regions.RIGHT_EYE, regions.LEFT_EYE):
            skin &= regions.region_mask(mesh, outline, size, grow_px=3) <= 0
        if np.count_nonzero(skin) >= 25:
            stats = lab_stats(img, skin)
            out[t] = stats.mean, stats.std
    return out


def bare_skin(
    target: tuple[NDArray[np.uint8], Skin], donor: tuple[NDArray[np.uint8], Skin], mesh: NDArray[np.float32]
) -> NDArray[np.float32]:
    """1 where both pictures show a face, 0 where hair or anything else lies over the rim of either.

    Pictures: uint8 [H, W, 3] RGB of one size, in which the face lies on `mesh`. Between brows and mouth
    everything counts as face: there, other colours are features. float32 [H, W].
    """
    from haetae.faces import regions

    small, points = _small(target[0], mesh)
    size = small.shape[:2]
    face_px = float(np.ptp(points[:468, 1]))
    outside = np.zeros(size, np.float32)
    for (img, skin), blur in ((target, 0.012), (donor, 0.02)):
        picture = cv2.resize(img, size[::-1], interpolation=cv2.INTER_AREA)
        picture = cv2.GaussianBlur(picture, (0, 0), max(blur * face_px, 0.5))
        outside = np.maximum(outside, skin.unlikeness(picture))
    features = [*regions.RIGHT_BROW, *regions.LEFT_BROW, *regions.LIPS_OUTER, 205, 425, *regions.NOSE]
    hull = cv2.convexHull(np.round(points[features, :2]).astype(np.int32))
    core = cv2.fillConvexPoly(np.zeros(size, np.uint8), hull, 1)
    bare = ((outside < 1.0) | (core > 0)).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    bare = cv2.morphologyEx(cv2.morphologyEx(bare, cv2.MORPH_CLOSE, kernel), cv2.MORPH_OPEN, kernel)
    _, parts = cv2.connectedComponents(bare)
    held = np.bincount(parts[core > 0], minlength=2)
    held[0] = 0
    rim, _ = cv2.findContours(
        (parts == int(np.argmax(held))).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    # Drawn filled: a mole or a highlight is no hole in the face.
    whole = cv2.drawContours(np.zeros(size, np.float32), rim, -1, 1.0, cv2.FILLED)
    soft = cv2.GaussianBlur(whole, (0, 0), 3.0)
    grown = cv2.resize(soft, target[0].shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown > 0.5, np.float32)


def _small(
    img: NDArray[np.uint8], mesh: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Picture and mesh at the size at which colours are judged."""
    scale = min(1.0, _WORK_PX / max(img.shape[0], 1))
    size = max(1, round(img.shape[1] * scale)), max(1, round(img.shape[0] * scale))
    small = cv2.resize(img, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), mesh * np.float32(scale)
