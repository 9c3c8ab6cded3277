"""Opening an untrusted media file for decoding: which demuxers, which stream, which way up.

Nothing is judged here (see `probe`) and no pixels are converted (see `frames`).
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import av.error
from av.container.input import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from haetae.errors import Rejected

STILL_DEMUXERS = frozenset({"png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe"})
MOVING_DEMUXERS = frozenset(
    {
        "mov", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "asf", "gif", "ogg",
        "wav", "w64", "mp3", "aac", "flac", "aiff", "amr", "caf", "au",
    }
)  # fmt: skip
"""Demuxers that read one file and nothing else. Playlists (hls, dash, concat, sdp, image2, ...) can name
other files and hosts, so they are never opened."""
NEARLY_SQUARE = 0.02
MAX_PIXELS = 7680 * 4320
"""Largest picture that is decoded at all; a codec refuses bigger ones before it takes the memory."""


@dataclass(frozen=True)
class Orientation:
    """How decoded pixels must be turned to be displayed."""

    clockwise_deg: int = 0

    @property
    def swaps_sides(self) -> bool:
        return self.clockwise_deg in (90, 270)


@contextlib.contextmanager
def open_media(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[InputContainer]:
    """Open a local file with an allowed demuxer, found by content and never by its name.

    Raises: Rejected `unreadable`, `empty_file`; av.error.FFmpegError where no allowed demuxer reads it.
    """
    with open_local(path) as file:
        options = {
            "format_whitelist": ",".join(sorted(STILL_DEMUXERS | MOVING_DEMUXERS)),
            "protocol_whitelist": "none",
            "max_pixels": str(max_pixels),
            "max_streams": "64",
        }
        with av.open(
            _Nameless(file), mode="r", options=options, metadata_errors="replace", buffer_size=1 << 17
        ) as container:
            yield container


class _Nameless:
    """An open file without its name: by the name libav would guess the format and expand patterns."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


@contextlib.contextmanager
def open_local(path: Path) -> Iterator[BinaryIO]:
    """Open a regular, non-empty file for reading. Raises: Rejected `unreadable`, `empty_file`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise Rejected("unreadable", f"{path.name} is {kind}")
        if status.st_size == 0:
            raise Rejected("empty_file", f"{path.name} has 0 bytes")
        file = path.open("rb")
    except OSError as error:
        raise Rejected("unreadable", f"{path.name}: {error.strerror or error}") from error
    with file:
        yield file


def video_stream(container: InputContainer) -> VideoStream | None:
    """The stream with the pictures, or None; cover art and thumbnails do not count."""
    # A stream of an unknown codec has no decoder, and none of its facts.
    real = [s for s in container.streams.video if s.codec_context is not None and not is_attached_picture(s)]
    best = container.streams.best("video")
    return next((s for s in real if s is best), real[0] if real else None)


def is_attached_picture(stream: VideoStream) -> bool:
    flags = int(stream.disposition)
    attached, still, thumbnails = 0x400, 0x100000, 0x800
    return bool(flags & (attached | still | thumbnails))


def pixel_aspect(stream: VideoStream) -> float:
    """Width over height of one pixel; 1.0 where the file does not say, or says something absurd.

    Within 2 % pixels count as square: such ratios come from display sizes that were rounded.
    """
    ratio = float(stream.sample_aspect_ratio or 1)
    return 1.0 if abs(ratio - 1) <= NEARLY_SQUARE or not 0.1 <= ratio <= 10 else ratio


def orientation(frame: VideoFrame) -> Orientation:
    """Orientation of a frame by its display matrix, rounded to quarter turns.

    A mirror image in the matrix is not seen: PyAV 18 tells it only through `frame.side_data`, which frees
    foreign memory for some files (any photograph with EXIF). ffmpeg, which cuts the clips, does undo it.
    """
    return Orientation(clockwise_deg=round(-frame.rotation / 90) % 4 * 90)
