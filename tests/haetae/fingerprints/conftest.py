"""Films and tunes that share nothing, their attacked copies, and what fingerprints they get."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from benchmarks.duplicates import (
    AUDIO_ATTACKS,
    IMAGE_ATTACKS,
    VIDEO_ATTACKS,
    attacked,
    make_film,
    make_tune,
    write_film,
)
from haetae.engine import Row
from haetae.fingerprints.fingerprint import Fingerprint
from haetae.lake import Lake
from haetae.media.encode import write_wav
from haetae.media.probe import probe

FILM_S = 4
Taken = Callable[..., Row]


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="session")
def taken(lake: Lake) -> Taken:
    """Fingerprint a file as a clip of the given name; the file is moved into the lake."""
    step = Fingerprint(str(lake.root))

    def take(path: Path, clip_id: str, batch: str = "b1", **more: Any) -> Row:
        info = probe(path)
        clip = {"clip_id": clip_id, "batch": batch, "blob_id": lake.put_blob(path, path.suffix)}
        shows = info.width is not None
        kind = "image" if info.is_still else "video" if shows else "audio"
        (row,) = step(clip | {"kind": kind, "has_video": shows, "has_audio": info.has_audio})
        return dict(row) | more

    return take


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three films with tunes, three tunes and three stills: name → file."""
    folder = tmp_path_factory.mktemp("originals")
    files = {}
    for seed in range(3):
        film = folder / f"film{seed}.mp4"
        files[f"film{seed}"] = write_film(film, make_film(seed, 25 * FILM_S), make_tune(seed, FILM_S))
        files[f"tune{seed}"] = folder / f"tune{seed}.wav"
        write_wav(files[f"tune{seed}"], make_tune(100 + seed, FILM_S))
        files[f"still{seed}"] = folder / f"still{seed}.png"
        cv2.imwrite(str(files[f"still{seed}"]), make_film(50 + seed, 1)[0])
    return files


@pytest.fixture(scope="session")
def known(originals: dict[str, Path], taken: Taken, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Fingerprints of the originals; the clip ids are their names."""
    folder = tmp_path_factory.mktemp("known")
    return [taken(copy_of(path, folder), name, "b0") for name, path in originals.items()]


@pytest.fixture(scope="session")
def copies(
    originals: dict[str, Path], taken: Taken, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], list[Row]]:
    """Fingerprints of attacked copies of two of each kind: `<name>|<attack>`."""
    folder = tmp_path_factory.mktemp("copies")
    made: dict[str, list[Row]] = {}

    def of(attack: str) -> list[Row]:
        if attack not in made:
            rows = []
            for name, path in originals.items():
                way = _way(name, attack)
                if way is None or name.endswith("2"):
                    continue
                copy = attacked(path, way[1:], folder / f"{name}{way[0]}")
                rows.append(taken(copy, f"{name}|{attack}"))
            made[attack] = rows
        return made[attack]

    return of


def _way(name: str, attack: str) -> tuple[str, ...] | None:
    """File ending and options of an attack on a file of this name, or None."""
    if name.startswith("still"):
        return (".jpg", *IMAGE_ATTACKS[attack]) if attack in IMAGE_ATTACKS else None
    if name.startswith("film") and attack in VIDEO_ATTACKS:
        return (".mp4", *VIDEO_ATTACKS[attack])
    return AUDIO_ATTACKS.get(attack)


def copy_of(path: Path, folder: Path) -> Path:
    """A copy that may be moved away."""
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    return copy
