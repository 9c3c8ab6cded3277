"""What LatentSync hears: states of every layer of a Whisper encoder, ten steps of 20 ms around each frame.

The sound itself is chosen in `generators.lip_sync.driving`.
After: Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022; Li et al., LatentSync, 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from haetae.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

RATE_HZ = 16_000
MEL_PER_STEP = 2
STEPS_PER_FRAME = 2
BEFORE, AFTER = 4, 6
"""Steps before the frame's own moment, and from it on, that the frame attends to."""
_HEAD_WIDTH = 64
"""Features of an attention head, in every Whisper model."""
_NAMES = (
    ("positional_embedding", "embed_positions.weight"),
    ("ln_post.", "layer_norm."),
    ("blocks.", "layers."),
    (".attn.query.", ".self_attn.q_proj."),
    (".attn.key.", ".self_attn.k_proj."),
    (".attn.value.", ".self_attn.v_proj."),
    (".attn.out.", ".self_attn.out_proj."),
    (".attn_ln.", ".self_attn_layer_norm."),
    (".mlp.0.", ".fc1."),
    (".mlp.2.", ".fc2."),
    (".mlp_ln.", ".final_layer_norm."),
)
"""OpenAI's names of an encoder's tensors, and those of transformers."""


class Hearing:
    """A Whisper encoder; `features` is the width of its states."""

    def __init__(self, tensors: Mapping[str, Tensor], device: str) -> None:
        """tensors: of a checkpoint as OpenAI (`whisper/tiny.pt`) or transformers publishes it.

        Raises: UsageError for tensors of another network.
        """
        self._encoder = _encoder(tensors).to(device)
        self._device = device
        config = self._encoder.config
        self.features, self._n_mels = int(config.d_model), int(config.num_mel_bins)
        self._longest = int(config.max_source_positions)

    def listen(self, audio: NDArray[np.float32], frames: NDArray[np.int64]) -> Tensor:
        """What is heard around frames of a 25 fps clip: float32 [N, 10 * (layers + 1), features] on the CPU.

        audio: float32 [N] at 16 kHz.
        """
        import torch

        states = self._states(audio)
        at = np.asarray(frames)[:, None] * STEPS_PER_FRAME + np.arange(-BEFORE, AFTER)[None]
        chosen = states[torch.from_numpy(np.clip(at, 0, len(states) - 1))]
        return chosen.flatten(1, 2)

    def _states(self, audio: NDArray[np.float32]) -> Tensor:
        """States before, between and after the layers: [steps, layers + 1, features], 50 steps a second."""
        import torch

        mel = log_mel(audio, self._n_mels)
        piece = self._longest * MEL_PER_STEP
        out = []
        for start in range(0, mel.shape[1], piece):
            part = mel[:, start : start + piece]
            padded = np.zeros((1, self._n_mels, piece), np.float32)
            padded[0, :, : part.shape[1]] = part
            states = self._layers(torch.from_numpy(padded).to(self._device))
            out.append(states[: part.shape[1] // MEL_PER_STEP])
        return torch.cat(out)

    def _layers(self, mel: Tensor) -> Tensor:
        import torch

        noted: list[Tensor] = []

        def note_first(_module: Any, given: tuple[Tensor, ...]) -> None:
            noted.append(given[0])

        def note(_module: Any, _given: Any, out: Any) -> None:
            noted.append(out[0] if isinstance(out, tuple) else out)

        layers = self._encoder.layers
        hooks = [layers[0].register_forward_pre_hook(note_first)]
        hooks += [layer.register_forward_hook(note) for layer in layers]
        try:
            self._encoder(mel)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack([state[0] for state in noted], dim=1).float().cpu()


def log_mel(audio: NDArray[np.float32], n_mels: int) -> NDArray[np.float32]:
    """Whisper's log-mel spectrogram: float32 [n_mels, N // 160], about -1 to 1.5; at least two columns."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    samples = np.pad(np.asarray(audio, np.float64), (0, max(0, 480 - len(audio))))
    bank = mel_filter_bank(201, n_mels, 0.0, 8000.0, RATE_HZ, norm="slaney", mel_scale="slaney")
    levels = spectrogram(
        samples, window_function(400, "hann"), 400, 160, power=2.0, mel_filters=bank, log_mel="log10"
    )[:, :-1]
    levels = np.maximum(levels, levels.max() - 8.0)
    return np.asarray((levels + 4.0) / 4.0, np.float32)


def _encoder(tensors: Mapping[str, Tensor]) -> Any:
    import transformers
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    plain = _renamed(tensors)
    settings: Any = transformers.WhisperConfig
    try:
        width, n_mels = plain["conv1.weight"].shape[:2]
        config = settings(
            d_model=width,
            num_mel_bins=n_mels,
            encoder_layers=len({name.split(".")[1] for name in plain if name.startswith("layers.")}),
            encoder_attention_heads=max(1, width // _HEAD_WIDTH),
            encoder_ffn_dim=plain["layers.0.fc1.weight"].shape[0],
            max_source_positions=plain["embed_positions.weight"].shape[0],
            dropout=0.0,
        )
        encoder = WhisperEncoder(config)
        encoder.load_state_dict({name: value.float() for name, value in plain.items()})
    except (KeyError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())[:300]
        raise UsageError(f"the checkpoint is not one of Whisper: {why}") from error
    encoder.requires_grad_(False).eval()
    return encoder


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors by transformers' names."""
    plain = {}
    for name, value in tensors.items():
        own = name.removeprefix("model.")
        if not own.startswith("encoder."):
            continue
        own = own.removeprefix("encoder.")
        for theirs, ours in _NAMES:
            own = own.replace(theirs, ours)
        plain[own] = value
    return plain
