"""The denoising network: a small UNet on patches of pixels, built from a plan that travels with its weights.

How it is trained is in `training`; pictures go in and come out as float [B, 3, S, S] in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from generators.learned_file import packed, unpacked
from haetae.errors import UsageError
from haetae.provenance.ids import seed_of

_GROUPS = 8


class Plan(BaseModel):
    """What a network is built with. size_px: side of a picture; patch_px: side of the patches that become
    channels; channels: of the levels; masked: whether a mask of what is to be made is given beside the picture.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    size_px: int = Field(ge=16, le=256)
    patch_px: int = Field(ge=1, le=8)
    channels: tuple[int, ...] = Field(min_length=2, max_length=5)
    masked: bool = False
    last_time: float = Field(default=1.0, gt=0, le=1)
    """The most noise that it was taught to take out."""

    @property
    def grid(self) -> int:
        """Side of the pictures inside the network."""
        return self.size_px // self.patch_px

    def check(self) -> None:
        """Raises: ValueError for numbers that no network can be built with."""
        halvings = 2 ** (len(self.channels) - 1)
        if self.size_px % self.patch_px or self.grid % halvings:
            raise ValueError(f"{self.size_px} px cannot be cut and halved {len(self.channels) - 1} times")
        if any(n % _GROUPS or not _GROUPS <= n <= 512 for n in self.channels):
            raise ValueError(f"channels {self.channels} are no multiples of {_GROUPS} up to 512")


def small(kind: str, masked: bool = False) -> Plan:
    """The plan of a network that learns a few people in a minute on one core."""
    return Plan(kind=kind, size_px=48, patch_px=2, channels=(32, 64, 96), masked=masked, last_time=0.5)


@dataclass(frozen=True)
class Denoiser:
    """Predicts the picture behind a noisy one; a diffusers UNet2DModel between two rearrangements of pixels.

    The picture, and not its noise: faces are few-dimensional and noise is not, so what little a small network has
    learned shows as softness and not as noise that was left over.
    After: Ho et al., 2020 (the UNet); Luhman & Luhman, Improving Diffusion Model Efficiency Through Patching,
    2022 (the patches); Li & He, Back to Basics: Let Denoising Generative Models Denoise, 2025 (what is predicted).
    """

    plan: Plan
    unet: Any

    def __call__(self, noisy: Tensor, time: Tensor, mask: Tensor | None = None) -> Tensor:
        """The clean picture. noisy: [B, 3, S, S]; time: [B] in [0, 1]; mask: [B, 1, S, S], 1 where it is to be made."""
        given = noisy if mask is None else torch.cat([noisy, mask], dim=1)
        patches = functional.pixel_unshuffle(given, self.plan.patch_px)
        predicted: Tensor = self.unet(patches, 1000 * time).sample
        return functional.pixel_shuffle(predicted, self.plan.patch_px)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.unet.device

    def state(self) -> dict[str, Tensor]:
        """Its weights by name."""
        return dict(self.unet.state_dict())


def built(plan: Plan, seed: int = 0) -> Denoiser:
    """A network with weights drawn by the seed; the random state of the process stays as it was.

    Raises: ValueError for a plan that no network can be built by.
    """
    from diffusers.models.unets.unet_2d import UNet2DModel

    plan.check()
    levels, area = len(plan.channels), plan.patch_px**2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("network", seed))
        unet: Any = UNet2DModel(
            sample_size=plan.grid,
            in_channels=(4 if plan.masked else 3) * area,
            out_channels=3 * area,
            block_out_channels=plan.channels,
            layers_per_block=1,
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
            attention_head_dim=16,
            norm_num_groups=_GROUPS,
        )
        # Before anything is learned a mid grey is predicted, whatever was drawn.
        nn.init.zeros_(unet.conv_out.weight)
        nn.init.zeros_(unet.conv_out.bias)
    return Denoiser(plan, unet)


def to_file(network: Denoiser) -> bytes:
    """Weights and plan as the content of one file."""
    return packed(network.state(), network.plan.model_dump(mode="json"))


def from_file(path: Path, kind: str, device: str) -> Denoiser:
    """The network of such a file, ready to predict.

    Raises: UsageError for a file that is missing, damaged, of another kind, or whose tensors are not those of
    its plan.
    """
    tensors, build = unpacked(path)
    try:
        plan = Plan.model_validate(build)
        plan.check()
        if plan.kind != kind:
            raise ValueError(f"it was learned by {plan.kind}, not by {kind}")
        network = built(plan)
        network.unet.load_state_dict(tensors)
    except (ValidationError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())[:300]
        raise UsageError(
            f"{path} holds no network of {kind}: {why}. Run `haetae generators learn {kind}`"
        ) from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise UsageError(f"{path}: its weights are not finite; run `haetae generators learn {kind}` again")
    network.unet.to(device).eval()
    return network


def drawn_noise(seed: int, shape: tuple[int, ...]) -> Tensor:
    """Gaussian noise of a seed, on the CPU, whatever the device: float32."""
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed_of("noise", seed)))
