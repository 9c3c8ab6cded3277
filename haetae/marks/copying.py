"""Writing the marked copy of a fake, and reading its marks back as anybody who gets it would.

What else leaves with it is told in `export`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.marks.audio import mark_audio, read_audio_mark, snr_db
from haetae.marks.video import mark_frames, read_frames_mark
from haetae.media.audio import read_audio
from haetae.media.encode import write_video, write_wav
from haetae.media.frames import iter_frames, read_frames

_MOST_DB = 120.0


def write_marked(
    blob: Path, marked: Path, mark: str, key: bytes, crf: int, timeout_s: float
) -> tuple[float | None, float | None]:
    """Write a copy of an .mp4, .wav or .png with its watermarks; returns PSNR of pictures and SNR of sound, dB.

    Raises: Rejected as the readers and the encoder do.
    """
    if blob.suffix == ".png":
        frame = read_frames(blob, last=0)[0]
        done = next(mark_frames([frame], mark, key))
        if not cv2.imwrite(str(marked), cv2.cvtColor(done, cv2.COLOR_RGB2BGR)):
            raise Rejected("decode_failed", f"{blob.name} could not be written")
        return _psnr(float(np.mean(np.square(frame.astype(np.float32) - done)))), None
    sound = _sound(blob)
    marked_sound = None if sound is None else mark_audio(sound, mark, key)
    snr = None
    if sound is not None and marked_sound is not None:
        snr = round(min(snr_db(sound, marked_sound), _MOST_DB), 2)
    if blob.suffix == ".wav":
        if marked_sound is None:
            raise Rejected("no_audio", f"{blob.name} has no audio stream")
        write_wav(marked, marked_sound)
        return None, snr
    measured = _Measured(iter_frames(blob), mark, key)
    write_video(marked, measured.frames(), marked_sound, crf=crf, timeout_s=timeout_s)
    return _psnr(measured.error / max(measured.n, 1)), snr


def marks_read(path: Path, mark: str, key: bytes) -> tuple[str, ...]:
    """Which watermarks of this mark a file holds, of `video` and `audio`."""
    found = []
    if path.suffix != ".wav":
        pictures = read_frames_mark(iter_frames(path), key)
        found += ["video"] if pictures is not None and pictures.mark == mark else []
    if path.suffix != ".png":
        sound = _sound(path)
        heard = None if sound is None else read_audio_mark(sound, key)
        found += ["audio"] if heard is not None and heard.mark == mark else []
    return tuple(found)


class _Measured:
    """Frames that are marked on their way, and how far they came to differ."""

    def __init__(self, frames: Iterable[NDArray[np.uint8]], mark: str, key: bytes) -> None:
        self._plain, self._to_mark = itertools.tee(frames)
        self._mark, self._key = mark, key
        self.error, self.n = 0.0, 0

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        for plain, done in zip(self._plain, mark_frames(self._to_mark, self._mark, self._key), strict=True):
            self.error += float(np.mean(np.square(cv2.absdiff(plain, done).astype(np.float32))))
            self.n += 1
            yield done


def _psnr(mean_square: float) -> float:
    return round(10.0 * float(np.log10(255.0**2 / max(mean_square, 1e-6))), 2)


def _sound(path: Path) -> NDArray[np.float32] | None:
    try:
        return read_audio(path)
    except Rejected as error:
        if error.reason == "no_audio":
            return None
        raise
