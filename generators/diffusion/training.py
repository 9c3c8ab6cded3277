"""Training the denoising network on faces, with the loss on faces held back before and after.

What a batch shows is drawn by the generator that learns; what its pictures are worth is measured in `judged`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.diffusion.network import Denoiser, Plan, built
from generators.diffusion.schedule import loss_weight, noised
from generators.protocol import FaceSet, Lesson
from generators.repeatable import repeatable
from haetae.errors import UsageError
from haetae.provenance.ids import seed_of

MIN_CROPS = 16
HELD_SHARE = 0.12
_TOLD_TIMES = 20


@dataclass(frozen=True)
class Batch:
    """clean: float32 [B, 3, S, S] in [-1, 1]; mask: float32 [B, 1, S, S], 1 where something is to be made, or None."""

    clean: Tensor
    mask: Tensor | None = None

    def to(self, device: str) -> Batch:
        return Batch(self.clean.to(device), None if self.mask is None else self.mask.to(device))


@dataclass(frozen=True)
class Recipe:
    """steps: at effort 1; rate: highest learning rate; ema: share that the average keeps of itself at each step."""

    steps: int = 560
    batch: int = 8
    rate: float = 2e-3
    warm_up: int = 30
    ema: float = 0.99


@dataclass(frozen=True)
class Trained:
    """The averaged network, the losses on the way, and those on what was held back, before and after."""

    network: Denoiser
    curve: tuple[dict[str, float], ...]
    held_loss_before: float
    held_loss_after: float

    def as_metrics(self) -> dict[str, float]:
        """The held-back losses by name."""
        return {"held_loss_before": self.held_loss_before, "held_loss_after": self.held_loss_after}


def apart(faces: FaceSet, seed: int, key: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of crops to learn from and of crops held back: other people, or the end of each track where there
    is only one person.

    Raises: UsageError for fewer than 16 crops, or crops and meshes that do not belong together.
    """
    n = len(faces.crops)
    if n < MIN_CROPS:
        raise UsageError(
            f"{key} learns from at least {MIN_CROPS} crops of faces, and there are {n}: bring in more clips"
        )
    sizes = {len(part) for part in (faces.meshes, faces.person, faces.track, faces.frame)}
    if sizes != {n} or faces.crops.ndim != 4 or faces.crops.shape[1] != faces.crops.shape[2]:
        raise UsageError(f"{key}: {n} crops of shape {faces.crops.shape[1:]} do not fit to their meshes")
    people = sorted(set(faces.person.tolist()), key=lambda one: seed_of("held", seed, one))
    held = np.zeros(n, np.bool_)
    if len(people) > 1:
        for one in people[:-1]:
            held |= faces.person == one
            if held.mean() >= HELD_SHARE:
                break
    else:
        for track in sorted(set(faces.track.tolist())):
            at = np.flatnonzero(faces.track == track)
            held[at[round(0.8 * len(at)) :]] = True
        held[n - 1] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def trained(
    plan: Plan,
    recipe: Recipe,
    lesson: Lesson,
    draw: Callable[[np.random.Generator], Batch],
    held: Batch,
) -> Trained:
    """Train a new network. draw: a batch; held: what the loss is measured on before and after.

    Equal arguments give equal weights on one device. Raises: UsageError for an effort that is not above 0, or a loss
    that is no number any more.
    """
    if not (lesson.effort > 0 and math.isfinite(lesson.effort)):
        raise UsageError(f"an effort of {lesson.effort} teaches nothing; give a number above 0")
    steps = max(2, round(recipe.steps * lesson.effort))
    rng = np.random.default_rng(seed_of("lesson", plan.kind, lesson.seed))
    noise = torch.Generator("cpu").manual_seed(seed_of("lesson noise", lesson.seed))
    curve: list[dict[str, float]] = []
    with repeatable():
        network = built(plan, lesson.seed)
        network.unet.to(lesson.device).train()
        average = {name: value.detach().clone() for name, value in network.state().items()}
        before = held_loss(network, held, plan.last_time, lesson)
        optimiser = torch.optim.AdamW(
            network.unet.parameters(), lr=recipe.rate, weight_decay=1e-4, betas=(0.9, 0.98)
        )
        told: list[float] = []
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * _pace(step, steps, recipe.warm_up)
            loss = _loss(network, draw(rng).to(lesson.device), plan.last_time, noise)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.unet.parameters(), 1.0)
            optimiser.step()
            _follow(average, network, min(recipe.ema, (1 + step) / (10 + step)))
            told.append(float(loss.detach()))
            if not math.isfinite(told[-1]):
                raise UsageError(
                    f"{plan.kind}: the loss at step {step} is no number; teach it with another seed"
                )
            if (step + 1) % max(1, steps // _TOLD_TIMES) == 0 or step + 1 == steps:
                curve.append({"step": float(step + 1), "loss": round(float(np.mean(told)), 6)})
                lesson.tell(step + 1, steps, {"loss": curve[-1]["loss"]})
                told = []
        network.unet.load_state_dict(average)
        network.unet.eval()
        after = held_loss(network, held, plan.last_time, lesson)
    return Trained(network, tuple(curve), before, after)


def held_loss(network: Denoiser, held: Batch, last_time: float, lesson: Lesson) -> float:
    """Mean weighted loss on the same pictures with the same noise at times spread evenly over what is trained."""
    generator = torch.Generator("cpu").manual_seed(seed_of("held noise", 0))
    n = len(held.clean)
    times = (torch.arange(n, dtype=torch.float32) + 0.5) / n * last_time
    with torch.inference_mode():
        return round(float(_error(network, held.to(lesson.device), times.to(lesson.device), generator)), 6)


def pictures(crops: NDArray[np.uint8]) -> Tensor:
    """uint8 [B, S, S, 3] as float32 [B, 3, S, S] in [-1, 1]."""
    flat = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))).float()
    return flat / 127.5 - 1


def _loss(network: Denoiser, batch: Batch, last_time: float, noise: torch.Generator) -> Tensor:
    n = len(batch.clean)
    # One time in each of n equal stretches: batches differ less, and every level of noise is seen in each.
    times = (torch.arange(n) + torch.rand(n, generator=noise)) / n * last_time
    return _error(network, batch, times.to(batch.clean.device), noise)


def _error(network: Denoiser, batch: Batch, times: Tensor, noise: torch.Generator) -> Tensor:
    drawn = torch.randn(batch.clean.shape, generator=noise).to(batch.clean.device)
    noisy = noised(batch.clean, drawn, times)
    weight = loss_weight(times)[:, None, None, None]
    if batch.mask is None:
        return (weight * (network(noisy, times) - batch.clean) ** 2).mean()
    # Only what is to be made is noised and judged; the rest is shown as it is.
    shown = batch.mask * noisy + (1 - batch.mask) * batch.clean
    error = weight * batch.mask * (network(shown, times, batch.mask) - batch.clean) ** 2
    return error.sum() / (3 * batch.mask.sum()).clamp(min=1.0)


def _pace(step: int, steps: int, warm_up: int) -> float:
    """Share of the learning rate: up in a few steps, then down along half a cosine."""
    rise = min(1.0, (step + 1) / max(1, min(warm_up, steps // 5)))
    return rise * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * step / steps)))


def _follow(average: dict[str, Tensor], network: Denoiser, keep: float) -> None:
    with torch.no_grad():
        for name, value in network.state().items():
            average[name].lerp_(value, 1 - keep)
