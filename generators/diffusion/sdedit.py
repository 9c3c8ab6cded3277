"""Making pictures anew with a learned network: a whole crop from its noised self, or a part of it within a mask.

Where the crops come from, and how they go back into the frame, is the generators' matter.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.diffusion.network import Denoiser, drawn_noise
from generators.diffusion.schedule import denoised, noised
from generators.diffusion.training import pictures
from generators.repeatable import repeatable
from haetae.errors import Rejected

_AT_A_TIME = 8
"""Fixed, since sums may be taken in another order for another number."""


def remade(
    network: Denoiser,
    crops: NDArray[np.uint8],
    strength: float,
    steps: int,
    seed: int,
    masks: NDArray[np.float32] | None = None,
    shared_noise: bool = True,
) -> NDArray[np.float32]:
    """Noise crops to `strength` and denoise them: float32 [T, S, S, 3], 0 to 255.

    crops: uint8 [T, S, S, 3]; strength: time in (0, 1] to which they are noised; masks: float32 [T, S, S], 1 where
    something is made anew, the rest held at what it is, for a network that was trained with masks; shared_noise: one
    noise for all crops, so that what is made of them differs no more than they do.
    Raises: Rejected picture_unusable when the network gives no numbers.
    After: Meng et al., SDEdit, ICLR 2022; with masks Lugmayr et al., RePaint, CVPR 2022 (the known part is put back
    at each step) and Saharia et al., Palette, 2022 (the network sees it, and the mask).
    """
    device = network.device
    side = network.plan.size_px
    noise = drawn_noise(seed, (1 if shared_noise else len(crops), 3, side, side)).expand(
        len(crops), -1, -1, -1
    )
    made: list[Tensor] = []
    with repeatable(), torch.inference_mode():
        for part in _parts(len(crops)):
            clean = pictures(crops[part]).to(device)
            mask = None if masks is None else torch.from_numpy(masks[part])[:, None].float().to(device)
            made.append(_remade(network, clean, noise[part].to(device), strength, steps, mask).cpu())
    together = (torch.cat(made).clamp(-1, 1) + 1) * 127.5
    if not bool(torch.isfinite(together).all()):
        raise Rejected("picture_unusable", "the network gave values that are no picture")
    return np.asarray(together.permute(0, 2, 3, 1).numpy(), np.float32)


def _remade(
    network: Denoiser, clean: Tensor, noise: Tensor, strength: float, steps: int, mask: Tensor | None
) -> Tensor:
    times = torch.full((len(clean),), strength, device=clean.device)
    noisy = noised(clean, noise, times)
    if mask is None:
        return denoised(noisy, strength, steps, network)
    known: Tensor = mask

    def held(picture: Tensor, _time: float) -> Tensor:
        return known * picture + (1 - known) * clean

    return denoised(held(noisy, strength), strength, steps, lambda x, t: network(x, t, known), held)


def _parts(n: int) -> Iterator[slice]:
    for first in range(0, n, _AT_A_TIME):
        yield slice(first, min(n, first + _AT_A_TIME))
