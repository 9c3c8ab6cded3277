"""Faces for the tests of this folder: the portrait, moved, doubled, opened and turned."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from haetae.faces.mesh import mesh_of_image


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """As in a worker: what is found must not depend on how many cores the machine has."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def portrait_mesh(portrait: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mesh of the portrait: float32 [478, 3] px."""
    mesh = mesh_of_image(portrait)
    assert mesh is not None
    return mesh


@pytest.fixture(scope="session")
def head(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The head alone: uint8 [240, 240, 3]; its face is about 92 px wide and 107 px high."""
    return np.ascontiguousarray(portrait[0:240, 105:345])


@pytest.fixture(scope="session")
def two_heads(head: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """30 frames [30, 320, 640, 3]: the head on the left, larger and mirrored on the right, both moving.

    The left one moves right by 3 px a frame; the right one moves up and down. They do not cover each other.
    """
    import cv2

    other = np.ascontiguousarray(cv2.resize(head[:, ::-1], (288, 288), interpolation=cv2.INTER_CUBIC))
    frames = np.full((30, 320, 640, 3), 128, np.uint8)
    for t in range(30):
        x, y = 3 * t, round(16 + 16 * np.sin(t / 4))
        frames[t, 40:280, x : x + 240] = head
        frames[t, y : y + 288, 346:634] = other
    return frames


@pytest.fixture(scope="session")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file of weights as they are published, but untrained: its path and SHA-256.

    The published file holds a classifier's layer beside the network; so does this one.
    """
    import torch
    from facenet_pytorch import InceptionResnetV1

    torch.manual_seed(7)
    state = InceptionResnetV1(pretrained=None, classify=True, num_classes=3).state_dict()
    path = tmp_path_factory.mktemp("weights") / "recogniser.pt"
    torch.save(state, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()
