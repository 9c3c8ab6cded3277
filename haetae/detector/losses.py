"""Losses of the branches, on what is known only: an unknown label, crop or step adds nothing.

A branch learns from labels of its own modality. That the sound of a sample is fake says nothing about
its picture, so no loss is taken on the overall verdict.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from haetae.detector.batches import Targets
from haetae.detector.config import TrainConfig
from haetae.detector.model import Batch, Output


@dataclass(frozen=True)
class ClassWeights:
    """Weight of the real and of the fake class for each modality: float32 [3, 2]."""

    values: Tensor

    @classmethod
    def of(cls, clip: Tensor) -> ClassWeights:
        """From the labels [N, 3] of what will be seen: both classes weigh the same in sum, 4 times at most."""
        rows = []
        for m in range(clip.shape[1]):
            counts = [float((clip[:, m] == label).sum()) for label in (0, 1)]
            total = sum(counts)
            rows.append([min(4.0, total / (2 * n)) if n else 1.0 for n in counts])
        return cls(torch.tensor(rows, dtype=torch.float32))


def branch_losses(
    output: Output, batch: Batch, targets: Targets, weights: ClassWeights, config: TrainConfig
) -> dict[str, Tensor]:
    """One loss per branch, 0 where the batch knows nothing of it."""
    video = _known_bce(output.clip[:, 0], targets.clip[:, 0], weights.values[0])
    if config.frame_weight:
        video = video + config.frame_weight * _known_bce(output.frames, targets.frames, weights.values[0])
    if config.region_weight:
        video = video + config.region_weight * _region_loss(output.cells, targets)
    steps = targets.audio_steps.masked_fill(~output.audio_mask, float("nan"))
    audio = _known_bce(output.clip[:, 1], targets.clip[:, 1], weights.values[1])
    audio = audio + config.frame_weight * _known_bce(output.audio_steps, steps, weights.values[1])
    moves = targets.sync_steps.masked_fill(~batch.track_mask, float("nan"))
    sync = _known_bce(output.clip[:, 2], targets.clip[:, 2], weights.values[2])
    sync = sync + config.frame_weight * _known_bce(output.sync_steps, moves, weights.values[2])
    return {"video": video, "audio": audio, "sync": sync}


def _known_bce(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Weighted binary cross-entropy over the targets that are not NaN; 0 (with a gradient of 0) where none is."""
    known = ~torch.isnan(targets)
    if not bool(known.any()):
        return logits.sum() * 0
    goal = targets[known]
    weight = torch.where(goal > 0.5, weights[1], weights[0])
    losses = F.binary_cross_entropy_with_logits(logits[known], goal, reduction="none")
    return (losses * weight).sum() / weight.sum()


def _region_loss(cells: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the heat map against the changed share of each cell.

    In changed crops, changed and unchanged cells weigh the same. In unchanged crops a cell weighs as often
    as it is changed in the others: where on a face fakes usually are must tell nothing by itself.
    """
    b, t, h, w = cells.shape
    if b * t == 0 or h * w == 0:
        return cells.sum() * 0
    grid = targets.regions.shape[-2:]
    flat = targets.regions.reshape(b * t, 1, *grid)
    goal = F.adaptive_avg_pool2d(flat, (h, w)) if (h, w) != tuple(grid) else flat
    goal = goal.reshape(b, t, h, w)
    known = ~torch.isnan(goal).flatten(2).any(dim=-1)
    changed = known & (goal.flatten(2).sum(dim=-1) > 0)
    if not bool(changed.any()):
        return cells.sum() * 0
    share = goal[changed]
    inside, outside = share.sum().clamp(min=1), (1 - share).sum().clamp(min=1)
    losses = F.binary_cross_entropy_with_logits(cells[changed], share, reduction="none")
    loss = (losses * (share / inside + (1 - share) / outside)).sum() / 2
    same = cells[known & ~changed]
    if len(same):
        usual = (share.mean(dim=0) + 0.05).expand_as(same)
        losses = F.binary_cross_entropy_with_logits(same, torch.zeros_like(same), reduction="none")
        loss = (loss + (losses * usual).sum() / usual.sum()) / 2
    return loss
