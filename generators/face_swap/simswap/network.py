"""The networks of SimSwap: identity encoder, generator with identity injection, patch discriminators.

How they are trained is told by `identity` and `training`; pictures here are float [B, 3, S, S] RGB in [-1, 1].
After: Chen et al., SimSwap: An Efficient Framework For High Fidelity Face Swapping, ACM MM 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from haetae.errors import UsageError

OVAL = (0.40, 0.46)
"""Half axes of what the identity encoder sees, share of the crop's side: the face, no hair and no background."""
OVAL_CENTRE = (0.5, 0.52)
_OVAL_RIM = 0.12
_DARK = 1e-4
"""Variance below which a face is flat, of a range of 2: nothing is made of its noise."""
_LIMITS = {
    "crop_px": (32, 512),
    "channels": (4, 128),
    "blocks": (1, 16),
    "halvings": (1, 4),
    "id_values": (8, 1024),
    "id_channels": (4, 128),
}


@dataclass(frozen=True)
class Sizes:
    """How large the networks are. Kept in the file of what was learned.

    crop_px: side of the crops; channels: of the generator's first layer, doubled with each of `halvings`; blocks:
    identity injection blocks; id_values: length of an identity vector; id_channels: of the encoder's first layer.
    """

    crop_px: int = 64
    channels: int = 24
    blocks: int = 3
    halvings: int = 2
    id_values: int = 128
    id_channels: int = 24

    def as_build(self) -> dict[str, int]:
        """As values that JSON has."""
        return asdict(self)

    @classmethod
    def of(cls, build: Mapping[str, Any]) -> Sizes:
        """From `as_build`. Raises: UsageError for a value that is missing, no integer or out of bounds."""
        values: dict[str, int] = {}
        for one in fields(cls):
            value, (low, high) = build.get(one.name), _LIMITS[one.name]
            if type(value) is not int or not low <= value <= high:
                raise UsageError(
                    f"SimSwap: the file's {one.name} is {value!r}, not an integer of {low} to {high}"
                )
            values[one.name] = value
        sizes = cls(**values)
        sizes.check()
        return sizes

    def check(self) -> None:
        """Raises: UsageError for a side of the crop that cannot be halved as often as the networks do."""
        step = max(2**self.halvings, 16)
        if self.crop_px % step:
            raise UsageError(f"SimSwap: crops of {self.crop_px} px; a multiple of {step} is needed")


def _norm(channels: int) -> nn.Module:
    # Of one picture alone: what a frame becomes does not hang on the frames that share its batch.
    return nn.GroupNorm(math.gcd(8, channels), channels)


class AdaIN(nn.Module):
    """Instance normalisation whose scale and shift come from the identity. After: Huang & Belongie, ICCV 2017."""

    def __init__(self, channels: int, id_values: int) -> None:
        super().__init__()
        self.style = nn.Linear(id_values, 2 * channels)

    def forward(self, x: Tensor, identity: Tensor) -> Tensor:
        scale, shift = self.style(identity)[:, :, None, None].chunk(2, dim=1)
        return F.instance_norm(x) * (1 + scale) + shift


