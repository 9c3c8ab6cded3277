"""Putting a warped face into a picture: colour transfer, gradient-domain and alpha blending.

Where the pixels come from (`warp`) and where they go (`regions`) is decided elsewhere. Every function leaves
pixels outside its mask bit-equal to the target.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.float32] | NDArray[np.bool_] | NDArray[np.uint8]

_MAX_GAIN = 3.0


@dataclass(frozen=True)
class LabStats:
    """Colour of a region: mean and standard deviation of CIE L*a*b* (D65; L in 0–100), each float64 [3]."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def towards(self, other: LabStats, weight: float) -> LabStats:
        """These statistics moved by `weight` in [0, 1] towards others: one step of exponential smoothing."""
        return LabStats(
            self.mean + weight * (other.mean - self.mean), self.std + weight * (other.std - self.std)
        )


def lab_stats(img: Image, mask: Mask) -> LabStats:
    """Lab statistics of `img` (uint8 [H, W, 3] RGB) where `mask` ([H, W]) is above 0.

    Raises: ValueError for an empty mask.
    """
    where = _box(mask)
    if where is None:
        raise ValueError("the mask is empty; there is no colour to measure")
    return _stats(_lab(img[where]), _inside(mask[where]))


def colour_transfer(
    src: Image, dst: Image, mask: Mask, stats: tuple[LabStats, LabStats] | None = None
) -> Image:
    """`src` recoloured, where `mask` > 0, to have the Lab mean and spread that `dst` has there.

    src, dst: uint8 [H, W, 3] RGB of one size; mask: [H, W]. `stats`: (of src, of dst) to use instead of
    measuring them here: smooth them over time with `LabStats.towards` so that colour does not flicker.
    Pixels where the mask is 0 are those of `src`; an empty mask returns `src`.
    After: Reinhard et al., Color Transfer between Images, 2001 (in CIE Lab instead of lαβ).
    """
    where = _box(mask)
    if where is None:
        return src.copy()
    inside, lab = _inside(mask[where]), _lab(src[where])
    of_src, of_dst = stats or (_stats(lab, inside), _stats(_lab(dst[where]), inside))
    gain = np.clip(of_dst.std / np.maximum(of_src.std, 1e-3), 1 / _MAX_GAIN, _MAX_GAIN)
    lab *= gain.astype(np.float32)
    lab += (of_dst.mean - gain * of_src.mean).astype(np.float32)
    np.clip(lab[..., 0], 0, 100, out=lab[..., 0])
    out = src.copy()
    rgb = np.rint(np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0, 1) * 255).astype(np.uint8)
    np.copyto(out[where], rgb, where=inside[..., None] > 0)
    return out


def _stats(lab: NDArray[np.float32], inside: NDArray[np.uint8]) -> LabStats:
    mean, std = cv2.meanStdDev(lab, mask=inside)
    return LabStats(mean[:, 0], std[:, 0])


def seamless(src: Image, dst: Image, mask: Mask) -> Image:
    """`src` cloned into `dst` inside `mask` so that its gradients stay and its edge takes on dst's colours.

    src, dst: uint8 [H, W, 3] of one size; mask: [H, W], inside where > 0.5 (or > 127 for uint8).
    Works where the mask touches the border; a mask too thin to solve in is copied with a soft edge instead.
    Pixels outside the mask are bit-equal to `dst`. After: Pérez et al., Poisson Image Editing, 2003.
    """
    hard = (_weight(mask) > 0.5).astype(np.uint8)
    where = _box(hard)
    if where is None:
        return dst.copy()
    out = dst.copy()
    part, target, source = hard[where], dst[where], src[where]
    out[where] = np.where(part[..., None] > 0, _cloned(source, target, part), target)
    return out


def _cloned(source: Image, target: Image, part: NDArray[np.uint8], pad: int = 8) -> Image:
    core = cv2.erode(np.pad(part, 1), np.ones((7, 7), np.uint8))
    if np.count_nonzero(core) < 25:
        return alpha_blend(source, target, cv2.GaussianBlur(part.astype(np.float32), (0, 0), 1.0))
    # Room around the mask: the solver needs a frame of known pixels and refuses masks at the border.
    grown_source, grown_target = (
        cv2.copyMakeBorder(img, pad, pad, pad, pad, cv2.BORDER_REPLICATE) for img in (source, target)
    )
    grown = cv2.copyMakeBorder(part, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    x, y, w, h = cv2.boundingRect(grown)
    centre = (x + w // 2, y + h // 2)
    whole = cv2.seamlessClone(grown_source, grown_target, grown * 255, centre, cv2.NORMAL_CLONE)
    return np.asarray(whole[pad:-pad, pad:-pad], np.uint8)


def alpha_blend(src: Image, dst: Image, soft_mask: Mask) -> Image:
    """`soft_mask * src + (1 - soft_mask) * dst`, rounded: uint8 [H, W, 3].

    soft_mask: [H, W] in [0, 1] (uint8: 0 to 255). Where it is 0 the result is bit-equal to `dst`, where 1 to
    `src`. After: Porter & Duff, Compositing Digital Images, 1984.
    """
    where = _box(soft_mask)
    out = dst.copy()
    if where is not None:
        weight = _weight(soft_mask[where])[..., None]
        mixed = dst[where] + (src[where].astype(np.float32) - dst[where]) * weight
        out[where] = np.clip(np.round(mixed), 0, 255).astype(np.uint8)
    return out


def _lab(img: Image) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(img.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def _weight(mask: Mask) -> NDArray[np.float32]:
    """Any mask as float32 in [0, 1]."""
    if mask.dtype == np.uint8:
        # A uint8 mask counts 0/1 (a drawing) or 0/255 (a picture).
        return np.asarray(mask, np.float32) / (255.0 if mask.max(initial=0) > 1 else 1.0)
    return np.asarray(mask, np.float32)


def _inside(mask: Mask) -> NDArray[np.uint8]:
    return (_weight(mask) > 0).astype(np.uint8)


def _box(mask: Mask) -> tuple[slice, slice] | None:
    x, y, w, h = cv2.boundingRect(_inside(mask))
    return (slice(y, y + h), slice(x, x + w)) if w and h else None
