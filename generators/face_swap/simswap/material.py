"""Faces to learn from as tensors: who they are, which are held back, and how batches of them are drawn and altered.

What is learned from them is told in `identity` and `training`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from generators.face_swap.masks import soft_mask
from generators.protocol import FaceSet
from haetae.errors import UsageError

MIN_PEOPLE = 2
MIN_CROPS = 4
"""Crops of one person below which nothing can be held back; such people are left out."""
HELD_BACK = 0.25


@dataclass(frozen=True)
class Material:
    """Faces of one size on one device.

    pictures: float [N, 3, S, S] in [-1, 1]; person: int64 [N], 0 to n_people - 1; held: bool [N], faces that nothing
    learns from; second: bool [N], which half of the others a face belongs to; soft: float [N, 1, S, S], weight with
    which a changed face replaces the picture.
    """

    pictures: Tensor
    person: Tensor
    held: Tensor
    second: Tensor
    soft: Tensor

    @property
    def n_people(self) -> int:
        return int(self.person.max()) + 1

    @classmethod
    def of(cls, faces: FaceSet, crop_px: int, device: str) -> Material:
        """The faces of all people who have enough of them.

        The last quarter of each person's crops of a track is held back, so what is measured later was not seen,
        not even a moment away from what was. Raises: UsageError for too few people.
        """
        people, person = np.unique(faces.person, return_inverse=True)
        enough = np.bincount(person, minlength=len(people)) >= MIN_CROPS
        if enough.sum() < MIN_PEOPLE:
            raise UsageError(
                f"simswap learns from at least {MIN_PEOPLE} people with {MIN_CROPS} crops each; of {len(people)}"
                f" people {int(enough.sum())} have as many: ingest more clips with faces that may be trained on"
            )
        keep = np.flatnonzero(enough[person])
        held, second = _split(person[keep], faces.track[keep])
        return cls(
            as_tensor(np.stack([_sized(faces.crops[k], crop_px) for k in keep])).to(device),
            torch.from_numpy(np.unique(person[keep], return_inverse=True)[1].astype(np.int64)).to(device),
            torch.from_numpy(held).to(device),
            torch.from_numpy(second).to(device),
            torch.from_numpy(_softs(faces, keep, crop_px)).to(device),
        )

    def where(self, which: Tensor) -> Faces:
        """The faces for which `which`, bool [N], is true, to draw from."""
        return Faces(self, which.nonzero()[:, 0].cpu())


@dataclass(frozen=True)
class Faces:
    """Some faces of a material. at: int64 [M], their places in it."""

    of: Material
    at: Tensor

    def people(self) -> list[Tensor]:
        """Places by person; people who have none are left out."""
        person = self.of.person[self.at].cpu()
        groups = [self.at[person == k] for k in range(self.of.n_people)]
        return [group for group in groups if len(group)]


def as_tensor(crops: NDArray[np.uint8]) -> Tensor:
    """uint8 [N, S, S, 3] as float [N, 3, S, S] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _sized(crop: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    if crop.shape[0] == size_px:
        return crop
    way = cv2.INTER_AREA if crop.shape[0] > size_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, (size_px, size_px), interpolation=way), np.uint8)


def _split(
    person: NDArray[np.int64], track: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which faces are held back, and which of the others are in the second half. Every person has some of each."""
    held, second = np.zeros(len(person), np.bool_), np.zeros(len(person), np.bool_)
    for who in np.unique(person):
        rest = []
        for one in np.unique(track[person == who]):
            at = np.flatnonzero((person == who) & (track == one))
            n_held = int(len(at) * HELD_BACK)
            held[at[len(at) - n_held :]] = True
            rest.append(at[: len(at) - n_held])
        mine = np.concatenate(rest)
        if not held[person == who].any():  # tracks so short that a quarter of each is nothing
            held[mine[-1]], mine = True, mine[:-1]
        second[mine[1::2]] = True
    return held, second


def _softs(faces: FaceSet, keep: NDArray[np.int64], crop_px: int) -> NDArray[np.float32]:
    scale = crop_px / faces.crops.shape[1]
    meshes = (faces.meshes[keep] + 0.5) * np.float32(scale) - 0.5
    return np.stack([soft_mask(mesh, crop_px) for mesh in meshes])[:, None]


def altered(pictures: Tensor, rng: torch.Generator, turn: bool) -> Tensor:
    """Pictures as another camera would have taken them: mirrored, moved, re-coloured, noisy, with a piece covered.

    pictures: float [B, 3, S, S] in [-1, 1]. turn: rotated too; without, the gradient is deterministic on any
    device. Draws from `rng`, on the CPU.
    """
    n, device, size = len(pictures), pictures.device, pictures.shape[-1]

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return (low + (high - low) * torch.rand(n, *shape, generator=rng)).to(device)

    mirror = draw(0, 1, 1, 1, 1) < 0.5
    out = torch.where(mirror, pictures.flip(3), pictures)
    if turn:
        out = _turned(out, draw(-0.25, 0.25), draw(0.88, 1.12), draw(-0.06, 0.06, 2))
    else:
        out = _stretched(out, draw(0.88, 1.12, 2), draw(-0.05, 0.05, 2))
    grey = out.mean(dim=1, keepdim=True)
    out = grey + draw(0.5, 1.2, 1, 1, 1) * (out - grey)
    level = out.mean(dim=(1, 2, 3), keepdim=True)
    out = level + draw(0.7, 1.3, 1, 1, 1) * (out - level) + draw(-0.2, 0.2, 1, 1, 1)
    out = out + draw(-0.08, 0.08, 3, 1, 1)
    out = out + 0.03 * torch.randn(out.shape, generator=rng).to(device)
    return out * _uncovered(n, size, rng).to(device)


def _turned(pictures: Tensor, angle: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    rows = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(rows, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def _stretched(pictures: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Scaled and moved along each axis, linearly interpolated by products of matrices. scale, shift: [B, 2]."""
    size = pictures.shape[-1]
    at = torch.arange(size, device=pictures.device, dtype=torch.float32)
    from_middle = (at + 0.5) / size - 0.5
    weights = []
    for k in range(2):
        source = (from_middle / scale[:, k, None] + shift[:, k, None] + 0.5) * size - 0.5
        weights.append((1 - (source.clamp(0, size - 1)[..., None] - at).abs()).clamp(min=0))
    down, across = weights
    return down[:, None] @ pictures @ across[:, None].transpose(-1, -2)


def _uncovered(n: int, size: int, rng: torch.Generator) -> Tensor:
    """0 in a box of up to a third of the side for every third picture, else 1: float [n, 1, S, S]."""
    u = torch.rand(n, 5, generator=rng)
    at = torch.arange(size)[None] / size
    half = (0.05 + 0.12 * u[:, :2])[..., None]
    inside = (at[:, None] - u[:, 2:4, None]).abs() < half
    box = inside[:, 0, :, None] & inside[:, 1, None, :] & (u[:, 4] < 1 / 3)[:, None, None]
    return (~box).float()[:, None]
