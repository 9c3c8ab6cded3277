"""Speech by a VITS network of transformers, from a local folder, with the times of its words.

Where the folder comes from is `generators.weights`; what is done with the speech is decided by who asks.
After: Kim et al., Conditional Variational Autoencoder with Adversarial Learning for End-to-End Text-to-Speech,
2021; Pratap et al., Scaling Speech Technology to 1,000+ Languages, 2023 (the MMS checkpoints).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.repeatable import repeatable
from generators.speech.lettered import letter_times, require_letters, words_of
from generators.speech.networks import at_16_khz, read_model, read_part
from haetae.errors import Rejected, UsageError
from haetae.voice.espeak import MAX_CHARACTERS, Speech
from haetae.voice.level import RATE_HZ
from haetae.voice.tokens import plain_text

MAX_SPEECH_S = 60.0


@dataclass
class Vits:
    """A VITS model with its tokenizer, ready to speak one language."""

    model: Any
    tokenizer: Any
    language: str

    @classmethod
    def load(cls, folder: Path, language: str, device: str) -> Vits:
        """Read config.json, model.safetensors, vocab.json and tokenizer_config.json of a folder; nothing else is
        read, no code of the folder is run, and nothing is fetched.

        Raises: UsageError for a folder that holds no such model, or whose tokenizer wants romanised text where
        the package `uroman` is missing.
        """
        from transformers import VitsModel, VitsTokenizer

        model = read_model(VitsModel, folder, "VITS", device)
        tokenizer = read_part(VitsTokenizer, folder, "VITS tokenizer")
        if len(tokenizer) > int(model.config.vocab_size):
            raise UsageError(
                f"{folder}: the tokenizer knows {len(tokenizer)} characters, the model {model.config.vocab_size}:"
                " they are not of one checkpoint"
            )
        if tokenizer.phonemize:
            raise UsageError(f"{folder}: its tokenizer wants phonemes; give a checkpoint that reads letters")
        if tokenizer.is_uroman and find_spec("uroman") is None:
            raise UsageError(
                f"{folder}: this model reads {language} in Latin letters; install the package `uroman`,"
                " which romanises its text"
            )
        return cls(model, tokenizer, language)

    def speak(self, text: str, seed: int, rate: float = 1.0) -> Speech:
        """Speak a text: 16 kHz, words with their times; phonemes are the letters, as the network times them.

        rate: 1 is the checkpoint's own; the same arguments give the same samples on one machine.
        Raises: Rejected text_too_long, nothing_to_say, letters_unknown (to the vocabulary), speech_too_long,
        speech_unusable.
        """
        import torch

        if len(text) > MAX_CHARACTERS:
            raise Rejected("text_too_long", f"{len(text)} characters, of at most {MAX_CHARACTERS}")
        letters = self._letters(plain_text(text))
        ids = self.tokenizer(text=plain_text(text), return_tensors="pt")["input_ids"].to(self.model.device)
        with torch.inference_mode(), repeatable(seed), self._timed(rate) as lengths:
            wave = self.model(ids).waveform[0].float().cpu().numpy()
        if not np.isfinite(wave).all() or not np.any(wave):
            raise Rejected("speech_unusable", "the network gave samples that are no sound")
        own_hz = int(self.model.config.sampling_rate)
        ends_s = np.cumsum(lengths[0]) * int(np.prod(self.model.config.upsample_rates)) / own_hz
        edges_s = _edges_s(ends_s, len(letters), bool(self.tokenizer.add_blank))
        phonemes = letter_times(letters, edges_s)
        return Speech(
            at_16_khz(wave, own_hz), words_of(text, phonemes), tuple(p for p in phonemes if p.symbol.strip()),
            RATE_HZ, self.language,
        )  # fmt: skip

    def _letters(self, text: str) -> str:
        """The characters that are spoken, one per token."""
        letters, _ = self.tokenizer.prepare_for_tokenization(text)
        # Romanised text has other letters than the text that was given.
        require_letters(letters if self.tokenizer.is_uroman else text, letters)
        return str(letters)

    @contextmanager
    def _timed(self, rate: float) -> Iterator[list[NDArray[np.float64]]]:
        """The frames that each token gets, noted while the model runs; too many of them stop it."""
        import torch

        noted: list[NDArray[np.float64]] = []
        scale = 1.0 / (float(self.model.config.speaking_rate) * rate)
        hop_s = float(np.prod(self.model.config.upsample_rates)) / float(self.model.config.sampling_rate)

        def note(_: Any, __: Any, log_duration: Any) -> None:
            frames = torch.ceil(torch.exp(log_duration.double()) * scale).flatten().cpu().numpy()
            if not np.isfinite(frames).all() or frames.sum() * hop_s > MAX_SPEECH_S:
                raise Rejected("speech_too_long", f"the network wants more than {MAX_SPEECH_S:.0f} s")
            noted.append(frames)

        hook = self.model.duration_predictor.register_forward_hook(note)
        before = self.model.speaking_rate
        self.model.speaking_rate = float(self.model.config.speaking_rate) * rate
        try:
            yield noted
        finally:
            self.model.speaking_rate = before
            hook.remove()


def _edges_s(ends_s: NDArray[np.float64], n: int, blanks: bool) -> NDArray[np.float64]:
    """Where each of n letters begins and the last one ends: a letter has its token and the blank after it."""
    step, first = (2, 1) if blanks else (1, 0)
    edges = np.concatenate([[0.0], ends_s])
    return np.asarray(edges[np.minimum(first + step * np.arange(n + 1), len(edges) - 1)])
