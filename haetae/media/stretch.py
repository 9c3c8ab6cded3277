"""Reading a stretch of an original file as it is: sound at its own rate, coded pictures, packet sizes.

Clips are cut and normalised in `cut`; what the stretch shows of its past is measured in `traces`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.media.audio import audio_stream
from haetae.media.opening import STILL_DEMUXERS, open_media, video_stream

MAX_STRETCH_S = 30.0
MAX_RATE_HZ = 192_000
MAX_CHANNELS = 8
MAX_PICTURES = 4
MAX_CROP_PX = (1920, 1088)
"""Width and height of the middle of a picture that is looked at; multiples of 16, so the grid stays."""
EARLY_S = 1.0
"""Sound is read from so much earlier: the first packets after a seek decode wrongly."""
LATE_S = 2.0
"""Packets are read so far beyond the end, because streams are not interleaved exactly."""
MAX_PACKETS = 200_000


@dataclass(frozen=True)
class Sound:
    """samples: float32 [C, N] in the original's first 8 channels; not cut to [-1, 1]. rate_hz: its own rate."""

    samples: NDArray[np.float32]
    rate_hz: int


@dataclass(frozen=True)
class Pictures:
    """Of a stretch of video: a few lumas uint8 [H, W] as coded (not turned, the middle of large ones), the
    size and number of all its coded pictures. bits: of their packets; 0 where the container has no times."""

    lumas: tuple[NDArray[np.uint8], ...]
    bits: int
    n_pictures: int
    width: int
    height: int

    @property
    def bits_per_pixel(self) -> float | None:
        """Bits of the video stream for each pixel of each picture; None where no packet was found."""
        pixels = self.width * self.height * self.n_pictures
        return self.bits / pixels if pixels and self.bits else None


def read_sound(path: Path, start_s: float, end_s: float) -> Sound | None:
    """The first-choice audio stream from start_s to end_s, seconds of the file; None without any samples.

    At most 30 s are read. Raises: Rejected `no_audio`, `decode_failed`.
    """
    end_s = min(end_s, start_s + MAX_STRETCH_S)
    try:
        with open_media(path) as container:
            stream = audio_stream(container)
            if stream is None:
                raise Rejected("no_audio", f"{path.name} has no audio stream")
            rate_hz = min(stream.rate or 0, MAX_RATE_HZ)
            if rate_hz <= 0:
                raise Rejected("decode_failed", f"{path.name}: its sound has no sampling rate")
            blocks = list(_sound(container, stream, rate_hz, start_s, end_s))
    except av.error.FFmpegError as error:
        raise Rejected("decode_failed", f"{path.name}: {error.strerror}") from error
    n_channels = min((len(block) for block in blocks), default=0)
    if not n_channels:
        return None
    samples = np.concatenate([block[:n_channels] for block in blocks], axis=1)
    return Sound(np.nan_to_num(samples), rate_hz) if samples.shape[1] else None


def read_pictures(path: Path, start_s: float, end_s: float) -> Pictures | None:
    """Some pictures of the video stream between start_s and end_s, and how many bits all of them take.

    A still image is one picture at 0 s. Returns None where no picture can be decoded there.
    Raises: Rejected `no_video`, `decode_failed`.
    """
    end_s = min(end_s, start_s + MAX_STRETCH_S)
    try:
        with open_media(path) as container:
            stream = video_stream(container)
            if stream is None:
                raise Rejected("no_video", f"{path.name} has no video stream")
            if container.format.name in STILL_DEMUXERS:
                return _still(container, stream, path)
            bits, n_pictures = _weigh(container, stream, start_s, end_s)
            length_s = end_s - start_s
            targets = [start_s + length_s * (2 * i + 1) / (2 * MAX_PICTURES) for i in range(MAX_PICTURES)]
            frames = _frames_near(container, stream, targets, start_s, end_s)
    except av.error.FFmpegError as error:
        raise Rejected("decode_failed", f"{path.name}: {error.strerror}") from error
    if not frames:
        return None
    lumas = tuple(luma(frame) for frame in frames)
    return Pictures(lumas, bits, n_pictures, frames[0].width, frames[0].height)


def luma(frame: VideoFrame) -> NDArray[np.uint8]:
    """Luma of a coded picture: uint8 [H, W], the middle of it where it is larger than 1920 x 1088."""
    whole = frame.reformat(format="gray", threads=1).to_ndarray()
    return np.ascontiguousarray(middle(np.asarray(whole, dtype=np.uint8)))


