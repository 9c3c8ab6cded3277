"""New speech set into old in the vocoder's domain, so that nothing is heard of where it begins and ends.

What is said there, and in whose voice, is decided before.
After: Morise et al., WORLD, 2016; Moulines & Charpentier, Pitch-Synchronous Waveform Processing Techniques,
1990 (that waveforms may be overlapped where their periods coincide).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from generators.segments import RATE_HZ, runs
from generators.speech.joins import Samples, cross_faded
from generators.speech.stretches import limited
from haetae.voice.level import FLOOR_DBFS, loud_dbfs
from haetae.voice.world import PERIOD_S, Frames, analyse, contour_hz, synthesise

Floats = NDArray[np.float64]

FADE = round(0.012 * RATE_HZ)
"""The cross-fade from old to new sound lies outside the slot, on sound that says the same in both."""
BLEND_S = 0.01
"""Half of the time in which the old spectrum turns into the new one."""
_CONTEXT_S = 0.4
_HOP = round(PERIOD_S * RATE_HZ)
_COMPARED = round(0.012 * RATE_HZ)
_ALIKE = 0.3


@dataclass(frozen=True)
class Place:
    """Samples [first, last) of a clip that are to hold something else, and what lies around them.

    low, high: the samples that are analysed with it; own: frames of these.
    """

    first: int
    last: int
    low: int
    high: int
    own: Frames

    @classmethod
    def of(cls, audio: Samples, start_s: float, end_s: float) -> Place:
        """The place between two moments of a clip. audio: float32 [N] at 16 kHz."""
        first, last = (int(np.clip(round(t * RATE_HZ), 0, audio.size)) for t in (start_s, end_s))
        low = max(0, first - round(_CONTEXT_S * RATE_HZ))
        high = min(audio.size, last + round(_CONTEXT_S * RATE_HZ))
        return cls(first, last, low, high, analyse(audio[low:high]))

    @property
    def times_s(self) -> Floats:
        """Seconds from the start of the place at which its frames lie."""
        return np.asarray((self.low + np.arange(len(self.own)) * _HOP - self.first) / RATE_HZ)

    @property
    def length_s(self) -> float:
        return (self.last - self.first) / RATE_HZ

    @property
    def inside(self) -> NDArray[np.bool_]:
        """bool [T]: frames that lie in the place."""
        times_s = self.times_s
        return np.asarray((times_s >= 0) & (times_s < self.length_s))


def splice(
    audio: Samples,
    place: Place,
    phrase: Frames,
    span_s: tuple[float, float],
    wanted_dbfs: float,
    room: NDArray[np.float32],
) -> Samples:
    """The clip with a span of a phrase in the place, stretched to fill it.

    The phrase is in the clip's voice already, and without noise. It gets the pitch contour of what it replaces,
    the level `wanted_dbfs` (95th percentile over 25 ms), and the clip's room under it. room: float32
    [place.high - place.low]. No sample changes further than 12 ms from the place.
    """
    new = _fitted(place, phrase, *span_s)
    weight = _weight(place)
    frames = _aligned(audio, place, _mixed(place.own, new, weight))
    made = synthesise(frames, place.high - place.low)
    gain_db = _gain_db(made[place.first - place.low : place.last - place.low], wanted_dbfs)
    louder = replace(new, envelope=new.envelope * 10 ** (gain_db / 10))
    frames = replace(frames, envelope=_mixed(place.own, louder, weight).envelope)
    made = synthesise(frames, place.high - place.low)
    at = np.arange(made.size) / _HOP
    made += room * np.interp(at, np.arange(len(weight)), weight).astype(np.float32)
    first, last = max(0, place.first - FADE), min(audio.size, place.last + FADE)
    old, span = audio[first:last], made[first - place.low : last - place.low]
    out = audio.copy()
    out[first:last] = cross_faded(old, limited(span), FADE, first > 0, last < audio.size)
    return out


def _fitted(place: Place, phrase: Frames, start_s: float, end_s: float) -> Frames:
    """Frames of the phrase for every frame of the place and its context; beyond the place they run on at their own
    speed, so that the words beside the new one lend it their coarticulation."""
    times_s, length_s = place.times_s, place.length_s
    share = np.clip(times_s / length_s, 0.0, 1.0)
    beyond_s = np.minimum(times_s, 0.0) + np.maximum(times_s - length_s, 0.0)
    new = phrase.at((start_s + share * (end_s - start_s) + beyond_s) / PERIOD_S)
    line_hz = contour_hz(place.own.f0_hz)
    return replace(new, f0_hz=np.where(new.voiced & (line_hz > 0), line_hz, new.f0_hz))


def _weight(place: Place) -> Floats:
    """0 where the clip's own frames stay, 1 where the new ones are: float64 [T]."""
    times_s = place.times_s
    rise = np.clip((times_s + BLEND_S) / (2 * BLEND_S), 0.0, 1.0)
    fall = np.clip((place.length_s + BLEND_S - times_s) / (2 * BLEND_S), 0.0, 1.0)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(rise, fall)))


