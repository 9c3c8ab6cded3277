"""What the mouth does while a sound is spoken: phonemes with times turned into lip curves.

How a face is made to follow the curves is not known here.
After: Cohen & Massaro, Modeling Coarticulation in Synthetic Visual Speech, 1993 (dominance functions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from haetae.voice.espeak import Phoneme

FPS = 25.0
_STEP_S = 0.01
_REST = (0.0, 1.0, 0.0)
_PAUSE_S = 0.09
"""Silence longer than this lets the mouth come to rest; shorter ones are the closures of stops."""

_TARGETS: dict[str, tuple[float, float, float]] = {
    # openness (lip gap / mouth width at rest), width (1 at rest), protrusion (0 to 1)
    **dict.fromkeys("aɑæɐʌ", (0.42, 1.00, 0.0)),
    **dict.fromkeys("ɛeɜ", (0.27, 1.07, 0.0)),
    **dict.fromkeys("iɪjɨ", (0.15, 1.13, 0.0)),
    **dict.fromkeys("əɚɵɤ", (0.20, 1.00, 0.0)),
    **dict.fromkeys("ɯ", (0.15, 1.05, 0.0)),
    **dict.fromkeys("oɔɒ", (0.27, 0.86, 0.7)),
    **dict.fromkeys("uʊʉw", (0.14, 0.76, 1.0)),
    **dict.fromkeys("yøœ", (0.15, 0.80, 0.9)),
    **dict.fromkeys("pbmɓ", (0.0, 1.00, 0.0)),
    **dict.fromkeys("fvʋβɸ", (0.04, 1.00, 0.0)),
    **dict.fromkeys("ʃʒɕʑ", (0.12, 0.88, 0.5)),
    **dict.fromkeys("tdnszlθðrɾɹɲʈɖɳɭɻʎcɟ", (0.11, 1.02, 0.0)),
    **dict.fromkeys("kɡgŋxɣhqʔɦχʁ", (0.15, 1.00, 0.0)),
}
_CLOSED = frozenset("pbmɓ")
_NARROW = frozenset("fvʋβɸ")
_VOWELS = frozenset("aɑæɐʌɛeɜiɪɨəɚɵɤɯoɔɒuʊʉyøœ")


@dataclass(frozen=True)
class VisemeTrack:
    """Lip curves, one value per frame: float32 [T] each.

    openness: lip gap / mouth width at rest, 0 when closed; width: mouth width / width at rest;
    protrusion: 0 to 1; active: bool [T], true while the speech lasts, pauses inside it included.
    """

    openness: NDArray[np.float32]
    width: NDArray[np.float32]
    protrusion: NDArray[np.float32]
    active: NDArray[np.bool_]


def viseme_of(symbol: str) -> tuple[float, float, float] | None:
    """(openness, width, protrusion) of an IPA symbol, from its first known letter; None if it has none."""
    return next((_TARGETS[letter] for letter in symbol if letter in _TARGETS), None)


def viseme_track(
    phonemes: Sequence[Phoneme], n_frames: int, start_s: float = 0.0, fps: float = FPS
) -> VisemeTrack:
    """Lip curves of speech that starts at `start_s` in a clip of `n_frames`.

    Each sound pulls the lips to its target with a strength that decays before and after it; lip stops close
    the mouth whatever their neighbours want. Outside speech and in pauses the mouth rests.
    """
    n_steps = int(np.ceil(n_frames / fps / _STEP_S)) + 1
    at_s = np.asarray(np.arange(n_steps) * _STEP_S, np.float64)
    sounds = [(p.start_s + start_s, p.end_s + start_s, p.symbol) for p in phonemes if viseme_of(p.symbol)]
    if not sounds:
        zeros = np.zeros(n_frames, np.float32)
        return VisemeTrack(zeros, zeros + 1, zeros.copy(), np.zeros(n_frames, np.bool_))
    curves = _blend(sounds, at_s)
    curves[:, 0] *= _closure(sounds, at_s)
    frame_s = (np.arange(n_frames) + 0.5) / fps
    openness, width, protrusion = (
        np.interp(frame_s, at_s, curves[:, k]).astype(np.float32) for k in range(3)
    )
    active = (frame_s >= sounds[0][0] - 0.08) & (frame_s <= sounds[-1][1] + 0.12)
    return VisemeTrack(openness, width, protrusion, active)


def _blend(sounds: Sequence[tuple[float, float, str]], at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Targets weighted by dominance: float64 [N, 3]."""
    total = np.zeros((at_s.size, 3))
    weight = np.zeros(at_s.size)
    rests = [(-10.0, sounds[0][0] - 0.06)]
    for (_, end, _), (start, _, _) in pairwise(sounds):
        if start - end > _PAUSE_S:
            rests.append((end + 0.03, start - 0.03))
    rests.append((sounds[-1][1] + 0.08, at_s[-1] + 10.0))
    for start, end in rests:
        dominance = _dominance(at_s, start, end, 1.0, 0.05)
        total += dominance[:, None] * np.array(_REST)
        weight += dominance
    for start, end, symbol in sounds:
        strength = 1.0 if any(letter in _VOWELS for letter in symbol) else 0.55
        dominance = _dominance(at_s, start, end, strength, 0.04)
        total += dominance[:, None] * np.array(viseme_of(symbol))
        weight += dominance
    blended: NDArray[np.float64] = total / np.maximum(weight, 1e-9)[:, None]
    return blended


def _dominance(
    at_s: NDArray[np.float64], start_s: float, end_s: float, strength: float, reach_s: float
) -> NDArray[np.float64]:
    """Full strength in the inner half of the sound, exponential decay around it."""
    quarter = min(0.25 * (end_s - start_s), 0.05)
    away = np.maximum(np.maximum(start_s + quarter - at_s, at_s - (end_s - quarter)), 0.0)
    pull: NDArray[np.float64] = strength * np.exp(-away / reach_s) + 1e-12
    return pull


def _closure(sounds: Sequence[tuple[float, float, str]], at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor on openness: 0 in the middle of a lip stop, 0.25 in a lip-tooth sound, 1 away from both."""
    gate = np.ones(at_s.size)
    for start, end, symbol in sounds:
        floor = 0.0 if symbol and any(c in _CLOSED for c in symbol) else 0.25
        if floor and not any(c in _NARROW for c in symbol):
            continue
        # Held for at least one video frame, or sampling at 25 fps would miss it.
        middle, half_s = 0.5 * (start + end), max(0.5 * (end - start), 0.03)
        away = np.clip((np.abs(at_s - middle) - half_s) / 0.05, 0.0, 1.0)
        gate = np.minimum(gate, floor + (1 - floor) * 0.5 * (1 - np.cos(np.pi * away)))
    return gate
