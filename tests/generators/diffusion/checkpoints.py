"""A tiny untrained Stable Diffusion checkpoint in the layout of the published ones, and the pins of its files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

from tests.generators.store import COMMIT

REPO = "tests/tiny-sd"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.-'"


def write_checkpoint(folder: Path, *, channels: int = 4, seed: int = 5) -> Path:
    """UNet, VAE, text encoder, tokenizer and scheduler, saved as diffusers and transformers save them.

    channels: that the UNet takes: 4, or 9 for inpainting.
    """
    import torch
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8, in_channels=channels, out_channels=4, layers_per_block=1, block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), norm_num_groups=4, attention_head_dim=4,
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=16,
        )  # fmt: skip
        vae = AutoencoderKL(
            in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4,
            up_block_types=("UpDecoderBlock2D",) * 2, block_out_channels=(8, 8), norm_num_groups=4, sample_size=32,
        )  # fmt: skip
        words = write_tokenizer(folder / "tokenizer")
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=words, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                max_position_embeddings=77, bos_token_id=words - 2, eos_token_id=words - 1, pad_token_id=words - 1,
            )
        )  # fmt: skip
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    name_as_published(folder / "vae" / "diffusion_pytorch_model.safetensors")
    text.save_pretrained(folder / "text_encoder")
    # What the published checkpoints name here; it is read as another scheduler of the same settings.
    PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    ).save_pretrained(folder / "scheduler")
    write_index(folder, "StableDiffusionPipeline" if channels == 4 else "StableDiffusionInpaintPipeline")
    return folder


def name_as_published(path: Path) -> None:
    """Give a VAE's tensors of attention the names that the published checkpoints still have."""
    from safetensors.torch import load_file, save_file

    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    for new, was in old.items():
        tensors = {name.replace(f".{new}.", f".{was}."): tensor for name, tensor in tensors.items()}
    assert any(".query." in name for name in tensors)
    save_file(tensors, path, {"format": "pt"})


def write_index(folder: Path, name: str) -> None:
    """model_index.json, with a safety checker that is not there, as in the published checkpoints."""
    parts = {
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    }
    told = {"_class_name": name, "_diffusers_version": "0.6.0", **parts}
    (folder / "model_index.json").write_text(json.dumps(told))


def write_tokenizer(folder: Path) -> int:
    """A CLIP tokenizer that knows single letters; returns how many tokens it has."""
    folder.mkdir()
    tokens = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: n for n, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    told = {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>",
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    return len(tokens)


def write_pins(folder: Path, name: str, checkpoint: Path, files: tuple[str, ...]) -> None:
    """The file of pins of a generator, for these files of a checkpoint."""
    sha = {one: hashlib.sha256((checkpoint / one).read_bytes()).hexdigest() for one in files}
    entry = {"repo": REPO, "revision": COMMIT, "licence": "CC0-1.0", "files": sha}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"checkpoint": entry}))