def _mixed(own: Frames, new: Frames, weight: Floats) -> Frames:
    share = weight[:, None]
    return Frames(
        np.where(weight >= 0.5, new.f0_hz, own.f0_hz),
        np.exp(np.log(own.envelope) * (1 - share) + np.log(new.envelope) * share),
        own.aperiodicity * (1 - share) + new.aperiodicity * share,
    )


def _gain_db(made: Samples, wanted_dbfs: float) -> float:
    level = loud_dbfs(made)
    if level <= FLOOR_DBFS or wanted_dbfs <= FLOOR_DBFS:
        return 0.0
    return wanted_dbfs - level


def _aligned(audio: Samples, place: Place, frames: Frames) -> Frames:
    """Frames whose pitch is bent a little, so that the periods of old and new sound coincide at both joins.

    Before the place the bend is never heard (the old sound is still on); inside it is spread over the voiced
    stretch that reaches the right join, and left out where it would be more than 8 %.
    """
    old = audio[place.low : place.high]
    joins = (
        (place.first - place.low - FADE // 2, 0, 0.3),
        (place.last - place.low + FADE // 2, (place.first - place.low) // _HOP + 1, 0.08),
    )
    for at, earliest, most in joins:
        for _ in range(2):
            frames = _bent(frames, old, at, earliest, most)
    return frames


def _bent(frames: Frames, old: Samples, at: int, earliest: int, most: float) -> Frames:
    """Frames with the pitch before sample `at` bent so that the sound there falls onto the old one."""
    join = min(at // _HOP, len(frames) - 1)
    run = next(((a, b) for a, b in runs(frames.voiced) if a <= join < b), None)
    if run is None:
        return frames
    first = max(run[0], earliest)
    cycles = float(frames.f0_hz[first:join].sum()) * PERIOD_S
    if join - first < 4 or cycles < 2.0:
        return frames
    late = _lag(old, synthesise(frames, old.size), at, RATE_HZ / float(frames.f0_hz[join]))
    turn = late * float(frames.f0_hz[join]) / RATE_HZ
    if abs(turn) > most * cycles:
        return frames
    bump = np.hanning(join - first + 2)[1:-1]
    f0_hz = frames.f0_hz.copy()
    f0_hz[first:join] -= turn * bump / (bump.sum() * PERIOD_S)
    return replace(frames, f0_hz=np.maximum(f0_hz, np.where(f0_hz > 0, 40.0, 0.0)))


def _lag(old: Samples, new: Samples, at: int, period: float) -> float:
    """By how many samples `new` has to come later at `at` to lie on `old`, within half a period; 0 where the two
    are not alike at any lag."""
    reach = max(1, round(period / 2))
    low, high = at - _COMPARED, at + _COMPARED
    if low - reach < 0 or high + reach > min(old.size, new.size):
        return 0.0
    wanted = old[low:high].astype(np.float64)
    rows = np.lib.stride_tricks.sliding_window_view(
        new[low - reach : high + reach].astype(np.float64), high - low
    )
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(wanted)
    alike = (rows @ wanted) / np.maximum(norms, 1e-12)
    best = int(np.argmax(alike))
    return float(reach - best) if alike[best] > _ALIKE else 0.0
