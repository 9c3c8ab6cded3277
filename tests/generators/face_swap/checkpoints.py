"""Tiny untrained checkpoints in the layouts of the published ones: inpainting pipeline, adapter, recognisers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from tests.generators.store import COMMIT

CROSS = 16
WIDTHS = (16, 32)


def write_all(root: Path, *, in_channels: int = 9, lora: bool = True, suffix: str = "bin") -> Path:
    """A folder as HAETAE_WEIGHTS wants it and, in `pins`, the file of pins of what is in it. Returns root."""
    write_base(root / "tests" / "base" / COMMIT, in_channels)
    write_adapter(root / "tests" / "adapter" / COMMIT / f"ip-adapter-faceid_sd15.{suffix}", in_channels, lora)
    write_iresnet(root / "tests" / "recogniser" / COMMIT / "w600k_r50.safetensors")
    write_pins(root)
    return root


def write_pins(root: Path) -> Path:
    parts = {}
    for part in ("base", "adapter", "recogniser"):
        folder = root / "tests" / part / COMMIT
        files = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        parts[part] = {
            "repo": f"tests/{part}",
            "revision": COMMIT,
            "licence": "CC0-1.0",
            "files": files,
        }
    path = root / "pins" / "faceid_swap.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(parts))
    return path


def _unet(in_channels: int) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=24, in_channels=in_channels, out_channels=4, block_out_channels=WIDTHS, layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=CROSS, attention_head_dim=8, norm_num_groups=8,
    )  # fmt: skip


def write_base(folder: Path, in_channels: int = 9) -> None:
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(11)
    _unet(in_channels).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(16, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=8, layers_per_block=1,
    ).save_pretrained(folder / "vae")  # fmt: skip
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    letters = [*map(chr, range(33, 127))]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer" / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "<|endoftext|>"})
    )
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words), hidden_size=CROSS, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=77, bos_token_id=len(words) - 2,
            eos_token_id=len(words) - 1,
        )
    ).save_pretrained(folder / "text_encoder")  # fmt: skip


def write_adapter(path: Path, in_channels: int = 9, lora: bool = True, n_values: int = 512) -> None:
    """`image_proj` and `ip_adapter` with the names of the published FaceID adapter, numbered as it numbers them."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(12)
    unet = _unet(in_channels)
    tokens = 4
    proj = {
        "proj.0.weight": torch.randn(n_values, n_values), "proj.0.bias": torch.zeros(n_values),
        "proj.2.weight": torch.randn(tokens * CROSS, n_values), "proj.2.bias": torch.zeros(tokens * CROSS),
        "norm.weight": torch.ones(CROSS), "norm.bias": torch.zeros(CROSS),
    }  # fmt: skip
    ip: dict[str, Any] = {}
    for k, name in enumerate(unet.attn_processors):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        width = attention.to_q.weight.shape[0]
        if name.endswith("attn2.processor"):
            ip[f"{k}.to_k_ip.weight"] = torch.randn(width, CROSS)
            ip[f"{k}.to_v_ip.weight"] = 4 * torch.randn(width, CROSS)
        if lora:
            for layer in ("to_q", "to_k", "to_v", "to_out"):
                source = attention.to_out[0] if layer == "to_out" else getattr(attention, layer)
                out_n, in_n = source.weight.shape
                ip[f"{k}.{layer}_lora.down.weight"] = 0.3 * torch.randn(2, in_n)
                ip[f"{k}.{layer}_lora.up.weight"] = 0.3 * torch.randn(out_n, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        flat = {f"image_proj.{name}": value for name, value in proj.items()}
        save_file(flat | {f"ip_adapter.{name}": value for name, value in ip.items()}, str(path))
    else:
        torch.save({"image_proj": proj, "ip_adapter": ip}, path)


def write_iresnet(path: Path) -> None:
    """An IResNet of four thin stages, one block each, with the names of InsightFace's training code."""
    import torch
    from safetensors.torch import save_file

    from generators.face_swap.faceid.recogniser import IResNet

    torch.manual_seed(13)
    network = IResNet([4, 4, 8, 8, 8], [1, 1, 2, 1], 512)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), str(path))
