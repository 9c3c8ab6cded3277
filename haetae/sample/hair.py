"""Hair and what is worn over it: hairlines, long hair, knots, caps, headscarves; and the ears that then show.

The rest of the head is in `paint`. Pictures are float32 RGB in [0, 1], in canvas px.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.faces.regions import FACE_OVAL
from haetae.sample.looks import Look
from haetae.sample.pigment import curve, grown, layer, lerp, noise, polygon, rgb, smoothstep, strands
from haetae.sample.portrait import CANVAS_PX, F32, Portrait

_ROWS, _COLS = np.mgrid[:CANVAS_PX, :CANVAS_PX].astype(np.float32)


def hairline(picture: F32, portrait: Portrait, look: Look, rng: np.random.Generator) -> tuple[F32, F32, F32]:
    """Take hair off the forehead and, for hair worn short or tied up, off the sides; skin goes on below it.

    Returns the picture, the share of hair in every pixel, and the matte of the head.
    """
    share = np.asarray(np.clip(portrait.hair / np.maximum(portrait.head, 1e-3), 0, 1), dtype=np.float32)
    # Between the nose and the chin the only thing a segmentation calls hair is shadow.
    share *= 1 - smoothstep(_ROWS, 330, 345)
    bare_sides = look.hair in ("cropped", "bun", "scarf")
    if look.hairline <= 0 and not bare_sides:
        return picture, share, portrait.head
    mesh = portrait.mesh[:, :2]
    half, x = portrait.width_px / 2, 0.5 * float(mesh[168, 0] + mesh[10, 0])
    u = (_COLS - x) / half
    ragged = 5 * noise(rng, (2.0, 6)) + 3 * noise(rng, (8, 8))
    line = float(mesh[10, 1]) + 46 - 62 * look.hairline + 26 * np.abs(u) ** 2.2 + ragged
    oval = polygon(grown(mesh[FACE_OVAL], 1.03), 1.5)
    bare = smoothstep(_ROWS - line, -5, 7) * smoothstep(
        np.abs(u), 0.97 if bare_sides else 0.80, 0.90 if bare_sides else 0.62
    )
    if bare_sides:
        # Beside the eyes the hair goes back to the ear, leaving a sideburn.
        temple = smoothstep(_ROWS - (float(mesh[127, 1]) - 14 + ragged), 0, 16)
        bare = np.maximum(bare, temple)
    weight = polygon(grown(mesh[FACE_OVAL], 0.97))
    weight *= np.clip(portrait.skin * (1 - share), 0, 1) ** 2
    filled = _extended(picture, weight, 22.0)
    side = 1 - 0.30 * smoothstep(np.abs(u), 0.72, 1.05)
    forehead = smoothstep(_ROWS, float(mesh[10, 1]) + 60, float(mesh[10, 1]) + 40) * smoothstep(
        np.abs(u), 1.05, 0.95
    )
    oval = np.maximum(oval, forehead)
    blend = share * bare
    picture = lerp(picture, (filled * side[..., None]).astype(np.float32), np.clip(blend * oval, 0, 1))
    alpha = np.where(
        portrait.skin > 0.5,
        portrait.head,
        np.maximum(portrait.head * (1 - bare * share), oval * portrait.head),
    )
    return picture, (share * (1 - bare)).astype(np.float32), alpha.astype(np.float32)


def _extended(picture: F32, weight: F32, sigma_px: float) -> F32:
    """What is weighted, carried on into what is not: mean of near neighbours, then of farther ones."""
    out = np.zeros_like(picture)
    have = np.zeros_like(weight)
    for sigma in (0.35 * sigma_px, sigma_px, 3 * sigma_px):
        total = cv2.GaussianBlur(weight, (0, 0), sigma)
        mean = cv2.GaussianBlur(picture * weight[..., None], (0, 0), sigma) / (total[..., None] + 1e-5)
        use = np.clip(total * 6, 0, 1) * (1 - have)
        out += mean * use[..., None]
        have += use
    return (out / (have[..., None] + 1e-5)).astype(np.float32)


def ears(portrait: Portrait, picture: F32) -> NDArray[np.uint8]:
    """Two ears behind the face, between the brows and the tip of the nose."""
    mesh = portrait.mesh[:, :2]
    top, bottom = float(mesh[9, 1]) + 14, float(mesh[2, 1]) - 2
    alpha = np.zeros((CANVAS_PX, CANVAS_PX), np.float32)
    light = np.ones_like(alpha)
    for index, side in ((127, -1.0), (356, 1.0)):
        x = float(mesh[index, 0]) + side * 9
        y, tall = 0.5 * (top + bottom), 0.5 * (bottom - top)
        lean = (_COLS - x) + side * 0.16 * (_ROWS - y)
        radius = np.hypot(lean / (17 - 4 * smoothstep(_ROWS, y, bottom)), (_ROWS - y) / tall)
        alpha = np.maximum(alpha, smoothstep(radius, 1.03, 0.95))
        bowl = np.hypot((lean - side * 2) / 9, (_ROWS - y + 4) / (0.62 * tall))
        light = (
            light
            - 0.30 * smoothstep(bowl, 1.1, 0.5)
            + 0.06 * smoothstep(np.abs(radius - 0.85), 0.12, 0.0) * (alpha > 0)
        )
    cheeks = 0.5 * (
        picture[int(mesh[234, 1]), int(mesh[234, 0]) + 14]
        + picture[int(mesh[454, 1]), int(mesh[454, 0]) - 14]
    )
    shade = np.clip(cheeks * np.array([0.98, 0.88, 0.86]) * light[..., None], 0, 1)
    return layer(cv2.GaussianBlur(shade.astype(np.float32), (0, 0), 1.5), alpha)


def long_hair(
    picture: F32, alpha: F32, portrait: Portrait, colour: F32, rng: np.random.Generator
) -> tuple[F32, F32, NDArray[np.uint8]]:
    """Hair to the chest: a curtain behind the neck, and a lock on either side before the shoulders."""
    x, half = float(portrait.mesh[152, 0]), portrait.width_px / 2
    hair = strands(rng, colour)
    behind = polygon(
        curve(
            [
                (x - 1.30 * half, 250),
                (x - 1.45 * half, 360),
                (x - 1.30 * half, 560),
                (x, 600),
                (x + 1.30 * half, 560),
                (x + 1.45 * half, 360),
                (x + 1.30 * half, 250),
            ],
            120,
            True,
        ),
        2,
    )
    back = layer(hair * 0.55, behind)
    locks = np.zeros_like(alpha)
    for side in (-1.0, 1.0):
        outline = [
            (1.22, 235),
            (1.46, 330),
            (1.50, 430),
            (1.36, 545),
            (1.10, 590),
            (0.98, 540),
            (1.10, 455),
            (1.00, 380),
            (0.93, 320),
            (0.95, 250),
        ]
        locks = np.maximum(
            locks, polygon(curve([(x + side * u * half, y) for u, y in outline], 120, True), 1.6)
        )
    fringe = np.clip(
        locks * (1 - smoothstep(_ROWS, 520, 596) * np.clip(0.5 + 0.9 * noise(rng, (2.2, 30)), 0, 1)), 0, 1
    )
    u = np.abs(_COLS - x) / half
    shading = 0.72 + 0.34 * smoothstep(u, 1.0, 1.28) - 0.2 * smoothstep(u, 1.3, 1.5)
    top = smoothstep(_ROWS, 235, 300)
    # Beyond the head there is nothing to mix with: soft edges are the matte's business.
    share = np.where((alpha < 0.5) & (fringe > 0), 1, fringe * top).astype(np.float32)
    picture = lerp(picture, (hair * shading[..., None]).astype(np.float32), share)
    return picture, np.maximum(alpha, fringe * smoothstep(_ROWS, 232, 262)), back


def bun(portrait: Portrait, colour: F32, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A knot of hair above the crown."""
    x, y = float(portrait.mesh[10, 0]), float(portrait.mesh[10, 1]) - 112
    turn = np.arctan2(_ROWS - y, _COLS - x)
    radius = np.hypot((_COLS - x) / 50, (_ROWS - y) / 40)
    swirl = np.sin(5 * turn + 7 * radius + 0.4 * noise(rng, (6, 6)))
    ball = np.clip(1.05 - 0.55 * radius, 0, 1)
    shade = (
        colour * (ball * (1 + 0.22 * swirl + 0.12 * noise(rng, (1, 3))))[..., None] + 0.03 * ball[..., None]
    )
    return layer(shade.astype(np.float32), smoothstep(radius, 1.04, 0.97))


