"""What a lesson brought, on faces that were held back: whom swapped faces are like, and how well a face is kept.

Judged by an encoder that took no part in training the generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generators.crops import cut
from generators.face_swap.simswap.identity import embedded, person_of, teach
from generators.face_swap.simswap.material import Material, as_tensor
from generators.face_swap.simswap.network import IdentityNet, Sizes, SwapNet
from generators.face_swap.simswap.training import Recipe, Result
from generators.followed import Followed
from generators.protocol import FaceSet
from generators.repeatable import repeatable
from haetae.provenance.ids import seed_of

MAX_TARGETS = 96
"""Held-back faces that are swapped for the figures, evenly over all of them."""


def measured(material: Material, result: Result) -> dict[str, float]:
    """Figures by name.

    identity_to_donor_before/_after, identity_to_target_before/_after: mean cosine of the target's face, untouched
    and swapped, to the person who is the donor and to the target's own, each known from faces that were learned
    from; identity_moved: share of swaps nearer to the donor than the untouched face is, and farther from the target;
    recognised_as_donor: share whose nearest of all people is the donor; reconstruction_before/_after: mean
    |difference|, 0 to 255, of a face given its own identity, by the generator before and after training;
    judge_accuracy, teacher_accuracy: share of held-back faces that the encoders know. Swaps are judged as they are
    pasted: within the soft mask, with the detail of the target that the network does not hold.
    """
    target, person = _held(material)
    donor = (person + 1 + torch.arange(len(person), device=person.device) % (material.n_people - 1)) % (
        material.n_people
    )
    people = {
        who: _people(material, net) for who, net in (("judge", result.judge), ("teacher", result.encoder))
    }
    pictures, soft = material.pictures[target], material.soft[target]
    teacher = people["teacher"]
    swapped = _pasted(result.generator, pictures, (teacher[donor], teacher[person]), soft)
    before, after = (embedded(result.judge, x) @ people["judge"].T for x in (pictures, swapped))
    mine, theirs = person[:, None], donor[:, None]
    moved = (after.gather(1, theirs) > before.gather(1, theirs)) & (
        after.gather(1, mine) < before.gather(1, mine)
    )
    own = people["teacher"][person]
    known = embedded(result.encoder, pictures) @ people["teacher"].T
    out = {
        "identity_to_donor_before": before.gather(1, theirs).mean(),
        "identity_to_donor_after": after.gather(1, theirs).mean(),
        "identity_to_target_before": before.gather(1, mine).mean(),
        "identity_to_target_after": after.gather(1, mine).mean(),
        "identity_moved": moved.float().mean(),
        "recognised_as_donor": (after.argmax(1) == donor).float().mean(),
        "reconstruction_before": _reconstruction(result.untrained, pictures, own),
        "reconstruction_after": _reconstruction(result.generator, pictures, own),
        "judge_accuracy": (before.argmax(1) == person).float().mean(),
        "teacher_accuracy": (known.argmax(1) == person).float().mean(),
    }
    return {"n_held_back": float(len(target)), "n_people": float(material.n_people)} | {
        name: round(float(value), 6) for name, value in out.items()
    }


@dataclass(frozen=True)
class Judge:
    """Whom a face over a whole clip is like, by an encoder that no lesson of a generator knows.

    people: float [P, V], everyone in the faces it was taught with, in the order of their numbers there.
    """

    encoder: IdentityNet
    people: Tensor
    crop_px: int
    device: str

    @classmethod
    def taught(cls, faces: FaceSet, device: str, seed: int, steps: int = 80) -> Judge:
        """Teach one, on the half of the faces that teachers of generators do not see."""
        sizes, recipe = Sizes(), Recipe()
        with repeatable(seed_of("simswap judge", seed), device):
            material = Material.of(faces, sizes.crop_px, device)
            rng = torch.Generator().manual_seed(seed_of("simswap judge", seed) % 2**63)
            chosen = material.where(material.second & ~material.held)
            encoder = teach(
                chosen, sizes, steps, recipe.identity_batch, rng, lambda _k, _values: None
            ).encoder
            return cls(encoder, _people(material, encoder), sizes.crop_px, device)

    def likeness(self, face: Followed, looks: int = 12) -> list[float]:
        """Cosine of a followed face to each of the people."""
        there = np.flatnonzero(face.usable)
        at = there[np.linspace(0, len(there) - 1, min(len(there), looks)).round().astype(int)]
        crops = np.stack([cut(face, int(t), self.crop_px).crop for t in at])
        with repeatable(0, self.device):
            who = person_of(embedded(self.encoder, as_tensor(crops).to(self.device)))
        return [float(value) for value in self.people @ who]


def _held(material: Material) -> tuple[Tensor, Tensor]:
    """Places of held-back faces, and who they are."""
    at = material.held.nonzero()[:, 0]
    spread = torch.linspace(0, len(at) - 1, min(len(at), MAX_TARGETS)).round().long().to(at.device)
    return at[spread], material.person[at[spread]]


def _people(material: Material, encoder: IdentityNet) -> Tensor:
    """Everyone's identity by the faces that were learned from: float [P, V]."""
    vectors = embedded(encoder, material.pictures)
    learned = ~material.held
    of = [vectors[learned & (material.person == k)].mean(dim=0) for k in range(material.n_people)]
    return F.normalize(torch.stack(of), dim=1)


def _pasted(generator: SwapNet, pictures: Tensor, ids: tuple[Tensor, Tensor], soft: Tensor) -> Tensor:
    change = _made(generator, pictures, ids[0]) - _made(generator, pictures, ids[1])
    return (pictures + soft * change).clamp(-1, 1)


def _made(generator: SwapNet, pictures: Tensor, identity: Tensor) -> Tensor:
    parts = zip(pictures.split(16), identity.split(16), strict=True)
    return torch.cat([generator(face, who) for face, who in parts])


def _reconstruction(generator: SwapNet, pictures: Tensor, own: Tensor) -> Tensor:
    return (_made(generator, pictures, own) - pictures).abs().mean() * 127.5
