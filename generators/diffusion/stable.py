"""A Stable-Diffusion-class checkpoint from a local folder, painting pictures that hold together.

Where the folder comes from is `generators.weights`; what is painted, and where, is decided by who asks.
After: Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from generators.repeatable import repeatable
from haetae.errors import Rejected, UsageError
from haetae.provenance.ids import seed_of

Kind = Literal["img2img", "inpaint"]
FILES = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)
INDICES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline")
_CHANNELS = {"img2img": (4,), "inpaint": (4, 9)}
_MAX_INDEX_BYTES = 1 << 20
_MAX_STEPS = 200


@dataclass(frozen=True)
class Brush:
    """prompt, avoid: what is and what is not to be seen; strength: share of the noise schedule that is gone through,
    above 0 and at most 1; steps: of the whole schedule; guidance: weight of the prompt; hold: share of the latents
    that is taken from the picture before, 0 to below 1; shared_noise: whether all begin with the same noise."""

    prompt: str
    avoid: str
    strength: float
    steps: int
    guidance: float
    hold: float
    shared_noise: bool = True

    def check(self) -> None:
        """Raises: UsageError for numbers that cannot be painted with."""
        if not 0 < self.strength <= 1 or not 1 <= self.steps <= _MAX_STEPS or not 0 <= self.hold < 1:
            raise UsageError(
                f"strength {self.strength:g} must lie above 0 and be at most 1, steps {self.steps} between 1 and"
                f" {_MAX_STEPS}, hold {self.hold:g} at least 0 and below 1"
            )
        if int(self.steps * self.strength) < 1:
            raise UsageError(
                f"{self.steps} steps at strength {self.strength:g} are less than one step: give more"
            )


@dataclass
class Painter:
    """A pipeline of diffusers, made of parts of known classes, ready to paint."""

    pipeline: Any
    kind: Kind

    @classmethod
    def load(cls, folder: Path, kind: Kind, device: str) -> Painter:
        """Read one checkpoint in the layout of diffusers: the `FILES`, nothing else. No code of the folder is run, its
        tensors are read from safetensors, nothing is fetched, and its safety checker is not asked for: what is painted
        stays in the store and is labelled as a fake.

        Raises: UsageError for a folder that holds no such checkpoint, or one of another kind.
        """
        import torch
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
        from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img as img2img
        from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_inpaint as inpaint
        from transformers import CLIPTextModel, CLIPTokenizer

        _require_index(folder)
        # Half precision halves the memory on a GPU; on the CPU it is slower, and not all of it exists.
        dtype = torch.float16 if device.startswith("cuda") else torch.float32
        unet = _model(UNet2DConditionModel, folder, "unet", dtype)
        vae = _model(AutoencoderKL, folder, "vae", dtype)
        text_encoder = _model(CLIPTextModel, folder, "text_encoder", dtype)
        parts = {
            "unet": unet.to(device).eval(),
            "vae": vae.to(device).eval(),
            "text_encoder": text_encoder.to(device).eval(),
            "tokenizer": _part(CLIPTokenizer, folder, "tokenizer"),
            # DDIM adds no noise on the way, so equal noise at the start is equal noise all along.
            # Latents are no pixels: they are not to be clipped, which is what its default would do.
            "scheduler": _part(DDIMScheduler, folder, "scheduler", clip_sample=False),
        }
        _require_fitting(folder, kind, parts)
        of_kind: dict[Kind, Any] = {
            "img2img": img2img.StableDiffusionImg2ImgPipeline,
            "inpaint": inpaint.StableDiffusionInpaintPipeline,
        }
        pipeline = of_kind[kind](
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
        pipeline.set_progress_bar_config(disable=True)
        pipeline.enable_attention_slicing()
        pipeline.vae.enable_slicing()
        return cls(pipeline, kind)

    @property
    def multiple_px(self) -> int:
        """What the sides of a picture must be multiples of."""
        halvings = len(self.pipeline.unet.config.block_out_channels) - 1
        multiple: int = self.pipeline.vae_scale_factor * 2**halvings
        return multiple

    def paint(
        self,
        pictures: Iterable[tuple[NDArray[np.uint8], NDArray[np.float32] | None]],
        brush: Brush,
        seed: int,
    ) -> Iterator[NDArray[np.uint8]]:
        """Paint pictures, in order, one at a time, so that memory does not grow with their number.

        pictures: uint8 [H, W, 3] with sides that are multiples of `multiple_px`, and for inpainting float32 [H, W], 1
        where something is to be painted. Yields uint8 [H, W, 3].
        Raises: UsageError as `Brush.check`; Rejected picture_unusable when the network gives no numbers.
        """
        import torch

        brush.check()
        embeds = self._embedded(brush)
        memory = _Memory(brush.hold)
        for n, (picture, mask) in enumerate(pictures):
            noise = seed_of("paint", seed, 0 if brush.shared_noise else n) % 2**63
            given = {} if mask is None else {"mask_image": torch.from_numpy(mask)[None, None].float()}
            height, width = picture.shape[:2]
            size = {} if mask is None else {"height": height, "width": width}
            with repeatable(), torch.inference_mode():
                painted = self.pipeline(
                    image=torch.from_numpy(picture.transpose(2, 0, 1).copy())[None].float() / 255,
                    **given, **size, **embeds,
                    strength=brush.strength,
                    num_inference_steps=brush.steps,
                    guidance_scale=brush.guidance,
                    generator=torch.Generator("cpu").manual_seed(noise),
                    output_type="np",
                    callback_on_step_end=memory.held,
                    callback_on_step_end_tensor_inputs=["latents"],
                ).images[0]  # fmt: skip
            if not np.isfinite(painted).all():
                raise Rejected("picture_unusable", "the network gave values that are no picture")
            memory.next_picture()
            yield np.asarray(np.rint(np.clip(painted, 0, 1) * 255), np.uint8)

    def _embedded(self, brush: Brush) -> dict[str, Any]:
        """The prompts as the network reads them; the same for all pictures, so read once."""
        import torch

        with repeatable(), torch.inference_mode():
            prompt, avoid = self.pipeline.encode_prompt(
                brush.prompt, self.pipeline.device, 1, brush.guidance > 1, brush.avoid
            )
        return {"prompt_embeds": prompt, "negative_prompt_embeds": avoid}


class _Memory:
    """The latents of the picture before, step by step, of which each new one takes a share.

    Both began with the same noise, so what is mixed agrees in it and only the pictures are drawn together.
    """

    def __init__(self, hold: float) -> None:
        self._hold = hold
        self._before: list[Any] = []
        self._now: list[Any] = []

    def held(self, _pipeline: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        latents = tensors["latents"]
        if self._hold > 0 and step < len(self._before):
            latents = (1 - self._hold) * latents + self._hold * self._before[step]
        if self._hold > 0:
            self._now.append(latents)
        return {"latents": latents}

    def next_picture(self) -> None:
        self._before, self._now = self._now, []


def _require_index(folder: Path) -> None:
    """Raises: UsageError where model_index.json tells of another pipeline than those that can be read."""
    path = folder / "model_index.json"
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(_MAX_INDEX_BYTES))
        name = told["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder} holds no readable model_index.json: {error}") from error
    if name not in INDICES:
        raise UsageError(f"{folder} holds a checkpoint of {name!r}; give one of {', '.join(INDICES)}")


def _model(kind: Any, folder: Path, part: str, dtype: Any) -> Any:
    """A network, every tensor of which comes from the folder."""
    given = {"torch_dtype": dtype} if kind.__module__.startswith("diffusers") else {"dtype": dtype}
    made, told = _read(
        folder,
        part,
        lambda path: kind.from_pretrained(
            path, local_files_only=True, use_safetensors=True, output_loading_info=True, **given
        ),
    )
    # What is missing would be filled with random numbers.
    lacking = sorted(map(str, [*told.get("missing_keys", ()), *told.get("mismatched_keys", ())]))
    if lacking:
        raise UsageError(
            f"{folder / part}: its weights do not fill the network of its config.json; {lacking[0]} is not there"
        )
    return made


def _part(kind: Any, folder: Path, part: str, **settings: Any) -> Any:
    return _read(folder, part, lambda path: kind.from_pretrained(path, local_files_only=True, **settings))


def _read(folder: Path, part: str, read: Callable[[Path], Any]) -> Any:
    try:
        return read(folder / part)
    except Exception as error:
        first = " ".join(str(error).split())[:300]
        raise UsageError(f"{folder / part} cannot be read as that part of a checkpoint: {first}") from error


def _require_fitting(folder: Path, kind: Kind, parts: dict[str, Any]) -> None:
    """Raises: UsageError for parts that are not of one checkpoint, or of a checkpoint for something else."""
    unet, vae, text = (parts[name].config for name in ("unet", "vae", "text_encoder"))
    if unet.in_channels not in _CHANNELS[kind]:
        wanted = " or ".join(map(str, _CHANNELS[kind]))
        raise UsageError(
            f"{folder}: its UNet takes {unet.in_channels} channels, and {kind} wants {wanted}: it is for something else"
        )
    if unet.cross_attention_dim != text.hidden_size or vae.latent_channels != unet.out_channels:
        raise UsageError(
            f"{folder}: UNet, text encoder and VAE do not fit together: they are not of one checkpoint"
        )
    if len(parts["tokenizer"]) > text.vocab_size:
        raise UsageError(f"{folder}: the tokenizer knows more words than the text encoder")
