"""A clip whose face, or a part of it, is made anew by a learned network, and the faces that one learns from.

Which part, and from how much noise, is decided by the two generators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.crops import put_back
from generators.diffusion.detail import enlarged, in_light_of, in_shading_of, steadied
from generators.diffusion.views import Area, Views, seen, views
from generators.followed import Followed, follow
from generators.protocol import Card, FakeRequest, FakeResult
from generators.segments import changed_frames, video_segments
from haetae.errors import Rejected, UsageError

if TYPE_CHECKING:
    from generators.diffusion.network import Denoiser

_RELIT_SHARE = 0.75


@dataclass(frozen=True)
class How:
    """area: what is made anew; strength: time to which it is noised; steps: of denoising; steady_frames: sigma in
    frames with which the change is smoothed over time; masked: whether the rest is held; shared_noise: one noise for
    all frames."""

    area: Area
    strength: float
    steps: int
    steady_frames: float
    masked: bool
    shared_noise: bool = True


def repaint(card: Card, request: FakeRequest, network: Denoiser, how: How, seed: int) -> FakeResult:
    """A fake of the first face; metrics: strength, and the mean change as the network sees it, 0 to 255.

    Raises: Rejected no_face, face_lost, face_too_small, nothing_changed, picture_unusable; UsageError for a strength or
    a number of steps that the network was not made for.
    """
    if not 0 < how.strength <= network.plan.last_time:
        raise UsageError(
            f"{card.key}: the strength must lie above 0 and be at most {network.plan.last_time:g}, not {how.strength:g}"
        )
    if not 1 <= how.steps <= 200:
        raise UsageError(f"{card.key}: between 1 and 200 steps, not {how.steps}")
    face = follow(request.target)
    frames, masks = face.frames.copy(), np.zeros(face.frames.shape[:3], np.bool_)
    change = _painted(face, network, how, seed, frames, masks)
    changed = changed_frames(face.frames, frames)
    if not changed.any():
        raise Rejected("nothing_changed", "what was made anew equals what was there")
    masks[~changed] = False
    return FakeResult(
        segments=video_segments(changed),
        frames=frames,
        masks=masks,
        track_id=face.track_id,
        metrics={"model_change": round(change, 4), "strength": round(how.strength, 4)},
    )


def _painted(
    face: Followed,
    network: Denoiser,
    how: How,
    seed: int,
    frames: NDArray[np.uint8],
    masks: NDArray[np.bool_],
) -> float:
    """Paint into frames and masks; returns the mean |change| in the area as the network sees it, 0 to 255."""
    from generators.diffusion.sdedit import remade

    shown = views(face, how.area, network.plan.size_px)
    small, where = shown.small(), shown.masks()
    given = (where > 0).astype(np.float32) if how.masked else None
    made = remade(network, small, how.strength, how.steps, seed, given, how.shared_noise)
    made = _over_time(shown, made - small, how.steady_frames) + small
    made = in_light_of(made, small.astype(np.float32), where)
    made = in_shading_of(made, small.astype(np.float32), where)
    for n, t in enumerate(shown.at):
        large = shown.large(n)
        picture = enlarged(made[n], small[n].astype(np.float32), large.crop)
        put_back(frames[t], masks[t], large, picture, how.area.mask(large.mesh, shown.large_px))
    inside = where > 0.5
    return float(np.abs(made - small).mean(axis=3)[inside].mean()) if inside.any() else 0.0


def _over_time(shown: Views, change: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Smooth a change of the views over the frames of the clip, and over no frame in which the face is lost."""
    everywhere = np.full((len(shown.face.frames), *change.shape[1:]), np.nan, np.float32)
    everywhere[shown.at] = change
    return steadied(everywhere, sigma)[shown.at]


def to_learn_from(
    crops: NDArray[np.uint8], meshes: NDArray[np.float32], area: Area, size_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Views of one area in crops to learn from, and the masks of what is made anew in them.

    crops: uint8 [N, C, C, 3]; meshes: float32 [N, 478, 2]. Returns uint8 [N, S, S, 3], float32 [N, S, S] of 0 and 1.
    """
    shown = [seen(crop, mesh, area, size_px) for crop, mesh in zip(crops, meshes, strict=True)]
    masks = [(area.mask(mesh, size_px) > 0).astype(np.float32) for _, mesh in shown]
    return np.stack([picture for picture, _ in shown]), np.stack(masks)


def mirrored(flip: NDArray[np.bool_], *arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Copies with some of the pictures [N, S, S, …] mirrored. flip: bool [N]."""
    return tuple(np.where(flip.reshape(-1, *(1,) * (one.ndim - 1)), one[:, :, ::-1], one) for one in arrays)


def shaken(pictures: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pictures [N, S, S, 3] turned, shifted and enlarged by up to a twentieth."""
    side = pictures.shape[1]
    out = []
    for picture in pictures:
        shift = rng.uniform(-0.04, 0.04, 2) * side
        matrix = cv2.getRotationMatrix2D(
            (side / 2, side / 2), float(rng.uniform(-4, 4)), float(rng.uniform(0.95, 1.08))
        )
        matrix[:, 2] += shift
        out.append(cv2.warpAffine(picture, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE))
    return np.stack(out).astype(np.uint8)


def relit(pictures: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pictures [N, S, S, 3], three of four of them in another light, contrast and tint.

    A lake may have few people; without this a network learns their skin, and gives it to everybody.
    """
    out = pictures.copy()
    for n in np.flatnonzero(rng.random(len(pictures)) < _RELIT_SHARE):
        gain = rng.uniform(0.55, 1.25) * rng.uniform(0.8, 1.2, 3)
        lit = (pictures[n] / 255.0) ** rng.uniform(0.7, 1.4) * gain
        out[n] = np.clip(np.rint(255 * lit), 0, 255)
    return out
