"""Neck, shoulders and clothes of an actor, painted on the canvas below the head.

They move with the body only, not with the head: see `puppet`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.sample.looks import Look
from haetae.sample.pigment import curve, layer, lerp, noise, polygon, rgb, smoothstep, stroke
from haetae.sample.portrait import CANVAS_PX, F32

_ROWS, _COLS = np.mgrid[:CANVAS_PX, :CANVAS_PX].astype(np.float32)
# Where the portrait's neck ends, canvas px: the painted neck goes on from there.
NECK_PX, NECK_Y = (242.0, 381.0), 405.0
_X = 0.5 * sum(NECK_PX)
_LIFT_PX = 34


def paint_body(look: Look, neck_row: F32, neck_px: tuple[float, float] = NECK_PX) -> NDArray[np.uint8]:
    """Premultiplied RGBA, uint8 [640, 640, 4], of neck and clothes.

    neck_row: float32 [640, 3], sRGB in [0, 1]: colours across the foot of the painted head's neck, which go
    on downwards. neck_px: left and right edge of that neck in the shape of the actor, canvas px.
    """
    rng = np.random.default_rng(look.seed + 1)
    edges = (CANVAS_PX - neck_px[1], CANVAS_PX - neck_px[0]) if look.mirrored else neck_px
    picture, alpha = _neck(neck_row[::-1] if look.mirrored else neck_row, edges, rng)
    cloth_alpha, collar = _cut(look)
    cloth_alpha, cloth = _lifted(cloth_alpha), _fabric(look, rng)
    collar = [(_lifted(shape), tone) for shape, tone in collar]
    shadow = cv2.GaussianBlur(cloth_alpha, (0, 0), 5) * 0.35 * (1 - cloth_alpha)
    picture = (picture * (1 - shadow)[..., None]).astype(np.float32)
    picture = lerp(picture, cloth, cloth_alpha)
    alpha = np.maximum(alpha, cloth_alpha)
    for shape, tone in collar:
        edge = cv2.GaussianBlur(shape, (0, 0), 4) * 0.3 * (1 - shape)
        picture = (picture * (1 - edge * (alpha > 0))[..., None]).astype(np.float32)
        picture = lerp(picture, np.clip(tone, 0, 1).astype(np.float32), shape)
        alpha = np.maximum(alpha, shape)
    body = layer(picture, alpha)
    return np.ascontiguousarray(body[:, ::-1]) if look.mirrored else body


def _lifted(mask: F32) -> F32:
    """Clothes are drawn lower than they are worn."""
    return np.concatenate([mask[_LIFT_PX:], np.repeat(mask[-1:], _LIFT_PX, axis=0)])


def _neck(row: F32, edges: tuple[float, float], rng: np.random.Generator) -> tuple[F32, F32]:
    foot_y = 478
    left, right = edges
    slope = [
        (left + 26, NECK_Y - 45),
        (left + 5, NECK_Y),
        (0.5 * (left + NECK_PX[0]), foot_y - 44),
        (NECK_PX[0] - 12, foot_y - 20),
        (NECK_PX[0] - 60, foot_y),
        (120, 520),
        (120, 660),
        (520, 660),
        (520, 520),
        (NECK_PX[1] + 60, foot_y),
        (NECK_PX[1] + 12, foot_y - 20),
        (0.5 * (right + NECK_PX[1]), foot_y - 44),
        (right - 5, NECK_Y),
        (right - 26, NECK_Y - 45),
    ]
    alpha = polygon(slope, 2.0)
    inside = slice(round(NECK_PX[0]) + 8, round(NECK_PX[1]) - 8)
    middle = row[inside].mean(0)
    chest = smoothstep(_ROWS, 420, 500)
    picture = lerp(
        np.broadcast_to(row[None], (CANVAS_PX, CANVAS_PX, 3)),
        np.broadcast_to(middle * 1.06, (CANVAS_PX, CANVAS_PX, 3)),
        chest,
    )
    # The chin's shadow.
    light = 1 - 0.30 * smoothstep(np.hypot((_COLS - _X) / 76, (_ROWS - 402) / 50), 1.2, 0.55)
    # The two muscles that run to the pit of the neck.
    for side in (-1, 1):
        line = stroke(curve([(_X + side * 52, 405), (_X + side * 34, 450), (_X + side * 10, 490)]), 4, 6)
        light = light - 0.14 * line
    light = light + 0.015 * noise(rng, (16, 16)) + 0.010 * noise(rng, (1.1, 1.1))
    return np.clip(picture * light[..., None], 0, 1).astype(np.float32), alpha


_SHOULDERS = [
    (232, 462),
    (196, 486),
    (130, 512),
    (62, 545),
    (22, 600),
    (8, 680),
    (630, 680),
    (612, 600),
    (572, 545),
    (500, 512),
    (432, 486),
    (391, 462),
]


def _cut(look: Look) -> tuple[F32, list[tuple[F32, F32]]]:
    """The outline of the clothes, and collar parts over them, each with its picture."""
    body = polygon(curve(_SHOULDERS[:6], 60).tolist() + curve(_SHOULDERS[6:], 60).tolist(), 1.0)
    colour = rgb(look.top_colour)
    white = rgb((236, 236, 232))
    parts: list[tuple[F32, F32]] = []
    if look.top == "tee":
        hole = _ellipse(_X, 462, 84, 46)
        ring = np.clip(_ellipse(_X, 462, 93, 56) - hole, 0, 1) * body
        parts.append((ring, _flat(colour * 0.86)))
    elif look.top == "turtleneck":
        hole = np.zeros_like(body)
        parts.append((polygon([(238, 428), (384, 428), (394, 492), (228, 492)], 1.5), _flat(colour * 0.95)))
    elif look.top == "blouse":
        hole = np.maximum(_ellipse(_X, 466, 92, 62), polygon([(_X - 16, 500), (_X + 16, 500), (_X, 566)], 1))
        ring = np.clip(_ellipse(_X, 466, 98, 68) - hole, 0, 1) * body
        parts.append((ring, _flat(colour * 0.80)))
    else:
        deep = {"shirt": 545, "polo": 540, "blazer": 640}[look.top]
        hole = polygon([(236, 440), (226, 466), (_X, deep), (397, 466), (387, 440)], 1)
        if look.top == "blazer":
            parts.append(
                (
                    hole
                    * smoothstep(_ROWS, 500, 503)
                    * polygon([(240, 470), (_X, 545), (383, 470), (430, 680), (200, 680)], 1),
                    _flat(white),
                )
            )
        flap_colour = white if look.top == "blazer" else colour * 1.06
        parts += [(flap, _flat(flap_colour * shade)) for flap, shade in _flaps(look.top)]
    return np.clip(body - hole, 0, 1).astype(np.float32), parts


def _flaps(top: str) -> list[tuple[F32, float]]:
    flaps = []
    for side, shade in ((-1, 1.0), (1, 0.93)):

        def at(dx: float, y: float, side: int = side) -> tuple[float, float]:
            return _X + side * dx, y

        flaps.append((polygon([at(76, 440), at(92, 466), at(66, 536), at(6, 528), at(58, 486)], 0.8), shade))
        if top == "blazer":
            flaps.append(
                (
                    polygon(
                        [
                            at(96, 470),
                            at(120, 486),
                            at(112, 560),
                            at(62, 600),
                            at(10, 660),
                            at(2, 640),
                            at(70, 560),
                        ],
                        0.8,
                    ),
                    0.16 + 0.02 * side,
                )
            )
    return flaps


def _ellipse(x: float, y: float, rx: float, ry: float) -> F32:
    return smoothstep(np.hypot((_COLS - x) / rx, (_ROWS - y) / ry), 1.012, 0.988)


def _flat(colour: F32) -> F32:
    shade = (
        1.0 - 0.18 * smoothstep(np.abs(_COLS - _X), 40, 200) + 0.04 * np.sin(_COLS / 23) * np.sin(_ROWS / 17)
    )
    return np.asarray(np.clip(colour, 0, 1) * shade[..., None], dtype=np.float32)


def _fabric(look: Look, rng: np.random.Generator) -> F32:
    """Cloth with folds, round shoulders, a weave, and for some tops a pattern."""
    colour = rgb(look.top_colour)
    u = (_COLS - _X) / 300
    light = 1.02 - 0.34 * smoothstep(np.abs(u), 0.45, 1.05) - 0.10 * smoothstep(_ROWS, 560, 660)
    light = (
        light + 0.045 * noise(rng, (12, 46)) + 0.03 * noise(rng, (34, 18)) + 0.018 * noise(rng, (0.8, 0.8))
    )
    picture = colour * light[..., None]
    if look.top == "shirt":
        check = ((_COLS + 0.12 * _ROWS) % 26 < 3) | (_ROWS % 26 < 3)
        pattern = cv2.GaussianBlur(check.astype(np.float32), (0, 0), 0.8)
        picture = picture * (1 - 0.28 * pattern)[..., None]
    elif look.top == "polo":
        stripe = cv2.GaussianBlur(((_ROWS + 14 * u * u) % 44 < 15).astype(np.float32), (0, 0), 0.8)
        picture = picture * (1 + 0.30 * stripe)[..., None]
    elif look.top == "blouse":
        spots = smoothstep(noise(rng, (5, 5)), 1.35, 1.7)
        picture = picture * (1 - 0.22 * spots)[..., None]
    return np.asarray(np.clip(picture, 0, 1), dtype=np.float32)