def cap(
    picture: F32, alpha: F32, portrait: Portrait, look: Look, rng: np.random.Generator
) -> tuple[F32, F32]:
    """A knitted cap with a turned-up band, drawn over the hair above the forehead."""
    x, top = float(portrait.mesh[10, 0]), float(portrait.mesh[10, 1])
    half = portrait.width_px / 2
    outline = [
        (-1.30, 26),
        (-1.36, -20),
        (-1.18, -86),
        (-0.62, -132),
        (0.0, -144),
        (0.62, -132),
        (1.18, -86),
        (1.36, -20),
        (1.30, 26),
        (0.75, 12),
        (0.0, 6),
        (-0.75, 12),
    ]
    mask = polygon(curve([(x + u * half, top + dy) for u, dy in outline], 160, True), 1.0)
    u = (_COLS - x) / (1.36 * half)
    ribs = 0.5 + 0.5 * np.cos(38 * np.arcsin(np.clip(u, -1, 1)))
    rows = 0.5 + 0.5 * np.cos(_ROWS * 0.9)
    round_off = np.sqrt(np.clip(1 - 0.85 * u * u, 0, 1))
    lower_edge = top + 8 + 14 * u * u
    band = smoothstep(_ROWS - lower_edge, -46, -43)
    shade = (0.42 + 0.62 * round_off) * (0.80 + 0.22 * ribs) * (0.94 + 0.08 * rows) * (0.86 + 0.16 * band)
    shade *= 1 - 0.35 * smoothstep(np.abs(_ROWS - lower_edge + 45), 5, 0)
    wool = np.clip(rgb(look.scarf_colour) * (shade + 0.03 * noise(rng, (0.8, 0.8)))[..., None], 0, 1)
    shadow = cv2.GaussianBlur(np.roll(mask, 9, axis=0), (0, 0), 6) * 0.45 * (1 - mask)
    picture = (picture * (1 - shadow)[..., None]).astype(np.float32)
    share = np.where((alpha < 0.5) & (mask > 0), 1, mask).astype(np.float32)
    return lerp(picture, wool.astype(np.float32), share), np.maximum(alpha, mask)


