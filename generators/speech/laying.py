"""A spoken sentence laid over a stretch of a clip's speech, at its level and in its room.

Who speaks it is decided before (`espeak_tts`, `mms_tts`, `voice_clone`); where it may go is `placing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.protocol import FakeRequest, Segment, Word
from generators.segments import RATE_HZ, audio_segments
from generators.speech.joins import cross_faded
from generators.speech.placing import Slot, choose_slot, slots
from haetae.errors import Rejected
from haetae.provenance.ids import seed_of
from haetae.voice.espeak import Phoneme, Speech
from haetae.voice.level import loud_dbfs
from haetae.voice.room import match_room, measure_room, room_noise

Samples = NDArray[np.float32]
Say = Callable[[int], Speech]
"""The sentence, spoken at a rate: 16 kHz, from just before its first sound to just after its last."""

SEARCH_S = 0.8
"""How far after the new speech a quiet moment is looked for at which the old speech may go on."""
QUIET_S = 0.04


@dataclass(frozen=True)
class Rates:
    """Speaking rates in any unit that is proportional to speed: the slowest, an ordinary and the fastest one."""

    slowest: int
    middle: int
    fastest: int


@dataclass(frozen=True)
class Laid:
    """A sound track with new speech. audio: float32 [N], N as before; all times in seconds of the clip."""

    audio: Samples
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]
    segments: tuple[Segment, ...]
    metrics: dict[str, float]


def what_is_said(request: FakeRequest) -> Samples:
    """All speech of the target, cut together.

    Raises: Rejected no_audio, no_speech, no_sentence, so that nothing is spoken in vain.
    """
    old = request.target.audio
    if old is None or not old.size:
        raise Rejected("no_audio", f"clip {request.target.clip_id} has no sound")
    if not request.target.speech:
        raise Rejected("no_speech", f"clip {request.target.clip_id} has no speech to replace")
    if not request.sentence:
        raise Rejected("no_sentence", "a sentence is needed")
    return np.concatenate([old[_at(a) : _at(b)] for a, b in request.target.speech])


def lay(request: FakeRequest, say: Say, rates: Rates, fade_ms: float) -> Laid:
    """Lay the request's sentence over the stretch of the target's speech that it fills best.

    Raises: Rejected as `what_is_said`, and sentence_does_not_fit.
    """
    said = what_is_said(request)
    old = request.target.audio
    assert old is not None
    slot, speech = _fitted(request, say, rates, old.size / RATE_HZ)
    first = _at(slot.start_s)
    last = max(_resume(old, slot, speech), first + speech.audio.size)
    fade = round(fade_ms * RATE_HZ / 1000)
    span = _in_room(speech.audio, last - first, old, said, seed_of("room", request.seed) % 2**32, fade)
    audio = old.copy()
    audio[first:last] = cross_faded(old[first:last], span, fade)
    return Laid(
        audio=audio,
        words=tuple(w.shifted(slot.start_s) for w in speech.words),
        phonemes=tuple(
            Phoneme(p.symbol, p.start_s + slot.start_s, p.end_s + slot.start_s) for p in speech.phonemes
        ),
        segments=audio_segments(old, audio),
        metrics={"level_error_db": round(loud_dbfs(span) - loud_dbfs(said), 3)},
    )


def _fitted(request: FakeRequest, say: Say, rates: Rates, duration_s: float) -> tuple[Slot, Speech]:
    """A slot and the sentence spoken at the rate that fills it best within the limits."""
    lasts_s = say(rates.middle).duration_s
    slot = choose_slot(slots(request.target.speech, duration_s), lasts_s, say(rates.fastest).duration_s)
    wanted_s = min(slot.old_end_s, slot.limit_s) - slot.start_s
    rate = int(np.clip(round(rates.middle * lasts_s / max(wanted_s, 0.1)), rates.slowest, rates.fastest))
    speech = say(rate)
    while speech.duration_s > slot.limit_s - slot.start_s and rate < rates.fastest:
        rate = min(rate + 5, rates.fastest)
        speech = say(rate)
    return slot, speech


def _resume(old: Samples, slot: Slot, speech: Speech) -> int:
    """The sample at which the old sound goes on: where the old speech ends or, if that is much later, the
    quietest moment soon after the new speech, which is likely to lie between two words."""
    end_s = slot.start_s + speech.duration_s
    if slot.old_end_s - end_s <= SEARCH_S:
        return min(_at(max(slot.old_end_s, end_s)), old.size)
    size = _at(QUIET_S)
    stretch = old[_at(end_s + QUIET_S) : _at(end_s + SEARCH_S)].astype(np.float64)
    power = np.convolve(stretch**2, np.ones(size), mode="valid")
    return _at(end_s + QUIET_S) + int(np.argmin(power)) + size // 2


def _in_room(speech: Samples, n: int, old: Samples, said: Samples, seed: int, fade: int) -> Samples:
    """The speech at the level of what was said, in the clip's room tone, which fills the rest of `n`."""
    bed = room_noise(measure_room(old), n, seed + 1)
    # Put first, what was said sets the level even in a clip that is silent for most of its length.
    voice = match_room(speech, np.concatenate([said, old]), seed)
    bed[: speech.size] = cross_faded(bed[: speech.size], voice, fade, at_start=False)
    return bed


def _at(seconds: float) -> int:
    return round(seconds * RATE_HZ)
