"""Following all faces through the frames of one shot: sparse detections, the mesh in between.

What is known of one face on its way is `trail`; what becomes a row, and what is measured on a track, is
`tracks`; nothing here knows tables.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haetae.faces.detect import Detection, FaceDetector
from haetae.faces.look import look_at
from haetae.faces.mesh import N_POINTS, MeshTracker, fill_gaps
from haetae.faces.regions import face_box, five_points, iou
from haetae.faces.trail import MEASURE_EVERY, Box, Points, Trail

Frame = NDArray[np.uint8]
Measure = Callable[[Frame, Points], Any]

SAME_FACE_IOU = 0.5
CONTESTED_IOU = 0.1
MAX_STRANGENESS = 1.2
"""Above it a face that comes back is another one; measured: half a second apart the same face has 0.1 by its
look (median; 0.6 for one in ten), two people in the same light and place 0.6 and mostly more than 1."""
NEWCOMER_LEAD = 0.15
"""By how much a younger track must fit better to take a face from an older one."""
SEARCH_LOST_EVERY = 3


@dataclass(frozen=True, eq=False)
class Track:
    """One face: its first frame, mesh float32 [T, 478, 3] px without NaN, found bool [T], measured values."""

    first_frame: int
    mesh: NDArray[np.float32]
    found: NDArray[np.bool_]
    measures: tuple[Any, ...] = ()

    @property
    def boxes(self) -> NDArray[np.float32]:
        """float32 [T, 4] xyxy px, from the mesh."""
        return face_box(self.mesh)


class Follower:
    """Follows every face of a shot; its models are kept from shot to shot. Deterministic.

    Every few frames MTCNN looks at the frame outside the faces that are being followed. Between, and on the
    same frames, each face's own mesh tracker looks at its crop. A face that appears between two searches is
    followed back to its first frame. A lost one is searched for more often; what is found is given to it by
    place, size and look (Hungarian method), and of two tracks that claim one face the more alike keeps it.
    After: Kuhn, The Hungarian Method, 1955; Bewley et al., Simple Online and Realtime Tracking, 2016; Wojke
    et al., Simple Online and Realtime Tracking with a Deep Association Metric, 2017 (looks beside motion).
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
        not found for more frames than this; it never ends with a gap. measure: called on the first and then
        on every fifth frame of a track, its values are kept. Frames are not held in memory, but for `every`
        of them.
        """
        active: list[Trail] = []
        done: list[Trail] = []
        recent: deque[Frame] = deque(maxlen=max(1, every - 1))
        for index, frame in enumerate(frames):
            for trail in active:
                _step(frame, trail, max_gap)
            _settle(frame, active)
            is_lost = any(trail.lost for trail in active)
            if index % every == 0 or (is_lost and index % SEARCH_LOST_EVERY == 0):
                self._search(frame, index, active, list(recent), max_gap)
            for trail in active:
                _observe(frame, trail, measure)
            recent.append(frame)
            # A face may have come back just now, which the next search tells.
            over = [t for t in active if t.lost > max_gap + SEARCH_LOST_EVERY]
            done += over
            active = [t for t in active if t.lost <= max_gap + SEARCH_LOST_EVERY]
            self._idle += [t.tracker for t in over]
        self._idle += [t.tracker for t in active]
        finished = (_finished(t, measure is not None) for t in done + active)
        return [track for track in finished if track is not None]

    def _search(
        self, frame: Frame, index: int, active: list[Trail], recent: list[Frame], max_gap: int
    ) -> None:
        """Look at the rest of the frame: put lost tracks back on their faces and begin new ones."""
        followed = [t.spot.box for t in active if t.spot is not None]
        detections = self._detector.detect_one(frame, followed)[: self._max_faces]
        detections = [d for d in detections if not _is_taken(d.box, active)]
        lost = [t for t in active if t.lost]
        looks = [look_at(frame, d.points) for d in detections] if lost else []
        costs = [
            [t.strangeness(d.box, look, len(t.spots) - 1) for d, look in zip(detections, looks, strict=True)]
            for t in lost
        ]
        pairs = assign(np.array(costs).reshape(len(lost), len(detections)))
        for k, d in pairs:
            _return(frame, index, lost[k], detections[d], active, recent, max_gap)
        taken = {d for _, d in pairs}
        for d, detection in enumerate(detections):
            if d in taken or _is_taken(detection.box, active) or _may_be_lost_one(detection, lost):
                continue
            if len(active) < self._max_faces:
                begun = self._begin(frame, index, detection, active, recent)
                if begun is not None:
                    active.append(begun)

    def _begin(
        self, frame: Frame, index: int, detection: Detection, active: list[Trail], recent: list[Frame]
    ) -> Trail | None:
        tracker = self._idle.pop() if self._idle else MeshTracker()
        tracker.restart()
        points = tracker.step(frame, detection.box)
        before: list[Points] = []
        if points is not None and not _is_taken(face_box(points), active):
            before = _backwards(tracker, recent, index, face_box(points), active)
            if before:
                # The tracker is at the first frame now: put it back on this one.
                tracker.restart()
                points = tracker.step(frame, detection.box)
        if points is None or _is_taken(face_box(points), active):
            self._idle.append(tracker)
            return None
        trail = Trail(tracker, index - len(before))
        for each in [*before, points]:
            trail.add(each)
        if any(iou(trail.sought(), t.spot.box) > CONTESTED_IOU for t in active if t.spot is not None):
            trail.contest()
        return trail


def _step(frame: Frame, trail: Trail, max_gap: int) -> None:
    """Follow one face to the next frame; one that was lost must look like itself."""
    if trail.lost > max_gap:
        trail.add(None)
        return
    points = trail.tracker.step(frame, trail.sought())
    if points is not None and trail.lost and not _is_itself(frame, trail, points, len(trail.spots)):
        trail.tracker.restart()
        points = None
    trail.add(points)


def assign(costs: NDArray[np.float64], max_cost: float = MAX_STRANGENESS) -> list[tuple[int, int]]:
    """Pairs (row, column) of smallest total cost, none above `max_cost`; costs: [N, M]."""
    if costs.size == 0:
        return []
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.minimum(costs, 10 * max_cost))
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if costs[r, c] <= max_cost]


def _return(
    frame: Frame,
    index: int,
    trail: Trail,
    detection: Detection,
    active: list[Trail],
    recent: list[Frame],
    max_gap: int,
) -> None:
    """Put a lost track on a face that was found, if the face was not away for too long."""
    trail.tracker.restart()
    points = trail.tracker.step(frame, detection.box)
    if points is None or _is_taken(face_box(points), active):
        return
    between = recent[len(recent) - min(SEARCH_LOST_EVERY, trail.lost) + 1 :]
    before = _backwards(trail.tracker, between, index, face_box(points), active)
    if trail.lost - 1 - len(before) > max_gap:
        return
    trail.put([*before, points])
    trail.tracker.restart()
    trail.tracker.step(frame, face_box(points))


def _may_be_lost_one(detection: Detection, lost: list[Trail]) -> bool:
    """Whether to wait: half out of hiding a face does not look like itself. A new track that begins a little
    later is followed back to its first frame all the same."""
    near = [t for t in lost if t.lost and t.patience and t.remoteness(detection.box, len(t.spots) - 1) < 1]
    for trail in near:
        trail.patience -= 1
    return bool(near)


def _is_itself(frame: Frame, trail: Trail, points: Points, at: int) -> bool:
    look = look_at(frame, five_points(points))
    return trail.strangeness(face_box(points), look, at) <= MAX_STRANGENESS


def _is_taken(box: Box, active: list[Trail]) -> bool:
    """Whether a followed face is already there; MTCNN's boxes and the mesh's differ, hence the low bar."""
    return any(t.spot is not None and iou(box, t.spot.box) > SAME_FACE_IOU for t in active)


def _backwards(
    tracker: MeshTracker, recent: list[Frame], index: int, box: Box, active: list[Trail]
) -> list[Points]:
    """Meshes of the frames right before `index`, oldest first, as far back as the face is there."""
    found: list[Points] = []
    for k, frame in enumerate(reversed(recent), start=1):
        points = tracker.step(frame, box)
        if points is None:
            break
        box = face_box(points)
        others = [other for t in active if (other := t.box_at(index - k)) is not None]
        if any(iou(box, other) > SAME_FACE_IOU for other in others):
            break
        found.append(points)
    return found[::-1]


def _settle(frame: Frame, active: list[Trail]) -> None:
    """Where two tracks are on one face, the one that it resembles keeps it and the other has lost its own."""
    for older, younger in combinations(active, 2):
        if older.spot is None or younger.spot is None:
            continue
        overlap = iou(older.spot.box, younger.spot.box)
        if overlap > CONTESTED_IOU:
            older.contest()
            younger.contest()
        if overlap > SAME_FACE_IOU:
            fits = _strangeness(frame, younger) + NEWCOMER_LEAD < _strangeness(frame, older)
            (older if fits and not older.was_away(since=younger.first_frame) else younger).retract()


def _strangeness(frame: Frame, trail: Trail) -> float:
    """Of what the track is on now, for the track itself."""
    if (spot := trail.spot) is None:
        return np.inf
    return trail.strangeness(spot.box, look_at(frame, five_points(spot.points)), len(trail.spots) - 1)


def _observe(frame: Frame, trail: Trail, measure: Measure | None) -> None:
    """Learn how the face looks and measure it, every few frames."""
    spot, at = trail.spot, len(trail.spots) - 1
    if spot is None or (trail.observed is not None and at - trail.observed < MEASURE_EVERY):
        return
    trail.observed = at
    if not spot.contested and (look := look_at(frame, five_points(spot.points))) is not None:
        trail.looks.append(look)
    if measure is not None:
        trail.measures.append((at, measure(frame, spot.points)))


def _finished(trail: Trail, measured: bool) -> Track | None:
    """Cut the lost end off and fill the gaps. None where nothing could be measured."""
    spots = trail.spots[: len(trail.spots) - trail.lost]
    if not spots or (measured and not trail.measures):
        return None
    mesh = np.full((len(spots), N_POINTS, 3), np.nan, np.float32)
    found = np.array([spot is not None for spot in spots], np.bool_)
    for t, spot in enumerate(spots):
        if spot is not None:
            mesh[t] = spot.points
    fill_gaps(mesh, found, max_gap_frames=len(spots))
    return Track(trail.first_frame, mesh, found, tuple(value for _, value in trail.measures))