def scarf(
    picture: F32, alpha: F32, portrait: Portrait, look: Look, rng: np.random.Generator
) -> tuple[F32, F32]:
    """A headscarf: cloth around the face, closed under the chin and falling over the chest."""
    mesh = portrait.mesh
    x, half = float(mesh[152, 0]), portrait.width_px / 2
    chin, top = float(mesh[152, 1]), float(mesh[10, 1])
    outer = [
        (0.0, top - 96),
        (0.80, top - 78),
        (1.30, top - 10),
        (1.46, top + 90),
        (1.40, chin - 50),
        (1.52, chin + 30),
        (2.05, chin + 110),
        (2.2, chin + 190),
        (1.2, chin + 226),
        (0, chin + 232),
    ]
    hole = [
        (0.0, top + 14),
        (0.46, top + 22),
        (0.76, top + 52),
        (0.90, top + 112),
        (0.86, chin - 56),
        (0.50, chin - 8),
        (0.0, chin + 6),
    ]
    cloth = polygon(_both_sides(x, half, outer), 1.0)
    opening = polygon(_both_sides(x, half, hole), 1.0)
    mask = np.clip(cloth - opening, 0, 1)
    turn = np.arctan2(_COLS - x, _ROWS - (chin - 70))
    radius = np.hypot(_COLS - x, _ROWS - (chin - 95))
    folds = 0.5 * np.sin(7 * turn + 0.018 * radius + 0.8 * noise(rng, (50, 50))) + 0.35 * np.sin(
        15 * turn - 0.03 * radius + noise(rng, (40, 40))
    )
    below = smoothstep(_ROWS, chin - 20, chin + 60)
    depth = cv2.GaussianBlur(opening, (0, 0), 9)
    rim = cv2.GaussianBlur(cloth, (0, 0), 12)
    shade = (
        (0.60 + 0.42 * smoothstep(rim, 0.35, 1.0)) * (1 - 0.38 * depth) * (1 + folds * (0.05 + 0.13 * below))
    )
    weave = 1 + 0.02 * noise(rng, (0.7, 0.7))
    fabric = np.clip(rgb(look.scarf_colour) * (shade * weave)[..., None] * 1.12, 0, 1).astype(np.float32)
    shadow = cv2.GaussianBlur(mask, (0, 0), 6) * 0.5 * opening
    share = np.where(opening > 0, mask, 1).astype(np.float32)
    picture = lerp((picture * (1 - shadow)[..., None]).astype(np.float32), fabric, share)
    # The matte of the old hair outside the cloth goes; skin seen through the opening stays.
    return picture, np.maximum(mask, alpha * opening)


def _both_sides(x: float, half: float, right: list[tuple[float, float]]) -> NDArray[np.float64]:
    points = [(x + u * half, y) for u, y in right]
    points += [(x - u * half, y) for u, y in reversed(right) if u > 0]
    return curve(points, 200, closed=True)
