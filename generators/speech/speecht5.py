"""Speech by a SpeechT5 network of transformers in the voice that a vector tells, with the times of its words.

Where the folders come from is `generators.weights`; whose vector it is, is decided by who asks.
After: Ao et al., SpeechT5: Unified-Modal Encoder-Decoder Pre-Training for Spoken Language Processing, ACL 2022;
Kim et al., Glow-TTS, NeurIPS 2020 (the monotonic alignment search, here over attention).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.repeatable import repeatable
from generators.speech.hifigan import HifiGan, Mel
from generators.speech.lettered import letter_times, require_letters, words_of
from generators.speech.networks import read_model, read_part
from haetae.errors import Rejected, UsageError
from haetae.voice.espeak import MAX_CHARACTERS, Speech
from haetae.voice.level import RATE_HZ
from haetae.voice.tokens import plain_text

Floats = NDArray[np.float64]

MAX_SPEECH_S = 30.0
FRAMES_PER_LETTER = (2.0, 20.0)
"""The network stops by itself; of 16 ms each, fewer frames than this are no speech, and more never end."""
_PARTS = 8
"""Into how many parts a step of the decoder is divided when letters are given their times."""
_SPACE = "\u2581"


@dataclass(frozen=True)
class Spoken:
    """A sentence as the network spoke it. mel: float32 [T, bands]; letters: one for each token, a space between
    words; edges: float64 [letters + 1], frames at which each begins and the last one ends."""

    text: str
    mel: Mel
    letters: tuple[str, ...]
    edges: Floats


@dataclass(frozen=True)
class SpeechT5:
    """A SpeechT5ForTextToSpeech with its tokenizer and vocoder, ready to speak one language."""

    model: Any
    tokenizer: Any
    vocoder: HifiGan
    language: str

    @classmethod
    def load(cls, folder: Path, vocoder: HifiGan, language: str, device: str) -> SpeechT5:
        """Read config.json, the tensors, spm_char.model and tokenizer_config.json of a folder.

        Raises: UsageError for a folder that holds no such model, or parts that do not belong together.
        """
        from transformers import SpeechT5ForTextToSpeech, SpeechT5Tokenizer

        model = read_model(SpeechT5ForTextToSpeech, folder, "SpeechT5", device)
        tokenizer = read_part(SpeechT5Tokenizer, folder, "SpeechT5 tokenizer")
        for what, found, wanted in (
            ("tokens of its tokenizer", len(tokenizer), range(1, int(model.config.vocab_size) + 1)),
            ("mel bands of the vocoder", vocoder.bands, (int(model.config.num_mel_bins),)),
        ):
            if found not in wanted:
                raise UsageError(
                    f"{folder}: the {found} {what} do not fit the network, which has {wanted[-1]}: they are not"
                    " of one checkpoint"
                )
        return cls(model, tokenizer, vocoder, language)

    @property
    def vector_size(self) -> int:
        """How many values a speaker's vector has."""
        return int(self.model.config.speaker_embedding_dim)

    def speak(self, text: str, voice: NDArray[np.float32], seed: int) -> Spoken:
        """Speak a text in the voice of a vector float32 [vector_size]. Equal arguments give equal frames.

        Raises: Rejected text_too_long, nothing_to_say, letters_unknown (to the vocabulary), speech_unusable (the
        network does not come to an end).
        """
        import torch

        if len(text) > MAX_CHARACTERS:
            raise Rejected("text_too_long", f"{len(text)} characters, of at most {MAX_CHARACTERS}")
        ids, letters = self._tokens(plain_text(text))
        least, most = self._limits(len(ids))
        given = torch.tensor([ids], device=self.model.device)
        vector = torch.from_numpy(np.ascontiguousarray(voice))[None].to(self.model.device)
        with torch.inference_mode(), repeatable(seed):
            mel, attention = self.model.generate_speech(
                given, vector, minlenratio=least, maxlenratio=most, output_cross_attentions=True
            )
        mel = np.asarray(mel.float().cpu().numpy(), np.float32)
        if not np.isfinite(mel).all():
            raise Rejected("speech_unusable", "the network gave a spectrogram that is none")
        if len(mel) >= int(len(ids) * most / self._step) * self._step:
            raise Rejected("speech_unusable", f"the network does not come to an end of {text[:40]!r}")
        # Trained to follow the text (guided attention) are the first heads of each layer alone.
        guided = attention[:, : int(self.model.config.guided_attention_loss_num_heads)]
        follows = guided.float().mean(dim=(0, 1)).cpu().numpy().astype(np.float64)[:, : len(letters)]
        return Spoken(text, mel, tuple(letters), _edges(follows) * self._step)

    def sound(self, spoken: Spoken, rate: float = 1.0) -> Speech:
        """What was spoken, `rate` times as fast, at the same pitch: the frames are read faster or slower.

        Phonemes are the letters, as the network attends to them. Raises: Rejected speech_unusable.
        """
        n = max(1, round(len(spoken.mel) / rate))
        where = np.minimum((np.arange(n) + 0.5) * len(spoken.mel) / n - 0.5, len(spoken.mel) - 1).clip(0)
        low = np.floor(where).astype(int)
        share = (where - low)[:, None].astype(np.float32)
        high = np.minimum(low + 1, len(spoken.mel) - 1)
        wave = self.vocoder.sound(spoken.mel[low] * (1 - share) + spoken.mel[high] * share)
        edges_s = spoken.edges * (n / len(spoken.mel)) * self.vocoder.hop / RATE_HZ
        phonemes = letter_times(spoken.letters, edges_s)
        heard = tuple(p for p in phonemes if p.symbol.strip())
        return Speech(wave, words_of(spoken.text, phonemes), heard, RATE_HZ, self.language)

    @property
    def _step(self) -> int:
        """Frames that the decoder makes at once."""
        return int(self.model.config.reduction_factor)

    def _tokens(self, text: str) -> tuple[list[int], list[str]]:
        """Ids of the tokens, end token included, and what each of them but the end spells."""
        pieces = self.tokenizer.tokenize(text)
        ids = [int(i) for i in self.tokenizer.convert_tokens_to_ids(pieces)]
        unknown = self.tokenizer.unk_token_id
        spelt = "".join(p for p, i in zip(pieces, ids, strict=True) if i != unknown).replace(_SPACE, " ")
        require_letters(text, spelt)
        if len(ids) + 1 > int(self.model.config.max_text_positions):
            most = int(self.model.config.max_text_positions)
            raise Rejected("text_too_long", f"{len(ids) + 1} tokens, of at most {most}")
        return [*ids, int(self.tokenizer.eos_token_id)], [p.replace(_SPACE, " ") or " " for p in pieces]

    def _limits(self, n: int) -> tuple[float, float]:
        """Fewest and most frames for each of n tokens, held to what the decoder has positions for."""
        frames = min(
            MAX_SPEECH_S * RATE_HZ / self.vocoder.hop,
            float((int(self.model.config.max_speech_positions) - 1) * self._step),
        )
        least, most = FRAMES_PER_LETTER
        most = min(most, frames / n)
        if most <= least:
            raise Rejected("text_too_long", f"{n} tokens would last longer than {MAX_SPEECH_S:.0f} s")
        return least, most


def _edges(follows: Floats) -> Floats:
    """When each letter begins, and the last one ends, by the attention it gets: float64 [letters + 1], in steps.

    follows: float64 [steps, letters]. The way through the letters that gathers the most logarithm of attention,
    one letter after another and none left out. Raises: Rejected speech_unusable where there are fewer parts of
    steps than letters.
    """
    score = np.repeat(np.log(np.maximum(follows, 1e-8)), _PARTS, axis=0)
    steps, letters = score.shape
    if steps < letters:
        raise Rejected("speech_unusable", f"{letters} letters in {steps // _PARTS} steps of the decoder")
    total = np.full(letters, -np.inf)
    total[0] = score[0, 0]
    moved = np.zeros((steps, letters), np.bool_)
    for t in range(1, steps):
        before = np.concatenate(([-np.inf], total[:-1]))
        moved[t] = before > total
        total = np.where(moved[t], before, total) + score[t]
    edges = np.zeros(letters + 1)
    edges[letters] = steps
    at = letters - 1
    for t in range(steps - 1, 0, -1):
        if moved[t, at]:
            edges[at] = t
            at -= 1
    return edges / _PARTS
