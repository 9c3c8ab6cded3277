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
class Stretch:
    """Samples [first, last) of a clip that hold speech, taken apart.

    frames: of the stretch and a margin beside it; lead: samples of the margin before `first`.
    """

    first: int
    last: int
    lead: int
    frames: Frames

    @property
    def inner(self) -> Frames:
        """The frames without those of the margins."""
        return self.frames.cut(self.lead // _HOP, (self.lead + self.last - self.first) // _HOP + 1)


def sound_of(clip: ClipView, who: str = "clip") -> Samples:
    """The sound of a clip. Raises: Rejected("no_audio")."""
    if clip.audio is None or not clip.audio.size:
        raise Rejected("no_audio", f"{who} {clip.clip_id} has no sound")
    return clip.audio


def take_apart(clip: ClipView) -> list[Stretch]:
    """Every stretch of a clip's speech, its ends at quiet moments.

    Raises: Rejected no_audio, no_speech.
    """
    audio = sound_of(clip)
    stretches = []
    for start_s, end_s in merged(clip.speech):
        first, last = (
            quiet_point(audio, round(t * RATE_HZ), round(REACH_S * RATE_HZ)) for t in (start_s, end_s)
        )
        if last - first < 2 * _HOP:
            continue
        low = max(0, first - round(_MARGIN_S * RATE_HZ))
        high = min(audio.size, last + round(_MARGIN_S * RATE_HZ))
        stretches.append(Stretch(first, last, first - low, analyse(audio[low:high])))
    if not stretches:
        raise Rejected("no_speech", f"clip {clip.clip_id} has no speech to change")
    return stretches


def put_back(
    audio: Samples, stretches: Sequence[Stretch], changed: Sequence[Frames], fade_ms: float
) -> tuple[Samples, float]:
    """The sound with new speech in every stretch, and the largest change of level that was mended, dB.

    changed: frames for each stretch, margins included. A stretch gets the level of what it replaces; outside
    the stretches every sample stays.
    """
    out, mended_db = audio.copy(), 0.0
    fade = round(fade_ms * RATE_HZ / 1000)
    for stretch, frames in zip(stretches, changed, strict=True):
        n = stretch.last - stretch.first
        old = audio[stretch.first : stretch.last]
        new = synthesise(frames, stretch.lead + n)[stretch.lead :]
        levelled, gain_db = at_level(new, old)
        mended_db = max(mended_db, abs(gain_db))
        out[stretch.first : stretch.last] = cross_faded(old, levelled, fade)
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
