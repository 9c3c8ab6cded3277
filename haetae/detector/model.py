"""The network: branches for picture, sound and their agreement, each able to be absent.

Fusion of the branches is in `fusion`, losses in `losses`, training in `train`. Every branch gives logits
on small pieces (a cell of a crop, a step of time) and pools them, so that what speaks for "fake" has
a place; and no branch shares a weight with another, so that what is known of one modality teaches
that one only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from haetae.detector.config import ModelConfig

SHARPNESS = 1.0
"""Between the mean (0) and the maximum (∞) in pooling."""

VIDEO_CHANNELS = 9
"""Colours, residuals, and the local strength of the residuals."""

SYNC_LAGS = 8
"""Frames by which the sound may lead or follow the mouth in the sync branch: 8 are 320 ms."""


@dataclass
class Batch:
    """Items side by side. A branch reads its own fields; `present` says which items have them.

    frames: uint8 [B, T, S, S, 3]; mel: float32 [B, Ta, n_mels] with mel_mask bool [B, Ta];
    mouth, envelope: float32 [B, Tv] with track_mask bool [B, Tv]; present: bool [B, 3].
    """

    frames: Tensor
    mel: Tensor
    mel_mask: Tensor
    mouth: Tensor
    envelope: Tensor
    track_mask: Tensor
    present: Tensor

    def to(self, device: str) -> Batch:
        return Batch(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass
class Output:
    """Logits, fake above 0.

    clip: float32 [B, 3] in the order of MODALITIES, 0 where absent; frames [B, T]; cells [B, T, h, w];
    audio_steps [B, Ta'] with audio_mask; sync_steps [B, Tv].
    """

    clip: Tensor
    frames: Tensor
    cells: Tensor
    audio_steps: Tensor
    audio_mask: Tensor
    sync_steps: Tensor


class DetectorNet(nn.Module):
    """All branches. Absent modalities cost nothing where no item of the batch has them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.video = VideoBranch(config)
        self.audio = AudioBranch()
        self.sync = SyncBranch()

    def forward(self, batch: Batch) -> Output:
        has = batch.present
        frames, cells = self.video(batch.frames)
        audio_steps, audio_mask = self.audio(batch.mel, batch.mel_mask)
        sync_steps = self.sync(batch.mouth, batch.envelope, batch.track_mask)
        clip = torch.stack(
            [
                log_mean_exp(frames, torch.ones_like(frames, dtype=torch.bool)),
                log_mean_exp(audio_steps, audio_mask),
                log_mean_exp(sync_steps, batch.track_mask),
            ],
            dim=1,
        )
        clip = torch.where(has, clip, torch.zeros_like(clip))
        return Output(clip, frames, cells, audio_steps, audio_mask, sync_steps)


def log_mean_exp(logits: Tensor, mask: Tensor, sharpness: float = SHARPNESS) -> Tensor:
    """Soft maximum over the last axis where mask is true, equal to the value if all are equal; 0 where none is."""
    scaled = (sharpness * logits).masked_fill(~mask, -1e4)
    count = mask.sum(dim=-1)
    pooled = (torch.logsumexp(scaled, dim=-1) - count.clamp(min=1).log()) / sharpness
    return torch.where(count > 0, pooled, torch.zeros_like(pooled))


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last axis where mask is true; 0 where it never is."""
    return (values * mask).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)


class Residual(nn.Module):
    """Three high-pass residuals of the grey picture, truncated to ±2 grey levels, and how strong they are.

    The local strength is given as such because it is what resampling and blending change first, and a
    small network with few examples takes long to find a variance.
    After: Fridrich & Kodovsky, Rich Models for Steganalysis, 2012; Zhou et al., CVPR 2018.
    """

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        kernels = torch.zeros(3, 1, 5, 5)
        kernels[0, 0, 1:4, 1:4] = torch.tensor([[-1.0, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
        ring = [[-1.0, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2]]
        kernels[1, 0] = torch.tensor([*ring, ring[1], ring[0]]) / 12
        kernels[2, 0, 2, 1:4] = torch.tensor([1.0, -2, 1]) / 2
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, rgb_255: Tensor) -> Tensor:
        """float32 [N, 3, H, W] in 0–255 → float32 [N, 6, H, W]: residuals in ±1, logarithm of their strength."""
        weights = rgb_255.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        grey = F.pad((rgb_255 * weights).sum(dim=1, keepdim=True), (2, 2, 2, 2), mode="replicate")
        fine = F.conv2d(grey, self.kernels).clamp(-2, 2) / 2
        strength = F.avg_pool2d(fine.abs(), 5, 1, 2, count_include_pad=False)
        return torch.cat([fine, (strength + 0.02).log() / 2 + 1], dim=1)


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(math.gcd(8, channels), channels)


class _Block(nn.Module):
    """Two 3 × 3 convolutions with a shortcut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.first_norm = _norm(outside)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.second_norm = _norm(outside)
        same = stride == 1 and inside == outside
        self.short = nn.Identity() if same else nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.first_norm(self.first(x)))
        return F.silu(self.second_norm(self.second(y)) + self.short(x))


