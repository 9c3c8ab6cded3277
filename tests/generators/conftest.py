"""Talking synthetic actors for the generators' tests: the portrait, moved, re-coloured and made to speak."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from generators.protocol import ClipView, Face

SIZE_PX = 288
N_FRAMES = 40
RATE_HZ = 16_000
SENTENCE = "Selamat pagi semua, apa khabar."


@pytest.fixture(scope="session")
def actor(portrait: NDArray[np.uint8]) -> ClipView:
    """The portrait, swaying and speaking Malay for 1.6 s."""
    return _film("clip-actor", portrait, phase=0.0)


@pytest.fixture(scope="session")
def other_actor(portrait: NDArray[np.uint8]) -> ClipView:
    """Someone else: the portrait mirrored, with a broader face and another complexion."""
    mirrored = np.ascontiguousarray(portrait[:, ::-1])
    broad = cv2.resize(mirrored, (560, 512))[:, 24:536]
    lab = cv2.cvtColor(broad, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab += np.array([-28.0, 8.0, 12.0], np.float32)
    tinted = cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    return _film("clip-other", tinted, phase=1.5)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a package with entry points, as pip would leave it on disk: source by name, targets by name."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def _install(package: str, source: str = "", **points: str) -> None:
        if source:
            (folder / f"{package}.py").write_text(source)
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {target}" for name, target in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[haetae.generators]", *lines]) + "\n")

    before = set(sys.modules)
    yield _install
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) == str(folder / f"{name}.py"):
            del sys.modules[name]


@pytest.fixture
def own_generators(install: Callable[..., None]) -> None:
    """The project's own entry points, whether or not it is installed where the tests run."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    install("haetae", **project["project"]["entry-points"]["haetae.generators"])


@pytest.fixture(scope="session")
def silent_actor(actor: ClipView) -> ClipView:
    """The actor without any sound."""
    return replace(actor, audio=None, speech=())


def _film(clip_id: str, person: NDArray[np.uint8], phase: float) -> ClipView:
    from haetae.faces.mesh import MeshTracker, mesh_of_image

    mesh = mesh_of_image(person)
    assert mesh is not None
    frames = np.stack([_frame(person, mesh, t, phase) for t in range(N_FRAMES)])
    track, found = MeshTracker().track(frames)
    assert found.all()
    audio, speech = _voice()
    face = Face(f"track-{clip_id}", 0, track, found)
    return ClipView(clip_id, "ms", frames, audio, (face,), speech)


def _frame(person: NDArray[np.uint8], mesh: NDArray[np.float32], t: int, phase: float) -> NDArray[np.uint8]:
    """Frame t: mouth opened and closed twice a second, head swaying by a few pixels and degrees."""
    opened = _opened(person, mesh, gap=0.35 * (1 - np.cos(2 * np.pi * 2.0 * t / 25.0 + phase)) / 2)
    x, y = mesh[1, :2]
    turn_deg = 3.0 * np.sin(2 * np.pi * t / 50.0 + phase)
    height = float(np.ptp(mesh[:468, 1]))
    matrix = cv2.getRotationMatrix2D((float(x), float(y)), turn_deg, 0.5 * SIZE_PX / height)
    matrix[:, 2] += SIZE_PX / 2 - np.array([x, y]) + [4 * np.sin(2 * np.pi * t / 40.0 + phase), 0]
    picture = cv2.warpAffine(
        opened, matrix, (SIZE_PX, SIZE_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT
    )
    noise = np.random.default_rng(t).normal(0, 1.5, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _opened(person: NDArray[np.uint8], mesh: NDArray[np.float32], gap: float) -> NDArray[np.uint8]:
    """The smile closed, then opened by `gap` mouth widths: lower lip and chin moved, the opening dark."""
    from haetae.faces import regions
    from haetae.faces.warp import warp_mesh

    moved = mesh.copy()
    width = float(np.linalg.norm(mesh[78, :2] - mesh[308, :2]))
    upper, lower = regions.LIPS_INNER[1:10], regions.LIPS_INNER[:10:-1]
    arch = np.sin(np.linspace(0, np.pi, 11)[1:-1])
    drop = mesh[upper, 1] + gap * width * arch - mesh[lower, 1]
    middle = float(drop[4])
    below = np.clip((mesh[:468, 1] - mesh[14, 1]) / (mesh[152, 1] - mesh[14, 1]), 0, 1)
    beside = np.exp(-(((mesh[:468, 0] - mesh[14, 0]) / (0.6 * width)) ** 2))
    chin = (mesh[:468, 1] > mesh[14, 1]).astype(np.float32)
    moved[:468, 1] += middle * chin * beside * (1 - below)
    moved[lower, 1] = mesh[lower, 1] + drop
    img, covered = warp_mesh(person, mesh, moved[:, :2], person.shape[:2])
    out = np.where(covered[..., None], img, person)
    opening = cv2.GaussianBlur(regions.region_mask(moved, regions.LIPS_INNER, person.shape[:2]), (0, 0), 0.8)
    return (out * (1 - opening[..., None]) + np.array([45, 18, 18]) * opening[..., None]).astype(np.uint8)


def _voice() -> tuple[NDArray[np.float32], tuple[tuple[float, float], ...]]:
    from haetae.voice.espeak import speak

    n = N_FRAMES * RATE_HZ // 25
    speech = speak(SENTENCE, "ms", rate_wpm=260, variant="f2")
    start = int(0.1 * RATE_HZ)
    said = speech.audio[: n - start - 800]
    audio = np.random.default_rng(7).normal(0, 0.002, n).astype(np.float32)
    audio[start : start + said.size] += 0.6 * said
    return np.clip(audio, -1, 1).astype(np.float32), ((0.1, 0.1 + said.size / RATE_HZ),)
