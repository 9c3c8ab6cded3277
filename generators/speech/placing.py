"""Where in a clip new speech goes, how fast it is spoken, and in whose voice.

Putting the samples there is `espeak_tts`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.locales import load
from haetae.provenance.ids import seed_of
from haetae.voice.espeak import Phoneme, Speech, speak
from haetae.voice.pitch import median_f0_hz
from haetae.voice.words import Word

RATE_HZ = 16_000
MARGIN_S = 0.06
"""Kept free before whatever follows the new speech, and before the end of the clip."""
TAIL_S = 0.02
HIGH_VOICE_HZ = 165.0
"""Between the usual pitch of men and of women; only decides which of espeak's variants are tried."""
_PITCHES = (5, 50, 99)


@dataclass(frozen=True)
class Slot:
    """A stretch of the clip for new speech, seconds: it starts at `start_s`, the old speech in it ends at
    `old_end_s`, and the new must end before `limit_s`."""

    start_s: float
    old_end_s: float
    limit_s: float


def slots(speech: Sequence[tuple[float, float]], duration_s: float) -> list[Slot]:
    """Every run of neighbouring speech stretches, up to what follows it."""
    found = []
    for i, (start_s, _) in enumerate(speech):
        for j in range(i, len(speech)):
            limit_s = speech[j + 1][0] if j + 1 < len(speech) else duration_s
            found.append(Slot(float(start_s), float(speech[j][1]), float(limit_s) - MARGIN_S))
    return found


def choose_slot(options: Sequence[Slot], lasts_s: float, shortest_s: float) -> Slot:
    """The slot whose old speech lasts most nearly as long as the sentence at an ordinary rate.

    shortest_s: how long the sentence lasts at the fastest rate.
    Raises: Rejected("sentence_does_not_fit") where no slot has room even then.
    """
    fitting = [slot for slot in options if slot.limit_s - slot.start_s >= shortest_s]
    if not fitting:
        longest = max((slot.limit_s - slot.start_s for slot in options), default=0.0)
        detail = f"{shortest_s:.2f} s at the fastest rate, the longest room is {longest:.2f} s"
        raise Rejected("sentence_does_not_fit", detail)
    return min(
        fitting,
        key=lambda s: (abs(math.log(lasts_s / max(s.old_end_s - s.start_s, 0.1))), s.start_s, s.old_end_s),
    )


def trimmed(speech: Speech) -> Speech:
    """Speech from 20 ms before its first sound to 20 ms after its last, times shifted to match."""
    start_s = max(0.0, speech.phonemes[0].start_s - TAIL_S)
    end_s = min(speech.duration_s, speech.phonemes[-1].end_s + TAIL_S)
    audio = speech.audio[round(start_s * speech.rate_hz) : round(end_s * speech.rate_hz)]
    words = tuple(_within(w, start_s, end_s - start_s) for w in speech.words)
    sounds = tuple(Phoneme(p.symbol, p.start_s - start_s, p.end_s - start_s) for p in speech.phonemes)
    return replace(speech, audio=audio, words=words, phonemes=sounds)


def _within(word: Word, start_s: float, length_s: float) -> Word:
    first, last = (min(max(0.0, at - start_s), length_s) for at in (word.start_s, word.end_s))
    return Word(word.word, first, last, word.score)


@dataclass(frozen=True)
class Voice:
    """An espeak voice: variant and pitch, and the fundamental frequency it was measured to have, hertz."""

    variant: str
    pitch: int
    f0_hz: float


def voice_near(audio: NDArray[np.float32], sentence: str, language: str, seed: int) -> Voice:
    """The espeak voice of a language that lies nearest in pitch to a recording; measured, not assumed.

    The variant is drawn by the seed from the locale's high or low ones; without a measurable pitch in the
    recording (noise, whisper), a middle pitch is taken.
    """
    wanted_hz = median_f0_hz(audio)
    variants = load(language).voice.variants
    kind = "f" if (wanted_hz or HIGH_VOICE_HZ) >= HIGH_VOICE_HZ else "m"
    suited = [v for v in variants if v.removeprefix("+").startswith(kind)] or list(variants)
    variant = suited[seed_of("variant", seed) % len(suited)]
    heard = [_f0_hz(sentence, language, variant, pitch) for pitch in _PITCHES]
    known = [(p, f) for p, f in zip(_PITCHES, heard, strict=True) if f is not None]
    if wanted_hz is None or len(known) < 2:
        return Voice(variant, 50, heard[1] or 0.0)
    # espeak's pitch parameter is nearly linear in the logarithm of the frequency.
    order = sorted(known, key=lambda pair: pair[1])
    pitch = round(
        float(np.interp(math.log(wanted_hz), [math.log(f) for _, f in order], [p for p, _ in order]))
    )
    return Voice(variant, pitch, _f0_hz(sentence, language, variant, pitch) or 0.0)


def _f0_hz(sentence: str, language: str, variant: str, pitch: int) -> float | None:
    return median_f0_hz(speak(sentence, language, variant=variant, pitch=pitch).audio)