class SmallBackbone(nn.Module):
    """A few residual blocks; feature maps of strides 8 and 16, joined at stride 8."""

    channels = 96

    def __init__(self, inside: int = VIDEO_CHANNELS) -> None:
        super().__init__()
        self.stem = nn.Conv2d(inside, 16, 3, 2, 1, bias=False)
        self.stem_norm = _norm(16)
        self.fine = nn.Sequential(_Block(16, 24, 2), _Block(24, 48, 2))
        self.coarse = _Block(48, 48, 2)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(F.silu(self.stem_norm(self.stem(x))))
        coarse = F.interpolate(self.coarse(fine), size=fine.shape[-2:], mode="nearest")
        return torch.cat([fine, coarse], dim=1)


class TimmBackbone(nn.Module):
    """The last feature map of a timm model with more input channels; weights come from our own file only."""

    def __init__(self, name: str, crop_px: int) -> None:
        super().__init__()
        import timm

        if name not in timm.list_models():
            raise ValueError(f"no backbone {name!r}: use 'haetae_small' or a name from timm.list_models()")
        given = {"pretrained": False, "in_chans": VIDEO_CHANNELS, "features_only": True, "out_indices": (-1,)}
        try:
            self.body = timm.create_model(name, img_size=crop_px, **given)
        except TypeError:
            self.body = timm.create_model(name, **given)
        self.channels = int(self.body.feature_info.channels()[-1])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x)[-1]
        # Some timm models give channels last.
        return found if found.shape[1] == self.channels else found.permute(0, 3, 1, 2)


class VideoBranch(nn.Module):
    """Crops → logits per cell → per crop."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.residual = Residual()
        self.backbone: SmallBackbone | TimmBackbone
        if config.backbone == "haetae_small":
            self.backbone = SmallBackbone()
        else:
            self.backbone = TimmBackbone(config.backbone, config.crop_px)
        self.head = nn.Conv2d(self.backbone.channels, 1, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [B, T, S, S, 3] → logits of crops [B, T] and cells [B, T, h, w]."""
        b, t, s = frames.shape[:3]
        if b * t == 0 or s == 0:
            return frames.new_zeros((b, t), dtype=torch.float32), frames.new_zeros((b, t, 1, 1)).float()
        rgb = frames.reshape(b * t, s, s, 3).permute(0, 3, 1, 2).float()
        seen = torch.cat([rgb / 127.5 - 1, self.residual(rgb)], dim=1)
        cells = self.head(self.backbone(seen))[:, 0]
        flat = cells.flatten(1)
        logits = log_mean_exp(flat, torch.ones_like(flat, dtype=torch.bool))
        return logits.view(b, t), cells.view(b, t, *cells.shape[1:])


