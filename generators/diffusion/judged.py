"""What a learned network makes of faces held back: whether it is a face, and whether it is a copy.

How it is trained is in `training`; a fake of a whole clip is measured elsewhere.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LOOK_PX = 160
"""Side at which the detector looks at a crop."""
MAX_LOOKED_AT = 12


def evenly(at: NDArray[np.int64], n: int = MAX_LOOKED_AT) -> NDArray[np.int64]:
    """At most n of these, spread over all of them."""
    return np.asarray(at[np.unique(np.linspace(0, len(at) - 1, min(n, len(at))).round().astype(int))])


def share_of_faces(crops: NDArray[np.uint8]) -> float:
    """Share of crops, uint8 [N, S, S, 3], in which the face detector finds a face of a third of their side."""
    import torch

    from generators.repeatable import repeatable
    from haetae.faces.detect import FaceDetector

    detector = FaceDetector(min_face_px=LOOK_PX // 3)
    large = [cv2.resize(crop, (LOOK_PX, LOOK_PX), interpolation=cv2.INTER_CUBIC) for crop in crops]
    # Building the detector's networks draws weights that are then replaced.
    with repeatable(), torch.random.fork_rng(devices=[]):
        return float(np.mean([bool(faces) for faces in detector.detect(large)]))


def distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Mean over crops of the root mean square difference to the other's, 0 to 255; both uint8 [N, S, S, 3]."""
    square = (a.astype(np.float32) - b.astype(np.float32)) ** 2
    return float(np.sqrt(square.mean(axis=(1, 2, 3))).mean())


def distance_to_nearest(crops: NDArray[np.uint8], known: NDArray[np.uint8]) -> float:
    """Mean over crops of the smallest such difference to any known one: uint8 [N, S, S, 3], [M, S, S, 3]."""
    a, b = (one.reshape(len(one), -1).astype(np.float32) for one in (crops, known))
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return float(np.sqrt(np.maximum(square, 0).min(axis=1) / a.shape[1]).mean())


def looks_of(
    made: NDArray[np.uint8], before: NDArray[np.uint8], known: NDArray[np.uint8]
) -> dict[str, float]:
    """Figures of made crops, the crops that they were made of, and those that were learned from, of one size.

    found_face, found_face_before: share with a face found; distance_to_input; distance_to_nearest (crop that was
    learned from), and that of the input for comparison; root mean squares, 0 to 255.
    """
    figures = {
        "found_face": share_of_faces(made),
        "found_face_before": share_of_faces(before),
        "distance_to_input": distance(made, before),
        "distance_to_nearest": distance_to_nearest(made, known),
        "distance_to_nearest_before": distance_to_nearest(before, known),
    }
    return {name: round(value, 4) for name, value in figures.items()}
