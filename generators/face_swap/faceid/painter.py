"""Painting one face anew: Stable Diffusion inpainting with the identity of the adapter, on one aligned crop.

How pictures follow each other in time is `coherence`. After: Rombach et al., High-Resolution Image Synthesis with
Latent Diffusion Models, CVPR 2022; Ye et al., IP-Adapter, 2023; Song et al., DDIM, ICLR 2021; Meng et al., SDEdit,
ICLR 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.face_swap.faceid.adapter import install, read_adapter
from haetae.errors import Rejected, UsageError

N_VALUES = 512
MAX_CROP_PX = 1024
PROMPT = "a photo of the face of a person, natural skin, sharp focus"
NEGATIVE = "painting, cartoon, deformed, blurry, low quality"


@dataclass(frozen=True)
class Wish:
    """What is asked of one picture. steps: of DDIM for strength 1; guidance: classifier-free, 1: none; strength: how
    much noise the picture gets before it is painted anew, up to 1; seed: of the noise."""

    steps: int
    guidance: float
    strength: float
    seed: int


@dataclass
class Painter:
    """An inpainting pipeline with its adapter, on a device. crop_px: the side at which its checkpoint was trained."""

    pipeline: Any
    device: str
    crop_px: int
    _prompt: tuple[Tensor, Tensor]

    @classmethod
    def read(cls, folder: Path, adapter: Path, device: str) -> Painter:
        """Read the parts from a folder in the layout of diffusers; nothing else is read, run or fetched.

        Half precision on a GPU. Raises: UsageError for parts that cannot be read, or do not belong together.
        """
        import diffusers

        state = read_adapter(adapter, N_VALUES)
        dtype = torch.float16 if torch.device(device).type == "cuda" else torch.float32
        parts = _parts(folder, dtype)
        kind: Any = diffusers.StableDiffusionInpaintPipeline
        pipeline = kind(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        if parts["unet"].config.in_channels not in (4, 9):
            raise UsageError(f"{folder}/unet takes {parts['unet'].config.in_channels} channels, not 4 or 9")
        install(pipeline, adapter, state)
        pipeline = pipeline.to(device)
        pipeline.set_progress_bar_config(disable=True)
        side = int(parts["unet"].config.sample_size) * int(pipeline.vae_scale_factor)
        if not 16 <= side <= MAX_CROP_PX:
            raise UsageError(f"{folder}: its pictures have {side} px, not 16 to {MAX_CROP_PX}")
        with torch.inference_mode():
            prompt, negative = pipeline.encode_prompt(PROMPT, device, 1, True, NEGATIVE)
        return cls(pipeline, device, side, (prompt, negative))

    def paint(
        self,
        picture: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        identity: NDArray[np.float32],
        adapter_scale: float,
        wish: Wish,
    ) -> NDArray[np.uint8]:
        """A picture whose masked part was painted anew with an identity; the rest is roughly as it was.

        picture: uint8 [S, S, 3] RGB; mask: bool [S, S]; identity: float32 [512]. Equal arguments give equal pictures
        on one device. Raises: Rejected picture_unusable for values that are no numbers.
        """
        guided = wish.guidance > 1.0
        who = torch.from_numpy(identity)[None, None].to(self.device, self._prompt[0].dtype)
        self.pipeline.set_ip_adapter_scale(adapter_scale)
        with torch.inference_mode():
            made = self.pipeline(
                prompt_embeds=self._prompt[0],
                negative_prompt_embeds=self._prompt[1] if guided else None,
                image=_as_unit(picture),
                mask_image=torch.from_numpy(mask.astype(np.float32))[None, None],
                height=picture.shape[0],
                width=picture.shape[1],
                strength=wish.strength,
                # A strength below one step would paint nothing at all, which the pipeline refuses.
                num_inference_steps=max(wish.steps, int(np.ceil(1 / wish.strength))),
                guidance_scale=wish.guidance,
                ip_adapter_image_embeds=[torch.cat([torch.zeros_like(who), who]) if guided else who],
                generator=torch.Generator("cpu").manual_seed(wish.seed % 2**63),
                output_type="np",
            ).images[0]
        if not np.isfinite(made).all():
            raise Rejected("picture_unusable", "the diffusion network gave values that are no numbers")
        return np.asarray(np.rint(np.clip(made, 0, 1) * 255), np.uint8)


def _as_unit(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


def _parts(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    """VAE, text encoder, tokenizer, UNet and scheduler, each by its own class: a list of classes in the folder is not
    followed."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    kinds: dict[str, Any] = {
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "unet": UNet2DConditionModel,
        "tokenizer": CLIPTokenizer,
        "scheduler": DDIMScheduler,
    }
    parts: dict[str, Any] = {}
    name = ""
    try:
        for name, kind in kinds.items():
            network = name not in ("tokenizer", "scheduler")
            given = {"use_safetensors": True, "torch_dtype": dtype} if network else {}
            parts[name] = kind.from_pretrained(folder / name, local_files_only=True, **given)
            if network:
                parts[name].eval().requires_grad_(False)
    except Exception as error:  # of several libraries, each with types of its own
        first = " ".join(str(error).split())[:300]
        raise UsageError(f"{folder / name} cannot be read: {first}") from error
    return parts
