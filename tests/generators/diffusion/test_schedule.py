"""The schedule of noise agrees with diffusers', and taking noise out finds a picture that is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generators.diffusion.schedule import denoised, loss_weight, noised, signal_and_noise


def test_the_schedule_is_the_cosine_one_of_diffusers() -> None:
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod
    signal, share = signal_and_noise((torch.arange(990) + 1) / 1000)
    assert torch.allclose(signal**2, theirs[:990].clamp(min=1e-4), atol=2e-3)
    assert torch.allclose(signal**2 + share**2, torch.ones(990), atol=1e-6)
    ends, _ = signal_and_noise(torch.tensor([0.0, 1.0]))
    assert ends[0] == pytest.approx(1.0)
    assert ends[1] < 0.02


def test_a_step_is_that_of_diffusers() -> None:
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=True, steps_offset=0
    )
    theirs.set_timesteps(2)
    generator = torch.Generator().manual_seed(3)
    noisy, clean = (torch.randn((1, 3, 4, 4), generator=generator) for _ in range(2))
    # Their steps are numbered from 0; ours are times, of which theirs are the ends.
    wanted = theirs.step(clean.clamp(-1, 1), 500, noisy).prev_sample
    ours: list[torch.Tensor] = []

    def predict(picture: torch.Tensor, _time: torch.Tensor) -> torch.Tensor:
        ours.append(picture)
        return clean

    denoised(noisy, 0.501, 501, predict)
    later = denoised(noisy, 0.501, 1, predict)
    assert torch.allclose(later, clean.clamp(-1, 1), atol=1e-5), "the last step gives the predicted picture"
    signal, share = signal_and_noise(torch.tensor([0.501, 0.001]))
    noise = (noisy - signal[0] * clean.clamp(-1, 1)) / share[0]
    assert torch.allclose(wanted, signal[1] * clean.clamp(-1, 1) + share[1] * noise, atol=5e-3)
    assert len(ours) == 502


def test_who_knows_the_picture_gets_it_back_and_what_is_held_stays() -> None:
    clean = torch.linspace(-0.9, 0.9, 48).reshape(1, 3, 4, 4)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    for start in (0.2, 0.7, 1.0):
        noisy = noised(clean, noise, torch.tensor([start]))
        assert torch.allclose(denoised(noisy, start, 5, lambda _x, _t: clean), clean, atol=1e-5)
    mask = torch.zeros_like(clean)
    mask[..., :2] = 1
    seen: list[torch.Tensor] = []

    def predict(picture: torch.Tensor, _time: torch.Tensor) -> torch.Tensor:
        seen.append(picture)
        return torch.zeros_like(picture)

    held = denoised(noise, 1.0, 4, predict, lambda x, _t: mask * x + (1 - mask) * clean)
    assert torch.equal(held[..., 2:], clean[..., 2:])
    assert all(torch.equal(one[..., 2:], clean[..., 2:]) for one in seen[1:])


def test_more_time_is_more_noise_and_no_time_counts_more_than_the_limit() -> None:
    times = torch.linspace(0, 1, 50)
    signal, share = signal_and_noise(times)
    assert (np.diff(signal.numpy()) <= 0).all()
    assert (np.diff(share.numpy()) >= 0).all()
    weight = loss_weight(times)
    assert weight.max() == 5
    assert weight[-1] < 0.01
    assert loss_weight(torch.tensor([0.5])) == pytest.approx(
        float(signal[24:26].mean() ** 2 / share[24:26].mean() ** 2), rel=0.05
    )
