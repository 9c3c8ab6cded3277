"""From the small picture that a network made to one that fits into the frame: light, steadiness and fine detail.

What the network made decides everything that its resolution can show; finer than that, the target's own detail is
kept where the made picture follows the target's structure, and dropped where it does not.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.followed import smoothed_in_time

Picture = NDArray[np.float32]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_FLAT = 6.0
"""Spread of luma, 0 to 255, below which an area has no structure that could be followed."""
_LIGHT_SIGMA_FRAMES = 5.0
_SHADING_SHARE = 16
"""Shading is what is coarser than a sigma of this part of the picture's side."""


def steadied(change: Picture, sigma_frames: float) -> Picture:
    """Changes of a face, float32 [T, S, S, 3] in crop coordinates, smoothed over time; NaN rows stay."""
    if sigma_frames <= 0:
        return change
    return smoothed_in_time(change, sigma_frames).astype(np.float32)


def in_light_of(made: Picture, target: Picture, where: NDArray[np.float32]) -> Picture:
    """Made faces with the mean colour and the spread of luma that the target has in the area, smoothed over time.

    made, target: float32 [T, S, S, 3], 0 to 255; where: float32 [T, S, S], weights of the area. Returns a new array.
    """
    colour_made, spread_made = _light(made, where)
    colour_target, spread_target = _light(target, where)
    gain = np.clip(spread_target / np.maximum(spread_made, 1e-3), 0.7, 1.4)[:, None]
    gains, was, wanted = (
        smoothed_in_time(one, _LIGHT_SIGMA_FRAMES).astype(np.float32)[:, None, None]
        for one in (gain, colour_made, colour_target)
    )
    luma = (made - was) @ _LUMA
    return np.asarray(made + (gains - 1) * luma[..., None] + (wanted - was), np.float32)


def in_shading_of(made: Picture, target: Picture, where: NDArray[np.float32]) -> Picture:
    """Made faces with the target's shading, coarse light and colour, in the area; what is finer stays as made.

    made, target: float32 [T, S, S, 3], 0 to 255; where: float32 [T, S, S], weights of the area. Returns a new array.
    A network reads the coarse part of the noise as stains on the skin.
    After: Wang et al., Exploiting Diffusion Prior for Real-World Image Super-Resolution, IJCV 2024 (its colour fix).
    """
    sigma = made.shape[1] / _SHADING_SHARE
    out = np.empty_like(made)
    for t, weight in enumerate(where):
        share = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)[..., None]
        coarse = cv2.GaussianBlur((made[t] - target[t]) * weight[..., None], (0, 0), sigma) / share
        out[t] = made[t] - weight[..., None] * coarse
    return out


def _light(faces: Picture, where: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean colour and spread of luma in each frame: float32 [T, 3] and [T]."""
    total = np.maximum(where.sum(axis=(1, 2)), 1e-6)
    mean = (faces * where[..., None]).sum(axis=(1, 2)) / total[:, None]
    luma = (faces - mean[:, None, None]) @ _LUMA
    spread = np.sqrt((luma**2 * where).sum(axis=(1, 2)) / total)
    return mean.astype(np.float32), spread.astype(np.float32)


def enlarged(made: Picture, small: Picture, crop: NDArray[np.uint8], radius_px: int = 2) -> NDArray[np.uint8]:
    """A made picture at the size of the target's crop.

    made: float32 [S, S, 3], 0 to 255; small: float32 [S, S, 3], the crop at the network's size; crop: uint8 [N, N, 3].
    The target's finer detail is weighted by the slope of the regression, in windows, of the made luma upon the
    target's: 1 where structure was kept, 0 where it is new. After: He et al., Guided Image Filtering, ECCV 2010.
    """
    n = crop.shape[0]
    slope = _slope(made @ _LUMA, small @ _LUMA, radius_px)
    large, soft, keep = (
        cv2.resize(one, (n, n), interpolation=how)
        for one, how in ((made, cv2.INTER_CUBIC), (small, cv2.INTER_CUBIC), (slope, cv2.INTER_LINEAR))
    )
    out = large + keep[..., None] * (crop.astype(np.float32) - soft)
    return np.asarray(np.clip(np.rint(out), 0, 255), np.uint8)


def _slope(made: NDArray[np.float32], target: NDArray[np.float32], radius_px: int) -> NDArray[np.float32]:
    window = (2 * radius_px + 1,) * 2
    mean_made, mean_target = cv2.blur(made, window), cv2.blur(target, window)
    shared = cv2.blur(made * target, window) - mean_made * mean_target
    spread = np.maximum(cv2.blur(target * target, window) - mean_target**2, 0)
    # In flat areas nothing contradicts the detail: grain and pores of the skin stay.
    slope = (shared + _FLAT**2) / (spread + _FLAT**2)
    return np.asarray(cv2.blur(np.clip(slope, 0, 1).astype(np.float32), window), np.float32)
