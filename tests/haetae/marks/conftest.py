"""A moving picture of the one portrait we may show, spoken sentences, and credentials to sign with."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from haetae.marks.credentials import Credentials, development_credentials
from haetae.media.ffmpeg import exe

SENTENCES = (
    "Selamat pagi semua, apa khabar. Hari ini kita akan pergi ke pasar malam bersama keluarga.",
    "Semalam hujan lebat turun di seluruh kawasan, jadi banyak orang lewat ke tempat kerja mereka.",
)


@pytest.fixture(scope="session")
def moving(portrait: NDArray[np.uint8]) -> Callable[..., NDArray[np.uint8]]:
    """Frames of a given size: the portrait, slowly zoomed and panned, with sensor noise."""

    def make(size: int = 384, n: int = 25, seed: int = 0) -> NDArray[np.uint8]:
        frames = []
        rng = np.random.default_rng(seed)
        for t in range(n):
            scale = size / 512 * (1.15 + 0.1 * np.sin(2 * np.pi * t / 50 + seed))
            matrix = cv2.getRotationMatrix2D((256, 200), 2 * np.sin(2 * np.pi * t / 40), scale)
            matrix[:, 2] += [size / 2 - 256 + 5 * np.sin(2 * np.pi * t / 30), size / 2 - 200]
            frame = cv2.warpAffine(
                portrait, matrix, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT
            )
            noisy = frame + rng.normal(0, 1.0, frame.shape)
            frames.append(np.clip(np.round(noisy), 0, 255).astype(np.uint8))
        return np.stack(frames)

    return make


@pytest.fixture(scope="session")
def spoken() -> Callable[..., NDArray[np.float32]]:
    """So many seconds of a synthetic voice in a quiet room."""
    from haetae.voice.espeak import speak

    def make(seconds: float = 4.0, which: int = 0) -> NDArray[np.float32]:
        said = speak(SENTENCES[which], "ms", rate_wpm=160, variant=("f2", "m3")[which]).audio
        n = round(seconds * 16_000)
        sound = 0.6 * np.resize(said, n) + np.random.default_rng(which).normal(0, 0.001, n)
        return np.clip(sound, -1, 1).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return development_credentials(tmp_path_factory.mktemp("lake") / "keys" / "marks")


def recode(source: Path, changed: Path, *options: str) -> Path:
    """What a platform or a player does to a file: ffmpeg with these options."""
    command = [exe(), "-nostdin", "-v", "error", "-y", "-i", str(source), *options, str(changed)]
    subprocess.run(command, check=True, timeout=120)
    return changed
