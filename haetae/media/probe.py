"""What a media file is, and whether it can be used: measured from its bytes, never from its name.

Reading its pictures and sound is in `frames` and `audio`; where it came from is in `crawl`.
"""

from __future__ import annotations

import itertools
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import av.error
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from haetae.errors import Rejected
from haetae.media.audio import audio_stream
from haetae.media.opening import (
    MAX_PIXELS,
    STILL_DEMUXERS,
    Orientation,
    open_local,
    open_media,
    orientation,
    pixel_aspect,
    video_stream,
)
from haetae.media.signatures import describe_head, find_cut_short, real_extension

VFR_SPREAD = 0.10
MOVING = 2
"""Decodable frames from which on pictures count as moving."""
TAIL_PACKETS = 400
LAST_PACKETS = 25
MISSING_S = 1.0
MISSING_SHARE = 0.05
ESTIMATING = frozenset({"mp3", "aac", "amr", "mpegts", "mpeg", "ogg", "gif", "wav"})
"""Demuxers that state no length but guess one from the bit rate or from the last packet."""


@dataclass(frozen=True)
class ProbeLimits:
    """What is too much for one file."""

    max_bytes: int = 8 << 30
    max_duration_s: float = 4 * 3600.0
    max_pixels: int = MAX_PIXELS
    max_packets: int = 20_000_000


@dataclass(frozen=True)
class MediaInfo:
    """Measured facts about one file. Width and height are as displayed: rotation and pixel aspect applied."""

    container: str
    """Demuxer name, the first of its aliases."""
    video_codec: str | None
    audio_codec: str | None
    duration_s: float
    """Length of the longest stream, seconds; 0 for a still image."""
    width: int | None
    height: int | None
    rotation_deg: int
    """Clockwise turn that displays the picture: 0, 90, 180 or 270."""
    fps: float | None
    """Mean frames per second; None without video."""
    is_vfr: bool
    """Frame spacing varies by more than 10 %."""
    has_audio: bool
    has_video: bool
    """At least two frames of moving picture; a still image has none."""
    sample_rate_hz: int | None
    n_frames: int | None
    """Pictures in the video stream; None without one."""
    real_extension: str
    """Extension without dot that fits the content."""
    size_bytes: int
    encoder: str | None
    """What wrote the file, by its own tags; None where it does not say."""
    bit_rate_bps: int | None
    """Bits per second of the whole file; None for a still image."""

    @property
    def is_still(self) -> bool:
        """A picture that does not move, without sound."""
        return not self.has_video and not self.has_audio


@dataclass
class _Reading:
    """What one pass over the packets of a stream shows; times in seconds from the start of the file."""

    stream: VideoStream | AudioStream
    wanted: int
    """Frames to decode from the start, to see that it can be done."""
    zero_s: float
    packets: int = 0
    times_s: list[float] = field(default_factory=list)
    end_s: float = 0.0
    decoded: int = 0
    first: VideoFrame | None = None
    tail: list[Packet[Any]] = field(default_factory=list)

    def take(self, packet: Packet[Any]) -> None:
        if packet.size == 0 or packet.is_discard:
            return
        self.packets += 1
        if packet.is_keyframe or len(self.tail) >= TAIL_PACKETS:
            self.tail.clear()
        self.tail.append(packet)
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None and packet.time_base is not None:
            start_s = float(time * packet.time_base) - self.zero_s
            self.times_s.append(start_s)
            self.end_s = max(self.end_s, start_s + float((packet.duration or 0) * packet.time_base))
        if self.decoded < self.wanted:
            self.decode(packet)

    def decode(self, packet: Packet[Any] | None) -> int | None:
        """Decode one packet (None: what the decoder still holds); the number of frames, None if damaged."""
        try:
            frames = self.stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            return None
        usable = [f for f in frames if isinstance(f, VideoFrame) or f.samples > 0]
        if usable and self.first is None and isinstance(usable[0], VideoFrame):
            self.first = usable[0]
        self.decoded += len(usable)
        return len(usable)

    def finish(self) -> None:
        if self.decoded < self.wanted:
            self.decode(None)

    def end_is_damaged(self) -> bool:
        """From the last key frame on no picture comes out, or the last packets are mostly damaged."""
        self.stream.codec_context.flush_buffers()
        frames = [self.decode(packet) for packet in [*self.tail, None]]
        last = frames[:-1][-LAST_PACKETS:]
        return not any(frames) or last.count(None) > len(last) / 2