def middle(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of a large picture, beginning at a multiple of 16 pixels."""
    height, width = luma.shape
    left = max(0, (width - MAX_CROP_PX[0]) // 2) // 16 * 16
    top = max(0, (height - MAX_CROP_PX[1]) // 2) // 16 * 16
    return luma[top : top + MAX_CROP_PX[1], left : left + MAX_CROP_PX[0]]


def _still(container: InputContainer, stream: VideoStream, path: Path) -> Pictures | None:
    frame = next(container.decode(stream), None)
    if frame is None:
        return None
    return Pictures((luma(frame),), 8 * path.stat().st_size, 1, frame.width, frame.height)


def _zero_s(container: InputContainer) -> float:
    return (container.start_time or 0) / 1_000_000


def _seek(container: InputContainer, time_s: float) -> None:
    """To the last key frame before a time of the file; to the start where the container cannot do that."""
    wanted = max(0.0, time_s) + _zero_s(container)
    with contextlib.suppress(av.error.FFmpegError):
        container.seek(round(wanted * 1_000_000), backward=True)
        return
    with contextlib.suppress(av.error.FFmpegError):
        container.seek(0, backward=True, any_frame=True)


def _time_s(packet: Packet[Any], zero_s: float) -> float | None:
    time = packet.pts if packet.pts is not None else packet.dts
    return None if time is None or packet.time_base is None else float(time * packet.time_base) - zero_s


def _packets(
    container: InputContainer, stream: AudioStream | VideoStream, end_s: float
) -> Iterator[Packet[Any]]:
    """Packets of a stream from where the container stands to shortly after end_s; up to damaged ones."""
    zero_s = _zero_s(container)
    packets = container.demux(stream)
    for _ in range(MAX_PACKETS):
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        time_s = _time_s(packet, zero_s)
        if time_s is not None and time_s > end_s + LATE_S:
            return
        if packet.size:
            yield packet


def _decoded(stream: AudioStream | VideoStream, packets: Iterator[Packet[Any]]) -> Iterator[Any]:
    """Frames of packets, and what the decoder holds at the end; damaged packets are passed over."""
    for packet in packets:
        with contextlib.suppress(av.error.FFmpegError):
            yield from stream.codec_context.decode(packet)
    with contextlib.suppress(av.error.FFmpegError):
        yield from stream.codec_context.decode(None)


def _sound(
    container: InputContainer, stream: AudioStream, rate_hz: int, start_s: float, end_s: float
) -> Iterator[NDArray[np.float32]]:
    zero_s = _zero_s(container)
    _seek(container, start_s - EARLY_S)
    # Its own layout and, but for absurd rates, its own rate: this only changes how samples are stored.
    keep = AudioResampler(format="fltp", rate=rate_hz)
    next_s = 0.0
    for frame in _decoded(stream, _packets(container, stream, end_s)):
        # Some last frames have no time, or none that is a number: they follow the one before.
        time_s = frame.time
        at_s = time_s - zero_s if time_s is not None and math.isfinite(time_s) else next_s
        next_s = at_s + frame.samples / max(1, frame.sample_rate)
        if at_s > end_s:
            return
        if next_s <= start_s:
            continue
        first = max(0, round((start_s - at_s) * rate_hz))
        last = round((end_s - at_s) * rate_hz)
        for piece in keep.resample(_untimed(frame)):
            block = np.asarray(piece.to_ndarray(), dtype=np.float32)[:MAX_CHANNELS, first:last]
            if block.shape[1]:
                yield block


def _untimed(frame: AudioFrame) -> AudioFrame:
    """Gaps in time stamps would be an error to the resampler; they do not matter to a spectrum."""
    frame.pts = None
    return frame


def _weigh(container: InputContainer, stream: VideoStream, start_s: float, end_s: float) -> tuple[int, int]:
    """Bits and number of the coded pictures from start_s to end_s."""
    zero_s = _zero_s(container)
    _seek(container, start_s)
    bits = n = 0
    for packet in _packets(container, stream, end_s):
        time_s = _time_s(packet, zero_s)
        if time_s is not None and start_s - 1e-6 <= time_s < end_s - 1e-6:
            bits += 8 * packet.size
            n += 1
    return bits, n


def _frames_near(
    container: InputContainer, stream: VideoStream, targets: list[float], start_s: float, end_s: float
) -> list[VideoFrame]:
    """The key frame before each target, or where that lies before start_s the first frame after start_s.

    Key frames cost no decoding of what is before them.
    """
    zero_s = _zero_s(container)
    found: dict[float, VideoFrame] = {}
    for target in targets:
        _seek(container, target)
        stream.codec_context.flush_buffers()
        for frame in _decoded(stream, _packets(container, stream, end_s)):
            if frame.time is None or not math.isfinite(frame.time):
                continue
            at_s = round(frame.time - zero_s, 6)
            if at_s >= start_s - 0.02:
                found.setdefault(at_s, frame)
                break
    return [found[at_s] for at_s in sorted(found) if at_s < end_s + 0.02]
