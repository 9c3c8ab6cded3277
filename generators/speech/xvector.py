"""The x-vector network of SpeechBrain, rebuilt so that its published file can be read without that library.

What its vectors are used for is not known here.
After: Snyder et al., X-Vectors: Robust DNN Embeddings for Speaker Recognition, ICASSP 2018.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from haetae.errors import UsageError
from haetae.voice.level import RATE_HZ
from haetae.weights import read_tensors

FILE = "embedding_model.ckpt"
MAX_BYTES = 1 << 30
_BLOCKS = ((5, 1), (3, 2), (3, 3), (1, 1), (1, 1))
"""Kernel size and dilation of the five time-delay layers; their widths are told by the tensors."""
_N_FFT, _HOP = 400, 160
_FLOOR, _RANGE_DB = 1e-10, 80.0


@dataclass(frozen=True)
class XVector:
    """Audio at 16 kHz to one vector that tells the speaker. size: of the vector; all tensors on one device."""

    size: int
    modules: Any
    filters: Tensor
    window: Tensor

    @classmethod
    def of(cls, n_bands: int, widths: Sequence[int], size: int) -> XVector:
        """A network without weights yet. widths: channels of the five layers."""
        sizes = zip((n_bands, *widths), widths, _BLOCKS, strict=False)
        layers = nn.Sequential(*(_layer(a, b, *block) for a, b, block in sizes))
        modules = nn.ModuleDict({"layers": layers, "last": nn.Linear(2 * widths[-1], size)})
        return cls(size, modules.eval(), _filters(n_bands), torch.hamming_window(_N_FFT))

    def to(self, device: str) -> XVector:
        """The same on a device."""
        return XVector(self.size, self.modules.to(device), self.filters.to(device), self.window.to(device))

    def __call__(self, audio: Tensor) -> Tensor:
        """audio: float32 [N] on the device. Returns: float32 [size]."""
        x = self.modules["layers"](self._bands(audio).T[None])
        pooled = torch.cat([x.mean(dim=2), x.std(dim=2) + 1e-5], dim=1)
        made: Tensor = self.modules["last"](pooled)[0]
        return made

    def _bands(self, audio: Tensor) -> Tensor:
        """Log power in mel bands, mean over time removed: float32 [T, bands], dB."""
        spectrum = torch.stft(
            audio, _N_FFT, _HOP, _N_FFT, self.window, center=True, pad_mode="constant", return_complex=True
        )
        power_db = 10 * torch.log10(torch.clamp(spectrum.abs().square().T @ self.filters, min=_FLOOR))
        power_db = torch.maximum(power_db, power_db.max() - _RANGE_DB)
        return power_db - power_db.mean(dim=0)


def _layer(n_in: int, n_out: int, kernel: int, dilation: int) -> Any:
    """One layer over time: convolution with reflected ends, leaky ReLU, batch normalisation."""
    parts = {
        "pad": nn.ReflectionPad1d(dilation * (kernel - 1) // 2),
        "conv": nn.Conv1d(n_in, n_out, kernel, dilation=dilation),
        "bent": nn.LeakyReLU(),
        "norm": nn.BatchNorm1d(n_out),
    }
    return nn.Sequential(OrderedDict(parts))


def read_xvector(folder: Path) -> XVector:
    """The network of `embedding_model.ckpt` in a folder, ready for use on the CPU.

    Raises: UsageError for a file that is missing, unreadable, or of another network.
    """
    state = read_tensors(folder / FILE, MAX_BYTES)
    layers = {k: 3 * k for k in range(len(_BLOCKS))}  # in its file, activations count as blocks as well
    try:
        widths = tuple(int(state[f"blocks.{at}.conv.weight"].shape[0]) for at in layers.values())
        n_bands = int(state["blocks.0.conv.weight"].shape[1])
        last = next(name for name in state if name.endswith(".w.weight"))
        model = XVector.of(n_bands, widths, int(state[last].shape[0]))
        model.modules.load_state_dict(_renamed(state, layers, last.removesuffix("weight")))
    except (KeyError, StopIteration, IndexError, RuntimeError) as error:
        first = " ".join(str(error).split())[:200]
        raise UsageError(f"{folder / FILE} holds no x-vector network of SpeechBrain: {first}") from error
    return model


def _renamed(state: dict[str, Tensor], layers: dict[int, int], last: str) -> dict[str, Tensor]:
    """The tensors under the names of this module; any others keep theirs, and are told when they are loaded."""
    ours = {f"blocks.{at}.conv.": f"layers.{k}.conv." for k, at in layers.items()}
    ours |= {f"blocks.{at + 2}.norm.": f"layers.{k}.norm." for k, at in layers.items()}
    ours[last] = "last."
    renamed = {}
    for name, tensor in state.items():
        start = next((start for start in ours if name.startswith(start)), "")
        renamed[ours.get(start, "") + name.removeprefix(start)] = tensor
    return renamed


def _filters(n_bands: int) -> Tensor:
    """Triangles on the mel scale up to 8 kHz, each as wide above its middle as below: float32 [201, bands]."""
    top_mel = 2595 * torch.log10(torch.tensor(1 + RATE_HZ / 2 / 700))
    edges_hz = 700 * (10 ** (torch.linspace(0, float(top_mel), n_bands + 2) / 2595) - 1)
    middle_hz, width_hz = edges_hz[1:-1], (edges_hz[1:] - edges_hz[:-1])[:-1]
    at_hz = torch.linspace(0, RATE_HZ / 2, _N_FFT // 2 + 1)
    return torch.clamp(1 - (at_hz[:, None] - middle_hz).abs() / width_hz, min=0)
