"""Where a file can be cut: the shots of its pictures and the quiet places of its sound.

Cutting itself is in `cut`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av.error
import numpy as np
from av.container.input import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.media.frames import displayed_rgb
from haetae.media.opening import Orientation, open_media, pixel_aspect, video_stream

HOP_S = 0.02
SHORTEST_SHOT_S = 0.4
LOOK_WIDTH_PX = 160
MAX_DAMAGED_SHARE = 0.05
MOTION_LOOKS = 24
MOTIONLESS = 4.0
"""Largest change of a small block, 0 to 255, that encoding alone makes of an unmoving picture."""
LONGEST_HOLD_S = 0.5
ROOMY = 0.8
"""Pieces of a long shot are planned for this share of the longest allowed, so that there is room to look
for a quiet place."""
_TOUCH_S = 1e-6


@dataclass(frozen=True)
class Span:
    """A stretch of a file, seconds from its start."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def find_shots(path: Path, threshold: float) -> list[Span]:
    """Shots of a video, in order and without gaps, from its first picture to the end of its last.

    threshold: least mean change of a picture in HSV, 0 to 255, that is a cut; it must also stand out three
    times over its neighbours, so that fast motion is none (scenedetect's AdaptiveDetector).
    Raises: Rejected `no_video`; `decode_failed` when more than 5 % of the packets are damaged.
    """
    from scenedetect import FrameTimecode
    from scenedetect.detectors import AdaptiveDetector

    times: list[float] = []
    cuts: list[int] = []
    # Counted in pictures, not seconds: times of variable-rate files are looked up afterwards.
    detector = AdaptiveDetector(min_content_val=threshold, min_scene_len=1)
    end_s = 0.0
    for time_s, held_s, picture in _small_pictures(path):
        end_s = time_s + held_s
        found = detector.process_frame(FrameTimecode(len(times), fps=25.0), picture)
        cuts += [cut.frame_num for cut in found]
        times.append(time_s)
    if not times:
        raise Rejected("decode_failed", f"{path.name}: no picture could be decoded")
    starts = [times[0]]
    for cut in sorted(set(cuts)):
        if times[cut] - starts[-1] >= SHORTEST_SHOT_S and end_s - times[cut] >= SHORTEST_SHOT_S:
            starts.append(times[cut])
    return [Span(a, b) for a, b in zip(starts, [*starts[1:], end_s], strict=True)]


