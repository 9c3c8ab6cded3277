"""Whose voice it is: one vector of unit length for a stretch of speech, by the encoder that lies in a folder.

What is spoken with the vector is not decided here.
After: Snyder et al., X-Vectors, ICASSP 2018; Chen et al., WavLM, IEEE JSTSP 2022.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.repeatable import repeatable
from generators.speech.networks import read_model, read_part, tensor_file
from haetae.errors import Rejected, UsageError
from haetae.voice.level import RATE_HZ

Samples = NDArray[np.float32]
Vector = NDArray[np.float32]

SPEECHBRAIN = "embedding_model.ckpt"
KINDS = ("WavLMForXVector", "Wav2Vec2ForXVector")
"""The classes of transformers that are read, as `architectures` of config.json names them."""
MIN_S, MAX_S = 0.5, 20.0
"""Less speech tells nobody's voice; more changes the vector hardly."""


def wanted_files(names: Iterable[str]) -> tuple[str, ...]:
    """Which files an encoder consists of, by the names of those that are pinned for it."""
    given = set(names)
    if given <= {SPEECHBRAIN}:
        return (SPEECHBRAIN,)
    return ("config.json", tensor_file(given), "preprocessor_config.json")


@dataclass(frozen=True)
class Speaker:
    """A speaker encoder, ready for use. size: values of its vectors."""

    size: int
    _encode: Callable[[Samples], Any]

    @classmethod
    def load(cls, folder: Path, device: str) -> Speaker:
        """Read the encoder of a folder: SpeechBrain's x-vector network, or one of `KINDS`.

        Raises: UsageError for a folder that holds none that can be read.
        """
        return (
            _of_speechbrain(folder, device)
            if (folder / SPEECHBRAIN).is_file()
            else _of_transformers(folder, device)
        )

    def vector(self, speech: Samples) -> Vector:
        """The voice of 16 kHz speech float32 [N]: float32 [size], of length 1; equal speech gives equal vectors.

        Raises: Rejected too_little_voice (under 0.5 s, or silence).
        """
        import torch

        speech = speech[: round(MAX_S * RATE_HZ)]
        if speech.size < MIN_S * RATE_HZ or not np.any(speech):
            lasts_s = speech.size / RATE_HZ
            raise Rejected("too_little_voice", f"{lasts_s:.2f} s of speech, of {MIN_S} s at least")
        with torch.inference_mode(), repeatable(0):
            made = self._encode(np.ascontiguousarray(speech, np.float32)).float().cpu().numpy()
        length = float(np.linalg.norm(made))
        if not np.isfinite(length) or length < 1e-9:
            raise Rejected("too_little_voice", "the speaker encoder finds no voice in it")
        return np.asarray(made / length, np.float32)


def _of_speechbrain(folder: Path, device: str) -> Speaker:
    import torch

    from generators.speech.xvector import read_xvector

    model = read_xvector(folder).to(device)
    return Speaker(model.size, lambda speech: model(torch.from_numpy(speech).to(device)))


def _of_transformers(folder: Path, device: str) -> Speaker:
    import transformers

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = next((name for name in config.get("architectures") or () if name in KINDS), None)
    except (OSError, ValueError, AttributeError) as error:
        first = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{folder} holds neither {SPEECHBRAIN} nor a readable config.json: {first}"
        ) from error
    if kind is None:
        raise UsageError(f"{folder}: its config.json names none of {', '.join(KINDS)} under `architectures`")
    model = read_model(getattr(transformers, kind), folder, kind, device)
    extractor = read_part(transformers.Wav2Vec2FeatureExtractor, folder, "preprocessor_config.json")

    def encode(speech: Samples) -> Any:
        given = extractor(speech, sampling_rate=RATE_HZ, return_tensors="pt")["input_values"]
        return model(given.to(model.device)).embeddings[0]

    return Speaker(int(model.config.xvector_output_dim), encode)
