"""Painting an actor's head on the canvas: skin, hair, brows, eyes, lips, beard, freckles, scarf, cap.

The layers are as the portrait holds its head; `shape` and `motion` bend them. Shoulders and neck are in
`wardrobe`; glasses are drawn per frame, in `puppet`, for they do not bend with the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.faces.regions import EYES, FACE_OVAL, IRISES, LIPS_INNER, LIPS_OUTER
from haetae.sample import hair
from haetae.sample.looks import Look
from haetae.sample.pigment import (
    curve,
    grown,
    layer,
    lerp,
    noise,
    over,
    polygon,
    recoloured_hair,
    rgb,
    smoothstep,
    stroke,
    tinted,
)
from haetae.sample.portrait import CANVAS_PX, F32, Portrait
from haetae.sample.sheet import BROWS

_ROWS, _COLS = np.mgrid[:CANVAS_PX, :CANVAS_PX].astype(np.float32)


@dataclass(frozen=True, eq=False)
class Head:
    """Premultiplied RGBA layers, uint8 [640, 640, 4], canvas px: what is before the shoulders, and what is
    behind them (None: nothing); neck_row: float32 [640, 3], colours across the foot of the neck."""

    front: NDArray[np.uint8]
    back: NDArray[np.uint8] | None
    neck_row: F32


def paint_head(portrait: Portrait, look: Look) -> Head:
    """Paint an actor's head from the portrait."""
    rng = np.random.default_rng(look.seed)
    original = np.asarray(portrait.rgb / 255, dtype=np.float32)
    face = polygon(portrait.mesh[FACE_OVAL, :2], 6) * portrait.skin
    picture = tinted(original, rgb(look.skin), face)
    picture, hair_share, alpha = hair.hairline(picture, portrait, look, rng)
    neck_row = _neck_row(picture, portrait)
    picture = _complexion(picture, portrait, look, rng)
    picture = _eyes(picture, original, portrait, look)
    picture = _lips(picture, portrait, look)
    picture = _beard(picture, portrait, look, rng)
    hair_colour = rgb(look.hair_colour)
    picture = lerp(picture, recoloured_hair(original, hair_colour, portrait.hair), hair_share)
    picture = _brows(picture, portrait, look, rng)
    back: NDArray[np.uint8] | None = None
    if look.hair == "long":
        picture, alpha, back = hair.long_hair(picture, alpha, portrait, hair_colour, rng)
    elif look.hair == "bun":
        back = over(hair.ears(portrait, picture), hair.bun(portrait, hair_colour, rng))
    elif look.hair == "cropped":
        back = hair.ears(portrait, picture)
    elif look.hair == "cap":
        picture, alpha = hair.cap(picture, alpha, portrait, look, rng)
    elif look.hair == "scarf":
        picture, alpha = hair.scarf(picture, alpha, portrait, look, rng)
    return Head(layer(picture, alpha), back, neck_row)


def _uv(portrait: Portrait) -> tuple[F32, F32]:
    """Face coordinates of every pixel: u is ±1 at the oval's sides, v 0 under the nose and 1 at the chin."""
    mesh = portrait.mesh
    top, chin = float(mesh[2, 1]), float(mesh[152, 1])
    v = (_ROWS - top) / (chin - top)
    middle = mesh[2, 0] + (mesh[152, 0] - mesh[2, 0]) * v
    return np.asarray((_COLS - middle) / (portrait.width_px / 2), dtype=np.float32), v


