"""The speech of a clip taken apart stretch by stretch, and put back with quiet joins.

What is changed in between is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.protocol import ClipView
from generators.segments import RATE_HZ
from generators.speech.joins import cross_faded, quiet_point
from haetae.errors import Rejected
from haetae.voice.level import FLOOR_DBFS, loud_dbfs
from haetae.voice.world import PERIOD_S, Frames, analyse, synthesise

Samples = NDArray[np.float32]

NEAR_S = 0.25
"""Stretches nearer to each other than this are one: the breath between them belongs to both."""
REACH_S = 0.06
"""How far from where speech is said to begin or end a quiet moment for the join is looked for."""
_MARGIN_S = 0.1
_HOP = round(PERIOD_S * RATE_HZ)
_KNEE = 0.8


@dataclass(frozen=True)
class Span:
    """Samples [first, last) of a clip that hold speech, and [low, high) with a margin beside them."""

    first: int
    last: int
    low: int
    high: int


@dataclass(frozen=True)
class Stretch:
    """A span of a clip, taken apart. frames: of the span and its margins."""

    span: Span
    frames: Frames

    @property
    def inner(self) -> Frames:
        """The frames without those of the margins."""
        first, last = (at - self.span.low for at in (self.span.first, self.span.last))
        return self.frames.cut(first // _HOP, last // _HOP + 1)


def sound_of(clip: ClipView, who: str = "clip") -> Samples:
    """The sound of a clip. Raises: Rejected("no_audio")."""
    if clip.audio is None or not clip.audio.size:
        raise Rejected("no_audio", f"{who} {clip.clip_id} has no sound")
    return clip.audio


def spans_of(clip: ClipView) -> list[Span]:
    """Where a clip's speech lies, the ends of each span at quiet moments.

    Raises: Rejected no_audio, no_speech.
    """
    audio = sound_of(clip)
    margin, spans = round(_MARGIN_S * RATE_HZ), []
    for start_s, end_s in merged(clip.speech):
        first, last = (
            quiet_point(audio, round(t * RATE_HZ), round(REACH_S * RATE_HZ)) for t in (start_s, end_s)
        )
        if last - first >= 2 * _HOP:
            spans.append(Span(first, last, max(0, first - margin), min(audio.size, last + margin)))
    if not spans:
        raise Rejected("no_speech", f"clip {clip.clip_id} has no speech to change")
    return spans


def take_apart(clip: ClipView) -> list[Stretch]:
    """Every stretch of a clip's speech, its ends at quiet moments. Raises: Rejected no_audio, no_speech."""
    audio = sound_of(clip)
    return [Stretch(span, analyse(audio[span.low : span.high])) for span in spans_of(clip)]


def put_back(
    audio: Samples, stretches: Sequence[Stretch], changed: Sequence[Frames], fade_ms: float
) -> tuple[Samples, float]:
    """`put_in`, of what the frames of each stretch, margins included, sound like."""
    made = [
        synthesise(frames, stretch.span.last - stretch.span.low)[stretch.span.first - stretch.span.low :]
        for stretch, frames in zip(stretches, changed, strict=True)
    ]
    return put_in(audio, [stretch.span for stretch in stretches], made, fade_ms)


def put_in(
    audio: Samples, spans: Sequence[Span], made: Sequence[Samples], fade_ms: float
) -> tuple[Samples, float]:
    """The sound with new speech in every span, and the largest change of level that was mended, dB.

    made: float32 [last - first] for each span. A span gets the level of what it replaces; outside the spans every
    sample stays.
    """
    out, mended_db = audio.copy(), 0.0
    fade = round(fade_ms * RATE_HZ / 1000)
    for span, new in zip(spans, made, strict=True):
        old = audio[span.first : span.last]
        levelled, gain_db = at_level(new, old)
        mended_db = max(mended_db, abs(gain_db))
        out[span.first : span.last] = cross_faded(old, levelled, fade)
    return out, mended_db


def at_level(new: Samples, like: Samples) -> tuple[Samples, float]:
    """`new` with the level of the louder parts of `like`, and the gain that took, dB; peaks are held below full
    scale: the vocoder's pulses are sharper than those of a recording that was brought up to it."""
    level, wanted = loud_dbfs(new), loud_dbfs(like)
    if level <= FLOOR_DBFS or wanted <= FLOOR_DBFS:
        return limited(new), 0.0
    gain_db = wanted - level
    return limited(np.asarray(new * np.float32(10.0 ** (gain_db / 20.0)), np.float32)), gain_db


def limited(audio: Samples) -> Samples:
    """Audio below full scale: what lies above 0.8 is bent towards 1, without a corner."""
    over = np.abs(audio) - np.float32(_KNEE)
    if not np.any(over > 0):
        return audio
    bent = _KNEE + (1 - _KNEE) * np.tanh(np.maximum(over, 0) / (1 - _KNEE))
    return np.asarray(np.where(over > 0, np.sign(audio) * bent, audio), np.float32)


def merged(speech: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches in order of time, those that overlap or nearly touch made one."""
    out: list[tuple[float, float]] = []
    for start_s, end_s in sorted((float(a), float(b)) for a, b in speech):
        if out and start_s - out[-1][1] < NEAR_S:
            out[-1] = (out[-1][0], max(out[-1][1], end_s))
        else:
            out.append((start_s, end_s))
    return out


def joined(parts: Sequence[Frames]) -> Frames:
    """Frames one after another."""
    return Frames(
        np.concatenate([p.f0_hz for p in parts]),
        np.concatenate([p.envelope for p in parts]),
        np.concatenate([p.aperiodicity for p in parts]),
    )
