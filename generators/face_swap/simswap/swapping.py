"""A trained SimSwap at work: its file, and the swap of a followed face over a clip.

How it is trained is `training`; which clip is swapped with whom is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generators.crops import Cut, cut, put_back
from generators.face_swap.masks import faded, open_mouth, soft_mask
from generators.face_swap.simswap.identity import embedded, person_of
from generators.face_swap.simswap.material import as_tensor
from generators.face_swap.simswap.network import IdentityNet, Sizes, SwapNet, oval
from generators.face_swap.skin import Skin, bare_skin, skin_stats
from generators.followed import Followed
from generators.learned_file import packed, unpacked
from generators.repeatable import repeatable
from haetae.errors import UsageError
from haetae.faces.regions import mouth_openness

N_LOOKS = 16
"""Frames from which a person's identity is taken."""
MASK_PX = 128
MAX_PASTE_PX = 512
BATCH = 16
MASK_REACH = 2
"""Frames before and after whose masks count: what lies over a face does not come and go with a frame."""
_SKIN_EVERY = 5
_NAME = "simswap"
N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class Manner:
    """How a swap is pasted: the card's parameters.

    detail: share of the target's own fine detail that is kept, where the network holds none; erode, feather: see
    `masks.soft_mask`; keep_colour: share of the change of mean colour that is taken back; chroma: share of the change
    of colours, besides lightness, that is shown; steadiness: weight of the frame before in what is changed.
    """

    detail: float
    erode: float
    feather: float
    keep_colour: float
    chroma: float
    steadiness: float


def pack(generator: SwapNet, encoder: IdentityNet, sizes: Sizes) -> bytes:
    """Networks as the content of one file."""
    tensors = {f"generator.{name}": value for name, value in generator.state_dict().items()}
    tensors |= {f"identity.{name}": value for name, value in encoder.state_dict().items()}
    return packed(tensors, {"generator": _NAME, **sizes.as_build()})


@dataclass(frozen=True)
class Swapper:
    """The networks, ready to swap."""

    generator: SwapNet
    encoder: IdentityNet
    sizes: Sizes
    device: str

    @classmethod
    def read(cls, path: Path, device: str) -> Swapper:
        """Raises: UsageError for a file that is missing, damaged, of another generator, or does not fit."""
        tensors, build = unpacked(path)
        if build.get("generator") != _NAME:
            raise UsageError(f"{path} was learned by {build.get('generator')!r}, not by {_NAME}")
        sizes = Sizes.of(build)
        with torch.device("meta"):  # nothing is allocated, and nothing drawn, for what the file will fill
            generator, encoder = SwapNet(sizes), IdentityNet(sizes)
        encoder.register_buffer("oval", oval(sizes.crop_px), persistent=False)
        _filled(generator, "generator.", tensors, path)
        _filled(encoder, "identity.", tensors, path)
        return cls(_ready(generator, device), _ready(encoder, device), sizes, device)

    def swap(
        self, target: Followed, donor: Followed, manner: Manner
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], dict[str, float]]:
        """The target's frames with the donor's identity, where they may differ, and figures.

        frames: uint8 [T, H, W, 3]; masks: bool [T, H, W].
        """
        with repeatable(0, self.device), torch.inference_mode():
            return self._swapped(target, donor, manner)

    def _swapped(
        self, target: Followed, donor: Followed, manner: Manner
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], dict[str, float]]:
        theirs, own = self.identity(donor), self.identity(target)
        frames, masks = target.frames.copy(), np.zeros(target.frames.shape[:3], np.bool_)
        softness = Softness.of(target, manner)
        before: tuple[int, NDArray[np.float32]] | None = None
        sizes: list[float] = []
        for t, at, made, kept in self._made(target, theirs, own):
            soft = softness.at(t)
            change = _toned(made - kept, soft, manner)
            if before is not None and before[0] == t - 1:
                change += np.float32(manner.steadiness) * (before[1] - change)
            before = (t, change)
            sizes.append(float(np.abs(change).mean()))
            _paste(target, t, at, (change, kept), soft, manner.detail, frames[t], masks[t])
        likeness = float((theirs * own).sum())
        return (
            frames,
            masks,
            {"mean_change": round(float(np.mean(sizes)), 6), "donor_to_target": round(likeness, 6)},
        )

    def identity(self, face: Followed) -> Tensor:
        """Who a followed face is: [V] of length 1, from frames spread over the clip."""
        there = np.flatnonzero(face.usable)
        looks = there[np.linspace(0, len(there) - 1, min(len(there), N_LOOKS)).round().astype(int)]
        crops = np.stack([cut(face, int(t), self.sizes.crop_px).crop for t in looks])
        return person_of(embedded(self.encoder, as_tensor(crops).to(self.device)))

    def _made(
        self, face: Followed, theirs: Tensor, own: Tensor
    ) -> Iterator[tuple[int, Cut, NDArray[np.float32], NDArray[np.float32]]]:
        """Frame, where it was cut, and what the network makes of it with the donor's and with its own identity.

        Pictures: float32 [S, S, 3], levels of 0 to 255.
        """
        usable = np.flatnonzero(face.usable)
        for first in range(0, len(usable), BATCH):
            some = usable[first : first + BATCH]
            cuts = [cut(face, int(t), self.sizes.crop_px) for t in some]
            pictures = as_tensor(np.stack([one.crop for one in cuts])).to(self.device)
            both = [self.generator(pictures, who.expand(len(cuts), -1)) for who in (theirs, own)]
            made, kept = (((x + 1) * 127.5).permute(0, 2, 3, 1).cpu().numpy() for x in both)
            for k, t in enumerate(some):
                yield int(t), cuts[k], made[k], kept[k]


