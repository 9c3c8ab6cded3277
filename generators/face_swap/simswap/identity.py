"""Teaching the identity encoder, and asking it who somebody is.

The network is `network.IdentityNet`. After: Deng et al., ArcFace: Additive Angular Margin Loss for Deep Face
Recognition, CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators.face_swap.simswap.losses import arc_margin
from generators.face_swap.simswap.material import Faces, altered
from generators.face_swap.simswap.network import IdentityNet, Sizes

MARGIN = 0.3
"""Radians. The paper's 0.5 is for tens of thousands of people; with few it keeps the loss from falling at all."""
SCALE = 16.0
LEARNING_RATE = 2e-3


@dataclass(frozen=True)
class Taught:
    """An encoder that was taught, in evaluation mode, and its losses at the steps where they were noted."""

    encoder: IdentityNet
    curve: list[dict[str, float]]


def teach(
    faces: Faces,
    sizes: Sizes,
    steps: int,
    batch: int,
    rng: torch.Generator,
    note: Callable[[int, dict[str, float]], None],
) -> Taught:
    """Margin softmax over the people of `faces`, each drawn equally often, on altered pictures.

    Runs within `steady`, whose seed draws the first weights. note: told of each step.
    """
    groups = faces.people()
    device = faces.of.pictures.device
    encoder = IdentityNet(sizes).to(device)
    centres = nn.Parameter(F.normalize(torch.randn(len(groups), sizes.id_values), dim=1).to(device))
    optimiser = torch.optim.AdamW(
        [*encoder.parameters(), centres], LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-3
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1), 0.05 * LEARNING_RATE)
    encoder.train()
    curve: list[dict[str, float]] = []
    for step in range(steps):
        who = torch.randint(len(groups), (batch,), generator=rng)
        at = torch.stack([_one(groups[int(k)], rng) for k in who])
        made = encoder(altered(faces.of.pictures[at.to(device)], rng, turn=True))
        loss = arc_margin(made @ F.normalize(centres, dim=1).T, who.to(device), MARGIN, SCALE)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        curve.append({"identity_softmax": float(loss.detach())})
        note(step, curve[-1])
    return Taught(encoder.eval().requires_grad_(False), curve)


def _one(group: Tensor, rng: torch.Generator) -> Tensor:
    return group[int(torch.randint(len(group), (), generator=rng))]


def embedded(encoder: IdentityNet, pictures: Tensor, batch: int = 64) -> Tensor:
    """Identity of each picture, and of its mirror image, together: float [N, V] of length 1."""
    with torch.no_grad():
        parts = [encoder(part) + encoder(part.flip(3)) for part in pictures.split(batch)]
    return F.normalize(torch.cat(parts), dim=1)


def person_of(vectors: Tensor) -> Tensor:
    """One identity from several pictures of a person: [V] of length 1. vectors: [N, V]."""
    return F.normalize(vectors.mean(dim=0), dim=0)
