"""Faces of other people: where the points of the sheet lie for an actor, before any movement.

Colours and drawn features are in `paint`; movement over time is in `motion`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from haetae.sample.looks import Shape
from haetae.sample.portrait import F32
from haetae.sample.sheet import N_FACE, Sheet

_Floats = NDArray[np.float64]


def shaped(sheet: Sheet, shape: Shape) -> F32:
    """The sheet's points for an actor: float32 [N, 3], canvas px.

    Each difference is a smooth bump around its feature, so the warp never folds within the ranges of `Shape`
    (about ±0.3); the foot of the neck stays where it is.
    """
    points = sheet.base.astype(np.float64)
    face = _Frame(points)
    _scale_x(points, face, shape.face_width, centre_v=-0.1, sigma_v=0.7)
    _scale_x(points, face, shape.jaw_width, centre_v=0.75, sigma_v=0.38)
    _eyes(points, face, shape)
    _nose(points, face, shape)
    _mouth(points, face, shape)
    _brows(points, face, shape.brow_height)
    _hair(points, face, shape.hair_volume)
    _lengthen(points, face, shape)
    return points.astype(np.float32)


class _Frame:
    """Where the features are: v is 0 at the eyes and 1 at the chin, u 0 in the middle and ±1 at the oval."""

    def __init__(self, points: _Floats) -> None:
        self.eyes = [points[[33, 133, 159, 145], :2].mean(0), points[[263, 362, 386, 374], :2].mean(0)]
        self.middle_x = float((self.eyes[0][0] + self.eyes[1][0]) / 2 * 0.5 + points[152, 0] * 0.5)
        self.eye_y = float((self.eyes[0][1] + self.eyes[1][1]) / 2)
        self.chin_y = float(points[152, 1])
        self.top_y = float(points[10, 1])
        self.half = float(np.ptp(points[:N_FACE, 0])) / 2
        self.nose = points[4, :2].copy()
        self.mouth = points[[78, 308, 13, 14], :2].mean(0)
        self.brows = [points[[105, 66, 63], :2].mean(0), points[[334, 296, 293], :2].mean(0)]
        self.centre = np.array([self.middle_x, 0.5 * (self.top_y + self.chin_y)])

    def u(self, points: _Floats) -> _Floats:
        return np.asarray((points[:, 0] - self.middle_x) / self.half)

    def v(self, points: _Floats) -> _Floats:
        return np.asarray((points[:, 1] - self.eye_y) / (self.chin_y - self.eye_y))


def _bump(points: _Floats, centre: _Floats, sigma_x: float, sigma_y: float) -> _Floats:
    d = (points[:, :2] - centre) / np.array([sigma_x, sigma_y])
    return np.asarray(np.exp(-0.5 * (d**2).sum(1)))


def _scale_x(points: _Floats, face: _Frame, amount: float, centre_v: float, sigma_v: float) -> None:
    v = face.v(points)
    # The neck keeps its width: it has to meet the shoulders.
    keeps_from_v = np.where(np.arange(len(points)) < N_FACE, 1.22, 1.0)
    weight = np.exp(-0.5 * ((v - centre_v) / sigma_v) ** 2) * np.clip((keeps_from_v - v) / 0.3, 0, 1)
    beyond = np.maximum(np.abs(face.u(points)) - 1.0, 0)
    fade = np.exp(-beyond / 0.5)
    points[:, 0] += amount * (points[:, 0] - face.middle_x) * weight * fade


def _eyes(points: _Floats, face: _Frame, shape: Shape) -> None:
    sigma = 0.26 * face.half
    for side, eye in ((-1.0, face.eyes[0]), (1.0, face.eyes[1])):
        bump = _bump(points, eye, 1.35 * sigma, sigma)
        away = points[:, :2] - eye
        points[:, :2] += shape.eye_size * bump[:, None] * away * np.array([0.7, 1.2])
        points[:, 0] += side * shape.eye_spacing * face.half * _bump(points, eye, 2.0 * sigma, 1.6 * sigma)
        points[:, 1] -= shape.eye_tilt * side * away[:, 0] * bump


def _nose(points: _Floats, face: _Frame, shape: Shape) -> None:
    bump = _bump(points, face.nose + np.array([0, 4]), 0.30 * face.half, 0.28 * face.half)
    points[:, 0] += shape.nose_width * (points[:, 0] - face.nose[0]) * bump
    points[:, 1] += (
        shape.nose_length * 0.45 * face.half * _bump(points, face.nose, 0.34 * face.half, 0.26 * face.half)
    )


def _mouth(points: _Floats, face: _Frame, shape: Shape) -> None:
    bump = _bump(points, face.mouth, 0.55 * face.half, 0.15 * face.half)
    points[:, 1] += 1.6 * shape.lip_fullness * (points[:, 1] - face.mouth[1]) * bump
    wide = _bump(points, face.mouth, 0.55 * face.half, 0.30 * face.half)
    points[:, 0] += shape.mouth_width * (points[:, 0] - face.mouth[0]) * wide


def _brows(points: _Floats, face: _Frame, amount: float) -> None:
    for brow in face.brows:
        points[:, 1] -= amount * 0.8 * face.half * _bump(points, brow, 0.40 * face.half, 0.14 * face.half)


def _hair(points: _Floats, face: _Frame, amount: float) -> None:
    """Hair pulled in or puffed out around the skull; the face and the neck are not touched."""
    away = points[:, :2] - face.centre
    radius = np.hypot(away[:, 0] / face.half, away[:, 1] / (0.62 * (face.chin_y - face.top_y)))
    outside = np.clip((radius - 0.75) / 0.95, 0, 1)
    above_chin = np.clip((face.chin_y - 30 - points[:, 1]) / 60, 0, 1)
    points[:, :2] += (amount * outside * above_chin)[:, None] * away


def _lengthen(points: _Floats, face: _Frame, shape: Shape) -> None:
    v = face.v(points)
    down = np.clip(v, 0, 1) * (face.chin_y - face.eye_y) * shape.face_length
    # Below the chin the shift dies out along the neck.
    down *= np.clip((1.6 - v) / 0.6, 0, 1)
    height = face.eye_y - face.top_y
    above = np.clip((face.eye_y - points[:, 1]) / height - 0.45, 0, 0.8) * height
    points[:, 1] += down - 1.6 * above * shape.forehead