def _complexion(picture: F32, portrait: Portrait, look: Look, rng: np.random.Generator) -> F32:
    """Blotches and pores that differ from actor to actor, freckles, a mole, lines of age."""
    tone = 1 + 0.022 * noise(rng, (14, 14)) + 0.012 * noise(rng, (1.2, 1.2))
    picture = np.clip(picture * tone[..., None], 0, 1).astype(np.float32)
    mesh = portrait.mesh[:, :2]
    if look.freckles > 0:
        dots = np.zeros((CANVAS_PX, CANVAS_PX), np.float32)
        for _ in range(int(120 * look.freckles)):
            cheek = mesh[int(rng.choice([50, 280, 4, 117, 346, 205, 425]))]
            at = np.rint((cheek + rng.normal(0, [13, 8])) * 16).astype(int)
            cv2.circle(
                dots,
                (int(at[0]), int(at[1])),
                int(rng.uniform(7, 17)),
                float(rng.uniform(0.3, 0.8)),
                -1,
                cv2.LINE_AA,
                4,
            )
        picture = lerp(
            picture, picture * rgb((176, 112, 78)), cv2.GaussianBlur(dots, (0, 0), 0.8) * portrait.skin
        )
    if look.mole is not None:
        u, v = _uv(portrait)
        away = np.hypot((u - look.mole[0]) * 92, (v - look.mole[1]) * 88)
        picture = lerp(
            picture, np.broadcast_to(rgb((58, 34, 28)), picture.shape), 0.85 * smoothstep(away, 4.0, 2.4)
        )
    if look.lines > 0:
        picture = lerp(
            picture, picture * rgb((150, 118, 104)), look.lines * 0.8 * _age_lines(mesh) * portrait.skin
        )
    return picture


def _age_lines(mesh: F32) -> F32:
    lines = np.zeros((CANVAS_PX, CANVAS_PX), np.float32)
    for share in (0.18, 0.42):
        brow_to_top = [
            (1 - share) * mesh[a] + share * mesh[b]
            for a, b in ((105, 103), (107, 109), (9, 10), (336, 338), (334, 332))
        ]
        lines += stroke(curve(brow_to_top), 1, 1.2)
    for fold in ((129, 203, 206, 216), (358, 423, 426, 436)):
        lines += 1.6 * stroke(curve(mesh[list(fold)]), 2, 2.0)
    for bag in ((112, 232, 231, 230, 229), (341, 452, 451, 450, 449)):
        lines += 1.4 * stroke(curve(mesh[list(bag)]), 2, 1.6)
    for corner, out in ((33, -1), (263, 1)):
        for rise in (-6, 1, 8):
            start = mesh[corner] + np.array([out * 7, rise * 0.4])
            lines += 0.8 * stroke([start, start + np.array([out * 10, rise])], 1, 0.9)
    return np.clip(lines, 0, 1).astype(np.float32)


def _eyes(picture: F32, original: F32, portrait: Portrait, look: Look) -> F32:
    """Whites and irises keep their own light; the irises take the actor's colour."""
    # An eye under darker brows and lashes gets less light than the portrait's.
    dim = 0.72 + 0.26 * float(rgb(look.skin).mean()) / 0.7
    for eye, (centre, *rim_points) in zip(EYES, IRISES, strict=True):
        opening = polygon(portrait.mesh[eye, :2], 0.8)
        picture = lerp(picture, original * dim, opening)
        away = np.hypot(_COLS - portrait.mesh[centre, 0], _ROWS - portrait.mesh[centre, 1])
        radius = float(
            np.linalg.norm(portrait.mesh[rim_points, :2] - portrait.mesh[centre, :2], axis=1).mean()
        )
        iris = smoothstep(away, radius * 1.05, radius * 0.85) * opening
        rim = rgb(look.iris) * (0.55 + 0.9 * smoothstep(away, radius * 0.35, radius * 0.8))[..., None]
        glint = smoothstep(original.mean(2), 0.55, 0.8)
        picture = lerp(picture, rim.astype(np.float32), 0.75 * iris * (1 - glint))
    return picture


def _lips(picture: F32, portrait: Portrait, look: Look) -> F32:
    outer = polygon(portrait.mesh[LIPS_OUTER, :2], 1.2)
    inner = polygon(portrait.mesh[LIPS_INNER, :2])
    mask = np.clip(outer - inner, 0, 1)
    return lerp(picture, tinted(picture, rgb(look.lip), mask), 0.85 * mask)


