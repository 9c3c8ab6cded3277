"""The face a generator works on: its smoothed mesh in every frame, and the frames that can be used.

Which face of a clip is changed was decided by the order of `ClipView.faces`; what is drawn is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.protocol import ClipView
from generators.segments import runs
from haetae.errors import Rejected

BRIDGE_FRAMES = 2
"""A face lost for this many frames is still there; longer, and something may be in front of it."""
MIN_RUN_FRAMES = 5
MIN_FACE_PX = 40.0


@dataclass(frozen=True)
class Followed:
    """One face over a whole clip.

    frames: uint8 [T, H, W, 3]; mesh: float32 [T, 478, 3] px, without jitter, NaN where the face is lost;
    usable: bool [T], frames in which it may be changed or lent.
    """

    track_id: str
    frames: NDArray[np.uint8]
    mesh: NDArray[np.float32]
    usable: NDArray[np.bool_]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self.frames.shape[1], self.frames.shape[2]


def follow(clip: ClipView, who: str = "target") -> Followed:
    """The first face of a clip, over the whole clip.

    Raises: Rejected no_face, face_lost (no stretch of 5 usable frames) or face_too_small (median height below
    40 px); `who` goes into the detail.
    """
    from haetae.faces.mesh import smooth_mesh

    if clip.frames is None or not clip.faces:
        raise Rejected("no_face", f"the {who} {clip.clip_id} has no followed face")
    face, n = clip.faces[0], len(clip.frames)
    mesh = np.full((n, *face.mesh.shape[1:]), np.nan, np.float32)
    found = np.zeros(n, np.bool_)
    span = slice(face.first_frame, min(n, face.first_frame + len(face.mesh)))
    kept = span.stop - span.start
    mesh[span] = smooth_mesh(face.mesh, face.found)[:kept]
    found[span] = face.found[:kept]
    usable: NDArray[np.bool_] = np.zeros(n, np.bool_)
    for start, end in runs(found, max_gap=BRIDGE_FRAMES):
        if end - start >= MIN_RUN_FRAMES:
            usable[start:end] = np.isfinite(mesh[start:end, :, :2]).all(axis=(1, 2))
    if not usable.any():
        raise Rejected("face_lost", f"no usable stretch of face {face.track_id} of the {who} {clip.clip_id}")
    height_px = float(np.median(np.ptp(mesh[usable, :468, 1], axis=1)))
    if height_px < MIN_FACE_PX:
        raise Rejected("face_too_small", f"face {face.track_id} of the {who}: {height_px:.0f} px high")
    return Followed(face.track_id, clip.frames, mesh, usable)


def window(points: NDArray[np.float32], size: tuple[int, int], grow: float) -> tuple[slice, slice] | None:
    """Rows and columns of the frame around points, grown by `grow` of their larger extent; None outside it.

    points: float [N, 2+] px; size: (height, width).
    """
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    margin = grow * float((high - low).max())
    x1, y1 = np.maximum(np.floor(low - margin), 0).astype(int)
    x2, y2 = np.minimum(np.ceil(high + margin) + 1, (size[1], size[0])).astype(int)
    return (slice(y1, y2), slice(x1, x2)) if x1 < x2 and y1 < y2 else None


def shifted(mesh: NDArray[np.float32], where: tuple[slice, slice]) -> NDArray[np.float32]:
    """A mesh in the coordinates of a window of the frame."""
    out = mesh.copy()
    out[..., 0] -= where[1].start
    out[..., 1] -= where[0].start
    return out


def smoothed_in_time(values: NDArray[np.floating], sigma_frames: float) -> NDArray[np.float64]:
    """Gaussian smoothing along the first axis, ends held; NaN rows take part in nothing and stay NaN."""
    from scipy.ndimage import gaussian_filter1d

    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    known = np.asarray(np.isfinite(flat).all(axis=1))
    filled = np.where(known[:, None], flat, 0.0)
    total = gaussian_filter1d(filled, sigma_frames, axis=0, mode="nearest")
    weight = gaussian_filter1d(known.astype(np.float64), sigma_frames, mode="nearest")
    out = np.where(known[:, None], total / np.maximum(weight, 1e-9)[:, None], np.nan)
    return out.reshape(values.shape)
