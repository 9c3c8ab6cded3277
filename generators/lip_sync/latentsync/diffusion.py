"""Drawing lips by denoising: from noise in the latents of aligned faces to pictures, told by what is heard.

The network is `unet`, the faces come from `faces`.
After: Li et al., LatentSync, 2024; Song et al., DDIM, 2021; Ho & Salimans, Classifier-Free Diffusion Guidance, 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from haetae.errors import Rejected

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from generators.lip_sync.latentsync.unet import UNet

LATENT_SCALE = 0.18215
SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
"""The authors' schedule of noise."""
_AT_ONCE = 4
"""Pictures that go through the autoencoder together."""


@dataclass(frozen=True)
class Drawing:
    """What draws. mask: float32 [S, S], 1 where a face is kept; dtype: of the networks' numbers, by name."""

    unet: UNet
    vae: Any
    mask: NDArray[np.float32]
    device: str
    dtype: str = "float32"

    def draw(
        self, faces: NDArray[np.uint8], sound: Tensor, seed: int, steps: int, guidance: float
    ) -> NDArray[np.uint8]:
        """Faces uint8 [N, S, S, 3] RGB that speak what is heard: likewise.

        sound: [N, tokens, features]; guidance: 1 is what the network says by itself, more exaggerates the sound.
        Noise is drawn on the CPU, and is the same for all frames, so that they agree.
        Raises: Rejected picture_unusable where a network gives no numbers.
        """
        import torch

        random = torch.Generator("cpu").manual_seed(seed % 2**63)
        whole = torch.from_numpy(faces.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)
        kept = torch.from_numpy(self.mask)[None, None]
        around = self._encoded(whole * kept, random)
        before = self._encoded(whole, random)
        side = before.shape[-1]
        noise = torch.randn((1, before.shape[1], 1, side, side), generator=random)
        small = torch.nn.functional.interpolate(kept, size=(side, side)).expand(len(faces), 1, side, side)
        known = torch.cat([small, around, before], dim=1)
        latents = []
        for start in range(0, len(faces), self.unet.layout.num_frames):
            part = slice(start, start + self.unet.layout.num_frames)
            latents.append(self._denoised(noise, known[part], sound[part], steps, guidance))
        drawn = self._decoded(torch.cat(latents))
        pictures = np.rint((drawn.numpy() + 1) * 127.5)
        if not np.isfinite(pictures).all():
            raise Rejected("picture_unusable", "the network gave pictures that are no numbers")
        return np.asarray(np.clip(pictures, 0, 255), np.uint8).transpose(0, 2, 3, 1)

    def _denoised(self, noise: Tensor, known: Tensor, sound: Tensor, steps: int, guidance: float) -> Tensor:
        """Latents of some neighbouring frames: [N, 4, h, w] on the CPU. known: [N, 9, h, w]."""
        import diffusers
        import torch

        number = getattr(torch, self.dtype)
        kind: Any = diffusers.DDIMScheduler
        schedule = kind(**SCHEDULE)
        schedule.set_timesteps(steps)
        guided = guidance != 1.0
        video = known.permute(1, 0, 2, 3)[None].to(self.device, number)
        heard = sound[None].to(self.device, number)
        if guided:
            video, heard = torch.cat([video] * 2), torch.cat([torch.zeros_like(heard), heard])
        latents = (noise * schedule.init_noise_sigma).expand(-1, -1, len(known), -1, -1)
        for step in schedule.timesteps:
            given = schedule.scale_model_input(latents, step).to(self.device, number)
            given = torch.cat([given] * 2) if guided else given
            found = self.unet(torch.cat([given, video], dim=1), step, heard).float().cpu()
            if guided:
                deaf, listening = found.chunk(2)
                found = deaf + guidance * (listening - deaf)
            latents = schedule.step(found, step, latents, eta=0.0).prev_sample
        return latents[0].permute(1, 0, 2, 3)

    def _encoded(self, pictures: Tensor, random: Generator) -> Tensor:
        """Latents of pictures [N, 3, S, S] in [-1, 1]: [N, 4, h, w] on the CPU."""
        import torch

        number = getattr(torch, self.dtype)
        out = []
        for part in pictures.split(_AT_ONCE):
            spread = self.vae.encode(part.to(self.device, number)).latent_dist
            mean, std = spread.mean.float().cpu(), spread.std.float().cpu()
            out.append(mean + std * torch.randn(mean.shape, generator=random))
        return torch.cat(out) * LATENT_SCALE

    def _decoded(self, latents: Tensor) -> Tensor:
        """Pictures [N, 3, S, S] in [-1, 1] of latents, on the CPU."""
        import torch

        number = getattr(torch, self.dtype)
        parts = (latents / LATENT_SCALE).split(_AT_ONCE)
        out = [self.vae.decode(part.to(self.device, number)).sample.float().cpu() for part in parts]
        return torch.cat(out)
