"""The 478-point face mesh (468 skin points and two irises of five) of pictures and of followed faces.

Which face to follow is not decided here: a caller with several faces passes the boxes of one. Where faces
are found is `detect`, what the points mean is `regions`.

Coordinates are pixels of the given picture with the centre of the top left pixel at (0, 0); z is in the
same unit as x, smaller is nearer to the camera.
After: Kartynnik et al., Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs, 2019;
Grishchenko et al., Attention Mesh, 2020 (the refined lips, eyes and irises).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.faces.regions import EYES, IRISES, LIPS_INNER, LIPS_OUTER, face_box, iou

N_POINTS = 478
MAX_GAP_FRAMES = 12
"""Longest stretch without a mesh that is bridged by interpolation: half a second at 25 fps."""

CROP_PX = 256
"""Side of the picture that the model gets of a face in a film: it scales the face to 192 px by itself. With 384
points lie 0.15 % of the face's height elsewhere, no steadier, and each frame takes a quarter longer."""
STILL_CROP_PX = 384
CROP_SCALE = 2.0
_WHOLE_PX = 640
_LINEAR_STEP = 4.0
"""Up to so many pixels of the frame for one of the crop, points are as steady sampled as averaged over areas."""
_NOTHING = np.zeros((CROP_PX, CROP_PX, 3), np.uint8)
"""Shown to a model that (re)starts, so that its threads log their start while nobody listens."""
_FAST = np.array([*LIPS_OUTER, *LIPS_INNER, *EYES[0], *EYES[1], *IRISES[0], *IRISES[1]])
"""Points that move at the speed of speech and blinks, which a long window would flatten."""

_has_spoken = False
"""Whether the process has met its first face, about which mediapipe prints a warning, once."""


