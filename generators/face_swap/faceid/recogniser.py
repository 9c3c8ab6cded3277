"""Who a face is, as the adapter wants to be told: 512 numbers of the recogniser that it was trained with.

Two layouts are read, told apart by the names of their tensors: IResNet of InsightFace (what the published FaceID
adapters were trained with) and InceptionResnetV1 (`haetae.faces.embed`).
After: Deng et al., ArcFace, CVPR 2019; Duta et al., Improved Residual Networks, ICPR 2020.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from haetae.errors import UsageError
from haetae.faces.embed import FaceEmbedder, face_crop
from haetae.faces.regions import five_points
from haetae.faces.warp import similarity
from haetae.weights import read_tensors

CROP_PX = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)
"""Where InsightFace puts the eyes, the tip of the nose and the corners of the mouth, of 112 px."""
MAX_BYTES = 2 << 30
_MAX_BLOCKS = 60
Look = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""A frame, uint8 [H, W, 3] RGB, and the mesh of the face in it, float32 [478, 3] px."""


class Recogniser:
    """Faces to vectors of length 1.

    embed: looks at one person to float32 [512]; the mean of several looks.
    """

    def __init__(self, network: Callable[[Sequence[Look]], NDArray[np.float32]]) -> None:
        self._network = network

    @classmethod
    def read(cls, path: Path, sha256: str, device: str) -> Recogniser:
        """Raises: UsageError for a file that is of neither layout, or does not fit."""
        tensors = read_tensors(path, MAX_BYTES)
        if "conv2d_1a.conv.weight" in tensors:
            embedder = FaceEmbedder(str(path), sha256)
            embedder.load()
            return cls(lambda looks: embedder.embed([face_crop(*look) for look in looks]))
        if "layer1.0.bn1.weight" not in tensors:
            raise UsageError(
                f"{path} holds neither an IResNet (`layer1.0.bn1.weight`) nor an InceptionResnetV1"
                " (`conv2d_1a.conv.weight`); give the recogniser that the adapter was trained with"
            )
        network = iresnet(path, tensors).to(device)
        return cls(lambda looks: _embedded(network, looks, device))

    def embed(self, looks: Sequence[Look]) -> NDArray[np.float32]:
        """One person from several looks, at least one: float32 [512] of length 1."""
        mean = self._network(looks).astype(np.float64)
        if not np.isfinite(mean).all():
            raise UsageError(
                "the face recogniser gives values that are no numbers: its weights are of no use"
            )
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)


class _Block(nn.Module):
    """Batch norm first, no activation at the end: [B, C, h, w] to [B, C', h / stride, w / stride]."""

    def __init__(self, before: int, width: int, stride: int, adapt: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = (
            nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
            if adapt
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        out: Tensor = y + (x if self.downsample is None else self.downsample(x))
        return out


class IResNet(nn.Module):
    """float [B, 3, 112, 112] in [-1, 1] to [B, 512]; names of its tensors are those of InsightFace's training code.

    widths: channels of the first convolution and of the four stages; blocks: in each stage.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int], n_values: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.prelu = nn.PReLU(widths[0])
        for k, (before, width, n) in enumerate(zip(widths, widths[1:], blocks, strict=False), start=1):
            stage = [_Block(before, width, 2, adapt=True)]
            stage += [_Block(width, width, 1, adapt=False) for _ in range(n - 1)]
            self.add_module(f"layer{k}", nn.Sequential(*stage))
        self.bn2 = nn.BatchNorm2d(widths[-1])
        self.fc = nn.Linear(widths[-1] * (CROP_PX // 16) ** 2, n_values)
        self.features = nn.BatchNorm1d(n_values)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        for k in range(1, 5):
            x = self.get_submodule(f"layer{k}")(x)
        out: Tensor = self.features(self.fc(self.bn2(x).flatten(1)))
        return out


def iresnet(path: Path, tensors: Mapping[str, Tensor]) -> IResNet:
    """The IResNet of these tensors, of the depth and widths that they have. Raises: UsageError where none fits."""
    blocks = [
        len({m[1] for name in tensors if (m := re.match(rf"layer{k}\.(\d+)\.", name))}) for k in range(1, 5)
    ]
    firsts = ["conv1.weight", *(f"layer{k}.0.conv1.weight" for k in range(1, 5)), "fc.weight"]
    if any(name not in tensors or tensors[name].ndim < 2 for name in firsts) or max(blocks) > _MAX_BLOCKS:
        raise UsageError(f"{path} holds no IResNet of four stages")
    widths = [int(tensors[name].shape[0]) for name in firsts]
    with torch.device("meta"):
        network = IResNet(widths[:5], blocks, widths[5])
    try:
        network.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:300]
        raise UsageError(f"{path} holds no IResNet that can be read: {first}") from error
    ready: IResNet = network.eval().requires_grad_(False)
    return ready


def _embedded(network: IResNet, looks: Sequence[Look], device: str) -> NDArray[np.float32]:
    """Mean of unit vectors: a blurred look, whose vector is short, counts as much as a sharp one."""
    pictures = np.stack([_aligned(*look) for look in looks])
    with torch.inference_mode():
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().to(device) / 127.5 - 1
        each = nn.functional.normalize(network(x), dim=1)
    return np.asarray(each.mean(dim=0).cpu().numpy(), np.float32)


def _aligned(frame: NDArray[np.uint8], mesh: NDArray[np.float32]) -> NDArray[np.uint8]:
    matrix = similarity(five_points(mesh), TEMPLATE)
    scale = float(np.hypot(matrix[0, 0], matrix[0, 1]))
    source = frame if scale > 0.67 else cv2.GaussianBlur(frame, (0, 0), 0.4 / scale)
    return np.asarray(cv2.warpAffine(source, matrix, (CROP_PX, CROP_PX)), np.uint8)