def _brows(picture: F32, portrait: Portrait, look: Look, rng: np.random.Generator) -> F32:
    """Thicker, darker brows in the colour of the hair (grey hair keeps darker brows)."""
    colour = np.minimum(rgb(look.hair_colour), 0.30).astype(np.float32)
    grain = np.clip(0.85 + 0.14 * noise(rng, (1.0, 1.6)), 0, 1)
    for side in BROWS:
        upper, lower = portrait.mesh[list(side[:5]), :2], portrait.mesh[list(side[5:]), :2]
        middle = 0.45 * upper + 0.55 * lower
        half = 0.5 * np.linalg.norm(upper - lower, axis=1, keepdims=True) * (0.35 + 0.55 * look.brow)
        down = (lower - upper) / (np.linalg.norm(lower - upper, axis=1, keepdims=True) + 1e-6)
        outline = np.concatenate([curve(middle - down * half), curve(middle + down * half)[::-1]])
        picture = lerp(
            picture,
            np.broadcast_to(colour, picture.shape),
            polygon(outline, 1.3) * grain * (0.35 + 0.5 * look.brow),
        )
    return picture


def _beard(picture: F32, portrait: Portrait, look: Look, rng: np.random.Generator) -> F32:
    if look.beard == "none":
        return picture
    u, v = _uv(portrait)
    side = np.abs(u)
    line = np.interp(side, [0, 0.22, 0.42, 0.66, 0.86, 1.1], [0.66, 0.60, 0.42, 0.10, -0.30, -0.9]).astype(
        np.float32
    )
    cheeks = smoothstep(v - line, 0.0, 0.16) * smoothstep(v, 1.10, 0.98)
    over_lip = (
        smoothstep(side, 0.44, 0.34) * smoothstep(v, 0.02, 0.09) * smoothstep(v - 0.10 * side, 0.27, 0.22)
    )
    beside = smoothstep(np.abs(side - 0.43), 0.10, 0.04) * smoothstep(v, 0.16, 0.30) * smoothstep(v, 0.9, 0.7)
    under = smoothstep(side, 0.40, 0.26) * smoothstep(v, 0.62, 0.72) * smoothstep(v, 1.06, 0.96)
    mask, strength = {
        "stubble": (np.maximum(cheeks, over_lip), 0.42),
        "moustache": (over_lip, 0.88),
        "goatee": (np.maximum.reduce([over_lip * 0.9, beside * 0.8, under]), 0.80),
        "full": (np.maximum.reduce([cheeks, over_lip, beside]), 0.90),
    }[look.beard]
    lips = polygon(portrait.mesh[LIPS_OUTER, :2], 1.5)
    hairs = np.clip(0.80 + 0.12 * noise(rng, (0.9, 2.0)) + 0.08 * noise(rng, (5, 5)), 0, 1)
    grain = 1 + 0.22 * noise(rng, (0.9, 2.2)) + 0.10 * noise(rng, (4, 6))
    # Hair on the face takes the light of the skin it grows on.
    relief = (picture.mean(2) / max(float(rgb(look.skin).mean()), 0.1)) ** 1.2
    shade = np.clip(
        np.maximum(0.72 * rgb(look.hair_colour), 0.07) * (grain * relief)[..., None], 0, 1
    ).astype(np.float32)
    mask = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2.0)
    return lerp(picture, shade, strength * mask * hairs * (1 - lips) * portrait.head)


def _neck_row(picture: F32, portrait: Portrait) -> F32:
    """Colours across the neck, from what of it shows beside the chin: float32 [640, 3]."""
    beside = portrait.head * (1 - polygon(grown(portrait.mesh[FACE_OVAL, :2], 1.05)))
    rows = slice(360, 396)
    weight, colours = beside[rows].sum(0), (picture[rows] * beside[rows, :, None]).sum(0)
    blurred = cv2.GaussianBlur(np.concatenate([colours, weight[:, None]], axis=1)[None], (0, 0), 16)[0]
    overall = colours.sum(0) / (weight.sum() + 1e-6)
    return np.asarray((blurred[:, :3] + 0.05 * overall) / (blurred[:, 3:] + 0.05), dtype=np.float32)
