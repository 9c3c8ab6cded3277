"""The lesson of SimSwap: first two identity encoders, then the generator against its discriminators.

One encoder teaches, the other judges: it never sees the halves of the faces that the first one learned from, and no
loss is made of it, so a generator that only deceives its teacher gains nothing by it. What the judge finds is in
`evidence`. After: Chen et al., SimSwap, ACM MM 2020.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from generators.face_swap.simswap import losses
from generators.face_swap.simswap.identity import embedded, teach
from generators.face_swap.simswap.material import Material, altered
from generators.face_swap.simswap.network import Discriminators, IdentityNet, Sizes, SwapNet
from generators.protocol import Lesson
from haetae.provenance.ids import seed_of

N_NOTES = 40
"""Points of the curve."""
MIN_IDENTITY_STEPS = 30
"""An encoder that learned less tells nobody from anybody, and a generator learns nothing from it."""


@dataclass(frozen=True)
class Recipe:
    """How long and how hard is learned; steps are those of effort 1.

    same_share: of a batch whose donor is the target's own person; weights: of the losses; matched_layers: the last
    layers of the discriminators whose features are matched; penalty_every: steps between gradient penalties.
    """

    identity_steps: int = 90
    identity_batch: int = 32
    steps: int = 1000
    batch: int = 8
    same_share: float = 0.5
    learning_rate: float = 1e-3
    identity_weight: float = 6.0
    reconstruction_weight: float = 10.0
    matching_weight: float = 1.0
    adversarial_weight: float = 0.3
    penalty_weight: float = 1.0
    penalty_every: int = 8
    matched_layers: int = 2
    discriminator_channels: int = 24
    average: float = 0.99


def plan(device: str) -> tuple[Sizes, Recipe]:
    """What fits a device: some minutes on one core of a CPU, some hours on a GPU."""
    if torch.device(device).type != "cuda":
        return Sizes(), Recipe()
    sizes = Sizes(crop_px=128, channels=64, blocks=6, halvings=3, id_values=256, id_channels=48)
    recipe = Recipe(
        identity_steps=2000, identity_batch=128, steps=30_000, batch=32, learning_rate=3e-4,
        discriminator_channels=64, average=0.999,
    )  # fmt: skip
    return sizes, recipe


@dataclass
class Curve:
    """Losses as they fall: means over stretches of steps, and told on the way."""

    lesson: Lesson
    n_steps: int
    points: list[dict[str, float]] = field(default_factory=list)
    _sums: dict[str, float] = field(default_factory=dict)
    _n: int = 0
    _done: int = 0

    def note(self, values: Mapping[str, float]) -> None:
        """One step more. A loss that is not there in a step keeps the stretch's mean of the others."""
        self._done += 1
        self._n += 1
        if set(values) != set(self._sums):
            self._sums, self._n = dict.fromkeys(values, 0.0), 1
        for name, value in values.items():
            self._sums[name] += value
        if self._done % max(1, self.n_steps // N_NOTES) == 0 or self._done == self.n_steps:
            means = {name: round(value / self._n, 6) for name, value in self._sums.items()}
            self.points.append({"step": float(self._done), **means})
            self.lesson.tell(self._done, self.n_steps, means)
            self._sums, self._n = dict.fromkeys(values, 0.0), 0


@dataclass(frozen=True)
class Result:
    """What a lesson left behind: the generator (averaged over its last steps), its encoder, the judge, the curve."""

    generator: SwapNet
    untrained: SwapNet
    encoder: IdentityNet
    judge: IdentityNet
    curve: list[dict[str, float]]


def train(material: Material, sizes: Sizes, recipe: Recipe, lesson: Lesson) -> Result:
    """The whole lesson. Runs within `steady`."""
    identity_steps = round(recipe.identity_steps * min(1.0, lesson.effort**0.5))
    identity_steps = max(min(MIN_IDENTITY_STEPS, recipe.identity_steps), identity_steps)
    steps = max(2, round(recipe.steps * lesson.effort))
    curve = Curve(lesson, 2 * identity_steps + steps)
    taught = []
    for name, half in (("teacher", ~material.second), ("judge", material.second)):
        rng = _rng("simswap", name, lesson.seed)
        torch.manual_seed(seed_of("simswap first weights", name, lesson.seed) % 2**63)
        faces = material.where(half & ~material.held)
        note = _named(curve, name)
        taught.append(teach(faces, sizes, identity_steps, recipe.identity_batch, rng, note).encoder)
    torch.manual_seed(seed_of("simswap first weights", "generator", lesson.seed) % 2**63)
    coach = Coach(material, sizes, recipe, taught[0], _rng("simswap", "generator", lesson.seed))
    untrained = _copy(coach.generator, sizes, material.pictures.device)
    for step in range(steps):
        curve.note(coach.step(step, steps))
    return Result(coach.averaged.eval(), untrained.eval(), taught[0], taught[1], curve.points)


class Coach:
    """Trains a generator step by step, by a frozen identity encoder and discriminators that learn with it."""

    def __init__(
        self, material: Material, sizes: Sizes, recipe: Recipe, encoder: IdentityNet, rng: torch.Generator
    ) -> None:
        device = material.pictures.device
        self.generator = SwapNet(sizes).to(device)
        self.averaged = _copy(self.generator, sizes, device)
        self.discriminators = Discriminators(recipe.discriminator_channels).to(device)
        rate = recipe.learning_rate
        self._ours = torch.optim.Adam(self.generator.parameters(), rate, betas=(0.5, 0.99))
        self._theirs = torch.optim.Adam(self.discriminators.parameters(), rate, betas=(0.0, 0.99))
        self._recipe, self._encoder, self._rng = recipe, encoder, rng
        self._pictures, self._soft = material.pictures, material.soft
        faces = material.where(~material.held)
        self._groups = faces.people()
        # A donor is always seen as it is, so it is embedded once.
        self._identities = embedded(encoder, self._pictures)

    def step(self, k: int, of: int) -> dict[str, float]:
        """One step of the discriminators and one of the generator; the losses by name, unweighted."""
        _set_rate(self._ours, self._recipe.learning_rate * min(1.0, 2 * (1 - k / of) + 0.02))
        target, identity, same = self._drawn()
        with _mixed(target.device):
            made = self.generator(target, identity)
        of_discriminators = self._judged(k, target, made.detach())
        parts = self._parts(target, identity, same, made)
        r = self._recipe
        total = (
            r.identity_weight * parts["identity"]
            + r.reconstruction_weight * parts["reconstruction"]
            + r.matching_weight * parts["feature_matching"]
            + r.adversarial_weight * parts["adversarial"]
        )
        self._ours.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 10.0)
        self._ours.step()
        self._average(k)
        return {**{name: float(value.detach()) for name, value in parts.items()}, **of_discriminators}

    def _parts(self, target: Tensor, identity: Tensor, same: Tensor, made: Tensor) -> dict[str, Tensor]:
        self.discriminators.requires_grad_(False)
        with _mixed(target.device):
            features = self.discriminators(made)
            with torch.no_grad():
                wanted = self.discriminators(target)
            seen = self._encoder(altered(made, self._rng, turn=False))
        self.discriminators.requires_grad_(True)
        return {
            "identity": losses.identity_loss(seen, identity),
            "reconstruction": losses.reconstruction_loss(made, target, same),
            "feature_matching": losses.weak_feature_matching(wanted, features, self._recipe.matched_layers),
            "adversarial": losses.adversarial_loss(features),
        }

    def _judged(self, k: int, target: Tensor, made: Tensor) -> dict[str, float]:
        """The discriminators' own step."""
        penalised = k % self._recipe.penalty_every == 0
        # The penalty is a gradient of a gradient, which half precision does not hold.
        with contextlib.nullcontext() if penalised else _mixed(target.device):
            real = target.clone().requires_grad_(penalised)
            of_real = self.discriminators(real)
            loss = losses.discriminator_loss(of_real, self.discriminators(made))
            total = loss
            if penalised:
                weight = self._recipe.penalty_weight * self._recipe.penalty_every
                total = loss + 0.5 * weight * losses.gradient_penalty(real, of_real)
        self._theirs.zero_grad(set_to_none=True)
        total.backward()
        self._theirs.step()
        return {"discriminator": float(loss.detach())}

    def _drawn(self) -> tuple[Tensor, Tensor, Tensor]:
        """Targets [B, 3, S, S], identities [B, V] of other pictures, whether these are the target's own person [B]."""
        n, rng = self._recipe.batch, self._rng
        n_same = round(n * self._recipe.same_share)
        target: list[Tensor] = []
        donor: list[Tensor] = []
        for k in range(n):
            who = int(torch.randint(len(self._groups), (), generator=rng))
            other = who
            if k >= n_same:
                other = (who + int(torch.randint(1, len(self._groups), (), generator=rng))) % len(
                    self._groups
                )
            for places, person in ((target, who), (donor, other)):
                group = self._groups[person]
                places.append(group[int(torch.randint(len(group), (), generator=rng))])
        device = self._pictures.device
        pictures = self._pictures[torch.stack(target).to(device)]
        mirror = (torch.rand(n, 1, 1, 1, generator=rng) < 0.5).to(device)
        pictures = torch.where(mirror, pictures.flip(3), pictures)
        same = (torch.arange(n) < n_same).to(device)
        return pictures, self._identities[torch.stack(donor).to(device)], same

    def _average(self, k: int) -> None:
        keep = min(self._recipe.average, (1 + k) / (10 + k))
        with torch.no_grad():
            for mean, value in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)


def _copy(network: SwapNet, sizes: Sizes, device: torch.device) -> SwapNet:
    copy: SwapNet = SwapNet(sizes).to(device).requires_grad_(False)
    copy.load_state_dict(network.state_dict())
    return copy


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


@contextlib.contextmanager
def _mixed(device: torch.device) -> Iterator[None]:
    """Half precision where it is fast and losses stay in range: bfloat16 on a GPU, nothing on a CPU."""
    if device.type != "cuda":
        yield
        return
    with torch.autocast("cuda", torch.bfloat16):
        yield


def _rng(*parts: object) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(*parts) % 2**63)


def _named(curve: Curve, who: str) -> NoteTaker:
    return NoteTaker(curve, who)


@dataclass(frozen=True)
class NoteTaker:
    """Writes an encoder's losses under its name."""

    curve: Curve
    who: str

    def __call__(self, _step: int, values: dict[str, float]) -> None:
        self.curve.note({f"{name}_{self.who}": value for name, value in values.items()})
