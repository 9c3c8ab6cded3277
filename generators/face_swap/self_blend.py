"""`self_blend`: a face blended onto itself, slightly altered, so that only the traces of blending remain.

The mask shapes and alterations are here; following the face and measuring change are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.followed import Followed, follow, shifted, window
from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.segments import changed_frames, video_segments
from haetae.errors import Rejected
from haetae.provenance.ids import seed_of

Image = NDArray[np.uint8]

RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
"""Blend ratios, as often as in the paper."""
GRID = 5
DRIFT_S = 4.0
"""Time in which a drifting parameter goes from one drawn value to the next."""
REGIONS = ("whole", "no_forehead", "eyes_to_mouth", "lower_half", "features")


class SelfBlend:
    """Self-blended images, held together over time; no donor and no weights."""

    card = Card(
        name="self_blend",
        version="1",
        family="face_swap",
        modalities=("video",),
        needs=("face",),
        params={"min_ratio": 0.25, "strength": 1.0},
        description=(
            "Blends the face of the target, shifted, scaled, re-coloured and blurred or sharpened a little,"
            " back onto itself through a deformed mask; parameters are drawn once per clip and drift slowly."
        ),
        intended_use="Training detectors on the blending traces that all face swaps share.",
        paper="Shiohara & Yamasaki, Detecting Deepfakes with Self-Blended Images, CVPR 2022",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Blend the first face onto itself in every frame in which it is followed.

        Raises: Rejected no_face, face_lost, face_too_small, nothing_changed.
        """
        s = settings(self.card, request)
        face = follow(request.target)
        recipe = Recipe.draw(request.seed, len(face.frames), float(s["min_ratio"]), float(s["strength"]))
        frames, masks = face.frames.copy(), np.zeros(face.frames.shape[:3], np.bool_)
        for t in np.flatnonzero(face.usable):
            _blend_frame(face, recipe, int(t), frames, masks)
        changed = changed_frames(face.frames, frames)
        if not changed.any():
            raise Rejected("nothing_changed", "the altered face equals the face everywhere")
        masks[~changed] = False
        return FakeResult(
            segments=video_segments(changed),
            frames=frames,
            masks=masks,
            track_id=face.track_id,
            metrics={"blend_ratio": recipe.ratio, "region": float(REGIONS.index(recipe.region))},
        )


@dataclass(frozen=True)
class Recipe:
    """What is drawn for one clip; arrays have one row per frame and drift slowly.

    shift: of the source, share of the face's height [T, 2]; scale: [T]; lab: added to CIE Lab [T, 3];
    contrast: of L about its mean; sharpness: > 0 sharpened, < 0 blurred; ratio: weight of the source;
    region: one of `REGIONS`; wobble: displacement of the mask on a grid [2 (from, to), GRID, GRID, 2] in
    face heights; feather: blur of the mask, share of the face's height; grow: of the mask, likewise.
    """

    region: str
    ratio: float
    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    lab: NDArray[np.float64]
    contrast: float
    sharpness: float
    wobble: NDArray[np.float64]
    feather: float
    grow: float

    @classmethod
    def draw(cls, seed: int, n_frames: int, min_ratio: float, strength: float) -> Recipe:
        """Draw everything from the seed; equal seeds give equal recipes."""
        rng = np.random.default_rng(seed_of("self_blend", seed))
        ratios = [r for r in RATIOS if r >= min_ratio] or [1.0]
        sharp = rng.uniform(0.3, 1.0) * (1 if rng.random() < 0.5 else -1)
        # At least one of the alterations is always strong enough to be there: a face blended onto
        # itself without any would be a real one with a fake label.
        sign = np.where(rng.random(3) < 0.5, -1, 1)
        lab = sign * rng.uniform((2.5, 1.0, 1.0), (7.0, 4.0, 4.0)) * strength
        return cls(
            region=REGIONS[int(rng.integers(len(REGIONS)))],
            ratio=float(ratios[int(rng.integers(len(ratios)))]),
            shift=strength * _drifting(rng, n_frames, 2, 0.018),
            scale=1 + strength * _drifting(rng, n_frames, 1, 0.025)[:, 0],
            lab=lab + strength * _drifting(rng, n_frames, 3, 0.8),
            contrast=float(1 + strength * rng.uniform(-0.08, 0.08)),
            sharpness=float(sharp * strength),
            wobble=rng.normal(0, 0.025, (2, GRID, GRID, 2)),
            feather=float(rng.uniform(0.015, 0.06)),
            grow=float(rng.uniform(-0.05, 0.0)),
        )


def _drifting(rng: np.random.Generator, n: int, dims: int, scale: float) -> NDArray[np.float64]:
    """Values within ±scale that go smoothly from one drawn knot to the next: float64 [n, dims]."""
    step = DRIFT_S * 25.0
    knots = rng.uniform(-scale, scale, (int(np.ceil(n / step)) + 2, dims))
    at = np.arange(n) / step
    low = at.astype(int)
    share = (0.5 - 0.5 * np.cos(np.pi * (at - low)))[:, None]
    return np.asarray(knots[low] * (1 - share) + knots[low + 1] * share)


