"""Telling people apart by face: 512 numbers for a track, by a recogniser whose weights are given as a file.

Without weights there are no embeddings; nothing is downloaded. Who is whom by them is `identities`.
After: Schroff et al., FaceNet: A Unified Embedding for Face Recognition and Clustering, 2015; Szegedy et al.,
Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning, 2016.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haetae.errors import UsageError
from haetae.faces.warp import align_crop
from haetae.weights import checked_bytes, tensors_of

CROP_PX = 160
CROP_SCALE = 1.25
"""Side of the crop over the face's longer one: the margin of 32 of 160 px that the published weights expect."""
N_VALUES = 512
MAX_CROPS = 5
_MAX_BYTES = 1 << 30
_MEND = "give tracks.embedding_weights and tracks.embedding_sha256 of one InceptionResnetV1 file, or neither"


@dataclass
class FaceEmbedder:
    """InceptionResnetV1 of facenet-pytorch with weights from a local file; loads at first use.

    weights: a state dict, `.pt` (read without unpickling code) or `.safetensors`; a classifier's last layer
    (`logits`) in it is left out. sha256: of the file, hex. Runs on the CPU.
    """

    weights: str
    sha256: str
    _model: Any = field(init=False, default=None, repr=False, compare=False)

    def load(self) -> None:
        """Load the weights now. Raises: UsageError for a missing, other or unfitting file."""
        if self._model is None:
            self._model = _model(Path(self.weights), read_weights(self.weights, self.sha256))

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """One face from several pictures of it: float32 [512] of length 1, the mean of theirs.

        crops: uint8 [160, 160, 3] RGB each, as `face_crop` cuts them; at least one.
        """
        import torch

        self.load()
        with torch.inference_mode():
            pictures = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
            each = self._model((pictures - 127.5) / 128).double().numpy()
        mean = each.mean(axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)


def face_crop(frame: NDArray[np.uint8], mesh: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture of a face that is embedded: uint8 [160, 160, 3] RGB, eyes level; see `warp.align_crop`."""
    crop, _ = align_crop(frame, mesh, CROP_PX, CROP_SCALE)
    return crop


def check_weights(weights: str | None, sha256: str | None) -> None:
    """Say now, before any work is done, what is wrong with the weights. Raises: UsageError."""
    if weights is None and sha256 is None:
        return
    if weights is None or sha256 is None:
        raise UsageError(f"face recogniser: weights or their SHA-256 are missing; {_MEND}")
    read_weights(weights, sha256)


def read_weights(weights: str, sha256: str) -> bytes:
    """The content of the file, if it is the one that is meant. Raises: UsageError."""
    with _told():
        return checked_bytes(Path(weights), sha256, _MAX_BYTES)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say of which file it is the fault, and what mends it."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"face recogniser: {error}; {_MEND}") from error


def _model(path: Path, content: bytes) -> Any:
    from facenet_pytorch import InceptionResnetV1

    with _told():
        tensors = tensors_of(path, content, _MAX_BYTES)
    state = {name: value for name, value in tensors.items() if not name.startswith("logits.")}
    model = InceptionResnetV1(pretrained=None, classify=False).eval()
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:300]
        raise UsageError(
            f"face recogniser: {path} holds no InceptionResnetV1 of 512 values: {first}; {_MEND}"
        ) from error
    if not all(bool(value.isfinite().all()) for value in model.state_dict().values()):
        raise UsageError(f"face recogniser: {path} holds values that are no numbers; {_MEND}")
    return model