def probe(path: Path, limits: ProbeLimits | None = None) -> MediaInfo:
    """Measure one local file: read all its packets, decode its first and last pictures.

    Raises: Rejected `unreadable`, `empty_file`, `too_large`, `not_media`, `truncated`, `no_streams`,
    `zero_duration`, `too_long`, `too_many_pixels`, `decode_failed`.
    """
    limits = limits or ProbeLimits()
    with open_local(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        head = file.read(4096)
    if size_bytes > limits.max_bytes:
        raise Rejected("too_large", f"{path.name}: {size_bytes} bytes; at most {limits.max_bytes}")
    if short := find_cut_short(path):
        raise Rejected("truncated", f"{path.name}: {short}")
    try:
        with open_media(path) as container:
            return _measure(container, path.name, head, size_bytes, limits)
    except av.error.FFmpegError as error:
        kind = describe_head(head)
        reason = "decode_failed" if kind is None else "not_media"
        raise Rejected(reason, f"{path.name}: {kind or error.strerror}") from error


def _measure(
    container: InputContainer, name: str, head: bytes, size_bytes: int, limits: ProbeLimits
) -> MediaInfo:
    video, audio = video_stream(container), audio_stream(container)
    if video is None and audio is None:
        raise Rejected("no_streams", f"{name}: no moving picture and no sound in it")
    if video is not None and video.width * video.height > limits.max_pixels:
        detail = f"{name}: {video.width}x{video.height} pixels; at most {limits.max_pixels} in all"
        raise Rejected("too_many_pixels", detail)
    declared_s = _declared_s(container, video, audio)
    pictures, sound = _read_packets(container, video, audio, name, limits)
    if not any(reading and reading.packets for reading in (pictures, sound)):
        raise Rejected("zero_duration", f"{name}: its streams are empty")
    pictures = pictures if pictures and pictures.first else None
    sound = sound if sound and sound.decoded else None
    if pictures is None and sound is None:
        raise Rejected("decode_failed", f"{name}: no picture and no sound in it can be decoded")
    moving = pictures is not None and pictures.decoded >= MOVING and not _is_still(container)
    end_s = max(pictures.end_s if pictures and moving else 0.0, sound.end_s if sound else 0.0)
    if moving or sound:
        if end_s <= 0:
            raise Rejected("zero_duration", f"{name}: it lasts 0 s")
        _refuse_cut_short(container, name, declared_s, end_s)
    if pictures and moving and pictures.end_is_damaged():
        raise Rejected("truncated", f"{name}: its last pictures, up to {pictures.end_s:.1f} s, are damaged")
    return _info(container, head, size_bytes, pictures, sound, moving, end_s)


def _info(
    container: InputContainer,
    head: bytes,
    size_bytes: int,
    pictures: _Reading | None,
    sound: _Reading | None,
    moving: bool,
    end_s: float,
) -> MediaInfo:
    way, width, height = Orientation(), None, None
    if pictures and pictures.first:
        way = orientation(pictures.first)
        aspect = pixel_aspect(cast(VideoStream, pictures.stream))
        width, height = max(1, round(pictures.first.width * aspect)), pictures.first.height
        if way.swaps_sides:
            width, height = height, width
    fps, is_vfr = frame_rate(pictures.times_s) if pictures and moving else (None, False)
    return MediaInfo(
        container=container.format.name.split(",")[0],
        video_codec=pictures.stream.codec_context.name if pictures else None,
        audio_codec=sound.stream.codec_context.name if sound else None,
        duration_s=round(end_s, 3),
        width=width,
        height=height,
        rotation_deg=way.clockwise_deg,
        fps=fps,
        is_vfr=is_vfr,
        has_audio=sound is not None,
        has_video=moving,
        sample_rate_hz=cast(AudioStream, sound.stream).rate if sound else None,
        n_frames=pictures.packets if pictures else None,
        real_extension=real_extension(container.format.name, head, pictures is not None),
        size_bytes=size_bytes,
        encoder=encoder_of(container, pictures.stream if pictures else None),
        bit_rate_bps=round(8 * size_bytes / end_s) if end_s > 0 else None,
    )


def encoder_of(container: InputContainer, stream: VideoStream | AudioStream | None) -> str | None:
    """What the tags of a file and of its pictures say wrote it, at most 120 printable characters."""
    tags = {name.lower(): value for name, value in {**container.metadata}.items()}
    of_stream = {name.lower(): value for name, value in (stream.metadata if stream else {}).items()}
    said = [of_stream.get("encoder"), tags.get("encoder"), tags.get("software"), tags.get("encoded_by")]
    told = " / ".join(dict.fromkeys(one.strip() for one in said if one and one.strip()))
    return "".join(c for c in told if c.isprintable())[:120] or None


def frame_rate(times_s: list[float]) -> tuple[float | None, bool]:
    """Mean rate in Hz of presentation times in seconds, and whether their spacing varies by over 10 %.

    Times are compared as spread of the middle 98 % of gaps, so that one dropped frame does not count.
    """
    times = sorted(times_s)
    gaps = sorted(b - a for a, b in itertools.pairwise(times) if b > a)
    if not gaps:
        return None, False
    mean = (times[-1] - times[0]) / len(gaps)
    edge = len(gaps) // 100
    middle = gaps[edge : len(gaps) - edge]
    # Container clocks of 1 ms round 33.4 ms to 33 or 34: that is spacing of the clock, not of the frames.
    spread = middle[-1] - middle[0] - 0.0021
    return round(1 / mean, 4), spread > VFR_SPREAD * statistics.median(gaps)


def _declared_s(container: InputContainer, video: VideoStream | None, audio: AudioStream | None) -> float:
    """The longest duration that the file states, seconds; 0 where it states none."""
    stated = [(container.duration or 0) / 1_000_000]
    for stream in (video, audio):
        if stream is not None and stream.duration and stream.time_base:
            stated.append(float(stream.duration * stream.time_base))
    return max(stated)


def _is_still(container: InputContainer) -> bool:
    return container.format.name in STILL_DEMUXERS


def _read_packets(
    container: InputContainer,
    video: VideoStream | None,
    audio: AudioStream | None,
    name: str,
    limits: ProbeLimits,
) -> tuple[_Reading | None, _Reading | None]:
    zero_s = (container.start_time or 0) / 1_000_000
    pictures = _Reading(video, MOVING, zero_s) if video is not None else None
    sound = _Reading(audio, 1, zero_s) if audio is not None else None
    readings = {r.stream.index: r for r in (pictures, sound) if r is not None}
    try:
        for packet in container.demux(*[r.stream for r in readings.values()]):
            reading = readings.get(packet.stream_index)
            if reading is None:
                continue  # a damaged index can name further streams on the way
            reading.take(packet)
            if reading.end_s > limits.max_duration_s:
                raise Rejected("too_long", f"{name}: longer than {limits.max_duration_s:g} s")
            if reading.packets > limits.max_packets:
                raise Rejected("too_long", f"{name}: more than {limits.max_packets} packets in a stream")
    except av.error.InvalidDataError:
        # What was read before the damage decides, by comparison with what the file declares.
        pass
    for reading in readings.values():
        reading.finish()
    return pictures, sound


def _refuse_cut_short(container: InputContainer, name: str, declared_s: float, end_s: float) -> None:
    """Raises: Rejected `truncated` where the file states a length that its packets do not reach."""
    if container.format.name.split(",")[0] in ESTIMATING:
        return
    missing_s = declared_s - end_s
    if missing_s > max(MISSING_S, MISSING_SHARE * declared_s):
        raise Rejected("truncated", f"{name}: it states {declared_s:.2f} s and ends after {end_s:.2f} s")
