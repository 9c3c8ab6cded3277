"""A folder of numbered pictures as one media file: a lossless video at 25 fps, same pictures, same bytes.

Where the pictures come from (a folder, an archive) is in `archives`.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import av.error
import ffmpeg
import numpy as np
from av.container.input import InputContainer
from av.video.stream import VideoStream

from haetae.errors import Rejected
from haetae.media.encode import FPS
from haetae.media.ffmpeg import local, run
from haetae.media.frames import Frame, displayed_rgb
from haetae.media.opening import MAX_PIXELS, STILL_DEMUXERS, Orientation, open_media, video_stream

SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_FRAMES = 20_000
MAX_TOTAL_PIXELS = 40_000_000_000
"""About 20,000 pictures of 1920x1080."""
_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class FrameFolder:
    """What was packed. numbers: the number in each picture's name, in order, gaps and all; size: width, height
    of the video in pixels. n_padded: pictures smaller than the largest, filled up with black at right and below.
    """

    n: int
    first_number: int
    numbers: tuple[int, ...]
    size: tuple[int, int]
    n_padded: int = 0

    @property
    def n_missing(self) -> int:
        """Numbers between the first and the last that no picture has."""
        return self.numbers[-1] - self.numbers[0] + 1 - self.n


def is_numbered_picture(name: str) -> bool:
    """Whether a file is by its name a picture with a number, such as `000.png` or `frame_12.jpg`."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and _DIGITS.search(path.stem) is not None


def number_pictures(names: Sequence[str]) -> list[tuple[int, str]]:
    """The pictures of one folder with their numbers, in order of them (9 before 10).

    The number is the one part of the names that changes; where names are of several patterns, their last number.
    Raises: Rejected `no_frames`; `ambiguous_frames` where two pictures have the same number.
    """
    names = sorted(name for name in names if is_numbered_picture(name))
    if not names:
        raise Rejected("no_frames", "no picture with a number in its name (.png, .jpg) in this folder")
    if too_long := next((name for name in names if re.search(r"[0-9]{19}", name)), None):
        raise Rejected("ambiguous_frames", f"{too_long}: a number of that length does not count frames")
    parts = [_DIGITS.split(PurePosixPath(name).stem) for name in names]
    at = -2
    if len({tuple(one[::2]) for one in parts}) == 1:
        changing = [i for i in range(1, len(parts[0]), 2) if len({int(one[i]) for one in parts}) > 1]
        at = changing[-1] if len(changing) == 1 else (changing[0] if changing else -2)
    found = sorted((int(one[at]), name) for one, name in zip(parts, names, strict=True))
    for (number, name), (following, other) in itertools.pairwise(found):
        if number == following:
            detail = f"{name} and {other} are both number {number}: not one sequence of frames"
            raise Rejected("ambiguous_frames", detail)
    return found


def pack_frames(
    pictures: Sequence[Path], made: Path, *, max_frames: int = MAX_FRAMES, timeout_s: float = 600.0
) -> FrameFolder:
    """Pack the pictures of one folder, in order of the numbers in their names; see `pack_numbered`.

    Raises: as `number_pictures` and `pack_numbered`; Rejected `too_many_frames`.
    """
    if len(pictures) > max_frames:
        raise Rejected("too_many_frames", f"{len(pictures)} pictures; at most {max_frames}")
    by_name = {path.name: path for path in pictures}
    numbered = [(number, by_name[name]) for number, name in number_pictures(list(by_name))]
    return pack_numbered(numbered, made, timeout_s=timeout_s)


def pack_numbered(
    numbered: Sequence[tuple[int, Path]], made: Path, *, timeout_s: float = 600.0
) -> FrameFolder:
    """Write pictures into `made` (.mkv, FFV1, RGB, 25 fps), one frame each.

    Pictures are read as stored (a tag that turns them is ignored), 8 bits a colour, without transparency; the
    pixels of the video are exactly theirs. Of different sizes, the smaller ones are filled up with black at right
    and below. numbered: in order.
    Raises: Rejected `too_many_pixels`, `timeout`; `bad_frame` for a picture that cannot be read, with its number.
    """
    sizes = [_size(path) for _, path in numbered]
    size = (max(width for width, _ in sizes), max(height for _, height in sizes))
    if size[0] * size[1] > MAX_PIXELS or size[0] * size[1] * len(sizes) > MAX_TOTAL_PIXELS:
        raise Rejected("too_many_pixels", f"{len(sizes)} pictures of {size[0]}x{size[1]} pixels")
    source = ffmpeg.input(
        "pipe:0", format="rawvideo", pix_fmt="rgb24", s=f"{size[0]}x{size[1]}", framerate=FPS
    )
    job = ffmpeg.output(source.video, local(made), **_lossless())
    run(job, timeout_s=timeout_s, stdin=(_canvas(path, size).tobytes() for _, path in numbered))
    numbers = tuple(number for number, _ in numbered)
    return FrameFolder(len(sizes), numbers[0], numbers, size, sum(one != size for one in sizes))


def _lossless() -> dict[str, Any]:
    """Output options. Every picture stands alone; one thread and fixed slices, so the bytes depend on the
    pictures only."""
    return {
        "format": "matroska", "vcodec": "ffv1", "level": 3, "coder": 1, "context": 0, "g": 1, "slices": 4,
        "slicecrc": 1, "pix_fmt": "bgr0", "threads": 1, "fflags": "+bitexact", "flags:v": "+bitexact",
        "map_metadata": -1,
    }  # fmt: skip


def _size(path: Path) -> tuple[int, int]:
    """Width and height in pixels as stored, by the header."""
    with _picture(path) as (_, stream):
        if stream.width < 1 or stream.height < 1:
            raise Rejected("bad_frame", f"{path.name}: it states no size")
        return stream.width, stream.height


def _canvas(path: Path, size: tuple[int, int]) -> Frame:
    """A picture at the top left of a black canvas: uint8 [H, W, 3], RGB."""
    with _picture(path) as (container, stream):
        # Without it the missing part of a JPEG that is cut short comes out grey.
        stream.codec_context.options = {"err_detect": "explode"}
        decoded = next(iter(container.decode(stream)), None)
        if decoded is None:
            raise Rejected("bad_frame", f"{path.name}: no picture comes out of it")
        pixels = displayed_rgb(decoded, 1.0, Orientation())
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    if width > size[0] or height > size[1]:
        raise Rejected("bad_frame", f"{path.name}: larger than its header states")
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    canvas[:height, :width] = pixels
    return canvas


@contextlib.contextmanager
def _picture(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Raises: Rejected `bad_frame` for what is no still picture, or cannot be decoded."""
    try:
        with open_media(path) as container:
            stream = video_stream(container)
            if stream is None or container.format.name not in STILL_DEMUXERS:
                raise Rejected("bad_frame", f"{path.name}: not a still picture")
            yield container, stream
    except av.error.FFmpegError as error:
        raise Rejected("bad_frame", f"{path.name}: {error.strerror}") from error
