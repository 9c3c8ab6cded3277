"""Faces as LatentSync was trained to see them: brows and nose at fixed places, the lower face masked.

What is drawn into the mask is `diffusion`.
After: Li et al., LatentSync: Taming Audio-Conditioned Latent Diffusion Models for Lip Sync, 2024.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.crops import Cut
from generators.followed import Followed
from haetae.errors import UsageError

_PLACES = np.array([[17.0, 20.0], [58.0, 20.0], [37.5, 40.0]])
"""Where brows (of the picture's left and right) and nose come to lie, in a field of 75 by 100."""
_FIELD = np.array([75.0, 100.0])
_NOSE = [195, 48, 278, 4]
"""Bridge, wings and tip of the nose, whose middle is its place."""
_GREY = (127, 127, 127)
_DRAWN = {"top": 0.36, "bottom": 0.97, "left": 0.10, "right": 0.90, "round": 0.22}
"""The region that is drawn anew where no mask is pinned, in shares of the crop."""
MAX_MASK_BYTES = 8 << 20
FEATHER = 0.06


def cut(face: Followed, t: int, size_px: int) -> Cut:
    """The face in frame t, which must be usable, as a square of size_px."""
    from haetae.faces.regions import LEFT_BROW, RIGHT_BROW

    mesh = face.mesh[t, :, :2].astype(np.float64)
    here = np.stack([mesh[RIGHT_BROW].mean(axis=0), mesh[LEFT_BROW].mean(axis=0), mesh[_NOSE].mean(axis=0)])
    matrix = _onto_places(here)
    # The field is higher than wide and is squeezed into a square.
    matrix = matrix * (size_px / _FIELD)[:, None]
    shrink = float(np.hypot(*matrix[0, :2]))
    frame = face.frames[t]
    source = frame if shrink > 0.67 else cv2.GaussianBlur(frame, (0, 0), 0.4 / shrink)
    crop = cv2.warpAffine(
        source,
        matrix,
        (size_px, size_px),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=_GREY,
    )
    points = mesh @ matrix[:, :2].T + matrix[:, 2]
    return Cut(np.asarray(crop, np.uint8), points.astype(np.float32), matrix)


def _onto_places(here: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn, scale and shift that bring three points to their places: float64 [2, 3]. Scale: that of their spread."""
    from haetae.faces.warp import similarity

    turned = similarity(here.astype(np.float32), _PLACES.astype(np.float32))[:, :2]
    turned /= np.sqrt(abs(np.linalg.det(turned)))
    middle, place = here.mean(axis=0), _PLACES.mean(axis=0)
    scale = np.linalg.norm(_PLACES - place) / max(float(np.linalg.norm(here - middle)), 1e-6)
    linear = scale * turned
    return np.concatenate([linear, (place - linear @ middle)[:, None]], axis=1)


def drawn_mask(size_px: int) -> NDArray[np.float32]:
    """1 where an aligned face is kept, 0 where it is drawn anew, from below the eyes to below the chin: [S, S]."""
    place = {name: share * size_px for name, share in _DRAWN.items()}
    ys, xs = np.mgrid[:size_px, :size_px] + 0.5
    # Distance to a rectangle with round corners.
    across = np.abs(xs - 0.5 * (place["left"] + place["right"])) - 0.5 * (place["right"] - place["left"])
    down = np.abs(ys - 0.5 * (place["top"] + place["bottom"])) - 0.5 * (place["bottom"] - place["top"])
    corner = np.hypot(np.maximum(across + place["round"], 0), np.maximum(down + place["round"], 0))
    outside = corner + np.minimum(np.maximum(across, down) + place["round"], 0) - place["round"]
    return np.asarray(outside > 0, np.float32)


def read_mask(path: Path, size_px: int) -> NDArray[np.float32]:
    """A mask from a picture: float32 [S, S] in [0, 1]. Raises: UsageError for one that keeps or draws everything."""
    try:
        if path.stat().st_size > MAX_MASK_BYTES:
            raise UsageError(f"{path} is larger than {MAX_MASK_BYTES} bytes")
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    except (OSError, cv2.error) as error:
        raise UsageError(f"{path} is no picture: {error}") from error
    if picture is None:
        raise UsageError(f"{path} is no picture")
    mask = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_LANCZOS4).astype(np.float32) / 255
    if not 0.05 < float(mask.mean()) < 0.95:
        raise UsageError(
            f"{path} keeps {float(mask.mean()):.0%} of the face: it is no mask of its lower part"
        )
    return np.asarray(np.clip(mask, 0, 1), np.float32)


def soft_region(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of what was drawn is put back: 0 where the face is kept, rising inwards to 1: float32 [S, S]."""
    size_px = mask.shape[0]
    inside = np.pad((mask < 0.5).astype(np.uint8), 1)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(np.clip((depth - 1) / (FEATHER * size_px), 0, 1), np.float32)
