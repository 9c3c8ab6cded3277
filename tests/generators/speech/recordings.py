"""Recordings for the tests of speech: espeak in a slightly noisy room, with its exact words; and edits of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generators.protocol import ClipView
from haetae.locales import load
from haetae.voice.espeak import speak

RATE_HZ = 16_000
PAUSE_S = 0.6


def recording(
    language: str,
    text: str | None = None,
    *,
    variant: str = "m3",
    pitch: int = 40,
    noise: float = 0.002,
    rate_wpm: int = 150,
) -> ClipView:
    """A pause, a sentence, a pause; words and speech with their true times."""
    text = load(language).sentences_for("news")[0] if text is None else text
    said = speak(text, language, variant=variant, pitch=pitch, rate_wpm=rate_wpm)
    lead = round(PAUSE_S * RATE_HZ)
    audio = np.random.default_rng(3).normal(0, noise, said.audio.size + 2 * lead).astype(np.float32)
    audio[lead : lead + said.audio.size] += 0.4 * said.audio
    words = tuple(w.shifted(PAUSE_S) for w in said.words)
    speech = ((words[0].start_s, words[-1].end_s),)
    return ClipView(f"clip-{language}", language, None, audio, (), speech, words)


def samples_of(clip: ClipView) -> np.ndarray:
    assert clip.audio is not None
    return clip.audio


@dataclass(frozen=True)
class Exchange:
    index: int
    count: int
    old: str
    new: str
    kind: str


@dataclass(frozen=True)
class OneExchange:
    """An editor that knows one exchange and no other."""

    old: str
    new: str

    def proposals(self, words: Sequence[str], language: str, kinds: Sequence[str]) -> Sequence[Exchange]:
        return [Exchange(i, 1, self.old, self.new, kinds[0]) for i, w in enumerate(words) if w == self.old]

    def apply(self, words: Sequence[str], edit: Exchange) -> str:
        return " ".join([*words[: edit.index], edit.new, *words[edit.index + edit.count :]])