def _filled(network: nn.Module, prefix: str, tensors: dict[str, Tensor], path: Path) -> None:
    mine = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    if not all(bool(value.isfinite().all()) for value in mine.values()):
        raise UsageError(f"{path} holds values that are no numbers; learn again")
    if any(value.is_floating_point() and value.dtype != torch.float32 for value in mine.values()):
        raise UsageError(f"{path} holds values of less than 32 bits; learn again")
    try:
        network.load_state_dict(mine, assign=True)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:300]
        raise UsageError(f"{path} does not fit the network that it tells of: {first}") from error


def _ready(network: N, device: str) -> N:
    ready: N = network.to(device).eval().requires_grad_(False)
    return ready


def _toned(change: NDArray[np.float32], soft: NDArray[np.float32], manner: Manner) -> NDArray[np.float32]:
    """The change without what it does to the mean colour of the face: light and skin are the target's.

    Identity is told by lightness (see `IdentityNet`), so nothing teaches the network which colours a change needs.
    """
    weight = cv2.resize(soft, change.shape[1::-1], interpolation=cv2.INTER_AREA)[..., None]
    mean = (change * weight).sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
    level = change - np.float32(manner.keep_colour) * mean
    grey = level.mean(axis=2, keepdims=True)
    return np.asarray(grey + np.float32(manner.chroma) * (level - grey), np.float32)


def _paste(
    face: Followed,
    t: int,
    at: Cut,
    pictures: tuple[NDArray[np.float32], NDArray[np.float32]],
    soft: NDArray[np.float32],
    detail: float,
    frame: NDArray[np.uint8],
    mask: NDArray[np.bool_],
) -> None:
    """Blend the changed face into frame t, in place. pictures: the change, and what the network makes of the face
    itself, whose difference from the face is the detail that the network does not hold."""
    longer_px = float(np.ptp(face.mesh[t, :468, :2], axis=0).max())
    size = int(np.clip(round(1.3 * longer_px), at.crop.shape[0], MAX_PASTE_PX))
    fine = cut(face, t, size)
    change, kept = (cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in pictures)
    made = detail * fine.crop.astype(np.float32) + (1 - detail) * kept + change
    weight = cv2.resize(soft, (size, size), interpolation=cv2.INTER_LINEAR)
    put_back(frame, mask, fine, np.asarray(np.clip(np.rint(made), 0, 255), np.uint8), weight)


@dataclass(frozen=True)
class Softness:
    """Weight of the changed face in each frame.

    gap: openness of the mouth, float32 [T], NaN where the face is not usable; bare: frame → where the face shows,
    uint8 [128, 128] of the crop, 255 for bare skin.
    """

    face: Followed
    manner: Manner
    gap: NDArray[np.float32]
    bare: dict[int, NDArray[np.uint8]]

    @classmethod
    def of(cls, face: Followed, manner: Manner) -> Softness:
        usable = np.flatnonzero(face.usable)
        gap = np.full(len(face.usable), np.nan, np.float32)
        gap[usable] = mouth_openness(face.mesh[usable])
        skin = Skin.of(skin_stats(face, face.usable & (np.arange(len(face.usable)) % _SKIN_EVERY == 0)))
        bare = {}
        for t in usable:
            at = cut(face, int(t), MASK_PX)
            shown = bare_skin((at.crop, skin), (at.crop, skin), at.mesh) > 0.5
            soft = faded(shown, manner.feather * float(np.ptp(at.mesh[:468, 1])))
            bare[int(t)] = np.rint(255 * soft).astype(np.uint8)
        return cls(face, manner, gap, bare)

    def at(self, t: int) -> NDArray[np.float32]:
        """float32 [128, 128] of the crop: 1 takes the changed face, 0 keeps the frame.

        What lies over the rim of the face (hair, a hand) and the inside of an open mouth stay as they are.
        """
        mesh = cut(self.face, t, MASK_PX).mesh
        soft = soft_mask(mesh, MASK_PX, self.manner.erode, self.manner.feather)
        soft *= 1 - open_mouth(mesh, MASK_PX, float(self.gap[t]))
        near = [self.bare[u] for u in range(t - MASK_REACH, t + MASK_REACH + 1) if u in self.bare]
        return np.asarray(soft * np.mean(near, axis=0, dtype=np.float32) / 255, np.float32)
