"""Colour and texture tools of the painter: recolouring, hair and cloth grain, soft shapes, layering.

All pictures here are float32 RGB in [0, 1] unless said otherwise; what is painted where is in `paint` and
`wardrobe`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from haetae.sample.portrait import CANVAS_PX, F32

GAMMA = 2.2


def rgb(colour: tuple[int, int, int]) -> F32:
    """sRGB bytes as float32 [3] in [0, 1]."""
    return np.asarray(np.asarray(colour) / 255, dtype=np.float32)


def smoothstep(value: ArrayLike, low: float, high: float) -> F32:
    """0 below `low`, 1 above `high`, smooth between; `low` may be the larger one."""
    t = np.clip((np.asarray(value, dtype=np.float32) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def lerp(below: F32, above: F32, alpha: F32) -> F32:
    """`above` over `below`; alpha float32 [H, W]."""
    return np.asarray(below + (above - below) * alpha[..., None], dtype=np.float32)


def tinted(picture: F32, target: F32, weight: F32, strength: float = 1.0) -> F32:
    """Multiply light (linear, not sRGB) so that the mean inside `weight` becomes `target`; shading survives.

    weight: float32 [H, W]. The picture is changed everywhere: mask the result.
    """
    light = np.power(np.clip(picture, 0, 1), GAMMA)
    total = float(weight.sum()) + 1e-6
    mean = (light * weight[..., None]).sum((0, 1)) / total
    gain = (np.power(target, GAMMA) / np.maximum(mean, 1e-4)) ** strength
    lit = light * gain
    # A shoulder instead of clipping: highlights keep their form on light skin.
    lit = np.where(lit > 0.55, 0.55 + 0.45 * np.tanh((lit - 0.55) / 0.45), lit)
    return np.asarray(np.power(np.clip(lit, 0, 1), 1 / GAMMA), dtype=np.float32)


def recoloured_hair(picture: F32, target: F32, weight: F32) -> F32:
    """Hair of another colour: the strands' light and dark stay, less of it in dark hair."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    goal = cv2.cvtColor(target.reshape(1, 1, 3), cv2.COLOR_RGB2LAB)[0, 0]
    total = float(weight.sum()) + 1e-6
    mean = (lab * weight[..., None]).sum((0, 1)) / total
    contrast = float(np.clip(0.34 + goal[0] / 110, 0.34, 1.0))
    lab[..., 0] = np.clip(goal[0] + contrast * (lab[..., 0] - mean[0]), 2, 98)
    lab[..., 1:] = goal[1:] + 0.35 * (lab[..., 1:] - mean[1:])
    return np.asarray(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1), dtype=np.float32)


def polygon(points: ArrayLike, blur_px: float = 0.0, size: int = CANVAS_PX) -> F32:
    """Filled, anti-aliased polygon, float32 [size, size]; points float [N, 2] px."""
    mask = np.zeros((size, size), np.uint8)
    corners = np.rint(np.asarray(points, dtype=np.float64) * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, 4)
    soft = mask.astype(np.float32) / 255
    return np.asarray(cv2.GaussianBlur(soft, (0, 0), blur_px) if blur_px > 0 else soft, dtype=np.float32)


def stroke(points: ArrayLike, width_px: float, blur_px: float = 0.0, closed: bool = False) -> F32:
    """Anti-aliased line through points, float32 [640, 640]; widths below one pixel are drawn fainter."""
    mask = np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)
    corners = np.rint(np.asarray(points, dtype=np.float64) * 16).astype(np.int32)
    cv2.polylines(mask, [corners], closed, 255, max(1, round(width_px)), cv2.LINE_AA, 4)
    soft = mask.astype(np.float32) / 255 * min(1.0, width_px)
    return np.asarray(cv2.GaussianBlur(soft, (0, 0), blur_px) if blur_px > 0 else soft, dtype=np.float32)


def curve(points: ArrayLike, n: int = 80, closed: bool = False) -> NDArray[np.float64]:
    """Smooth curve through points (Catmull-Rom): float64 [n, 2]."""
    p = np.asarray(points, dtype=np.float64)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    spans = len(p) - 3
    t = np.linspace(0, spans, n, endpoint=not closed)
    k = np.minimum(t.astype(int), spans - 1)
    f = (t - k)[:, None]
    a, b, c, d = (p[k + i] for i in range(4))
    return np.asarray(
        0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3)
    )


def noise(rng: np.random.Generator, sigma: tuple[float, float], size: tuple[int, int] | None = None) -> F32:
    """Smooth noise, mean 0 and deviation 1; sigma: blur (x, y) px; size: (height, width)."""
    height, width = size or (CANVAS_PX, CANVAS_PX)
    field = rng.standard_normal((height, width)).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), sigmaX=max(sigma[0], 0.01), sigmaY=max(sigma[1], 0.01))
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), dtype=np.float32)


def strands(rng: np.random.Generator, colour: F32, lean: float = 0.0) -> F32:
    """Hair hanging down: float32 [640, 640, 3]; lean: px sideways per px down."""
    grain = 0.55 * noise(rng, (0.9, 40)) + 0.35 * noise(rng, (2.5, 60)) + 0.25 * noise(rng, (9, 50))
    if lean:
        matrix = np.array([[1, lean, -lean * CANVAS_PX / 2], [0, 1, 0]], dtype=np.float64)
        size = (CANVAS_PX, CANVAS_PX)
        grain = cv2.warpAffine(grain, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    level = float(colour.mean())
    picture = (
        colour * (1 + 0.34 * grain[..., None]) + (0.035 + 0.05 * level) * np.maximum(grain, 0)[..., None]
    )
    return np.asarray(np.clip(picture, 0, 1), dtype=np.float32)


def layer(picture: F32, alpha: F32) -> NDArray[np.uint8]:
    """Premultiplied RGBA, uint8 [H, W, 4]."""
    alpha = np.clip(alpha, 0, 1)
    both = np.concatenate([np.clip(picture, 0, 1) * alpha[..., None], alpha[..., None]], axis=2)
    return np.asarray(np.rint(both * 255), dtype=np.uint8)


def over(below: NDArray[np.uint8], above: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One premultiplied RGBA layer over another: uint8 [H, W, 4]."""
    share = 1 - above[..., 3:].astype(np.float32) / 255
    return np.asarray(np.clip(np.rint(above + below * share), 0, 255), dtype=np.uint8)


def grown(points: F32, factor: float) -> NDArray[np.float64]:
    """Points moved away from their mean: float64 [N, 2]."""
    centre = points.mean(0, keepdims=True)
    return np.asarray(centre + factor * (points - centre), dtype=np.float64)
