"""Following all faces through the frames of one shot: sparse detections, the mesh in between.

What becomes a row, and what is measured on a track, is `tracks`; nothing here knows tables.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from haetae.faces.detect import Detection, FaceDetector
from haetae.faces.mesh import N_POINTS, MeshTracker, fill_gaps
from haetae.faces.regions import face_box, iou

Frame = NDArray[np.uint8]
Box = NDArray[np.float32]
Measure = Callable[[Frame, NDArray[np.float32]], float]

MIN_IOU = 0.1
SAME_FACE_IOU = 0.5
MEASURE_EVERY = 5


@dataclass(frozen=True, eq=False)
class Track:
    """One face: its first frame, mesh float32 [T, 478, 3] px without NaN, found bool [T], measured values."""

    first_frame: int
    mesh: NDArray[np.float32]
    found: NDArray[np.bool_]
    measures: tuple[float, ...] = ()

    @property
    def boxes(self) -> NDArray[np.float32]:
        """float32 [T, 4] xyxy px, from the mesh."""
        return face_box(self.mesh)


@dataclass(eq=False)
class _Active:
    """A track being written: a mesh or None for each frame since its first."""

    tracker: MeshTracker
    first_frame: int
    points: list[NDArray[np.float32] | None]
    box: Box
    measures: list[float] = field(default_factory=list)
    lost: int = 0

    def add(self, points: NDArray[np.float32] | None) -> None:
        self.points.append(points)
        if points is None:
            self.lost += 1
        else:
            self.lost = 0
            self.box = face_box(points)


class Follower:
    """Follows every face of a shot; its models are kept from shot to shot. Deterministic.

    Every few frames MTCNN looks at the whole frame and its boxes are assigned to the faces being followed
    (Hungarian method on overlap). Between, and on the same frames, each face's own mesh tracker looks at its
    crop. A face that appears between two searches is followed back to its first frame.
    After: Kuhn, The Hungarian Method, 1955; Bewley et al., Simple Online and Realtime Tracking, 2016.
    """

    def __init__(self, min_face_px: int = 40, max_faces: int = 8) -> None:
        self._detector = FaceDetector(min_face_px=min_face_px)
        self._max_faces = max_faces
        self._idle: list[MeshTracker] = []

    def load(self) -> None:
        """Load the detector's weights."""
        self._detector.load()

    def follow(
        self, frames: Iterable[Frame], every: int = 10, max_gap: int = 12, measure: Measure | None = None
    ) -> list[Track]:
        """All tracks of the frames (uint8 [H, W, 3] RGB each), in the order in which they end.

        every: frames from one search of the whole frame to the next. max_gap: a track ends when its mesh was
        not found for more frames than this; it never ends with a gap. measure: called on every fifth found
        frame of a track, its values are kept. Frames are not held in memory, but for `every` of them.
        """
        active: list[_Active] = []
        done: list[_Active] = []
        recent: deque[Frame] = deque(maxlen=max(1, every - 1))
        for index, frame in enumerate(frames):
            for track in active:
                track.add(track.tracker.step(frame, track.box))
            _drop_doubles(active)
            if index % every == 0:
                self._search(frame, index, active, list(recent))
            for track in active:
                last = track.points[-1]
                if measure and last is not None and (len(track.points) - 1) % MEASURE_EVERY == 0:
                    track.measures.append(measure(frame, last))
            recent.append(frame)
            over = [t for t in active if t.lost > max_gap]
            done += over
            active = [t for t in active if t.lost <= max_gap]
            self._idle += [t.tracker for t in over]
        self._idle += [t.tracker for t in active]
        finished = (_finished(t, measure is not None) for t in done + active)
        return [track for track in finished if track is not None]

    def _search(self, frame: Frame, index: int, active: list[_Active], recent: list[Frame]) -> None:
        """Look at the whole frame: put lost tracks back on their faces and begin new ones."""
        detections = self._detector.detect_one(frame)[: self._max_faces]
        pairs = assign([t.box for t in active], [d.box for d in detections])
        for k, d in pairs:
            track = active[k]
            if track.points[-1] is None:
                again = track.tracker.step(frame, detections[d].box)
                if again is not None and not _is_taken(face_box(again), active):
                    track.points.pop()
                    track.lost -= 1
                    track.add(again)
        taken = {d for _, d in pairs}
        for d, detection in enumerate(detections):
            if d not in taken and len(active) < self._max_faces and not _is_taken(detection.box, active):
                begun = self._begin(frame, index, detection, recent)
                if begun is not None and not _is_taken(begun.box, active):
                    active.append(begun)

    def _begin(self, frame: Frame, index: int, detection: Detection, recent: list[Frame]) -> _Active | None:
        tracker = self._idle.pop() if self._idle else MeshTracker()
        tracker.restart()
        points = tracker.step(frame, detection.box)
        if points is None:
            self._idle.append(tracker)
            return None
        before = self._backwards(tracker, recent, face_box(points))
        if before:
            # The tracker is at the first frame now: put it back on this one.
            tracker.restart()
            points = tracker.step(frame, detection.box)
            if points is None:
                self._idle.append(tracker)
                return None
        track = _Active(tracker, index - len(before), [*before], face_box(points))
        track.add(points)
        return track

    @staticmethod
    def _backwards(tracker: MeshTracker, recent: list[Frame], box: Box) -> list[NDArray[np.float32]]:
        """Meshes of the frames right before, oldest first, as far back as the face is there."""
        found: list[NDArray[np.float32]] = []
        for frame in reversed(recent):
            points = tracker.step(frame, box)
            if points is None:
                break
            box = face_box(points)
            found.append(points)
        return found[::-1]


def assign(tracks: list[Box], detections: list[Box], min_iou: float = MIN_IOU) -> list[tuple[int, int]]:
    """Pairs (track, detection) of largest total overlap, none below `min_iou`; boxes xyxy px."""
    if not tracks or not detections:
        return []
    from scipy.optimize import linear_sum_assignment

    overlap = np.array([[iou(a, b) for b in detections] for a in tracks])
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if overlap[r, c] >= min_iou]


def _is_taken(box: Box, active: list[_Active]) -> bool:
    """Whether a followed face is already there; MTCNN's boxes and the mesh's differ, hence the low bar."""
    return any(t.points[-1] is not None and iou(box, t.box) > SAME_FACE_IOU for t in active)


def _drop_doubles(active: list[_Active]) -> None:
    """Two tracks on one face: the older keeps it, the younger has lost its own."""
    for k, track in enumerate(active):
        if track.points[-1] is not None and _is_taken(track.box, active[:k]):
            track.points[-1] = None
            track.lost += 1
            track.tracker.restart()


def _finished(track: _Active, measured: bool) -> Track | None:
    """Cut the lost end off and fill the gaps. None where nothing could be measured."""
    points = track.points[: len(track.points) - track.lost]
    if not points or (measured and not track.measures):
        return None
    mesh = np.full((len(points), N_POINTS, 3), np.nan, np.float32)
    found = np.array([p is not None for p in points], np.bool_)
    for t, p in enumerate(points):
        if p is not None:
            mesh[t] = p
    fill_gaps(mesh, found, max_gap_frames=len(points))
    return Track(track.first_frame, mesh, found, tuple(track.measures))