@dataclass
class MeshTracker:
    """Follows one face through frames; deterministic: the same frames and boxes give the same bytes.

    The model looks at a square crop around the face, not at the frame, so small and off-centre faces
    work as well as large ones and neighbours do not attract it. The crop stands still until the face has
    moved or grown by a good part of it; only then the model's own tracking starts again.

    `max_faces`: faces considered when nothing says where to look; the largest is followed.
    `refine`: the attention model (better lips and eyes, real irises); without it the irises are the
    centres of the eyes.
    """

    max_faces: int = 1
    refine: bool = True
    min_confidence: float = 0.5
    _model: Any = field(init=False, default=None, repr=False, compare=False)
    _finder: Any = field(init=False, default=None, repr=False, compare=False)
    _crop: _Crop | None = field(init=False, default=None, repr=False, compare=False)
    _fresh: bool = field(init=False, default=False, repr=False, compare=False)

    def track(
        self, frames: NDArray[np.uint8], boxes: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Mesh of one face in every frame.

        frames: uint8 [T, H, W, 3] RGB. boxes: float32 [T, 4] xyxy px of the face to follow, NaN rows where
        unknown; None: the largest face.
        Returns mesh float32 [T, 478, 3] px and found bool [T]. Gaps of up to 12 frames are interpolated
        (held at the ends) with found False; rows of longer gaps are NaN.
        """
        mesh = np.full((len(frames), N_POINTS, 3), np.nan, np.float32)
        found = np.zeros(len(frames), np.bool_)
        self.restart()
        for t, frame in enumerate(frames):
            box = None if boxes is None or not np.isfinite(boxes[t]).all() else boxes[t]
            points = self.step(frame, box, search=boxes is None)
            if points is not None:
                mesh[t], found[t] = points, True
        fill_gaps(mesh, found)
        return mesh, found

    def restart(self) -> None:
        """Forget the face that was followed."""
        self._crop = None

    def step(
        self, frame: NDArray[np.uint8], box: NDArray[np.float32] | None = None, search: bool = False
    ) -> NDArray[np.float32] | None:
        """The next frame of the followed face: its mesh, float32 [478, 3] px, or None where it is not found.

        frame: uint8 [H, W, 3] RGB. box: float32 [4] xyxy px, roughly where the face is; a mesh that does not
        overlap it is of another face and is not taken. Without a box the face is followed from the last
        frame; where there is nothing to follow, `search` looks for the largest face of the frame.
        """
        if self._crop is not None:
            points = self._look(frame, self._crop)
            if points is not None and _is_face_of(points, box):
                self._keep_in_crop(points)
                return points
        if box is None and search:
            box = self._search(frame)
        if box is None:
            self._crop = None
            return None
        self._use(_Crop.around(box))
        points = self._look(frame, _Crop.around(box))
        if points is None or not _is_face_of(points, box):
            self._crop = None
            return None
        self._keep_in_crop(points)
        return points

    def _keep_in_crop(self, points: NDArray[np.float32]) -> None:
        """Move the crop when the face has left its middle; one that moved all the time would add jitter."""
        crop, ideal = self._crop, _Crop.around(face_box(points))
        if crop is not None:
            shift_px = float(np.hypot(*(np.array(ideal.centre) - crop.centre)))
            if shift_px < 0.15 * crop.side_px and 0.75 < ideal.side_px / crop.side_px < 1.35:
                return
        self._use(ideal)

    def _use(self, crop: _Crop) -> None:
        self._crop = crop
        self._fresh = False

    def _look(self, frame: NDArray[np.uint8], crop: _Crop) -> NDArray[np.float32] | None:
        if self._model is None:
            self._model = _face_mesh(False, 1, self.refine, self.min_confidence)
        elif not self._fresh:
            with quiet():
                self._model.reset()
                self._model.process(_NOTHING)
        self._fresh = True
        faces = _run(self._model, crop.cut(frame, CROP_PX))
        return crop.back(faces[0]) if faces else None

    def _search(self, frame: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        if self._finder is None:
            self._finder = _face_mesh(True, self.max_faces, self.refine, self.min_confidence)
        found = _meshes_in(self._finder, frame)
        return face_box(found[0]) if found else None


def mesh_of_image(img: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Mesh of the largest face of a picture (uint8 [H, W, 3] RGB): float32 [478, 3] px, or None."""
    found = meshes_of_image(img)
    return found[0] if found else None


def meshes_of_image(img: NDArray[np.uint8], max_faces: int = 8) -> list[NDArray[np.float32]]:
    """Meshes of all faces of a picture (uint8 [H, W, 3] RGB), largest first: each float32 [478, 3] px.

    The built-in finder sees faces of about a tenth of the picture's longer side and up; for smaller ones
    find boxes with `detect.FaceDetector` and follow them with `MeshTracker`.
    """
    model = _face_mesh(True, max_faces, True, 0.5)
    try:
        whole = _meshes_in(model, img)
        # A second look at a crop around each face: the picture was shrunk for the first.
        fine = [_refined(model, img, points) for points in whole]
    finally:
        with quiet():
            model.close()
    return sorted(fine, key=_area, reverse=True)


def smooth_mesh(
    mesh: NDArray[np.float32], found: NDArray[np.bool_], window: int = 7, fast_window: int = 5
) -> NDArray[np.float32]:
    """Take the frame-to-frame jitter out of a mesh without lag: Savitzky-Golay, order 2, per coordinate.

    mesh: float32 [T, 478, 3]; found: bool [T]. Skin uses `window` frames, lips, eyelids and irises
    `fast_window` (both odd), so that blinks and plosives of three frames survive. NaN rows stay NaN and
    nothing is smoothed across them. Returns a new float32 [T, 478, 3]; `found` is not changed by it.
    After: Savitzky & Golay, Analytical Chemistry 1964.
    """
    from scipy.signal import savgol_filter

    if len(mesh) != len(found):
        raise ValueError(f"mesh has {len(mesh)} frames, found has {len(found)}")
    out = mesh.astype(np.float32, copy=True)
    known = np.isfinite(mesh[:, 0, 0])
    for first, last in _runs(known):
        run = mesh[first:last].astype(np.float64)
        for points, frames in ((slice(None), window), (_FAST, fast_window)):
            size = min(frames, (last - first - 1) // 2 * 2 + 1)
            if size > 2:
                out[first:last, points] = savgol_filter(run[:, points], size, 2, axis=0, mode="interp")
    return out


def fill_gaps(
    mesh: NDArray[np.float32], found: NDArray[np.bool_], max_gap_frames: int = MAX_GAP_FRAMES
) -> None:
    """Interpolate, in place, the rows of `mesh` [T, 478, 3] in gaps of `found` of up to `max_gap_frames`.

    A short gap at an end is held at its nearest mesh; rows of longer gaps become NaN.
    """
    for first, last in _runs(~found):
        before, after = first - 1, last
        has_before, has_after = before >= 0, after < len(found)
        if last - first > max_gap_frames or not (has_before or has_after):
            mesh[first:last] = np.nan
        elif has_before and has_after:
            weight = (np.arange(first, last) - before)[:, None, None] / np.float32(after - before)
            mesh[first:last] = mesh[before] * (1 - weight) + mesh[after] * weight
        else:
            mesh[first:last] = mesh[before if has_before else after]


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches [first, last) in which the flags are true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


@dataclass(frozen=True)
class _Crop:
    """A square of whole pixels of a frame; the model distorts its points on anything but squares."""

    x_px: int
    y_px: int
    side_px: int

    @classmethod
    def around(cls, box: NDArray[np.float32], scale: float = CROP_SCALE) -> _Crop:
        side = max(8, round(float(max(box[2] - box[0], box[3] - box[1])) * scale))
        return cls(
            round(float(box[0] + box[2]) / 2 - side / 2), round(float(box[1] + box[3]) / 2 - side / 2), side
        )

    @property
    def centre(self) -> tuple[float, float]:
        return self.x_px + self.side_px / 2, self.y_px + self.side_px / 2

    def cut(self, frame: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
        step = self.side_px / size_px
        if step <= _LINEAR_STEP:
            middle = (step - 1) / 2
            back = np.array([[step, 0, self.x_px + middle], [0, step, self.y_px + middle]])
            how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            return np.asarray(cv2.warpAffine(frame, back, (size_px, size_px), flags=how), np.uint8)
        height, width = frame.shape[:2]
        x1, y1 = max(0, self.x_px), max(0, self.y_px)
        x2, y2 = min(width, self.x_px + self.side_px), min(height, self.y_px + self.side_px)
        if x1 >= x2 or y1 >= y2:
            return np.zeros((size_px, size_px, 3), np.uint8)
        square = frame[y1:y2, x1:x2]
        if square.shape[:2] != (self.side_px, self.side_px):
            square = cv2.copyMakeBorder(
                square,
                y1 - self.y_px,
                self.y_px + self.side_px - y2,
                x1 - self.x_px,
                self.x_px + self.side_px - x2,
                cv2.BORDER_CONSTANT,
            )
        return np.ascontiguousarray(cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_AREA))

    def back(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """From the crop's [0, 1] to pixels of the frame."""
        out = points * np.float32(self.side_px)
        out[:, 0] += np.float32(self.x_px - 0.5)
        out[:, 1] += np.float32(self.y_px - 0.5)
        return out


def _whole(img: NDArray[np.uint8]) -> _Crop:
    height, width = img.shape[:2]
    side = max(height, width)
    return _Crop((width - side) // 2, (height - side) // 2, side)


def _meshes_in(model: Any, img: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    crop = _whole(img)
    faces = _run(model, crop.cut(img, min(crop.side_px, _WHOLE_PX)))
    return sorted((crop.back(points) for points in faces), key=_area, reverse=True)


def _refined(model: Any, img: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.float32]:
    crop = _Crop.around(face_box(points))
    again = [crop.back(face) for face in _run(model, crop.cut(img, STILL_CROP_PX))]
    again = [face for face in again if iou(face_box(face), face_box(points)) > 0.5]
    return max(again, key=lambda face: iou(face_box(face), face_box(points))) if again else points


def _area(points: NDArray[np.float32]) -> float:
    box = face_box(points)
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _is_face_of(points: NDArray[np.float32], box: NDArray[np.float32] | None) -> bool:
    return box is None or iou(face_box(points), box) > 0.25


def _face_mesh(static: bool, max_faces: int, refine: bool, min_confidence: float) -> Any:
    with quiet():
        from mediapipe.python.solutions.face_mesh import FaceMesh

        model = FaceMesh(
            static_image_mode=static,
            max_num_faces=max_faces,
            refine_landmarks=refine,
            min_detection_confidence=min_confidence,
            min_tracking_confidence=min_confidence,
        )
        model.process(_NOTHING)
    return model


def _run(model: Any, square: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Points of every face in a square picture, in its [0, 1] coordinates."""
    global _has_spoken
    with contextlib.nullcontext() if _has_spoken else quiet():
        faces: Sequence[Any] = model.process(square).multi_face_landmarks or ()
    _has_spoken = _has_spoken or len(faces) > 0
    return [_with_irises(np.array([(p.x, p.y, p.z) for p in f.landmark], np.float32)) for f in faces]


def _with_irises(points: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(points) == N_POINTS:
        return points
    right, left = points[[33, 133, 159, 145]].mean(0), points[[263, 362, 386, 374]].mean(0)
    return np.concatenate([points, np.repeat(right[None], 5, 0), np.repeat(left[None], 5, 0)])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the native log lines of mediapipe's start, which ignore Python's logging, off standard error."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
