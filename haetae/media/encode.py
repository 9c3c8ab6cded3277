"""Writing clips: pictures and sound into .mp4, or sound into .wav; same input, same bytes.

Every clip and every fake leaves through these settings, so that how a file was encoded tells nothing
about whether it is real. Cutting from a longer file lives in `cut`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import wave
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from haetae.media.audio import RATE_HZ
from haetae.media.ffmpeg import local, run

FPS = 25
CRF = 18
PRESET = "veryfast"
AUDIO_BITRATE = "96k"


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    audio: NDArray[np.float32] | None,
    *,
    fps: int = FPS,
    crf: int = CRF,
    size: tuple[int, int] | None = None,
    preset: str = PRESET,
    timeout_s: float = 300.0,
) -> int:
    """Encode frames and sound into one .mp4 (H.264 yuv420p, AAC 16 kHz mono); returns the frame count.

    frames: uint8 [H, W, 3], RGB, all of one even size; taken one at a time. audio: float32 [N] at 16 kHz,
    in [-1, 1], cut or filled with silence to the length of the frames; None: no audio stream.
    size: (width, height), where the caller wants it checked.
    The file appears under its name only when complete. Raises: ValueError for frames or sound that do not
    fit this; Rejected `decode_failed` or `timeout` from ffmpeg.
    """
    counted = _Counted(frames, size)
    with _replacing(path) as (folder, partial):
        silent = folder / "silent.mp4" if audio is not None else partial
        pictures = ffmpeg.input(
            "pipe:0", format="rawvideo", pix_fmt="rgb24", s="{}x{}".format(*counted.size), framerate=fps
        )
        job = ffmpeg.output(to_bt709(pictures.video), local(silent), **h264(crf, preset, fps), **mp4())
        run(job, timeout_s=timeout_s, stdin=counted.bytes())
        if audio is not None:
            # How long the sound must be is known only when the frames have ended, hence a second step.
            sound = folder / "sound.f32"
            fitted(audio, counted.n * RATE_HZ // fps).astype("<f4").tofile(sound)
            source = ffmpeg.input(local(sound), format="f32le", ar=RATE_HZ, ac=1)
            both = (ffmpeg.input(local(silent), format="mov").video, source.audio)
            # What a copy drops and a single step writes: with it a fake would be told from a cut clip.
            tag = {"metadata:s:v:0": "encoder=Lavc libx264"}
            job = ffmpeg.output(*both, local(partial), vcodec="copy", **aac(), **mp4(), **tag)
            run(job, timeout_s=timeout_s)
    return counted.n


def write_wav(path: Path, audio: NDArray[np.float32], rate_hz: int = RATE_HZ) -> None:
    """Write float32 [N], mono, in [-1, 1], as 16-bit PCM. Raises: ValueError for anything else."""
    pcm = np.round(_mono(audio) * 32767.0).astype("<i2")
    with _replacing(path) as (_, partial), wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm.tobytes())


def fitted(audio: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    """The sound cut, or filled with silence, to n_samples: float32 [n_samples]."""
    mono = _mono(audio)[:n_samples]
    return np.pad(mono, (0, n_samples - len(mono)))


def to_bt709(pictures: Any) -> Any:
    """Convert to limited-range BT.709 with square pixels, tagged so, whatever the pictures were coded in."""
    return (
        pictures.filter("scale", out_color_matrix="bt709", out_range="tv", flags="bicubic+accurate_rnd")
        .filter("format", "yuv420p")
        .filter("setparams", color_primaries="bt709", color_trc="bt709")
        .filter("setsar", 1)
    )


def h264(crf: int, preset: str, fps: int) -> dict[str, Any]:
    """Output options of the pictures. One thread: with more, the bytes depend on their number."""
    return {
        "vcodec": "libx264",
        "preset": preset,
        "crf": crf,
        "pix_fmt": "yuv420p",
        "r": fps,
        "g": 2 * fps,
        "threads": 1,
        "flags:v": "+bitexact",
    }


def aac() -> dict[str, Any]:
    """Output options of the sound."""
    return {"acodec": "aac", "audio_bitrate": AUDIO_BITRATE, "ar": RATE_HZ, "ac": 1, "flags:a": "+bitexact"}


def mp4() -> dict[str, Any]:
    """Output options of the container: nothing of the origin and no time of writing in it."""
    return {
        "format": "mp4",
        "movflags": "+faststart",
        "fflags": "+bitexact",
        "map_metadata": -1,
        "map_chapters": -1,
    }


class _Counted:
    """Frames on their way to ffmpeg: checked, counted, and the first one seen before it starts."""

    def __init__(self, frames: Iterable[NDArray[np.uint8]], size: tuple[int, int] | None) -> None:
        self._rest = iter(frames)
        first = next(self._rest, None)
        if first is None:
            raise ValueError("no frames to write")
        self._first = first
        self.size = (first.shape[1], first.shape[0])
        self.n = 0
        if size is not None and self.size != tuple(size):
            raise ValueError(f"frames are {self.size} pixels, not {size}")
        if self.size[0] % 2 or self.size[1] % 2:
            raise ValueError(f"frames are {self.size} pixels; width and height must be even")

    def bytes(self) -> Iterator[bytes]:
        for frame in itertools.chain([self._first], self._rest):
            if frame.dtype != np.uint8 or frame.shape != (self.size[1], self.size[0], 3):
                raise ValueError(f"frame {self.n} is {frame.dtype} {frame.shape}, the first was {self.size}")
            self.n += 1
            yield frame.tobytes()


def _mono(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating):
        raise ValueError(f"sound must be float [N], mono; it is {audio.dtype} {audio.shape}")
    if not np.isfinite(audio).all():
        raise ValueError("sound holds values that are not numbers")
    return np.clip(audio, -1.0, 1.0).astype(np.float32)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[tuple[Path, Path]]:
    """A scratch folder beside `path` and the file in it that takes its name when the block succeeds."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as scratch:
        folder = Path(scratch)
        partial = folder / f"partial{path.suffix}"
        yield folder, partial
        os.replace(partial, path)
