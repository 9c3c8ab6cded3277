"""A detector on disk: `weights.safetensors` and `config.json`, and training's checkpoint. No pickle.

Files are replaced whole: a reader, or a training that was killed, sees the old one or the new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from haetae.detector.config import SavedConfig
from haetae.detector.model import DetectorNet
from haetae.errors import UsageError
from haetae.provenance.ids import canonical_json, file_sha256

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"


def save_detector(folder: Path, net: DetectorNet, config: SavedConfig) -> str:
    """Write both files and return the SHA-256 of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS, net.state_dict(), {})
    text = json.dumps(config.model_dump(mode="json"), sort_keys=True, indent=2) + "\n"
    _replace(folder / CONFIG, text.encode())
    return file_sha256(folder / WEIGHTS)


def read_config(folder: Path) -> SavedConfig:
    """The config of a detector. Raises: UsageError where it is missing or not one."""
    path = folder / CONFIG
    try:
        return SavedConfig.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"no detector in {folder}: {CONFIG} is missing") from None
    except ValidationError as error:
        raise UsageError(f"{path} is not the config of a detector: {error}") from error


def load_detector(folder: Path) -> tuple[DetectorNet, SavedConfig]:
    """Build the network that the config describes and fill it. Raises: UsageError where a tensor does not fit."""
    config = read_config(folder)
    try:
        net = DetectorNet(config.model)
    except ValueError as error:
        raise UsageError(f"{folder / CONFIG}: {error}") from error
    fill(net, read_tensors(folder / WEIGHTS)[0], folder / WEIGHTS)
    net.eval()
    return net, config


def fill(net: DetectorNet, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors into the network. Raises: UsageError naming what is missing, left over or of another shape."""
    own = net.state_dict()
    problems = [f"{name} is missing" for name in own if name not in tensors]
    problems += [f"{name} belongs to no layer" for name in tensors if name not in own]
    problems += [
        f"{name} is {tuple(tensors[name].shape)}, the network has {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    problems += [
        f"{name} holds values that are not finite"
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if problems:
        shown = "; ".join(problems[:5])
        raise UsageError(f"{path} does not fit its config: {shown} ({len(problems)} problems)")
    net.load_state_dict(dict(tensors), strict=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Tensors, and small values as JSON in the file's own header, in one atomic replacement."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    save_file(kept, beside, metadata={"haetae": canonical_json(dict(notes))})
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of `write_tensors`. Raises: UsageError where the file is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            notes = json.loads((file.metadata() or {}).get("haetae", "{}"))
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise UsageError(f"{path} cannot be read as safetensors: {error}") from error
    return tensors, notes


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_bytes(content)
    os.replace(beside, path)
