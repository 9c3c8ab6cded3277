"""What SimSwap is trained by: identity, reconstruction, adversarial and weak feature matching losses.

Each is a mean over the batch, so that none grows with its size; their weights are `training`'s.
After: Chen et al., SimSwap, ACM MM 2020; Deng et al., ArcFace, CVPR 2019; Mescheder et al., Which Training Methods
for GANs do actually Converge?, ICML 2018 (the gradient penalty).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Features = Sequence[Sequence[Tensor]]
"""Of each scale the features of each layer, scores last."""


def arc_margin(cosine: Tensor, person: Tensor, margin: float, scale: float) -> Tensor:
    """Cross entropy with an angle of `margin` radians added between each face and its own person.

    cosine: float [B, P], of faces and persons; person: int64 [B].
    """
    held = cosine.float().clamp(-1 + 1e-6, 1 - 1e-6)
    own = held.gather(1, person[:, None])
    angle = torch.acos(own) + margin
    # Beyond 180° the cosine would rise again and reward what is worst.
    harder = torch.where(angle < math.pi, torch.cos(angle), own - margin * math.sin(margin))
    return F.cross_entropy(scale * held.scatter(1, person[:, None], harder), person)


def identity_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """1 - cosine of identity vectors, both float [B, V] of length 1: 0 to 2."""
    return (1 - (made * wanted).sum(dim=1)).mean()


def reconstruction_loss(made: Tensor, target: Tensor, same_person: Tensor) -> Tensor:
    """Mean |difference| where the donor is the target's own person, 0 if nobody is. same_person: bool [B]."""
    each = (made - target).abs().mean(dim=(1, 2, 3))
    return (each * same_person).sum() / same_person.sum().clamp(min=1)


def discriminator_loss(real: Features, made: Features) -> Tensor:
    """Hinge loss of the discriminators, mean over scales."""
    parts = [
        F.relu(1 - r[-1].float()).mean() + F.relu(1 + m[-1].float()).mean()
        for r, m in zip(real, made, strict=True)
    ]
    return torch.stack(parts).mean()


def adversarial_loss(made: Features) -> Tensor:
    """Hinge loss of the generator, mean over scales."""
    return torch.stack([-one[-1].float().mean() for one in made]).mean()


def weak_feature_matching(real: Features, made: Features, layers: int) -> Tensor:
    """Mean |difference| of the features of the last `layers` layers before the scores.

    The early layers, which hold texture and with it the identity, are free to differ: that is the weak of it.
    """
    parts = [
        F.l1_loss(m.float(), r.detach().float())
        for of_real, of_made in zip(real, made, strict=True)
        for r, m in list(zip(of_real, of_made, strict=True))[-1 - layers : -1]
    ]
    return torch.stack(parts).mean()


def gradient_penalty(real: Tensor, features: Features) -> Tensor:
    """Squared gradient of the scores at real pictures (R1). real: [B, 3, S, S], requires grad."""
    scores = torch.stack([one[-1].float().mean(dim=(1, 2, 3)).sum() for one in features]).sum()
    (slope,) = torch.autograd.grad(scores, real, create_graph=True)
    return slope.float().square().sum(dim=(1, 2, 3)).mean()
