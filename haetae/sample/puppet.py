"""An actor drawn: its layers bent by a performance and put together, one face of a frame at a time.

The background, the camera and the order of actors in a frame are in `camera`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.faces.warp import warp_mesh
from haetae.sample.looks import Look
from haetae.sample.motion import Performance
from haetae.sample.paint import paint_head
from haetae.sample.pigment import polygon, rgb, smoothstep
from haetae.sample.portrait import CANVAS_PX, F32
from haetae.sample.shape import shaped
from haetae.sample.sheet import INNER_LOOP, LID_ENDS, LID_UP, LOWER_INNER, Sheet, load_sheet
from haetae.sample.wardrobe import NECK_PX, NECK_Y, paint_body

WINDOW_PX = 500.0
"""Side of the part of the canvas that fills the height of a frame at zoom 1."""
_PIVOT_Y, _PIVOT_Z = 455.0, 105.0


@dataclass(frozen=True)
class Placing:
    """Where an actor stands: centre_px from the left of the frame, height of the frame in px, zoom."""

    centre_px: float
    height_px: int
    zoom: float = 1.0

    def affine(self) -> NDArray[np.float64]:
        """From canvas to frame: float64 [2, 3]."""
        scale = self.height_px / WINDOW_PX * self.zoom
        # Whatever the zoom, the eyes stay at about two fifths of the height.
        return np.array(
            [[scale, 0, self.centre_px - 320 * scale], [0, scale, 0.40 * self.height_px - 270 * scale]]
        )


class Puppet:
    """One painted actor, ready to be drawn frame by frame onto frames of any size."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.sheet: Sheet = load_sheet(look.mirrored)
        head = paint_head(self.sheet.portrait, look)
        self._front, self._back = head.front, head.back
        self._base = shaped(self.sheet, look.shape)
        self._body = paint_body(look, head.neck_row, _neck_edges(self.sheet, self._base, look.mirrored))
        alpha = head.front[..., 3] if head.back is None else np.maximum(head.front[..., 3], head.back[..., 3])
        self.triangles = _painted(self.sheet, alpha)
        self._back_triangles = None if head.back is None else _painted(self.sheet, head.back[..., 3])
        self._teeth, self._teeth_at = _teeth(self.sheet)
        self._shrunk: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8] | None, F32]] = {}

    def points(self, play: Performance, t: int, placing: Placing, expressive: bool = True) -> F32:
        """Points of the sheet in frame `t`: float32 [N, 3], frame px; the first 468 are the face mesh's."""
        points = self._base.astype(np.float64)
        if expressive:
            for name, strength in (
                ("jaw", play.jaw[t]),
                ("wide", play.wide[t]),
                ("round", play.round[t]),
                ("smile", play.smile[t]),
                ("brows", play.brows[t]),
                ("blink_0", play.blink[t]),
                ("blink_1", play.blink[t]),
            ):
                points[:, :2] += float(strength) * self.sheet.bases[name]
        return self._posed(points, self.sheet.head, play, t, placing)

    def _posed(
        self, points: NDArray[np.float64], share: F32, play: Performance, t: int, placing: Placing
    ) -> F32:
        pivot = np.array([320.0, _PIVOT_Y, _PIVOT_Z])
        turned = (points - pivot) @ _rotation(play.yaw[t], play.pitch[t], play.roll[t]).T + pivot
        moved = points + (turned - points) * share[:, None].astype(np.float64)
        moved[:, 0] += play.sway_x[t]
        moved[:, 1] += play.sway_y[t]
        m = placing.affine()
        out = np.empty(moved.shape, np.float32)
        out[:, :2] = moved[:, :2] @ m[:, :2].T + m[:, 2]
        out[:, 2] = moved[:, 2] * m[0, 0]
        return out

    def draw(self, frame: F32, play: Performance, t: int, placing: Placing) -> None:
        """Draw the actor over `frame` (float32 [H, W, 3], 0 to 255), in place."""
        size = (frame.shape[0], frame.shape[1])
        points = self.points(play, t, placing)
        front, back, texture = self._layers(placing)
        if back is not None:
            _put(frame, warp_mesh(back, texture, points, size, self._back_triangles)[0])
        m = placing.affine()
        m[:, 2] += m[:, :2] @ np.array([play.sway_x[t], play.sway_y[t]])
        _put(frame, cv2.warpAffine(self._body, m, (size[1], size[0]), flags=cv2.INTER_LINEAR))
        _put(frame, warp_mesh(front, texture, points, size, self.triangles)[0])
        self._draw_mouth(frame, points, play, t, placing)
        if play.blink[t] > 0.3:
            self._draw_lashes(frame, points, float(play.blink[t]), placing)
        if self.look.glasses != "none":
            self._draw_glasses(frame, play, t, placing)

    def _layers(self, placing: Placing) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, F32]:
        """The layers and their points, shrunk once to a quarter more than a frame holds.

        A warp that shrinks them itself does so by the size of the face at the moment: the picture shimmers.
        """
        side = min(CANVAS_PX, round(1.25 * CANVAS_PX * float(placing.affine()[0, 0])))
        if side not in self._shrunk:
            texture = (self.sheet.texture + 0.5) * np.float32(side / CANVAS_PX) - np.float32(0.5)
            front, back = (
                None if layer is None else cv2.resize(layer, (side, side), interpolation=cv2.INTER_AREA)
                for layer in (self._front, self._back)
            )
            assert front is not None
            self._shrunk = {side: (front, back, texture)}
        return self._shrunk[side]

    def _draw_mouth(self, frame: F32, points: F32, play: Performance, t: int, placing: Placing) -> None:
        """What shows between the lips: dark, the tongue below, the upper teeth fixed to the skull."""
        loop = points[list(INNER_LOOP), :2]
        x1, y1 = np.floor(loop.min(0)).astype(int) - 3
        x2, y2 = np.ceil(loop.max(0)).astype(int) + 4
        x1, y1, x2, y2 = max(0, x1), max(0, y1), min(frame.shape[1], x2), min(frame.shape[0], y2)
        if x2 - x1 < 4 or y2 - y1 < 4:
            return
        roi = frame[y1:y2, x1:x2]
        size = (x2 - x1, y2 - y1)
        mask = _soft_polygon(loop - (x1, y1), size)
        upper = float(points[13, 1]) - y1
        gap = max(float(points[14, 1] - points[13, 1]), 0.5)
        down = (np.arange(size[1], dtype=np.float32)[:, None] - upper) / gap
        tongue = smoothstep(down, 0.45, 1.0) * min(1.0, gap / 9)
        light = float(np.clip(rgb(self.look.skin).mean() / 0.62, 0.55, 1.0))
        cavity = np.array([44.0, 15, 15]) + tongue[..., None] * np.array([78.0, 26, 26])
        inside = np.broadcast_to(cavity * light, roi.shape).astype(np.float32)
        teeth = cv2.warpAffine(
            self._teeth, self._teeth_affine(play, t, placing, (x1, y1)), size, flags=cv2.INTER_AREA
        )
        shade = 0.70 + 0.28 * smoothstep(down * gap, -0.5, 3.0)
        share = teeth[..., 3:].astype(np.float32) / 255
        inside = inside * (1 - share) + teeth[..., :3] * shade[..., None] * light
        roi += (inside - roi) * mask[..., None]

    def _draw_lashes(self, frame: F32, points: F32, closed: float, placing: Placing) -> None:
        """The line of lashes where the lids meet."""
        flat = np.zeros(frame.shape[:2], np.uint8)
        for side in (0, 1):
            outer, inner = LID_ENDS[side]
            line = points[[outer, *LID_UP[side], inner], :2]
            cv2.polylines(flat, [np.rint(line * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 4)
        width = max(0.45, 1.5 * placing.affine()[0, 0])
        ink = np.clip(2.1 * width * cv2.GaussianBlur(flat, (0, 0), width).astype(np.float32) / 255, 0, 0.85)
        dark = rgb(self.look.skin) * np.array([70.0, 55, 50]) + 8
        frame += (dark.astype(np.float32) - frame) * (ink * min(1.0, 1.4 * (closed - 0.3)))[..., None]

    def _teeth_affine(
        self, play: Performance, t: int, placing: Placing, origin: tuple[int, int]
    ) -> NDArray[np.float64]:
        """From the teeth's picture to the mouth's region of the frame."""
        at = self._base[[13, 14]].astype(np.float64).mean(0)
        corners = at + np.array([[0, 0, 6.0], [30, 0, 6], [0, 30, 6]])
        there = self._posed(corners, np.ones(3, np.float32), play, t, placing)[:, :2] - np.array(origin)
        return np.asarray(cv2.getAffineTransform(self._teeth_at, there.astype(np.float32)))

    def _draw_glasses(self, frame: F32, play: Performance, t: int, placing: Placing) -> None:
        """Frames before the eyes, stiff: they turn with the head and do not bend with the face."""
        base = self._base.astype(np.float64)
        eyes = [base[[33, 133, 159, 145]].mean(0), base[[263, 362, 386, 374]].mean(0)]
        span = float(eyes[1][0] - eyes[0][0])
        depth = float(base[6, 2]) - 2
        lines = _spectacles(self.look.glasses, eyes, span, depth, base)
        scale = placing.affine()[0, 0]
        thick = {"round": 3.0, "square": 4.2, "rimless": 1.4}[self.look.glasses] * scale
        colour = {"round": (58, 44, 38), "square": (26, 26, 30), "rimless": (150, 146, 140)}[
            self.look.glasses
        ]
        flat = np.zeros(frame.shape[:2], np.uint8)
        lens = np.zeros(frame.shape[:2], np.uint8)
        for k, line in enumerate(lines):
            line_2d = self._posed(line, np.ones(len(line), np.float32), play, t, placing)[:, :2]
            fixed = np.rint(line_2d * 16).astype(np.int32)
            if k < 2:
                cv2.fillPoly(lens, [fixed], 255, cv2.LINE_AA, 4)
            cv2.polylines(flat, [fixed], k < 2, 255, max(1, round(thick)), cv2.LINE_AA, 4)
        glass = lens[..., None].astype(np.float32) / 255
        frame += (245 - frame) * glass * 0.05
        rim = flat[..., None].astype(np.float32) / 255 * (0.9 if thick >= 1 else 0.75)
        below = np.roll(rim, max(1, round(2 * scale)), axis=0)
        frame *= 1 - 0.16 * below * (1 - rim)
        frame += (np.array(colour, np.float32) - frame) * rim


def _spectacles(
    kind: str, eyes: list[NDArray[np.float64]], span: float, depth: float, base: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Outlines in canvas px: two lenses, the bridge, two temples; each float64 [n, 3]."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    rx, ry, power = {"round": (0.37, 0.35, 2.0), "square": (0.40, 0.27, 4.5), "rimless": (0.38, 0.25, 3.0)}[
        kind
    ]
    lenses = []
    for eye in eyes:
        c, s = np.cos(turn), np.sin(turn)
        x = np.sign(c) * np.abs(c) ** (2 / power) * rx * span
        y = np.sign(s) * np.abs(s) ** (2 / power) * ry * span + 0.03 * span
        lenses.append(np.stack([eye[0] + x, eye[1] + y, depth + 0.0015 * (x**2)], axis=1))
    y = 0.5 * (eyes[0][1] + eyes[1][1]) - 0.05 * span
    inner = (eyes[0][0] + rx * span * 0.97, eyes[1][0] - rx * span * 0.97)
    middle = 0.5 * (inner[0] + inner[1])
    bridge = np.array([(inner[0], y, depth), (middle, y - 0.05 * span, depth - 5), (inner[1], y, depth)])
    temples = []
    for eye, ear, side in ((eyes[0], base[127], -1), (eyes[1], base[356], 1)):
        start = (eye[0] + side * rx * span * 0.97, eye[1] - 0.06 * span, depth + 6)
        temples.append(np.array([start, (ear[0] + side * 3, eye[1] - 0.02 * span, ear[2])]))
    return [*lenses, bridge, *temples]


def _rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """Rotation of image coordinates (x right, y down, z away): right, up and clockwise are positive."""
    a, b, c = np.deg2rad([yaw_deg, pitch_deg, roll_deg])
    yaw = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    pitch = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    roll = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(roll @ pitch @ yaw)


def _neck_edges(sheet: Sheet, shaped_points: F32, mirrored: bool) -> tuple[float, float]:
    """Where the edges of the portrait's neck lie in the actor's shape, canvas px."""
    edges = (CANVAS_PX - NECK_PX[1], CANVAS_PX - NECK_PX[0]) if mirrored else NECK_PX
    out = []
    for x in edges:
        away = np.hypot(sheet.texture[:, 0] - x, sheet.texture[:, 1] - NECK_Y)
        weight = np.exp(-((away / 14.0) ** 2))
        out.append(x + float((weight * (shaped_points[:, 0] - sheet.texture[:, 0])).sum() / weight.sum()))
    return out[0], out[1]


def _painted(sheet: Sheet, alpha: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The triangles that carry any paint: the rest of the sheet need not be drawn."""
    near = cv2.dilate(alpha, np.ones((5, 5), np.uint8))
    xy = sheet.texture[sheet.triangles]
    keep = np.zeros(len(xy), np.bool_)
    for weights in (
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (1 / 3, 1 / 3, 1 / 3),
        (0.5, 0.5, 0),
        (0, 0.5, 0.5),
        (0.5, 0, 0.5),
    ):
        at = np.einsum("mkd,k->md", xy, np.array(weights))
        col, row = (np.clip(np.rint(at[:, k]), 0, near.shape[k] - 1).astype(int) for k in (0, 1))
        keep |= near[row, col] > 0
    return sheet.triangles[keep]


def _teeth(sheet: Sheet) -> tuple[NDArray[np.uint8], F32]:
    """Upper teeth cut out of the portrait's smile: premultiplied RGBA, and the picture's places of the points
    (middle of the relaxed mouth, 30 px to its right, 30 px below it)."""
    portrait = sheet.portrait
    mesh = portrait.mesh
    loop = mesh[list(INNER_LOOP), :2]
    mask = polygon(loop, 1.2)
    lower = mesh[list(LOWER_INNER), :2].mean(0)[1]
    rows = np.arange(mask.shape[0], dtype=np.float32)[:, None]
    mask = mask * smoothstep(rows, lower + 1, lower - 5)
    rgb_teeth = portrait.rgb.astype(np.float32)
    both = np.concatenate([rgb_teeth * mask[..., None], 255 * mask[..., None]], axis=2)
    # The smile bares them to the gums; at rest the lip covers a third.
    at = np.array([mesh[[78, 308], 0].mean(), mesh[13, 1] + 5.5])
    return np.rint(both).astype(np.uint8), (at + np.array([[0, 0], [30, 0], [0, 30]])).astype(np.float32)


def _soft_polygon(points: NDArray[np.float32], size: tuple[int, int]) -> F32:
    """Polygon with true coverage at its edges (drawn four times as large): float32 [H, W]."""
    width, height = size
    large = np.zeros((height * 4, width * 4), np.uint8)
    fixed = np.rint(((points.astype(np.float64) + 0.5) * 4 - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(large, [fixed], 255, cv2.LINE_8, 4)
    small = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 0.45).astype(np.float32) / 255, dtype=np.float32)


def _put(frame: F32, above: NDArray[np.uint8]) -> None:
    """Premultiplied RGBA over the frame, in place, where there is anything."""
    x, y, w, h = cv2.boundingRect(above[..., 3])
    part = above[y : y + h, x : x + w].astype(np.float32)
    roi = frame[y : y + h, x : x + w]
    roi *= 1 - part[..., 3:] / 255
    roi += part[..., :3]
