"""How much noise there is at which time, and one step with less of it.

Time runs from 0, the picture, to 1, noise alone. What predicts the noise is not known here.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_OFFSET = 0.008
_LEAST_SIGNAL = 1e-2
MIN_SNR = 5.0
"""Above this ratio of signal to noise no time counts more in the loss than at it."""


def signal_and_noise(time: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of the picture and of the noise at times in [0, 1]; their squares add up to 1.

    After: Nichol & Dhariwal, Improved Denoising Diffusion Probabilistic Models, ICML 2021 (the cosine schedule).
    """
    start = math.cos(_OFFSET / (1 + _OFFSET) * math.pi / 2)
    angle = (time + _OFFSET) / (1 + _OFFSET) * math.pi / 2
    signal = (angle.cos() / start).clamp(_LEAST_SIGNAL, 1.0)
    return signal, (1 - signal**2).clamp(min=0).sqrt()


def noised(clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """Pictures [B, C, H, W] at times [B]. After: Ho et al., Denoising Diffusion Probabilistic Models, 2020."""
    signal, share = (one[:, None, None, None] for one in signal_and_noise(time))
    return signal * clean + share * noise


def loss_weight(time: Tensor) -> Tensor:
    """Weight of the squared error of the predicted picture at times [B]: its signal to noise ratio, up to 5.

    Without that limit it would be the plain squared error of the predicted noise.
    After: Hang et al., Efficient Diffusion Training via Min-SNR Weighting Strategy, ICCV 2023.
    """
    signal, share = signal_and_noise(time)
    return (signal**2 / (share**2).clamp(min=1e-8)).clamp(max=MIN_SNR)


def denoised(
    noisy: Tensor,
    start: float,
    steps: int,
    predict: Callable[[Tensor, Tensor], Tensor],
    held: Callable[[Tensor, float], Tensor] | None = None,
) -> Tensor:
    """Take the noise out of pictures at time `start` in even steps, without adding any: float [B, C, H, W].

    predict: the picture behind noisy ones at times [B]; held: puts known parts, at a time, into what a step gave.
    After: Song et al., Denoising Diffusion Implicit Models, ICLR 2021.
    """
    import torch

    picture = noisy
    edges = torch.linspace(start, 0.0, steps + 1, dtype=torch.float64).tolist()
    for now, then in pairwise(edges):
        at = torch.full((len(picture),), now, dtype=picture.dtype, device=picture.device)
        clean = predict(picture, at).clamp(-1, 1)
        (signal, share), (later_signal, later_share) = (
            signal_and_noise(torch.tensor(edge, dtype=torch.float64)) for edge in (now, then)
        )
        noise = (picture - float(signal) * clean) / max(float(share), 1e-6)
        picture = float(later_signal) * clean + float(later_share) * noise
        if held is not None:
            picture = held(picture, then)
    return picture
