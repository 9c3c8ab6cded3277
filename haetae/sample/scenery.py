"""Backgrounds: procedural rooms, out of focus, behind the actors.

No picture is loaded: everything is drawn from the seed.
"""

from __future__ import annotations

import cv2
import numpy as np

from haetae.sample.looks import Place
from haetae.sample.pigment import noise, smoothstep
from haetae.sample.portrait import F32

PLACES: tuple[Place, ...] = ("studio", "office", "shelf", "newsroom", "wall", "window", "curtain", "garden")
MARGIN_PX = 16
"""The picture is larger than the frame by this much on every side, for the camera to sway in."""


def paint_scene(place: Place, seed: int, size: tuple[int, int]) -> F32:
    """Background for a frame of size (width, height): float32 [H + 32, W + 32, 3], RGB in [0, 1]."""
    rng = np.random.default_rng(seed)
    width, height = size[0] + 2 * MARGIN_PX, size[1] + 2 * MARGIN_PX
    canvas = _Canvas(width, height, rng)
    getattr(canvas, place)()
    picture = cv2.GaussianBlur(canvas.picture, (0, 0), canvas.blur_px * height / 352)
    grain = 1 + 0.012 * noise(rng, (1.0, 1.0), (height, width))
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    vignette = 1 - 0.16 * smoothstep(np.hypot(x, y), 0.7, 1.5)
    return np.asarray(np.clip(picture * (grain * vignette)[..., None], 0, 1), dtype=np.float32)


