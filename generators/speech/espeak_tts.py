"""`espeak_tts`: another sentence in the sound track, in a synthetic voice of the same pitch and room.

Where it goes and which voice it gets is decided in `placing`; moving the lips to it is `dubbed`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.protocol import Card, FakeRequest, FakeResult, Segment, Word, settings
from generators.segments import RATE_HZ, audio_segments
from generators.speech.placing import Slot, Voice, choose_slot, slots, trimmed, voice_near
from haetae.errors import Rejected
from haetae.provenance.ids import seed_of
from haetae.voice.espeak import VOICES, Phoneme, Speech, speak
from haetae.voice.level import loud_dbfs
from haetae.voice.room import match_room, measure_room, room_noise

Samples = NDArray[np.float32]

MIDDLE_RATE_WPM = 160
SEARCH_S = 0.8
"""How far after the new speech a quiet moment is looked for at which the old speech may go on."""
QUIET_S = 0.04


class EspeakTts:
    """Replaces speech by espeak speech; no weights."""

    card = Card(
        name="espeak_tts",
        version="1",
        family="speech",
        modalities=("audio",),
        languages=("ko", "en-SG", "ms", "ta"),
        needs=("speech", "sentence"),
        params={"min_rate_wpm": 110, "max_rate_wpm": 230, "fade_ms": 10},
        description=(
            "Speaks a sentence with espeak-ng in the pitch of the clip's voice and lays it over a stretch of"
            " its speech, at its level and with its room tone; what is said after a pause stays."
        ),
        intended_use="Training and testing detectors of partly or wholly synthetic speech in four languages.",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Replace speech by `request.sentence`. Raises: as `revoice`."""
        made = revoice(request, settings(self.card, request))
        return FakeResult(
            segments=made.segments,
            audio=made.audio,
            text=request.sentence,
            words=made.words,
            metrics=made.metrics,
        )


@dataclass(frozen=True)
class Revoiced:
    """A sound track with new speech. audio: float32 [N], N as before; all times in seconds of the clip."""

    audio: Samples
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]
    segments: tuple[Segment, ...]
    metrics: dict[str, float]


def revoice(request: FakeRequest, s: dict[str, float | int | str | bool]) -> Revoiced:
    """Lay `request.sentence` over a stretch of the target's speech.

    Raises: Rejected no_audio, no_speech, no_sentence, no_voice (language without one), sentence_does_not_fit.
    """
    old = request.target.audio
    if old is None or not old.size:
        raise Rejected("no_audio", f"clip {request.target.clip_id} has no sound")
    if not request.target.speech:
        raise Rejected("no_speech", f"clip {request.target.clip_id} has no speech to replace")
    if not request.sentence:
        raise Rejected("no_sentence", "a sentence is needed")
    if request.language not in VOICES:
        raise Rejected("no_voice", f"there is no voice for {request.language}")
    said = np.concatenate([old[_at(a) : _at(b)] for a, b in request.target.speech])
    voice = voice_near(said, request.sentence, request.language, request.seed)
    slot, speech = _fitted(request, voice, s, old.size / RATE_HZ)
    first = _at(slot.start_s)
    last = max(_resume(old, slot, speech), first + speech.audio.size)
    seed = seed_of("room", request.seed) % 2**32
    span = _in_room(speech.audio, last - first, old, said, seed, round(float(s["fade_ms"]) * RATE_HZ / 1000))
    audio = old.copy()
    audio[first:last] = _joined(old[first:last], span, round(float(s["fade_ms"]) * RATE_HZ / 1000))
    return Revoiced(
        audio=audio,
        words=tuple(w.shifted(slot.start_s) for w in speech.words),
        phonemes=tuple(
            Phoneme(p.symbol, p.start_s + slot.start_s, p.end_s + slot.start_s) for p in speech.phonemes
        ),
        segments=audio_segments(old, audio),
        metrics={
            "voice_f0_hz": round(voice.f0_hz, 3),
            "level_error_db": round(loud_dbfs(span) - loud_dbfs(said), 3),
        },
    )


def _fitted(
    request: FakeRequest, voice: Voice, s: dict[str, float | int | str | bool], duration_s: float
) -> tuple[Slot, Speech]:
    """A slot and the sentence spoken at the rate that fills it best within the limits."""

    def said(rate_wpm: int) -> Speech:
        made = speak(
            str(request.sentence),
            request.language,
            rate_wpm=rate_wpm,
            pitch=voice.pitch,
            variant=voice.variant,
        )
        return trimmed(made)

    slowest, fastest = int(s["min_rate_wpm"]), int(s["max_rate_wpm"])
    middle = min(max(MIDDLE_RATE_WPM, slowest), fastest)
    lasts_s = said(middle).duration_s
    slot = choose_slot(slots(request.target.speech, duration_s), lasts_s, said(fastest).duration_s)
    wanted_s = min(slot.old_end_s, slot.limit_s) - slot.start_s
    rate = int(np.clip(round(middle * lasts_s / max(wanted_s, 0.1)), slowest, fastest))
    speech = said(rate)
    while speech.duration_s > slot.limit_s - slot.start_s and rate < fastest:
        rate = min(rate + 5, fastest)
        speech = said(rate)
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
    bed[: speech.size] = _joined(bed[: speech.size], voice, fade, at_start=False)
    return bed


def _joined(old: Samples, new: Samples, fade: int, at_start: bool = True) -> Samples:
    """`new`, cross-faded with `old` over `fade` samples at its ends. float32 [N] each."""
    fade = min(fade, new.size // 2)
    weight = np.ones(new.size, np.float32)
    ramp = np.linspace(0, 1, fade + 2, dtype=np.float32)[1:-1]
    if at_start:
        weight[:fade] = ramp
    weight[weight.size - fade :] = ramp[::-1]
    return np.asarray(new * weight + old * (1 - weight), np.float32)


def _at(seconds: float) -> int:
    return round(seconds * RATE_HZ)
