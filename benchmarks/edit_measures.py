"""What a word edit left behind, measured from the samples and pixels before and after it, and nothing else.

No code of the generators is used here, so that they cannot agree with themselves. All sound is float32 [N] at 16 kHz.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Spans = Sequence[tuple[float, float]]
"""Stretches of time, seconds."""

RATE_HZ = 16_000
FPS = 25.0
NEAR_S = 0.03
"""Equal samples that last shorter than this lie inside one change."""
BANDS_HZ = ((50, 500), (500, 1500), (1500, 3000), (3000, 5000), (5000, 7000), (7000, 7900))
_FRAME = 80


def runs(flags: NDArray[np.bool_], bridge: int = 0) -> list[tuple[int, int]]:
    """Stretches [first, end) of true values, false ones of at most `bridge` between them included."""
    found: list[tuple[int, int]] = []
    for at in np.flatnonzero(flags):
        if found and at - found[-1][1] <= bridge:
            found[-1] = (found[-1][0], int(at) + 1)
        else:
            found.append((int(at), int(at) + 1))
    return found


def changed(old: Samples, new: Samples) -> list[tuple[float, float]]:
    """Stretches of samples that differ, seconds."""
    return [(a / RATE_HZ, b / RATE_HZ) for a, b in runs(old != new, round(NEAR_S * RATE_HZ))]


def boundary_ms(told: Spans, true: Spans) -> float:
    """Largest distance between the ends of stretches that are told and those that are there; infinite where there
    are not as many."""
    if len(told) != len(true):
        return float("inf")
    return 1000 * max(
        (abs(a - b) for x, y in zip(told, true, strict=True) for a, b in zip(x, y, strict=True)), default=0.0
    )


def frames_beyond(old: NDArray[np.uint8], new: NDArray[np.uint8], told: Spans) -> int:
    """How many frames from the nearest one shown while a stretch lasts the furthest changed frame lies.

    old, new: uint8 [T, H, W, 3].
    """
    at = np.flatnonzero((old != new).reshape(len(old), -1).any(axis=1))
    shown = [t for a, b in told for t in range(int(a * FPS + 1e-6), math.ceil(b * FPS - 1e-6))]
    return max((min(abs(int(t) - s) for s in shown) for t in at), default=0)


def level_db(audio: Samples) -> float:
    """RMS level, dB full scale; -120 for silence."""
    power = float(np.mean(np.square(audio, dtype=np.float64))) if audio.size else 0.0
    return 10 * math.log10(max(power, 1e-12))


def loud_db(audio: Samples, frame: int = 400) -> float:
    """Level of the louder parts: 95th percentile over 25 ms."""
    n = audio.size // frame
    power = np.square(audio[: n * frame], dtype=np.float64).reshape(n, frame).mean(axis=1)
    return float(np.percentile(10 * np.log10(np.maximum(power, 1e-12)), 95)) if n else level_db(audio)


def loudness_step_db(old: Samples, new: Samples, told: Spans, speech: Spans) -> float:
    """How much further the loudness of a changed stretch lies from the speech within 1 s of it than it did, dB."""
    worst = 0.0
    for a, b in told:
        beside = [(max(x, a - 1.0), min(y, a)) for x, y in speech] + [
            (max(x, b), min(y, b + 1.0)) for x, y in speech
        ]
        pieces = [old[_at(x) : _at(y)] for x, y in beside if y - x > 0.02]
        around = loud_db(np.concatenate(pieces) if pieces else old)
        before, after = (loud_db(x[_at(a) : _at(b)]) for x in (old, new))
        worst = max(worst, min(abs(after - before), abs(after - around) - abs(before - around)))
    return worst


def join_levels_db(audio: Samples, joins: Sequence[float], window_s: float = 0.05) -> NDArray[np.float64]:
    """Level of the 50 ms before and of the 50 ms after each join: float64 [joins, 2], dB."""
    n = round(window_s * RATE_HZ)
    return np.array(
        [[level_db(audio[max(0, _at(t) - n) : _at(t)]), level_db(audio[_at(t) : _at(t) + n])] for t in joins]
    )


def beyond_db(found: NDArray[np.float64], quiet_db: float, *natural: NDArray[np.float64]) -> float:
    """How far levels lie outside of what recordings of the same voice have there, dB; all below `quiet_db` is alike."""
    found, levels = np.maximum(found, quiet_db), np.maximum(natural, quiet_db)
    low, high = levels.min(axis=0), levels.max(axis=0)
    return float(np.max(np.maximum(low - found, found - high), initial=0.0))


def click_ratio(
    old: Samples, new: Samples, told: Spans, reach_s: float = 0.015, around_s: float = 0.5
) -> float:
    """The largest step from sample to sample within 15 ms of a join (the cross-fade is 12 ms of it), over the 99.9th
    percentile of the steps that the clip has within 0.5 s of it; steps that were there before do not count."""
    before, after = np.diff(old), np.diff(new)
    worst = 0.0
    for at in (_at(t) for span in told for t in span):
        near = slice(max(0, at - _at(reach_s)), at + _at(reach_s))
        steps = np.abs(after[near])[after[near] != before[near]]
        usual = np.percentile(np.abs(before[max(0, at - _at(around_s)) : at + _at(around_s)]), 99.9)
        worst = max(worst, float(steps.max(initial=0.0)) / max(float(usual), 1e-6))
    return worst


def longest_below_ms(audio: Samples, told: Spans, limit_db: float, around_s: float = 0.3) -> float:
    """The longest stretch of 5 ms pieces below a level, in and about the stretches that are told, ms."""
    longest = 0
    for a, b in told:
        piece = audio[max(0, round((a - around_s) * RATE_HZ)) : round((b + around_s) * RATE_HZ)]
        n = piece.size // _FRAME
        power = np.square(piece[: n * _FRAME], dtype=np.float64).reshape(n, _FRAME).mean(axis=1)
        quiet = 10 * np.log10(np.maximum(power, 1e-12)) < limit_db
        longest = max(longest, max((y - x for x, y in runs(quiet)), default=0))
    return longest * _FRAME * 1000 / RATE_HZ


def gap_ms(old: Samples, new: Samples, told: Spans, room_db: float) -> float:
    """By how much longer the sound now lies 6 dB under the level of the room than it did, ms."""
    after, before = (longest_below_ms(x, told, room_db - 6.0) for x in (new, old))
    return max(0.0, after - before)


def pause_ms(old: Samples, new: Samples, told: Spans, said_db: float) -> float:
    """By how much longer the sound now lies 35 dB under the louder speech than it did, ms: silence that is heard."""
    after, before = (longest_below_ms(x, told, said_db - 35.0) for x in (new, old))
    return max(0.0, after - before)


def room_lack_db(audio: Samples, told: Spans, room: Samples) -> float:
    """By how much a band of sound in the told stretches falls below the room's own level in it, dB: the quietest
    tenth of 20 ms pieces, which hold what is left where the voice has nothing, against that of the room."""
    inside = _bands_db(np.concatenate([audio[_at(a) : _at(b)] for a, b in told]), 10.0)
    return float(np.max(_bands_db(room, 10.0) - inside))


def room_surplus_db(old: Samples, new: Samples, told: Spans, room: Samples) -> float:
    """By how much the quietest tenth between 7 and 7.9 kHz, where voices have least, lies above the room's level or
    that of what was said there before, dB."""
    after, before = (
        _bands_db(np.concatenate([x[_at(a) : _at(b)] for a, b in told]), 10.0)[-1] for x in (new, old)
    )
    return float(after - max(_bands_db(room, 10.0)[-1], before))


def _at(seconds: float) -> int:
    return max(0, round(seconds * RATE_HZ))


def _bands_db(audio: Samples, percentile: float) -> NDArray[np.float64]:
    size = 320
    if audio.size < size:
        return np.full(len(BANDS_HZ), np.nan)
    pieces = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64), size)[:: size // 4]
    power = np.abs(np.fft.rfft(pieces * np.hanning(size), axis=1)) ** 2
    hz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    bands = [power[:, (hz >= low) & (hz < high)].mean(axis=1) for low, high in BANDS_HZ]
    return np.array([np.percentile(10 * np.log10(np.maximum(band, 1e-12)), percentile) for band in bands])
