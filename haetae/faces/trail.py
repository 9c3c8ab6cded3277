"""One face while it is being followed: where it was, where it should be now, and what it looked like.

Which faces are followed, and which of two takes a face that both claim, is decided in `follow`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haetae.faces.look import Look
from haetae.faces.mesh import MeshTracker
from haetae.faces.regions import face_box

Box = NDArray[np.float32]
Points = NDArray[np.float32]

MEASURE_EVERY = 5
_LOOKS = 4
_MOTION_FRAMES = 6
_UNSURE = 3
_MEMORY_FRAMES = 40
_FASTEST = 0.5
"""Sizes of itself that a face moves in one frame at most; more is a mistake of the boxes."""
_UNKNOWN_LOOK = 0.5
"""What a look that cannot be compared counts: neither for nor against."""
RETRACTED_FRAMES = 6


@dataclass(frozen=True, eq=False)
class Spot:
    """What is known of one frame of a trail: its mesh and box, and whether another face was in the way."""

    points: Points
    box: Box
    contested: bool = False


@dataclass(eq=False)
class Trail:
    """A face being followed: a `Spot` or None for each frame since its first."""

    tracker: MeshTracker
    first_frame: int
    spots: list[Spot | None] = field(default_factory=list)
    measures: list[tuple[int, Any]] = field(default_factory=list)
    looks: deque[Look] = field(default_factory=lambda: deque(maxlen=_LOOKS))
    lost: int = 0
    observed: int | None = None
    """Index of the last frame that it was learned from."""
    patience: int = 2
    """How often a face that turns up in its place, but does not look like it yet, is left alone."""

    def add(self, points: Points | None) -> None:
        """The next frame: the mesh, or None where the face was not found."""
        self.spots.append(None if points is None else Spot(points, face_box(points)))
        self.lost = self.lost + 1 if points is None else 0
        if not self.lost:
            self.patience = 2

    def put(self, found: list[Points]) -> None:
        """On the last few frames the face was found after all."""
        del self.spots[len(self.spots) - len(found) :]
        for points in found:
            self.add(points)

    @property
    def spot(self) -> Spot | None:
        """The last frame's."""
        return self.spots[-1] if self.spots else None

    def box_at(self, frame: int) -> Box | None:
        """Its box on a frame of the clip, None where it has none."""
        at = frame - self.first_frame
        spot = self.spots[at] if 0 <= at < len(self.spots) else None
        return None if spot is None else spot.box

    def was_away(self, since: int) -> bool:
        """Whether it comes back just now and was lost when, on frame `since` of the clip, another began."""
        at = since - self.first_frame
        return len(self.spots) > 1 and self.spots[-2] is None and at >= 0 and self.spots[at] is None

    def contest(self) -> None:
        """Another face covers a part of this one on the last frame: nothing is learned from it."""
        if (spot := self.spot) is not None:
            self.spots[-1] = Spot(spot.points, spot.box, contested=True)

    def retract(self) -> None:
        """The last frame shows another face, and so may those before it on which that one was in the way."""
        self.spots[-1] = None
        for k in range(2, min(RETRACTED_FRAMES, len(self.spots) - 1) + 1):
            spot = self.spots[-k]
            if spot is None or not spot.contested:
                break
            self.spots[-k] = None
        self.lost = next(k for k, spot in enumerate([*self.spots[::-1], True]) if spot is not None)
        self.measures = [m for m in self.measures if m[0] < len(self.spots) - self.lost]
        self.tracker.restart()

    def sought(self) -> Box:
        """Where the mesh should be looked for on the next frame: xyxy px.

        A lost face is looked for in turn where it vanished and where it would be by now.
        """
        if self.lost % 2:
            return self.expected(len(self.spots))
        return next(spot.box for spot in reversed(self.spots) if spot is not None)

    def expected(self, at: int) -> Box:
        """Its box on frame `at` of the trail if it went on as before it was lost or contested: xyxy px."""
        clear = self._clear()
        shift = self._speed(clear) * min(at - clear[-1][0], _MEMORY_FRAMES)
        return np.asarray(clear[-1][1] + np.tile(shift, 2), np.float32)

    def strangeness(self, box: Box, look: Look | None, at: int) -> float:
        """How unlike this face another one is on frame `at` of the trail: 0 is the same, above 1 it is not.

        The distance of the looks and that of the places, see `remoteness`.
        """
        seen = [look.distance(known) for known in self.looks] if look else []
        return min(seen, default=_UNKNOWN_LOOK) + self.remoteness(box, at)

    def remoteness(self, box: Box, at: int) -> float:
        """How far from where this face should be a box is, on frame `at` of the trail.

        Its distance from the way between where the face was and where it should be, in sizes of the face,
        and the logarithm of the ratio of sizes.
        """
        was = self._clear()[-1][1]
        there = self.expected(at)
        away = _distance_to_way(_centre(box), _centre(was), _centre(there)) / _size(was)
        return away + abs(float(np.log(_size(box) / _size(was))))

    def _clear(self) -> list[tuple[int, Box]]:
        """The last frames that tell where it goes, oldest first: index and box.

        Those on which another face was in the way do not, nor do the last before it was lost: what hides a
        face hides a part of it first.
        """
        known: list[tuple[int, Box]] = []
        clear: list[tuple[int, Box]] = []
        left = _UNSURE if self.lost else 0
        for k in range(len(self.spots) - 1, max(-1, len(self.spots) - _MEMORY_FRAMES - self.lost), -1):
            if (spot := self.spots[k]) is None:
                continue
            known.append((k, spot.box))
            if len(known) > left and not spot.contested:
                clear.append((k, spot.box))
            if len(clear) == _MOTION_FRAMES:
                break
        return (clear or known)[::-1]

    def _speed(self, clear: list[tuple[int, Box]]) -> NDArray[np.float32]:
        """Mean speed of its centre, px a frame: float32 [2]."""
        (first, start), (last, end) = clear[0], clear[-1]
        if last == first:
            return np.zeros(2, np.float32)
        speed = (_centre(end) - _centre(start)) / (last - first)
        fastest = _FASTEST * _size(end)
        return np.asarray(speed * min(1.0, fastest / max(float(np.hypot(*speed)), 1e-6)), np.float32)


def _centre(box: Box) -> NDArray[np.float32]:
    return np.asarray((box[:2] + box[2:]) / 2, np.float32)


def _size(box: Box) -> float:
    return max(float(np.sqrt(np.clip(box[2] - box[0], 1, None) * np.clip(box[3] - box[1], 1, None))), 1.0)


def _distance_to_way(at: NDArray[np.float32], start: NDArray[np.float32], end: NDArray[np.float32]) -> float:
    """Distance of a point from the straight way between two others, px."""
    way = end - start
    along = float((at - start) @ way) / max(float(way @ way), 1e-6)
    return float(np.hypot(*(at - start - min(max(along, 0.0), 1.0) * way)))
