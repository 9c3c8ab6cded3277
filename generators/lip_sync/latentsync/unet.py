"""LatentSync's denoising network, put together as published, so that the names of a checkpoint's tensors fit.

Its layers are `layers`; what it is shown is decided in `diffusion`.
After: Li et al., LatentSync: Taming Audio-Conditioned Latent Diffusion Models for Lip Sync, 2024.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn
from torch.nn import functional as F

from generators.lip_sync.latentsync.layers import Down, FrameConv, Listening, Moving, Residual, Up, norm_of
from generators.lip_sync.latentsync.layout import Layout
from haetae.errors import UsageError


class _Stage(nn.Module):
    """Layers of one resolution: convolutions, perhaps attention to the sound, perhaps over time."""

    def __init__(
        self, layout: Layout, shapes: list[tuple[int, int]], n_time: int, listens: bool, moves: bool
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([Residual(layout, n_in, n_out, n_time) for n_in, n_out in shapes])
        if listens:
            self.attentions = nn.ModuleList([Listening(layout, n_out) for _, n_out in shapes])
        if moves:
            self.motion_modules = nn.ModuleList([Moving(layout, n_out) for _, n_out in shapes])
        self.listens, self.moves = listens, moves

    def layer(self, k: int, x: Tensor, time: Tensor, sound: Tensor) -> Tensor:
        x = self.resnets[k](x, time)
        x = self.attentions[k](x, sound) if self.listens else x
        return torch.as_tensor(self.motion_modules[k](x) if self.moves else x)


class _Down(_Stage):
    def __init__(self, layout: Layout, k: int, n_time: int) -> None:
        channels = layout.block_out_channels
        n_in, n_out = channels[max(k - 1, 0)], channels[k]
        shapes = [(n_in if i == 0 else n_out, n_out) for i in range(layout.layers_per_block)]
        moves = _moves(layout, 2**k) and not layout.motion_module_decoder_only
        super().__init__(layout, shapes, n_time, layout.down_block_types[k].startswith("Cross"), moves)
        if k < len(channels) - 1:
            self.downsamplers = nn.ModuleList([Down(n_out)])
        self.halves = k < len(channels) - 1

    def forward(self, x: Tensor, time: Tensor, sound: Tensor) -> list[Tensor]:
        """What each layer gives; the last goes on."""
        given = []
        for k in range(len(self.resnets)):
            x = self.layer(k, x, time, sound)
            given.append(x)
        if self.halves:
            given.append(self.downsamplers[0](x))
        return given


class _Middle(nn.Module):
    def __init__(self, layout: Layout, n_time: int) -> None:
        super().__init__()
        n = layout.block_out_channels[-1]
        self.attentions = nn.ModuleList([Listening(layout, n)])
        self.resnets = nn.ModuleList([Residual(layout, n, n, n_time) for _ in range(2)])
        self.moves = layout.use_motion_module and layout.motion_module_mid_block
        self.scale = layout.mid_block_scale_factor
        if self.moves:
            self.motion_modules = nn.ModuleList([Moving(layout, n)])

    def forward(self, x: Tensor, time: Tensor, sound: Tensor) -> Tensor:
        x = self.attentions[0](self.resnets[0](x, time) / self.scale, sound)
        x = self.motion_modules[0](x) if self.moves else x
        return torch.as_tensor(self.resnets[1](x, time) / self.scale)


class _Up(_Stage):
    def __init__(self, layout: Layout, k: int, n_time: int) -> None:
        channels = layout.block_out_channels[::-1]
        n_before, n_out = channels[max(k - 1, 0)], channels[k]
        n_skip_last = channels[min(k + 1, len(channels) - 1)]
        layers = layout.layers_per_block + 1
        shapes = [
            ((n_before if i == 0 else n_out) + (n_skip_last if i == layers - 1 else n_out), n_out)
            for i in range(layers)
        ]
        moves = _moves(layout, 2 ** (len(channels) - 1 - k))
        super().__init__(layout, shapes, n_time, layout.up_block_types[k].startswith("Cross"), moves)
        self.doubles = k < len(channels) - 1
        if self.doubles:
            self.upsamplers = nn.ModuleList([Up(n_out)])

    def forward(self, x: Tensor, skipped: list[Tensor], time: Tensor, sound: Tensor) -> Tensor:
        """skipped: what the way down gave; what is used is taken off its end."""
        for k in range(len(self.resnets)):
            x = self.layer(k, torch.cat([x, skipped.pop()], dim=1), time, sound)
        return torch.as_tensor(self.upsamplers[0](x) if self.doubles else x)


def _moves(layout: Layout, resolution: int) -> bool:
    return layout.use_motion_module and resolution in layout.motion_module_resolutions


class UNet(nn.Module):
    """Noisy latents of frames, and what is known of them, to the noise in them."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        channels = layout.block_out_channels
        n_time = 4 * channels[0]
        self.layout = layout
        self.conv_in = FrameConv(layout.in_channels, channels[0], 3, padding=1)
        self.time_proj = Timesteps(channels[0], layout.flip_sin_to_cos, layout.freq_shift)
        self.time_embedding = TimestepEmbedding(channels[0], n_time)
        self.down_blocks = nn.ModuleList([_Down(layout, k, n_time) for k in range(len(channels))])
        self.mid_block = _Middle(layout, n_time)
        self.up_blocks = nn.ModuleList([_Up(layout, k, n_time) for k in range(len(channels))])
        self.conv_norm_out = norm_of(layout, channels[0])
        self.conv_out = FrameConv(channels[0], layout.out_channels, 3, padding=1)

    def forward(self, x: Tensor, step: Tensor, sound: Tensor) -> Tensor:
        """x: [B, 13, T, h, w]: latents 4, mask 1, latents of the masked face 4 and of the whole one 4; step: [] int;
        sound: [B, T, tokens, features]. Returns [B, 4, T, h, w]."""
        steps = self.time_proj(step.reshape(1).expand(len(x)).to(x.device))
        time = self.time_embedding(steps.to(x.dtype))
        x = self.conv_in(x)
        skipped = [x]
        for down in self.down_blocks:
            skipped += down(skipped[-1], time, sound)
        x = self.mid_block(skipped[-1], time, sound)
        for up in self.up_blocks:
            x = up(x, skipped, time, sound)
        return torch.as_tensor(self.conv_out(F.silu(self.conv_norm_out(x))))


def unet_of(tensors: Mapping[str, Tensor], layout: Layout) -> UNet:
    """The network of a checkpoint, ready to use; names may begin with `module.`.

    Raises: UsageError for tensors that the layout does not name, or names and does not find.
    """
    plain = {name.removeprefix("module."): value.float() for name, value in tensors.items()}
    with torch.device("meta"):  # a billion first weights are not drawn to be thrown away
        network = UNet(layout)
    try:
        network.load_state_dict(plain, assign=True)
    except RuntimeError as error:
        why = " ".join(str(error).split())[:400]
        raise UsageError(f"the checkpoint does not have this layout: {why}") from error
    network.requires_grad_(False).eval()
    return network
