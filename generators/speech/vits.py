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
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haetae.errors import Rejected, UsageError
from haetae.voice.espeak import MAX_CHARACTERS, Phoneme, Speech
from haetae.voice.level import RATE_HZ
from haetae.voice.tokens import plain_text, tokenize
from haetae.voice.words import Word

MAX_SPEECH_S = 60.0
MAX_UNKNOWN = 0.2
"""Share of letters that the vocabulary may lack; a text that loses more is not what is heard."""


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

        if not (folder / "model.safetensors").is_file():
            raise UsageError(
                f"{folder} holds no model.safetensors; put the files of one VITS checkpoint there"
            )
        try:
            tokenizer = VitsTokenizer.from_pretrained(folder, local_files_only=True)
            model = VitsModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except Exception as error:
            first = " ".join(str(error).split())[:300]
            raise UsageError(f"{folder} holds no VITS model that can be read: {first}") from error
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
        return cls(model.to(device).eval(), tokenizer, language)

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
        with torch.inference_mode(), _seeded(seed), self._timed(rate) as lengths:
            wave = self.model(ids).waveform[0].float().cpu().numpy()
        if not np.isfinite(wave).all() or not np.any(wave):
            raise Rejected("speech_unusable", "the network gave samples that are no sound")
        own_hz = int(self.model.config.sampling_rate)
        ends_s = np.cumsum(lengths[0]) * int(np.prod(self.model.config.upsample_rates)) / own_hz
        phonemes = _letter_times(letters, ends_s, bool(self.tokenizer.add_blank))
        return Speech(
            _resampled(wave, own_hz), _words(text, phonemes), tuple(p for p in phonemes if p.symbol.strip()),
            RATE_HZ, self.language,
        )  # fmt: skip

    def _letters(self, text: str) -> str:
        """The characters that are spoken, one per token."""
        letters, _ = self.tokenizer.prepare_for_tokenization(text)
        given = sum(token.is_word for token in tokenize(text))
        if not letters.strip() or not given:
            raise Rejected("nothing_to_say", f"the model has no letter of {text[:40]!r}")
        if not self.tokenizer.is_uroman:
            wanted = sum(c.isalnum() for c in text)
            known = sum(c.isalnum() for c in letters)
            if known < (1 - MAX_UNKNOWN) * wanted:
                raise Rejected(
                    "letters_unknown", f"the model knows {known} of {wanted} letters of {text[:40]!r}"
                )
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


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random numbers of torch from a seed, and the state from before again afterwards."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed % 2**63)
        yield


def _letter_times(letters: str, ends_s: NDArray[np.float64], blanks: bool) -> list[Phoneme]:
    """Each letter with the time of its token and of the blank after it."""
    step, first = (2, 1) if blanks else (1, 0)
    edges = np.concatenate([[0.0], ends_s])
    return [
        Phoneme(
            letter,
            float(edges[min(first + step * k, len(edges) - 1)]),
            float(edges[min(first + step * (k + 1), len(edges) - 1)]),
        )
        for k, letter in enumerate(letters)
    ]


def _words(text: str, phonemes: list[Phoneme]) -> tuple[Word, ...]:
    """Runs of letters between spaces; named as in the text where it has as many words."""
    runs: list[list[Phoneme]] = [[]]
    for phoneme in phonemes:
        if phoneme.symbol.isspace():
            runs.append([])
        else:
            runs[-1].append(phoneme)
    runs = [run for run in runs if any(p.symbol.isalnum() for p in run)]
    names = [token.text for token in tokenize(plain_text(text)) if token.is_word]
    if len(names) != len(runs):
        names = ["".join(p.symbol for p in run) for run in runs]
    return tuple(Word(name, run[0].start_s, run[-1].end_s) for name, run in zip(names, runs, strict=True))


def _resampled(wave: NDArray[np.float32], from_hz: int) -> NDArray[np.float32]:
    """At 16 kHz, held in [-1, 1]."""
    from scipy.signal import resample_poly

    if from_hz != RATE_HZ:
        common = gcd(from_hz, RATE_HZ)
        wave = resample_poly(wave.astype(np.float64), RATE_HZ // common, from_hz // common)
    return np.asarray(np.clip(wave, -1.0, 1.0), np.float32)
