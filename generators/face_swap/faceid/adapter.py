"""IP-Adapter-FaceID weights: read as published, checked, and put into a UNet.

Keys: `image_proj.*` project an identity to tokens, `ip_adapter.K.to_k_ip` and `.to_v_ip` let cross-attention K attend
to them, `ip_adapter.K.to_*_lora` change attention K itself. After: Ye et al., IP-Adapter, 2023.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from haetae.errors import UsageError
from haetae.weights import read_tensors

MAX_BYTES = 4 << 30
PARTS = ("image_proj", "ip_adapter")
_PROJECTION = ("proj.0.weight", "proj.0.bias", "proj.2.weight", "proj.2.bias", "norm.weight", "norm.bias")
_LORA = ("to_q_lora", "to_k_lora", "to_v_lora", "to_out_lora")
State = dict[str, dict[str, Tensor]]


def read_adapter(path: Path, n_values: int) -> State:
    """`image_proj` and `ip_adapter`, each by the names within it, on the CPU.

    A `.safetensors` file with prefixed names, or the published `.bin`, of which no code is run. n_values: of an
    identity. Raises: UsageError for a file that is damaged, no FaceID adapter, or one for other identities.
    """
    state = _prefixed(path) if path.suffix == ".safetensors" else _nested(path)
    lacking = [name for name in _PROJECTION if name not in state["image_proj"]]
    if lacking or "1.to_k_ip.weight" not in state["ip_adapter"]:
        what = ", ".join(lacking) or "1.to_k_ip.weight"
        raise UsageError(f"{path} is no IP-Adapter-FaceID: it has no {what}")
    wanted = int(state["image_proj"]["proj.0.weight"].shape[-1])
    if wanted != n_values:
        raise UsageError(
            f"{path} wants identities of {wanted} values, not {n_values}: it was trained with another recogniser"
        )
    return state


def install(pipeline: Any, path: Path, state: State) -> None:
    """Give a pipeline's UNet the adapter: attention to identity tokens, and its changes of the attention itself.

    The latter (LoRA) are added to the weights, so that no further library is needed for them.
    Raises: UsageError for an adapter of another UNet.
    """
    plain = {
        name: value for name, value in state["ip_adapter"].items() if not any(one in name for one in _LORA)
    }
    try:
        _add_lora(pipeline.unet, state["ip_adapter"])
        pipeline.load_ip_adapter(
            {"image_proj": state["image_proj"], "ip_adapter": plain},
            subfolder="",
            weight_name="",
            image_encoder_folder=None,
            low_cpu_mem_usage=False,
        )
    except (RuntimeError, KeyError, ValueError) as error:
        first = " ".join(str(error).split())[:300]
        raise UsageError(
            f"{path} is an adapter of another UNet than the one it is pinned with: {first}"
        ) from error


def _add_lora(unet: Any, of_adapter: Mapping[str, Tensor]) -> None:
    """Add up @ down to each attention's weights, where the adapter has them."""
    for k, name in enumerate(unet.attn_processors):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        layers = dict(
            zip(_LORA, (attention.to_q, attention.to_k, attention.to_v, attention.to_out[0]), strict=True)
        )
        for lora, layer in layers.items():
            down, up = (of_adapter.get(f"{k}.{lora}.{way}.weight") for way in ("down", "up"))
            if down is None or up is None:
                continue
            with torch.no_grad():
                layer.weight += (up.float() @ down.float()).to(layer.weight)


def _prefixed(path: Path) -> State:
    tensors = read_tensors(path, MAX_BYTES)
    return {
        part: {
            name.removeprefix(f"{part}."): value
            for name, value in tensors.items()
            if name.startswith(f"{part}.")
        }
        for part in PARTS
    }


def _nested(path: Path) -> State:
    """A dict of two dicts of tensors, as `torch.save` writes them."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} has more than {MAX_BYTES} bytes")
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                    raise UsageError(f"{path} cannot be read as weights: its records are compressed")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UsageError:
        raise
    except Exception as error:  # of pickle, zip, torch: each has types of its own
        first = " ".join(str(error).split())[:200]
        raise UsageError(f"{path} cannot be read as weights: {first}") from error
    fine = isinstance(state, dict) and all(
        isinstance(state.get(part), dict) and all(isinstance(v, Tensor) for v in state[part].values())
        for part in PARTS
    )
    if not fine:
        raise UsageError(f"{path} is no IP-Adapter: it has no tensors under {' and '.join(PARTS)}")
    if sum(v.numel() * v.element_size() for part in PARTS for v in state[part].values()) > MAX_BYTES:
        raise UsageError(f"{path} cannot be read as weights: its tensors exceed {MAX_BYTES} bytes")
    return {part: dict(state[part]) for part in PARTS}
