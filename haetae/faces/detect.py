"""Finding faces in single frames: boxes, scores and five points, by MTCNN with the weights of its package.

The networks are run in `cascade`; following a face from frame to frame is `follow`; its mesh is `mesh`.
After: Zhang et al., Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks,
2016.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.faces.cascade import WINDOW_PX, Cascade


@dataclass(frozen=True, eq=False)
class Detection:
    """One face in one frame: box float32 [4] xyxy px, score 0 to 1, points float32 [5, 2] px.

    The points are the eyes, the nose and the corners of the mouth, those on the left of the picture first.
    """

    box: NDArray[np.float32]
    score: float
    points: NDArray[np.float32]

    @property
    def size_px(self) -> float:
        return float(self.box[3] - self.box[1])


@dataclass
class FaceDetector:
    """MTCNN on the CPU; loads at first use. Same frame, same thread count → same detections.

    `min_face_px`: smallest face looked for, pixels of the given frame. `thresholds`: of the three networks.
    `min_score`: of the last network, below which nothing is returned. `max_side_px`: larger frames are
    shrunk to it, unless that would make faces of `min_face_px` too small for the network.
    """

    min_face_px: int = 40
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    min_score: float = 0.9
    max_side_px: int = 640
    _cascade: Cascade | None = field(init=False, default=None, repr=False, compare=False)

    def load(self) -> None:
        """Load the networks now; otherwise the first call does."""
        if self._cascade is None:
            self._cascade = Cascade(self.thresholds)

    def detect(self, frames: Iterable[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Faces of each frame, largest first.

        frames: uint8 [T, H, W, 3] RGB, or an iterable of uint8 [H, W, 3] of any sizes; they are looked at one
        by one, so that a frame's faces do not depend on its neighbours.
        """
        return [self.detect_one(frame) for frame in frames]

    def detect_one(
        self, frame: NDArray[np.uint8], known: Sequence[NDArray[np.float32]] = ()
    ) -> list[Detection]:
        """Faces of one frame (uint8 [H, W, 3] RGB), largest first.

        known: boxes (xyxy px) of faces that need not be found: they are covered, which saves most of the
        time, because the later networks work on the faces and on little else.
        """
        self.load()
        assert self._cascade is not None
        height, width = frame.shape[:2]
        scale = min(1.0, max(self.max_side_px / max(height, width), WINDOW_PX / self.min_face_px))
        if min(height, width) < self.min_face_px:
            return []
        small = frame
        if scale < 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
        back = np.array([width / small.shape[1], height / small.shape[0]], np.float32)
        if known:
            small = _covered(small, [(box.reshape(2, 2) / back).reshape(4) for box in known])
        # No larger than the frame, or the image pyramid would have no level at all.
        faces = self._cascade.find(small, min(self.min_face_px * scale, *small.shape[:2]))
        found = [
            Detection((box.reshape(2, 2) * back).reshape(4), float(score), five * back)
            for box, score, five in zip(*faces, strict=True)
            if score >= self.min_score
        ]
        return sorted((d for d in found if d.size_px >= self.min_face_px), key=lambda d: -d.size_px)


def _covered(picture: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """A copy with grey boxes, which is what the networks see as nothing."""
    out = picture.copy()
    for x1, y1, x2, y2 in np.round(boxes).astype(int).clip(0, None):
        out[y1:y2, x1:x2] = 127
    return out


def detect_faces(frames: Iterable[NDArray[np.uint8]], min_face_px: int = 40) -> list[list[Detection]]:
    """Faces of each frame, largest first, by a detector made for this call; see `FaceDetector`."""
    return FaceDetector(min_face_px=min_face_px).detect(frames)