class IdBlock(nn.Module):
    """A residual block of the identity injection module: features [B, C, h, w] keep their shape."""

    def __init__(self, channels: int, id_values: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.first_norm = AdaIN(channels, id_values)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.second_norm = AdaIN(channels, id_values)

    def forward(self, x: Tensor, identity: Tensor) -> Tensor:
        y = F.relu(self.first_norm(self.first(x), identity))
        out: Tensor = x + self.second_norm(self.second(y), identity)
        return out


class SwapNet(nn.Module):
    """Encoder, identity injection, decoder: a face [B, 3, S, S] and identities [B, V] to a face [B, 3, S, S]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.channels
        encoder: list[nn.Module] = [nn.Conv2d(3, width, 7, padding=3), _norm(width), nn.ReLU()]
        for _ in range(sizes.halvings):
            encoder += [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), _norm(2 * width), nn.ReLU()]
            width *= 2
        self.encoder = nn.Sequential(*encoder)
        self.blocks = nn.ModuleList(IdBlock(width, sizes.id_values) for _ in range(sizes.blocks))
        decoder: list[nn.Module] = []
        for _ in range(sizes.halvings):
            # The nearest neighbour: the gradient of other enlargements is not deterministic on a GPU.
            decoder += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width // 2, 3, padding=1)]
            decoder += [_norm(width // 2), nn.ReLU()]
            width //= 2
        self.decoder = nn.Sequential(*decoder, nn.Conv2d(width, 3, 7, padding=3))

    def forward(self, face: Tensor, identity: Tensor) -> Tensor:
        x = self.encoder(face)
        for block in self.blocks:
            x = block(x, identity)
        return torch.tanh(self.decoder(x).float())


class IdentityNet(nn.Module):
    """Who a face is: pictures [B, 3, S, S] to vectors [B, V] of length 1.

    Sees the lightness of the face's oval, and how it differs within: colours and light, which a swap takes over from
    its target, tell nothing. An encoder that goes by them is content with a tinted face.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.id_channels
        layers: list[nn.Module] = []
        before = 1
        for _ in range(4):
            layers += [
                nn.Conv2d(before, width, 3, stride=2, padding=1),
                nn.BatchNorm2d(width),
                nn.PReLU(width),
            ]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.PReLU(width)]
            before, width = width, 2 * width
        self.layers = nn.Sequential(*layers)
        # A grid of 2 × 2 places: tells above from below and left from right, and no more than that.
        self.last = nn.Linear(4 * before, sizes.id_values)
        self.last_norm = nn.BatchNorm1d(sizes.id_values)
        self.register_buffer("oval", oval(sizes.crop_px), persistent=False)

    def forward(self, face: Tensor) -> Tensor:
        assert isinstance(self.oval, Tensor)
        grey = face.float().mean(dim=1, keepdim=True)
        level = (grey * self.oval).mean(dim=(2, 3), keepdim=True) / self.oval.mean()
        flat = (grey - level) * self.oval
        x = self.layers(flat / (flat.square().mean(dim=(2, 3), keepdim=True) + _DARK).sqrt())
        side = x.shape[-1] // 2
        places = F.avg_pool2d(x, side, side)[..., :2, :2].flatten(1)
        return F.normalize(self.last_norm(self.last(places)).float(), dim=1)


class PatchNet(nn.Module):
    """One patch discriminator: pictures to the features of its layers, the last of which are the scores."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels]
        self.stages = nn.ModuleList()
        before = 3
        for k, width in enumerate(widths):
            conv = nn.Conv2d(before, width, 4, stride=2, padding=1)
            self.stages.append(nn.Sequential(conv, *([_norm(width)] if k else []), nn.LeakyReLU(0.2)))
            before = width
        wide = nn.Conv2d(before, before, 3, padding=1)
        self.stages.append(nn.Sequential(wide, _norm(before), nn.LeakyReLU(0.2)))
        self.score = nn.Conv2d(before, 1, 3, padding=1)

    def forward(self, face: Tensor) -> list[Tensor]:
        out = [face]
        for stage in self.stages:
            out.append(stage(out[-1]))
        return [*out[1:], self.score(out[-1])]


class Discriminators(nn.Module):
    """Patch discriminators of the picture and of the picture at half its size. After: Wang et al., CVPR 2018."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList([PatchNet(channels), PatchNet(channels)])

    def forward(self, face: Tensor) -> list[list[Tensor]]:
        return [self.scales[0](face), self.scales[1](F.avg_pool2d(face, 2))]


def oval(crop_px: int) -> Tensor:
    """1 within the oval of the face, falling to 0 over its rim: float [1, 1, S, S]."""
    at = (torch.arange(crop_px, dtype=torch.float32) + 0.5) / crop_px
    x, y = (at[None] - OVAL_CENTRE[0]) / OVAL[0], (at[:, None] - OVAL_CENTRE[1]) / OVAL[1]
    return ((1 - torch.sqrt(x**2 + y**2)) / _OVAL_RIM + 0.5).clamp(0, 1)[None, None]
