"""What an epoch looks at, and in which order: fakes beside untouched items, some of them self-blended.

How an item becomes tensors is in `batches`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from haetae.dataset.items import Item
from haetae.detector.batches import clip_targets
from haetae.detector.config import TrainConfig

TWINS = 0.7
"""Share of fakes that are followed by their own twin in an epoch."""


@dataclass(frozen=True)
class Sight:
    """One look at an item; `blend`: the untouched item whose self-blended crops stand in for its own."""

    item: Item
    blend: Item | None = None


def sights_of(items: Sequence[Item], config: TrainConfig, epoch: int) -> list[Sight]:
    """Every fake once, each followed by a real item: mostly its twin, so that what a batch tells apart is
    the change and not the person; else any, so that untouched clips without a fake count too.

    Part of the fakes show a self-blended untouched face instead of their own picture; their sound stays.
    Without both kinds it is all items, shuffled.
    """
    rng = np.random.default_rng([config.seed, epoch, 1])
    fakes = [item for item in items if "fake" in item.verdicts.values()]
    reals = [item for item in items if "fake" not in item.verdicts.values()]
    if not fakes or not reals:
        return [Sight(items[i]) for i in rng.permutation(len(items))]
    untouched = [item for item in items if item.frames and item.verdicts["video"] == "real"]
    twins = {item.track_id: item for item in untouched if "fake" not in item.verdicts.values()}
    spare: list[Item] = []
    drawn: list[Sight] = []
    for i in rng.permutation(len(fakes)):
        fake = fakes[i]
        twin = twins.get(fake.track_id) if fake.track_id else None
        blend = None
        if fake.frames and untouched and rng.random() < config.self_blends:
            blend = twin or untouched[int(rng.integers(len(untouched)))]
        drawn.append(Sight(fake, blend))
        if twin is None or rng.random() >= TWINS:
            spare = spare or [reals[j] for j in rng.permutation(len(reals))]
            twin = spare.pop()
        drawn.append(Sight(twin))
    return drawn


def labels_of(sights: Sequence[Sight]) -> torch.Tensor:
    """The labels float32 [N, 3] of these sights, NaN where unknown: what both classes are weighed by."""
    labels = clip_targets([sight.item for sight in sights])
    labels[[sight.blend is not None for sight in sights], 0] = 1.0
    return torch.from_numpy(labels)