class _Canvas:
    """A picture to draw on in units of the frame: x and y from 0 to 1."""

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        self.picture: F32 = np.zeros((height, width, 3), np.float32)
        self.rng = rng
        self.blur_px = 3.0
        self.x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
        self.y = np.linspace(0, 1, height, dtype=np.float32)[:, None]

    def wash(self, top: tuple[float, ...], bottom: tuple[float, ...]) -> None:
        t = (self.y * np.ones_like(self.x))[..., None]
        self.picture[:] = np.asarray(top, np.float32) * (1 - t) + np.asarray(bottom, np.float32) * t

    def box(self, x1: float, y1: float, x2: float, y2: float, colour: tuple[float, ...]) -> None:
        height, width = self.picture.shape[:2]
        a = (round(x1 * width), round(y1 * height))
        b = (round(x2 * width), round(y2 * height))
        cv2.rectangle(self.picture, a, b, tuple(float(c) for c in colour), -1, cv2.LINE_AA)

    def disc(self, x: float, y: float, radius: float, colour: tuple[float, ...]) -> None:
        height, width = self.picture.shape[:2]
        at = (round(x * width), round(y * height))
        cv2.circle(
            self.picture, at, max(1, round(radius * height)), tuple(float(c) for c in colour), -1, cv2.LINE_AA
        )

    def hue(self, base: tuple[float, float, float], spread: float) -> tuple[float, float, float]:
        r, g, b = (float(np.clip(c + self.rng.uniform(-spread, spread), 0, 1)) for c in base)
        return r, g, b

    def studio(self) -> None:
        base = self.hue((0.52, 0.56, 0.62), 0.16)
        self.wash(base, tuple(0.55 * c for c in base))
        spot = np.exp(-(((self.x - self.rng.uniform(0.35, 0.65)) / 0.45) ** 2) - ((self.y - 0.4) / 0.5) ** 2)
        self.picture *= (0.75 + 0.5 * spot)[..., None]
        self.picture += 0.018 * noise(self.rng, (30, 30), self.picture.shape[:2])[..., None]

    def office(self) -> None:
        self.wash((0.78, 0.79, 0.78), (0.66, 0.65, 0.62))
        self.box(0.0, 0.82, 1.0, 1.0, (0.42, 0.33, 0.26))
        x = float(self.rng.uniform(0.02, 0.10))
        self.box(x, 0.08, x + 0.30, 0.52, (0.55, 0.57, 0.58))
        self.box(x + 0.015, 0.10, x + 0.285, 0.50, (0.86, 0.92, 0.97))
        for k in range(1, 9):
            self.box(x + 0.015, 0.10 + 0.045 * k, x + 0.285, 0.108 + 0.045 * k, (0.70, 0.74, 0.77))
        self.box(0.72, 0.46, 0.98, 0.82, (0.36, 0.38, 0.42))
        for k in range(3):
            self.box(0.74, 0.49 + 0.11 * k, 0.96, 0.57 + 0.11 * k, (0.46, 0.48, 0.52))
        self.box(0.76, 0.30, 0.86, 0.46, self.hue((0.55, 0.33, 0.26), 0.1))
        for _ in range(16):
            dx, dy = self.rng.normal(0, [0.05, 0.06])
            self.disc(0.81 + dx, 0.26 + dy, 0.03, self.hue((0.16, 0.36, 0.18), 0.08))

    def shelf(self) -> None:
        wood = self.hue((0.40, 0.27, 0.18), 0.05)
        self.wash(wood, tuple(0.8 * c for c in wood))
        for row in range(4):
            y = 0.02 + 0.25 * row
            self.box(0, y, 1, y + 0.215, tuple(0.45 * c for c in wood))
            x = 0.0
            while x < 1:
                width, tall = float(self.rng.uniform(0.018, 0.05)), float(self.rng.uniform(0.13, 0.20))
                if self.rng.uniform() < 0.9:
                    base = (
                        (0.6, 0.2, 0.18),
                        (0.2, 0.3, 0.5),
                        (0.7, 0.62, 0.45),
                        (0.2, 0.4, 0.3),
                        (0.75, 0.74, 0.7),
                    )
                    self.box(
                        x,
                        y + 0.215 - tall,
                        x + width - 0.004,
                        y + 0.213,
                        self.hue(base[int(self.rng.integers(5))], 0.08),
                    )
                x += width

    def newsroom(self) -> None:
        dark = self.hue((0.05, 0.10, 0.24), 0.04)
        self.wash(dark, (0.10, 0.16, 0.34))
        for _ in range(5):
            x, y = self.rng.uniform(0, 0.9), self.rng.uniform(0.02, 0.75)
            w, h = self.rng.uniform(0.12, 0.30), self.rng.uniform(0.08, 0.2)
            self.box(x, y, x + w, y + h, self.hue((0.16, 0.34, 0.62), 0.12))
        for _ in range(26):
            x, y = (float(c) for c in self.rng.uniform(0, 1, 2))
            self.disc(
                x,
                y,
                float(self.rng.uniform(0.004, 0.02)),
                self.hue((0.55, 0.72, 0.95), 0.2),
            )
        self.box(0, 0.86, 1, 0.90, self.hue((0.75, 0.16, 0.18), 0.08))
        self.blur_px = 4.0

    def wall(self) -> None:
        base = self.hue((0.74, 0.68, 0.58), 0.10)
        self.wash(base, tuple(0.86 * c for c in base))
        self.picture += 0.012 * noise(self.rng, (8, 8), self.picture.shape[:2])[..., None]
        for x in (0.06, 0.74):
            y, w, h = float(self.rng.uniform(0.08, 0.2)), 0.19, float(self.rng.uniform(0.2, 0.3))
            self.box(x, y, x + w, y + h, (0.22, 0.18, 0.15))
            self.box(x + 0.012, y + 0.012, x + w - 0.012, y + h - 0.012, (0.92, 0.90, 0.86))
            self.box(x + 0.04, y + 0.04, x + w - 0.04, y + h - 0.04, self.hue((0.45, 0.5, 0.55), 0.25))
        self.blur_px = 2.4

    def window(self) -> None:
        self.wash((0.80, 0.84, 0.86), (0.70, 0.70, 0.68))
        self.box(0.0, 0.0, 1.0, 0.70, (0.74, 0.85, 0.95))
        x = 0.0
        while x < 1:
            w, h = float(self.rng.uniform(0.05, 0.13)), float(self.rng.uniform(0.15, 0.45))
            self.box(x, 0.70 - h, x + w, 0.70, self.hue((0.62, 0.66, 0.72), 0.08))
            x += w
        for x in (0.0, 0.31, 0.64, 0.97):
            self.box(x, 0, x + 0.03, 0.72, (0.90, 0.89, 0.86))
        self.box(0, 0.70, 1, 0.76, (0.84, 0.82, 0.78))

    def curtain(self) -> None:
        base = self.hue((0.62, 0.58, 0.50), 0.14)
        self.wash(base, tuple(0.8 * c for c in base))
        phase, n = float(self.rng.uniform(0, 6)), float(self.rng.uniform(9, 13))
        wave = np.sin(2 * np.pi * n * self.x + phase + 0.7 * np.sin(5 * self.x + 1.2 * self.y))
        self.picture *= (1 + 0.16 * wave + 0.06 * np.sin(2.7 * np.pi * n * self.x))[..., None]
        self.blur_px = 1.6

    def garden(self) -> None:
        self.wash((0.72, 0.82, 0.86), (0.26, 0.38, 0.20))
        for _ in range(240):
            x, y = float(self.rng.uniform(0, 1)), float(self.rng.beta(2.2, 1.4))
            self.disc(x, y, float(self.rng.uniform(0.012, 0.05)), self.hue((0.26, 0.42, 0.20), 0.14))
        for _ in range(14):
            self.disc(
                float(self.rng.uniform(0, 1)),
                float(self.rng.uniform(0, 0.6)),
                0.02,
                self.hue((0.86, 0.9, 0.78), 0.08),
            )
        self.blur_px = 6.0