class AudioBranch(nn.Module):
    """Log-mel → logits of stretches of eight steps."""

    STRIDE = 8

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 16, 24, 32)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 3, 2, 1, bias=False), _norm(o), nn.SiLU(), _Smooth(o))
            for i, o in pairwise(widths)
        )
        self.over_time = nn.Conv1d(2 * widths[-1], 32, 3, padding=1)
        self.head = nn.Conv1d(32, 1, 1)

    def forward(self, mel: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [B, T, M], bool [B, T] → logits [B, ceil(T / 8)] and their mask."""
        if mel.shape[0] * mel.shape[1] == 0:
            return mel.new_zeros(mel.shape[:2]), mask
        x = (normalised_mel(mel, mask) * mask[..., None])[:, None]
        for block in self.blocks:
            x = block(x)
        x = torch.cat([x.mean(dim=3), x.amax(dim=3)], dim=1)
        logits = self.head(F.silu(self.over_time(x)))[:, 0]
        steps = F.max_pool1d(mask[:, None].float(), 2 * self.STRIDE - 1, self.STRIDE, self.STRIDE - 1)
        return logits, steps[:, 0, : logits.shape[1]] > 0


class _Smooth(nn.Module):
    """A depthwise-separable residual convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(F.silu(self.spread(x)))
        return x + mixed


def normalised_mel(mel: Tensor, mask: Tensor) -> Tensor:
    """Log-mel with the mean over the whole clip taken off and its spread made 1: loudness is no cue."""
    weights = mask[..., None].float().expand_as(mel)
    n = weights.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    mean = (mel * weights).sum(dim=(1, 2), keepdim=True) / n
    spread = (((mel - mean) * weights) ** 2).sum(dim=(1, 2), keepdim=True) / n
    return (mel - mean) / (spread + 1e-4).sqrt()


class SyncBranch(nn.Module):
    """Mouth opening and speech envelope → logits per frame, from windowed correlations at many lags."""

    WINDOW = 25

    def __init__(self) -> None:
        super().__init__()
        inside = 2 * (2 * SYNC_LAGS + 1) + 4
        self.layers = nn.Sequential(
            nn.Conv1d(inside, 24, 5, padding=2), nn.SiLU(), nn.Conv1d(24, 24, 5, padding=2), nn.SiLU()
        )
        self.head = nn.Conv1d(24, 1, 1)

    def forward(self, mouth: Tensor, envelope: Tensor, mask: Tensor) -> Tensor:
        """float32 [B, T] twice, bool [B, T] → logits [B, T]."""
        if mouth.shape[0] * mouth.shape[1] == 0:
            return mouth.new_zeros(mouth.shape)
        m, e = _standard(mouth, mask), _standard(envelope, mask)
        dm, de = _slope(m) * mask, _slope(e) * mask
        maps = [m, e, dm, de, *self._correlations(m, e, mask), *self._correlations(dm, de, mask)]
        logits: Tensor = self.head(self.layers(torch.stack(maps, dim=1)))[:, 0]
        return logits

    def _correlations(self, a: Tensor, b: Tensor, mask: Tensor) -> list[Tensor]:
        """Windowed correlation of a(t) with b(t + lag), one map for each lag."""
        norm = (self._window(a * a, mask) * self._window(b * b, mask) + 1e-3).sqrt()
        made = []
        for lag in range(-SYNC_LAGS, SYNC_LAGS + 1):
            shifted = F.pad(b, (SYNC_LAGS, SYNC_LAGS))[:, SYNC_LAGS + lag :][:, : b.shape[1]]
            made.append(self._window(a * shifted, mask) / norm)
        return made

    def _window(self, x: Tensor, mask: Tensor) -> Tensor:
        half = self.WINDOW // 2
        both = F.avg_pool1d(torch.stack([x * mask, mask.float()], dim=1), self.WINDOW, 1, half)
        return both[:, 0] / both[:, 1].clamp(min=1e-3)


def _standard(x: Tensor, mask: Tensor) -> Tensor:
    mean = masked_mean(x, mask)[:, None]
    spread = masked_mean((x - mean) ** 2, mask)[:, None]
    return (x - mean) / (spread + 1e-6).sqrt() * mask


def _slope(x: Tensor) -> Tensor:
    return F.pad((x[:, 2:] - x[:, :-2]) / 2, (1, 1))
