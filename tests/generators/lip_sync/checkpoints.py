"""Tiny untrained checkpoints of networks that move lips, in the formats of the published ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.generators.store import Store

WAV2LIP, LATENTSYNC = "tests/wav2lip", "tests/latentsync"
WAV2LIP_FILE = "wav2lip_gan.pth"
LAYOUT = {
    "data": {"resolution": 64, "num_frames": 8, "audio_feat_length": [2, 2]},
    "model": {
        "block_out_channels": [32, 32, 32, 32],
        "layers_per_block": 1,
        "cross_attention_dim": 64,
        "sample_size": 64,
        "act_fn": "silu",
        "add_audio_layer": True,
        "norm_eps": 1e-5,
    },
}


def store_wav2lip(store: Store, state: dict[str, Any] | None = None) -> Path:
    """Write a checkpoint of Wav2Lip where the store has it, and pin it. Returns its file."""
    path = write_wav2lip(store.folder(WAV2LIP) / WAV2LIP_FILE, wav2lip_state() if state is None else state)
    store.pin("wav2lip", "network", WAV2LIP)
    return path


def store_latentsync(store: Store, width: int = 64) -> Path:
    """Write the files of LatentSync where the store has them, and pin them. Returns their folder."""
    folder = write_latentsync(store.folder(LATENTSYNC), width)
    vae = ("config.json", "diffusion_pytorch_model.safetensors")
    store.pin("latentsync", "unet", LATENTSYNC, ("latentsync_unet.pt", "unet.yaml"))
    store.pin("latentsync", "whisper", LATENTSYNC, ("whisper/tiny.pt",))
    store.pin("latentsync", "vae", LATENTSYNC, vae)
    return folder


def wav2lip_state() -> dict[str, Any]:
    """Tensors of a thin network whose mouths differ."""
    import torch

    from generators.lip_sync.wav2lip_net import Wav2Lip as Network

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = Network(width=2)
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.uniform_(-0.1, 0.1)
                    module.running_var.uniform_(0.2, 0.6)
            network.output_block[1].weight.mul_(6.0)
    return {name: value.clone() for name, value in network.state_dict().items()}


def write_wav2lip(path: Path, state: dict[str, Any], *, old: bool = True) -> Path:
    """As the authors' training script writes it: names with `module.`, an optimiser beside, torch's old format."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "state_dict": {f"module.{name}": value for name, value in state.items()},
        "optimizer": {"state": {0: {"step": 7}}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999)}]},
        "global_step": 7,
        "global_epoch": 1,
    }
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    return path


def whisper_state(width: int = 64, layers: int = 2) -> dict[str, Any]:
    """An encoder's tensors by OpenAI's names, and one of the decoder's, which is not read."""
    import torch

    random = torch.Generator().manual_seed(4)

    def drawn(*shape: int) -> Any:
        return torch.randn(shape, generator=random) * 0.08

    state = {
        "encoder.conv1.weight": drawn(width, 80, 3), "encoder.conv1.bias": drawn(width),
        "encoder.conv2.weight": drawn(width, width, 3), "encoder.conv2.bias": drawn(width),
        "encoder.positional_embedding": drawn(1500, width),
        "encoder.ln_post.weight": drawn(width) + 1, "encoder.ln_post.bias": drawn(width),
        "decoder.token_embedding.weight": drawn(10, width),
    }  # fmt: skip
    for k in range(layers):
        for name in ("query", "key", "value", "out"):
            state[f"encoder.blocks.{k}.attn.{name}.weight"] = drawn(width, width)
            if name != "key":
                state[f"encoder.blocks.{k}.attn.{name}.bias"] = drawn(width)
        for name in ("attn_ln", "mlp_ln"):
            state[f"encoder.blocks.{k}.{name}.weight"] = drawn(width) + 1
            state[f"encoder.blocks.{k}.{name}.bias"] = drawn(width)
        state |= {
            f"encoder.blocks.{k}.mlp.0.weight": drawn(4 * width, width),
            f"encoder.blocks.{k}.mlp.0.bias": drawn(4 * width),
            f"encoder.blocks.{k}.mlp.2.weight": drawn(width, 4 * width),
            f"encoder.blocks.{k}.mlp.2.bias": drawn(width),
        }
    return state


def write_latentsync(folder: Path, width: int = 64) -> Path:
    """All files of a tiny untrained LatentSync, each in the format in which the real one is published."""
    import torch
    from diffusers import AutoencoderKL

    from generators.lip_sync.latentsync.layout import read_layout
    from generators.lip_sync.latentsync.unet import UNet

    folder.mkdir(parents=True)
    (folder / "whisper").mkdir()
    (folder / "unet.yaml").write_text(yaml.safe_dump(LAYOUT))
    unet = seeded(lambda: UNet(read_layout(folder / "unet.yaml")))
    torch.save({"global_step": 3, "state_dict": unet.state_dict()}, folder / "latentsync_unet.pt")
    dims = {"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": width, "n_audio_head": 1, "n_audio_layer": 2}
    torch.save({"dims": dims, "model_state_dict": whisper_state(width)}, folder / "whisper/tiny.pt")
    vae = seeded(
        lambda: AutoencoderKL(
            block_out_channels=(8, 8, 8, 8), norm_num_groups=8, latent_channels=4, sample_size=64,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        )
    )  # fmt: skip
    with torch.no_grad():  # latents as certain as those of a trained one
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = -14
    vae.save_pretrained(folder)
    return folder


def seeded(build: Callable[[], Any]) -> Any:
    """A network whose random first weights are the same every time."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        return build()
