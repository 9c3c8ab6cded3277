"""A HiFi-GAN vocoder of transformers: mel spectrograms into sound, and sound into the mel spectrograms it takes.

Whose speech it is, and what becomes of it, is not known here.
After: Kong et al., HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech Synthesis,
NeurIPS 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.repeatable import repeatable
from generators.speech.networks import read_model, read_part
from haetae.errors import Rejected, UsageError
from haetae.voice.level import RATE_HZ

Samples = NDArray[np.float32]
Mel = NDArray[np.float32]
"""float32 [T, bands], logarithm to the base 10."""


@dataclass(frozen=True)
class HifiGan:
    """A SpeechT5HifiGan, ready for use: `hop` samples of 16 kHz for each frame of `bands` mel bands."""

    model: Any
    hop: int
    bands: int

    @classmethod
    def load(cls, folder: Path, device: str) -> HifiGan:
        """Read config.json and the tensors of a folder.

        Raises: UsageError for a folder that holds no such model, or one that does not sound at 16 kHz.
        """
        from transformers import SpeechT5HifiGan

        model = read_model(SpeechT5HifiGan, folder, "HiFi-GAN", device)
        if (rate_hz := int(model.config.sampling_rate)) != RATE_HZ:
            raise UsageError(f"{folder}: its vocoder sounds at {rate_hz} Hz; give one of {RATE_HZ} Hz")
        return cls(model, int(np.prod(model.config.upsample_rates)), int(model.config.model_in_dim))

    def sound(self, mel: Mel) -> Samples:
        """The sound of a mel spectrogram [T, bands]: float32 [T * hop] at 16 kHz, in [-1, 1].

        Equal spectrograms give equal samples. Raises: Rejected speech_unusable.
        """
        import torch

        with torch.inference_mode(), repeatable(0):
            wave = self.model(torch.from_numpy(np.ascontiguousarray(mel)).to(self.model.device))
        made = np.asarray(wave.float().cpu().numpy(), np.float32)
        if not np.isfinite(made).all() or not np.any(made):
            raise Rejected("speech_unusable", "the vocoder gave samples that are no sound")
        return made


@dataclass(frozen=True)
class MelSettings:
    """How the spectrograms were made that a vocoder was trained with: a SpeechT5FeatureExtractor."""

    extractor: Any

    @classmethod
    def load(cls, folder: Path, vocoder: HifiGan) -> MelSettings:
        """Read preprocessor_config.json of a folder.

        Raises: UsageError for a file that cannot be read, or whose spectrograms are not the vocoder's.
        """
        from transformers import SpeechT5FeatureExtractor

        # Asked for first: without the file, a library would rather take its own settings than none.
        if not (folder / "preprocessor_config.json").is_file():
            raise UsageError(
                f"{folder} holds no preprocessor_config.json, which tells how spectrograms are made"
            )
        extractor = read_part(SpeechT5FeatureExtractor, folder, "settings of mel spectrograms")
        found = (int(extractor.sampling_rate), int(extractor.sample_stride), int(extractor.num_mel_bins))
        wanted = (RATE_HZ, vocoder.hop, vocoder.bands)
        if found != wanted:
            told = ("{} Hz, {} samples a frame, {} bands".format(*x) for x in (found, wanted))
            raise UsageError("{}: its spectrograms have {}, the vocoder's {}".format(folder, *told))
        return cls(extractor)

    def mel(self, audio: Samples) -> Mel:
        """The mel spectrogram of 16 kHz audio float32 [N]: float32 [N // hop + 1, bands]; frame t is centred on
        sample t * hop."""
        made = self.extractor(audio_target=audio.astype(np.float32), sampling_rate=RATE_HZ)["input_values"][0]
        return np.asarray(made, np.float32)
