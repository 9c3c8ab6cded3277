"""Reading pictures: decoded frames as displayed, RGB, lazily or as one array.

Cutting and frame-rate conversion live in `cut`; timing of variable-rate files is in `shots`.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.media.opening import (
    MAX_PIXELS,
    Orientation,
    open_media,
    orientation,
    pixel_aspect,
    video_stream,
)

Frame = NDArray[np.uint8]
Frames = NDArray[np.uint8]
MAX_FRAMES = 1500
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# libswscale's fast path darkens every picture by 1 level (measured), so a clip that is read and written
# again would be told from its twin by that alone.


class _Scaler(threading.local):
    """A scaler of its own for each thread; one for each frame costs more than scaling a small picture."""

    def __init__(self) -> None:
        self.one = VideoReformatter()


_scaler = _Scaler()


def read_frames(
    path: Path, *, first: int = 0, last: int | None = None, max_frames: int = MAX_FRAMES
) -> Frames:
    """Decode frames `first` to `last` (inclusive; None: to the end) of a file.

    Returns: uint8 [T, H, W, 3], RGB, as displayed (rotation and pixel aspect applied).
    Raises: Rejected `no_video`; `decode_failed`; `too_many_frames` beyond max_frames, never cut silently.
    """
    taken: list[Frame] = []
    with closing(_frames(path, first, MAX_PIXELS)) as frames:
        for index, frame in enumerate(frames, start=first):
            if last is not None and index > last:
                break
            if len(taken) >= max_frames:
                raise Rejected("too_many_frames", f"{path.name}: more than {max_frames} frames asked for")
            taken.append(frame)
    if not taken:
        raise Rejected("decode_failed", f"{path.name}: no frame from {first} on")
    if any(frame.shape != taken[0].shape for frame in taken):
        raise Rejected("decode_failed", f"{path.name}: the picture size changes within the file")
    return np.stack(taken)


def iter_frames(path: Path, *, max_pixels: int = MAX_PIXELS) -> Generator[Frame]:
    """Decode a file frame by frame: uint8 [H, W, 3], RGB, as displayed. Raises: as `read_frames`."""
    return _frames(path, 0, max_pixels)


def _frames(path: Path, first: int, max_pixels: int) -> Generator[Frame]:
    try:
        with open_media(path, max_pixels) as container:
            stream = video_stream(container)
            if stream is None:
                raise Rejected("no_video", f"{path.name} has no video stream")
            aspect = pixel_aspect(stream)
            way: Orientation | None = None
            for index, frame in enumerate(container.decode(stream)):
                way = way or orientation(frame)
                if index >= first:
                    yield displayed_rgb(frame, aspect, way)
    except av.error.FFmpegError as error:
        raise Rejected("decode_failed", f"{path.name}: {error.strerror}") from error


def displayed_rgb(frame: VideoFrame, aspect: float, way: Orientation, width: int | None = None) -> Frame:
    """One decoded frame as displayed: uint8 [H, W, 3], RGB.

    aspect: width over height of one pixel. width: scale to this many pixels wide, before turning.
    """
    wide = max(1, round(frame.width * aspect))
    target = width or wide
    high = max(1, round(frame.height * target / wide))
    how = _EXACT if width is None else Interpolation.BILINEAR
    scaled = _scaler.one.reformat(
        frame, width=target, height=high, format="rgb24", interpolation=int(how), threads=1
    )
    rgb = scaled.to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, -(way.clockwise_deg // 90)), dtype=np.uint8)