def is_motionless(path: Path, pictures: int = MOTION_LOOKS) -> bool:
    """Whether pictures spread evenly over a video are all the same, but for what encoding changes.

    Looks at so many places only, so that an hour of one picture is told in a moment; False where the file cannot
    be searched.
    """
    try:
        with open_media(path) as container:
            stream = video_stream(container)
            if stream is None or not container.duration:
                return False
            aspect, upright = pixel_aspect(stream), Orientation()
            first: NDArray[np.float32] | None = None
            for k in range(pictures):
                container.seek((container.start_time or 0) + container.duration * k // pictures)
                frame = next(container.decode(stream), None)
                if frame is None:
                    return False
                look = displayed_rgb(frame, aspect, upright, LOOK_WIDTH_PX).astype(np.float32)
                first = look if first is None else first
                if look.shape != first.shape or _largest_change(look, first) > MOTIONLESS:
                    return False
    except av.error.FFmpegError:
        return False
    return True


def _largest_change(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The largest change of the mean of 10 x 10 pixels, 0 to 255: noise averages out, a moving hand does not."""
    change = np.abs(a - b).mean(axis=2)
    high, wide = (side // 10 * 10 for side in change.shape)
    blocks = change[:high, :wide].reshape(high // 10, 10, wide // 10, 10)
    return float(blocks.mean(axis=(1, 3)).max()) if blocks.size else float(change.max())


def _small_pictures(path: Path) -> Iterator[tuple[float, float, NDArray[np.uint8]]]:
    """Start and length in seconds, and a small BGR picture, of every decodable frame.

    Times count from the start of the file; a picture is held for LONGEST_HOLD_S at most.
    """
    try:
        with open_media(path) as container:
            stream = video_stream(container)
            if stream is None:
                raise Rejected("no_video", f"{path.name} has no video stream")
            stream.thread_type = "AUTO"
            zero_s = (container.start_time or 0) / 1_000_000
            rate = float(stream.average_rate or 25)
            aspect, upright = pixel_aspect(stream), Orientation()
            last_s = -math.inf
            for index, frame in enumerate(_whole_frames(container, stream, path.name)):
                time_s = frame.time - zero_s if frame.time is not None else index / rate
                if time_s <= last_s:
                    continue
                last_s = time_s
                picture = displayed_rgb(frame, aspect, upright, LOOK_WIDTH_PX)
                held_s = 1 / rate
                if frame.duration and frame.time_base:
                    held_s = min(float(frame.duration * frame.time_base), LONGEST_HOLD_S)
                yield time_s, held_s, np.ascontiguousarray(picture[..., ::-1])
    except av.error.FFmpegError as error:
        raise Rejected("decode_failed", f"{path.name}: {error.strerror}") from error


def _whole_frames(container: InputContainer, stream: VideoStream, name: str) -> Iterator[VideoFrame]:
    """Decoded frames; damaged packets are passed over until they are too many."""
    packets = damaged = 0
    for packet in _packets(container, stream):
        packets += 1
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
    if damaged > max(1, MAX_DAMAGED_SHARE * packets):
        raise Rejected("decode_failed", f"{name}: {damaged} of {packets} packets are damaged")


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[Any]]:
    try:
        yield from container.demux(stream)
    except av.error.InvalidDataError:
        return


def plan_clips(
    shots: Sequence[Span],
    level_db: NDArray[np.float32] | None,
    *,
    min_s: float,
    max_s: float,
    min_media_s: float,
) -> list[Span]:
    """Which stretches become clips, each within one shot and `min_s` to `max_s` long.

    level_db: float32 [N], level of each 20 ms from the start of the file; long shots are cut where it is
    lowest; None: into equal parts. A file shorter than min_s is kept as its longest shot.
    Raises: Rejected `too_short` below min_media_s; `no_usable_shot` where every shot is too short.
    """
    total_s = shots[-1].end_s - shots[0].start_s
    if total_s < min_media_s - HOP_S:
        raise Rejected("too_short", f"{total_s:.2f} s; at least {min_media_s:g} s")
    if total_s < min_s - HOP_S:
        usable = [max(shots, key=lambda shot: shot.length_s)]
        usable = [shot for shot in usable if shot.length_s >= min_media_s - HOP_S]
    else:
        usable = [shot for shot in shots if shot.length_s >= min_s - HOP_S]
    if not usable:
        listed = ", ".join(f"{s.start_s:.2f}-{s.end_s:.2f}" for s in shots[:50])
        raise Rejected("no_usable_shot", f"all {len(shots)} shots are shorter than {min_s:g} s: {listed}")
    return [piece for shot in usable for piece in split(shot, level_db, min_s, max_s)]


def split(span: Span, level_db: NDArray[np.float32] | None, min_s: float, max_s: float) -> list[Span]:
    """Cut a stretch into pieces of min_s to max_s, at quiet places. Needs max_s >= 2 min_s."""
    if span.length_s <= max_s + _TOUCH_S:
        return [span]
    fewest = math.ceil((span.length_s - _TOUCH_S) / max_s)
    roomy = min(math.ceil(span.length_s / (ROOMY * max_s)), math.floor(span.length_s / min_s))
    left = max(fewest, roomy)
    at, pieces = span.start_s, []
    while left > 1:
        left -= 1
        earliest = max(at + min_s, span.end_s - left * max_s)
        latest = min(at + max_s, span.end_s - left * min_s)
        even = at + (span.end_s - at) / (left + 1)
        cut = even if level_db is None else _quietest(level_db, earliest, latest, even)
        pieces.append(Span(at, cut))
        at = cut
    return [*pieces, Span(at, span.end_s)]


def _quietest(level_db: NDArray[np.float32], earliest: float, latest: float, even: float) -> float:
    """The middle of the quietest 0.2 s in a window; the one nearest to `even` where several are equal."""
    first, last = math.ceil(earliest / HOP_S), math.floor(latest / HOP_S)
    around = round(0.1 / HOP_S)
    window = level_db[max(0, first - around) : last + around + 1]
    if last < first or len(window) < 2 * around + 1:
        return even
    padded = np.pad(window, (max(0, around - first), 0), mode="edge")
    smooth = np.convolve(padded, np.full(2 * around + 1, 1 / (2 * around + 1)), mode="valid")
    places = (first + np.arange(len(smooth))) * HOP_S
    equal = np.flatnonzero(smooth <= smooth.min() + 0.5)
    best = equal[np.argmin(np.abs(places[equal] - even))]
    return float(min(max(places[best], earliest), latest))
