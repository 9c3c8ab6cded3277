"""Self-blended crops: untouched training crops blended with altered copies of themselves, with their masks.

They are made anew for every step and are never kept: a way to see more blends than there are fakes. Fakes that
are samples of the data set are made by generators.
After: Shiohara & Yamasaki, Detecting Deepfakes with Self-Blended Images, CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.dataset.items import GRID

Crop = NDArray[np.uint8]


def self_blended(crops: list[Crop], rng: np.random.Generator) -> tuple[list[Crop], NDArray[np.float32]]:
    """Blend each crop with an altered copy of itself under one mask that all crops of the item share.

    crops: uint8 [S, S, 3] RGB, aligned. Returns the blended crops and the changed share of each cell of the
    grid, float32 [n, GRID, GRID].
    """
    size = crops[0].shape[0]
    mask = _mask(size, rng)
    alter = _alteration(size, rng)
    blended = []
    for crop in crops:
        base = crop.astype(np.float32)
        mixed = base + mask[..., None] * (alter(base) - base)
        blended.append(np.clip(np.round(mixed), 0, 255).astype(np.uint8))
    cells = cv2.resize(mask, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return blended, np.repeat((cells > 0.3).astype(np.float32)[None], len(crops), axis=0)


def _mask(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A soft blob on the face: a hull of points on a wobbly ellipse, its edge blurred by a random amount."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    centre = size * (0.5 + rng.uniform(-0.06, 0.06, 2) + (0, rng.uniform(-0.05, 0.15)))
    radii = size * rng.uniform((0.2, 0.14), (0.36, 0.4)) * (1 + rng.normal(0, 0.08, (24, 1)))
    points = centre + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    mask = np.zeros((size, size), np.float32)
    hull = cv2.convexHull(np.round(points).astype(np.int32).reshape(-1, 1, 2))
    cv2.fillConvexPoly(mask, hull, 1.0)
    soft = cv2.GaussianBlur(mask, (0, 0), size * rng.uniform(0.008, 0.05))
    return np.asarray(soft * np.float32(rng.choice([0.5, 0.75, 1.0, 1.0, 1.0])), dtype=np.float32)


def _alteration(size: int, rng: np.random.Generator) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A change of colour, of sharpness and of place, drawn once and the same for every crop."""
    gain, shift = np.float32(rng.uniform(0.88, 1.12, 3)), np.float32(rng.uniform(-12, 12, 3))
    kind = int(rng.integers(0, 4))
    strength = float(rng.uniform(0.5, 1.3))
    warp = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-2, 2), rng.uniform(0.97, 1.03))
    warp[:, 2] += rng.uniform(-0.02, 0.02, 2) * size

    def alter(base: NDArray[np.float32]) -> NDArray[np.float32]:
        changed = cv2.warpAffine(
            base, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        if kind == 0:
            changed = cv2.GaussianBlur(changed, (0, 0), strength)
        elif kind == 1:
            changed = changed + 0.6 * strength * (changed - cv2.GaussianBlur(changed, (0, 0), 1.0))
        elif kind == 2:
            small = round(size / (1 + strength))
            less = cv2.resize(changed, (small, small), interpolation=cv2.INTER_AREA)
            changed = cv2.resize(less, (size, size), interpolation=cv2.INTER_CUBIC)
        return np.asarray((changed - 128) * gain + 128 + shift, dtype=np.float32)

    return alter
