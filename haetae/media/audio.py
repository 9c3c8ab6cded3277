"""Reading sound: decoded, mixed to mono and resampled, as one array or in blocks.

What is speech in it is not known here; levels are measured only to find quiet places to cut at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.media.opening import open_media

RATE_HZ = 16_000
MAX_AUDIO_S = 4 * 3600.0
QUIET_DB = -100.0
Samples = NDArray[np.float32]


def read_audio(path: Path, rate_hz: int = RATE_HZ, *, max_s: float = MAX_AUDIO_S) -> Samples:
    """Decode the first-choice audio stream of a file.

    Returns: float32 [N], mono, in [-1, 1], `rate_hz` samples per second; sample 0 is time 0 of the file,
    so a stream that begins later starts with silence.
    Raises: Rejected `no_audio`; `decode_failed`; `too_long` beyond max_s seconds.
    """
    blocks = list(iter_audio(path, rate_hz, max_s=max_s))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def iter_audio(path: Path, rate_hz: int = RATE_HZ, *, max_s: float = MAX_AUDIO_S) -> Iterator[Samples]:
    """As `read_audio`, in blocks of the decoder's size, so that memory stays small."""
    try:
        with open_media(path) as container:
            stream = audio_stream(container)
            if stream is None:
                raise Rejected("no_audio", f"{path.name} has no audio stream")
            yield from _trimmed(container, stream, rate_hz, max_s, path.name)
    except av.error.FFmpegError as error:
        raise Rejected("decode_failed", f"{path.name}: {error.strerror}") from error


def audio_stream(container: InputContainer) -> AudioStream | None:
    """The audio stream a player would choose, or None."""
    best = container.streams.best("audio")
    return best if isinstance(best, AudioStream) and best.codec_context is not None else None


def level_db(path: Path, hop_s: float = 0.02) -> NDArray[np.float32]:
    """RMS level of each stretch of `hop_s` seconds, dB full scale: float32 [ceil(duration / hop_s)].

    Digital silence is -100 dB. Raises: as `read_audio`.
    """
    hop = round(hop_s * RATE_HZ)
    levels: list[NDArray[np.float32]] = []
    rest = np.zeros(0, np.float32)
    for block in iter_audio(path):
        joined = np.concatenate([rest, block])
        whole = len(joined) // hop * hop
        levels.append(_rms_db(joined[:whole].reshape(-1, hop)))
        rest = joined[whole:]
    if len(rest):
        levels.append(_rms_db(rest[None, :]))
    return np.concatenate(levels) if levels else np.zeros(0, np.float32)


def _rms_db(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    power = np.mean(np.square(rows, dtype=np.float64), axis=1)
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (QUIET_DB / 10))), dtype=np.float32)


def _trimmed(
    container: InputContainer, stream: AudioStream, rate_hz: int, max_s: float, name: str
) -> Iterator[Samples]:
    """Blocks from time 0 of the file to the declared end of the stream, without encoder padding."""
    zero_s = (container.start_time or 0) / 1_000_000
    declared_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
    resampler = AudioResampler(format="flt", layout="mono", rate=rate_hz)
    sent = 0
    limit: int | None = None
    for frame in _decoded(container, stream):
        if limit is None:
            first_s = max(0.0, (frame.time or 0.0) - zero_s) if frame is not None else 0.0
            lead = min(round(first_s * rate_hz), round(max_s * rate_hz))
            if lead:
                yield np.zeros(lead, np.float32)
                sent = lead
            # mp4 declares where the sound ends; what the last packet decodes to beyond it is padding.
            limit = round((first_s + declared_s) * rate_hz) if declared_s is not None else -1
        for piece in resampler.resample(frame):
            block = np.asarray(piece.to_ndarray(), dtype=np.float32).reshape(-1)
            if limit >= 0 and container.format.name.startswith("mov"):
                block = block[: max(0, limit - sent)]
            sent += len(block)
            if sent > max_s * rate_hz:
                raise Rejected("too_long", f"{name}: more than {max_s:g} s of sound")
            if len(block):
                yield np.clip(block, -1.0, 1.0)


def _decoded(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame | None]:
    """The stream's frames, then None to flush the resampler."""
    yield from container.decode(stream)
    yield None
