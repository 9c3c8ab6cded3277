"""Films whose every frame tells its number and its shot, and a lake to cut them into."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haetae.lake import Lake
from haetae.media.ffmpeg import exe
from haetae.media.probe import probe

WIDTH, HEIGHT = 320, 240
COLOURS = ((200, 40, 40), (40, 180, 60), (60, 60, 220), (210, 190, 30))


def numbered_frame(n: int, shot: int) -> NDArray[np.uint8]:
    """A picture with its number in 12 black or white blocks at the top, coloured by its shot."""
    frame = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    frame[:] = COLOURS[shot % len(COLOURS)]
    left = n * 3 % (WIDTH - 40)
    frame[100:140, left : left + 40] = 255
    for bit in range(12):
        frame[:40, bit * 24 : bit * 24 + 24] = 255 * (n >> bit & 1)
    return frame


def number_of(frame: NDArray[np.uint8]) -> int:
    """The number that `numbered_frame` wrote, read from a decoded picture of any size."""
    scale = frame.shape[1] / WIDTH
    blocks = [frame[int(20 * scale), int((bit * 24 + 12) * scale)].mean() > 128 for bit in range(12)]
    return sum(1 << bit for bit, white in enumerate(blocks) if white)


def beep_starts_s(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where tones begin after at least a quarter of a second of quiet: seconds."""
    loud = np.flatnonzero(np.abs(audio) > 0.1)
    return loud[np.flatnonzero(np.diff(np.r_[-99_999, loud]) > 4000)] / 16_000


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a film of numbered frames with a 50 ms tone at each full second; returns its path."""
    folder = tmp_path_factory.mktemp("films")

    def write(name: str, fps: float, shots_s: tuple[float, ...], *options: str) -> Path:
        path = folder / name
        if path.exists():
            return path
        ends = np.cumsum(shots_s)
        total = round(float(ends[-1]) * fps)
        pixels = b"".join(
            numbered_frame(n, int(np.searchsorted(ends, n / fps + 1e-9, "right"))).tobytes()
            for n in range(total)
        )
        t = np.arange(round(44_100 * float(ends[-1])))
        tone = 0.3 * np.sin(2 * np.pi * 600 * t / 44_100) * (t % 44_100 < 2205)
        sound = folder / f"{name}.f32"
        sound.write_bytes(tone.astype("<f4").tobytes())
        args = [exe(), "-nostdin", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]
        args += ["-s", f"{WIDTH}x{HEIGHT}", "-r", str(fps), "-i", "pipe:0"]
        args += ["-f", "f32le", "-ar", "44100", "-ac", "1", "-i", str(sound), *options, str(path)]
        args.remove("-nostdin")
        subprocess.run(args, input=pixels, check=True, timeout=120)
        return path

    return write


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def media_row(lake: Lake) -> Callable[..., dict[str, Any]]:
    """Put a file into the lake and give its `media` row, with the columns that cutting reads."""

    def make(path: Path, **changes: Any) -> dict[str, Any]:
        info = probe(path)
        blob_id = lake.put_blob(path.read_bytes(), info.real_extension)
        measured = ("has_video", "has_audio", "duration_s", "container", "width", "height")
        row = {
            "media_id": blob_id[:64],
            "batch": "b-1",
            "source_id": "s-1",
            "title": path.name,
            "blob_id": blob_id,
            "language": "ko",
            "use_case": "news",
            "identities": ["a"],
            "declared_verdict": "real",
            "declared_generator": None,
            "captions_blob": None,
            "captions_kind": None,
            **{name: getattr(info, name) for name in measured},
        }
        return row | changes

    return make
