"""Layers of LatentSync's network: convolutions of frames, attention within a frame, to the sound, and over time.

Named so that the published tensors fit. How they are put together is `unet`.
After: Li et al., LatentSync, 2024; Guo et al., AnimateDiff, 2023 (time); Rombach et al., 2022 (the rest).
"""

from __future__ import annotations

import math

import torch
from diffusers.models.attention import FeedForward
from torch import Tensor, nn
from torch.nn import functional as F

from generators.lip_sync.latentsync.layout import Layout


def as_pictures(x: Tensor) -> Tensor:
    """[B, C, T, H, W] as [B * T, C, H, W]."""
    b, c, t, h, w = x.shape
    return x.permute(0, 2, 1, 3, 4).reshape(b * t, c, h, w)


def as_video(x: Tensor, n_frames: int) -> Tensor:
    """[B * T, C, H, W] as [B, C, T, H, W]."""
    n, c, h, w = x.shape
    return x.reshape(n // n_frames, n_frames, c, h, w).permute(0, 2, 1, 3, 4)


class FrameConv(nn.Conv2d):
    """A convolution of each frame by itself."""

    def forward(self, x: Tensor) -> Tensor:
        return as_video(super().forward(as_pictures(x)), x.shape[2])


class FrameNorm(nn.GroupNorm):
    """Group norm of each frame by itself; `nn.GroupNorm` takes all frames together."""

    def forward(self, x: Tensor) -> Tensor:
        return as_video(super().forward(as_pictures(x)), x.shape[2])


def norm_of(layout: Layout, channels: int) -> nn.Module:
    kind = FrameNorm if layout.use_inflated_groupnorm else nn.GroupNorm
    return kind(layout.norm_num_groups, channels, eps=layout.norm_eps)


class Down(nn.Module):
    """Halves height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = FrameConv(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.conv(x))


class Up(nn.Module):
    """Doubles height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = FrameConv(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.conv(F.interpolate(x, scale_factor=(1.0, 2.0, 2.0), mode="nearest")))


class Residual(nn.Module):
    """Two convolutions that the step of the diffusion is told to."""

    def __init__(self, layout: Layout, n_in: int, n_out: int, n_time: int) -> None:
        super().__init__()
        self.norm1 = norm_of(layout, n_in)
        self.conv1 = FrameConv(n_in, n_out, 3, padding=1)
        self.time_emb_proj = nn.Linear(n_time, n_out)
        self.norm2 = norm_of(layout, n_out)
        self.conv2 = FrameConv(n_out, n_out, 3, padding=1)
        self.conv_shortcut = FrameConv(n_in, n_out, 1) if n_in != n_out else None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        out = self.conv1(F.silu(self.norm1(x)))
        out = out + self.time_emb_proj(F.silu(time))[:, :, None, None, None]
        out = self.conv2(F.silu(self.norm2(out)))
        return torch.as_tensor((x if self.conv_shortcut is None else self.conv_shortcut(x)) + out)


class Attention(nn.Module):
    """Attention of many heads; to `to` where it is given, else to itself."""

    def __init__(self, channels: int, heads: int, of: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(of or channels, channels, bias=False)
        self.to_v = nn.Linear(of or channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor, to: Tensor | None = None) -> Tensor:
        other = x if to is None else to
        query, key, value = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for y in (self.to_q(x), self.to_k(other), self.to_v(other))
        )
        out = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return torch.as_tensor(self.to_out[0](out))


class _Block(nn.Module):
    """Attention within a frame, then to what is heard during it."""

    def __init__(self, channels: int, heads: int, of: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, heads, of)
        self.ff = FeedForward(channels, activation_fn="geglu")
        self.norm3 = nn.LayerNorm(channels)

    def forward(self, x: Tensor, sound: Tensor) -> Tensor:
        x = self.attn1(self.norm1(x)) + x
        x = self.attn2(self.norm2(x), sound) + x
        return torch.as_tensor(self.ff(self.norm3(x)) + x)


class Listening(nn.Module):
    """Pixels of a frame attend to each other and to the sound. sound: [B, T, tokens, features]."""

    def __init__(self, layout: Layout, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(layout.norm_num_groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        block = _Block(channels, layout.attention_head_dim, layout.cross_attention_dim)
        self.transformer_blocks = nn.ModuleList([block])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, sound: Tensor) -> Tensor:
        pictures = as_pictures(x)
        size = pictures.shape[-2:]
        y = self.proj_in(self.norm(pictures)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            y = block(y, sound.flatten(0, 1))
        y = self.proj_out(y.transpose(1, 2).unflatten(-1, size))
        return as_video(y + pictures, x.shape[2])


class _Positions(nn.Module):
    """Sines that tell when a frame is."""

    pe: Tensor

    def __init__(self, channels: int, longest: int) -> None:
        super().__init__()
        at = torch.arange(longest).unsqueeze(1)
        rate = torch.exp(torch.arange(0, channels, 2) * (-math.log(10_000.0) / channels))
        waves = torch.stack([torch.sin(at * rate), torch.cos(at * rate)], dim=-1).flatten(1)
        self.register_buffer("pe", waves[None, :, :channels])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pe[:, : x.shape[1]]


class _TimeAttention(Attention):
    def __init__(self, layout: Layout, channels: int) -> None:
        motion = layout.motion_module_kwargs
        super().__init__(channels, motion.num_attention_heads)
        longest = motion.temporal_position_encoding_max_len
        self.pos_encoder = _Positions(channels, longest) if motion.temporal_position_encoding else None

    def forward(self, x: Tensor, to: Tensor | None = None) -> Tensor:
        return super().forward(x if self.pos_encoder is None else self.pos_encoder(x), to)


class _TimeBlock(nn.Module):
    def __init__(self, layout: Layout, channels: int) -> None:
        super().__init__()
        count = len(layout.motion_module_kwargs.attention_block_types)
        self.attention_blocks = nn.ModuleList([_TimeAttention(layout, channels) for _ in range(count)])
        self.norms = nn.ModuleList([nn.LayerNorm(channels) for _ in range(count)])
        self.ff = FeedForward(channels, activation_fn="geglu")
        self.ff_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            x = attention(norm(x)) + x
        return torch.as_tensor(self.ff(self.ff_norm(x)) + x)


class _TimeTransformer(nn.Module):
    def __init__(self, layout: Layout, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        count = layout.motion_module_kwargs.num_transformer_block
        self.transformer_blocks = nn.ModuleList([_TimeBlock(layout, channels) for _ in range(count)])
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        b, c, t, h, w = x.shape
        y = as_video(self.norm(as_pictures(x)), t)
        y = self.proj_in(y.permute(0, 3, 4, 2, 1).reshape(b * h * w, t, c))
        for block in self.transformer_blocks:
            y = block(y)
        y = self.proj_out(y).reshape(b, h, w, t, c).permute(0, 4, 3, 1, 2)
        return x + y


class Moving(nn.Module):
    """Each place of the picture attends to itself over time."""

    def __init__(self, layout: Layout, channels: int) -> None:
        super().__init__()
        self.temporal_transformer = _TimeTransformer(layout, channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.temporal_transformer(x))