def _blend_frame(face: Followed, recipe: Recipe, t: int, frames: Image, masks: NDArray[np.bool_]) -> None:
    from haetae.faces import blend

    where = window(face.mesh[t, :468], face.size, 0.15)
    if where is None:
        return
    mesh, img = shifted(face.mesh[t], where), face.frames[t][where]
    face_px = float(np.ptp(mesh[:468, 1]))
    source = _altered(img, mesh, recipe, t, face_px)
    soft = _mask(mesh, img.shape[:2], recipe, t / max(len(face.frames) - 1, 1), face_px)
    out = blend.alpha_blend(source, img, soft * np.float32(recipe.ratio))
    frames[t][where] = out
    masks[t][where] = soft > 0


def _altered(img: Image, mesh: NDArray[np.float32], recipe: Recipe, t: int, face_px: float) -> Image:
    """The source: the picture re-coloured, blurred or sharpened, then shifted and scaled about the nose."""
    lab = cv2.cvtColor(img.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    level = float(lab[..., 0].mean())
    lab[..., 0] = np.clip((lab[..., 0] - level) * recipe.contrast + level + recipe.lab[t, 0], 0, 100)
    lab[..., 1:] += recipe.lab[t, 1:].astype(np.float32)
    rgb = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB) * 255
    sigma = 0.006 * face_px
    soft = cv2.GaussianBlur(rgb, (0, 0), max(0.5, sigma * (1 + abs(min(recipe.sharpness, 0)))))
    rgb = soft if recipe.sharpness < 0 else rgb + recipe.sharpness * (rgb - soft)
    x, y = mesh[4, :2]
    matrix = cv2.getRotationMatrix2D((float(x), float(y)), 0.0, float(recipe.scale[t]))
    matrix[:, 2] += recipe.shift[t] * face_px
    moved = cv2.warpAffine(
        rgb, matrix, img.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(np.clip(np.round(moved), 0, 255), np.uint8)


def _mask(
    mesh: NDArray[np.float32], size: tuple[int, int], recipe: Recipe, progress: float, face_px: float
) -> NDArray[np.float32]:
    """Hull of a part of the face, deformed elastically with the head, blurred: float32 [h, w] in [0, 1].

    Never beyond the face's own hull, so that hair and background stay.
    """
    part = _hull(_deformed(mesh, recipe, progress, face_px), size) & _hull(mesh[:468, :2], size)
    depth = cv2.distanceTransform(part, cv2.DIST_L2, 5) + recipe.grow * face_px
    rise = np.clip(depth / max(2 * recipe.feather * face_px, 1.0), 0, 1)
    return np.asarray(rise * rise * (3 - 2 * rise), np.float32)


def _hull(points: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The convex hull drawn to a sixteenth of a pixel, so that it does not jump: uint8 [h, w], 0 or 1."""
    corners = cv2.convexHull(np.ascontiguousarray(points, np.float32))
    fixed = np.round(np.clip(corners, -20_000, 20_000) * 16).astype(np.int32)
    drawn = cv2.fillConvexPoly(np.zeros(size, np.uint8), fixed, 1, cv2.LINE_8, 4)
    return np.asarray(drawn, np.uint8)


def _deformed(
    mesh: NDArray[np.float32], recipe: Recipe, progress: float, face_px: float
) -> NDArray[np.float64]:
    """The points whose hull is the mask, each displaced by a grid that is fixed to the face."""
    from haetae.faces.canonical import canonical_points

    at = _region_points(recipe.region)
    canonical = canonical_points()[at, :2].astype(np.float64)
    low, high = (f(canonical_points()[:468, :2], axis=0) for f in (np.min, np.max))
    place = ((canonical - low) / (high - low) * (GRID - 1)).astype(np.float32)
    grid = (recipe.wobble[0] * (1 - progress) + recipe.wobble[1] * progress).astype(np.float32)
    moved = cv2.remap(grid, place[None, :, 0], place[None, :, 1], cv2.INTER_LINEAR)[0]
    return np.asarray(mesh[at, :2] + moved * face_px, np.float64)


def _region_points(region: str) -> list[int]:
    from haetae.faces import regions as r

    brows = [*r.RIGHT_BROW, *r.LEFT_BROW]
    below_brows = [i for i in r.JAW if i not in (454, 234)]
    return {
        "whole": [*r.FACE_OVAL, *brows],
        "no_forehead": [*r.JAW, *brows],
        "eyes_to_mouth": [*brows, *r.LIPS_OUTER, 205, 425, 116, 345],
        "lower_half": [*below_brows, 50, 280, 2],
        "features": [*brows, *r.LIPS_OUTER, 152, 176, 400, 50, 280],
    }[region]
