"""Prepared items as tensors: what is drawn of each item, augmented and padded into a batch.

Everything random comes from a generator that is passed in, so a batch is a function of its seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haetae.dataset.items import FPS, GRID, MODALITIES, Item, decode_crop, in_segments
from haetae.detector.config import ModelConfig
from haetae.detector.model import AudioBranch, Batch
from haetae.detector.pseudo_fakes import self_blended

MAX_AUDIO_S = 30.0
"""Sound beyond this is not looked at by the network; clips are at most 20 s."""


@dataclass
class Targets:
    """What is known, NaN where it is not: clip float32 [B, 3]; frames [B, T]; regions [B, T, GRID, GRID];
    audio_steps [B, Ta']; sync_steps [B, Tv]."""

    clip: Tensor
    frames: Tensor
    regions: Tensor
    audio_steps: Tensor
    sync_steps: Tensor


@dataclass(frozen=True)
class Draw:
    """How much of an item is drawn in training; None: everything, unaugmented."""

    rng: np.random.Generator
    n_frames: int
    audio_crop_s: float


@dataclass
class _One:
    """An item's part of a batch, before padding."""

    clip: tuple[float, float, float]
    frames: NDArray[np.uint8]
    frame_flags: NDArray[np.float32]
    regions: NDArray[np.float32]
    mel: NDArray[np.float32]
    audio_flags: NDArray[np.float32]
    mouth: NDArray[np.float32]
    envelope: NDArray[np.float32]
    sync_flags: NDArray[np.float32]


def collate(
    items: Sequence[Item],
    config: ModelConfig,
    draw: Draw | None = None,
    blends: Sequence[Item | None] | None = None,
) -> tuple[Batch, Targets]:
    """A batch of items and what is known of them. Raises: ValueError for items cut for another model.

    blends: for each item, in training, an untouched item whose crops are self-blended and shown as fake ones
    in place of the item's own; None: its own.
    """
    sources = blends or [None] * len(items)
    ones = [_one(item, config, draw, blend) for item, blend in zip(items, sources, strict=True)]
    b = len(ones)
    t = max(len(one.frames) for one in ones)
    ta = max(len(one.mel) for one in ones)
    tv = max(len(one.mouth) for one in ones)
    s = config.crop_px if t else 0
    frames = np.zeros((b, t, s, s, 3), np.uint8)
    mel, mel_mask = np.zeros((b, ta, config.n_mels), np.float32), np.zeros((b, ta), bool)
    mouth, envelope = np.zeros((b, tv), np.float32), np.zeros((b, tv), np.float32)
    track_mask = np.zeros((b, tv), bool)
    frame_flags = np.full((b, t), np.nan, np.float32)
    regions = np.full((b, t, GRID, GRID), np.nan, np.float32)
    steps = -(-ta // AudioBranch.STRIDE)
    audio_flags, sync_flags = np.full((b, steps), np.nan, np.float32), np.full((b, tv), np.nan, np.float32)
    for i, one in enumerate(ones):
        if len(one.frames):
            frames[i], frame_flags[i], regions[i] = one.frames, one.frame_flags, one.regions
        mel[i, : len(one.mel)], mel_mask[i, : len(one.mel)] = one.mel, True
        audio_flags[i, : len(one.audio_flags)] = one.audio_flags
        n = len(one.mouth)
        mouth[i, :n], envelope[i, :n], track_mask[i, :n] = one.mouth, one.envelope, True
        sync_flags[i, :n] = one.sync_flags
    present = np.array([[item.has[m] for m in MODALITIES] for item in items])
    batch = Batch(
        *(torch.from_numpy(a) for a in (frames, mel, mel_mask, mouth, envelope, track_mask, present))
    )
    clip = torch.tensor([one.clip for one in ones], dtype=torch.float32).reshape(b, len(MODALITIES))
    return batch, Targets(
        clip, *(torch.from_numpy(a) for a in (frame_flags, regions, audio_flags, sync_flags))
    )


def clip_targets(items: Sequence[Item]) -> NDArray[np.float32]:
    """1 fake, 0 real, NaN absent or unknown: float32 [N, 3]."""
    value = {"fake": 1.0, "real": 0.0}
    rows = [
        [value.get(item.verdicts.get(m) or "", np.nan) if item.has[m] else np.nan for m in MODALITIES]
        for item in items
    ]
    return np.array(rows, dtype=np.float32).reshape(len(items), len(MODALITIES))


def _one(item: Item, config: ModelConfig, draw: Draw | None, blend: Item | None) -> _One:
    frames, flags, regions = _frames(blend or item, config, draw, blend is not None)
    mel, audio_flags = _audio(item, config, draw)
    mouth, envelope, sync_flags = _sync(item)
    video, audio, sync = (float(v) for v in clip_targets([item])[0])
    video = video if blend is None else 1.0
    clip = (_drawn(video, flags), _drawn(audio, audio_flags), sync)
    if draw is None:
        clip = (video, audio, sync)
    return _One(clip, frames, flags, regions, mel, audio_flags, mouth, envelope, sync_flags)


def _drawn(target: float, flags: NDArray[np.float32]) -> float:
    """What is true of the part that was drawn: a fake's part is real where nothing in it was changed."""
    known = len(flags) > 0 and not np.isnan(flags).any()
    return float(flags.max()) if target == 1 and known else target


def _frames(
    item: Item, config: ModelConfig, draw: Draw | None, blend: bool
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    n = len(item.frames)
    if n == 0:
        return (
            np.zeros((0, 0, 0, 3), np.uint8),
            np.zeros(0, np.float32),
            np.zeros((0, GRID, GRID), np.float32),
        )
    chosen = np.arange(n)
    if draw is not None:
        # One frame of each of equal stretches: another draw each epoch, the whole clip in every one.
        edges = np.linspace(0, n, min(draw.n_frames, n) + 1)
        spread = edges[:-1] + draw.rng.random(len(edges) - 1) * np.diff(edges)
        chosen = np.minimum(spread.astype(int), n - 1)
    crops = [decode_crop(item.frames[i]) for i in chosen]
    if crops[0].shape != (config.crop_px, config.crop_px, 3):
        raise ValueError(
            f"{item.item_id} has crops of {crops[0].shape[0]} px, the model takes {config.crop_px}"
        )
    flags = np.array([np.nan] * n if item.frame_fake is None else item.frame_fake, dtype=np.float32)
    regions: NDArray[np.float32] = np.full((n, GRID, GRID), np.nan, np.float32)
    if item.regions is not None:
        regions = np.asarray(item.regions / np.float32(255), dtype=np.float32)
    regions = regions[chosen]
    flags = flags[chosen]
    if draw is not None:
        if blend:
            crops, regions = self_blended(crops, draw.rng)
            flags = np.ones(len(crops), np.float32)
        crops, regions = _augment(crops, regions, draw.rng)
    return np.stack(crops), flags, regions


def _augment(
    crops: list[NDArray[np.uint8]], regions: NDArray[np.float32], rng: np.random.Generator
) -> tuple[list[NDArray[np.uint8]], NDArray[np.float32]]:
    """Flip, brightness and contrast, JPEG; the same for all crops of an item."""
    if rng.random() < 0.5:
        crops = [crop[:, ::-1] for crop in crops]
        regions = regions[:, :, ::-1].copy()
    gain, shift = np.float32(rng.uniform(0.85, 1.15)), np.float32(rng.uniform(-15, 15))
    toned = [np.clip((crop.astype(np.float32) - 128) * gain + 128 + shift, 0, 255) for crop in crops]
    crops = [np.ascontiguousarray(np.round(crop).astype(np.uint8)) for crop in toned]
    if rng.random() < 0.3:
        quality = int(rng.integers(60, 96))
        crops = [_recompressed(crop, quality) for crop in crops]
    return crops, regions


def _recompressed(crop: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    _, data = cv2.imencode(".jpg", crop, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def _audio(
    item: Item, config: ModelConfig, draw: Draw | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if item.mel is None:
        return np.zeros((0, config.n_mels), np.float32), np.zeros(0, np.float32)
    if item.mel.shape[1] != config.n_mels:
        raise ValueError(f"{item.item_id} has {item.mel.shape[1]} mel bands, the model takes {config.n_mels}")
    step_s = item.mel_step_s
    first, last = 0, min(len(item.mel), round(MAX_AUDIO_S / step_s))
    # Where it is unknown which part was changed, only the whole can be called fake.
    whole = item.verdicts.get("audio") == "fake" and item.audio_segments is None
    if draw is not None and not whole:
        n = min(last, round(draw.audio_crop_s / step_s))
        first = int(draw.rng.integers(0, last - n + 1))
        last = first + n
    mel = item.mel[first:last].astype(np.float32)
    if draw is not None:
        mel = _masked(mel, draw.rng)
    steps = np.arange(-(-len(mel) // AudioBranch.STRIDE))
    times_s = (first + steps * AudioBranch.STRIDE) * step_s
    flags = np.full(len(steps), np.nan, np.float32)
    if item.audio_segments is not None:
        flags = in_segments(times_s, item.audio_segments).astype(np.float32)
    return mel, flags


def _masked(mel: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Tilt the spectrum and hide a band and a stretch. After: Park et al., SpecAugment, 2019."""
    n, bands = mel.shape
    tilted = mel + np.float32(rng.normal(0, 0.3)) * np.linspace(-1, 1, bands, dtype=np.float32)
    level = np.float32(tilted.mean())
    band, wide = int(rng.integers(0, bands)), int(rng.integers(0, bands // 8 + 1))
    start, long = int(rng.integers(0, n)), int(rng.integers(0, n // 10 + 1))
    tilted[:, band : band + wide] = level
    tilted[start : start + long] = level
    return np.asarray(tilted, dtype=np.float32)


def _sync(item: Item) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    if item.mouth is None or item.envelope is None:
        none = np.zeros(0, np.float32)
        return none, none, none
    flags = np.full(len(item.mouth), np.nan, np.float32)
    if item.sync_segments is not None:
        times_s = (item.first_frame + np.arange(len(item.mouth)) + 0.5) / FPS
        flags = in_segments(times_s, item.sync_segments).astype(np.float32)
    return item.mouth, item.envelope, flags
