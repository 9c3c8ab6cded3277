"""Where new sound meets old: fades, quiet places to put them, and what can be heard of a join.

What is new, and why, is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.segments import RATE_HZ, runs
from haetae.voice.level import FLOOR_DBFS, frame_dbfs, loud_dbfs

Samples = NDArray[np.float32]

_STEP_S = 0.005
SILENT_BELOW_LOUD_DB = 35.0


def cross_faded(old: Samples, new: Samples, fade: int, at_start: bool = True, at_end: bool = True) -> Samples:
    """`new`, cross-faded with `old` over `fade` samples at its ends. float32 [N] each."""
    fade = min(fade, new.size // 2)
    weight = np.ones(new.size, np.float32)
    ramp = np.linspace(0, 1, fade + 2, dtype=np.float32)[1:-1]
    if at_start:
        weight[:fade] = ramp
    if at_end:
        weight[weight.size - fade :] = ramp[::-1]
    return np.asarray(new * weight + old * (1 - weight), np.float32)


def quiet_point(audio: Samples, near: int, reach: int) -> int:
    """The sample within `reach` of `near` around which 10 ms are quietest; the nearest of equally quiet ones."""
    half = round(_STEP_S * RATE_HZ)
    low, high = max(0, near - reach), min(audio.size, near + reach)
    if high - low <= 2 * half:
        return int(np.clip(near, 0, audio.size))
    power = np.convolve(audio[low:high].astype(np.float64) ** 2, np.ones(2 * half), mode="valid")
    centres = np.arange(power.size) + low + half
    level = np.round(10 * np.log10(power / (2 * half) + 1e-12), 1)
    return int(centres[np.lexsort((np.abs(centres - near), level))[0]])


@dataclass(frozen=True)
class Join:
    """What is heard of one join.

    click: the largest step between two samples within 10 ms of it that was not there before, over the 99.9th
    percentile of the steps in the clip's own speech; gap_s: the longest silence that touches the 50 ms on either
    side, less what was silent there before.
    """

    click: float
    gap_s: float


def measure_join(old: Samples, new: Samples, at: int, speech: Samples) -> Join:
    """Compare a join at sample `at` of `new` with the same place of `old`; speech: the clip's own speech.

    All float32 at 16 kHz. Silent is what lies 35 dB below the louder parts of the speech.
    """
    reach = round(0.01 * RATE_HZ)
    own = float(np.percentile(np.abs(np.diff(speech)), 99.9)) if speech.size > 1 else 0.0
    before, after = (np.diff(audio[max(0, at - reach) : at + reach]) for audio in (old, new))
    steps = np.abs(after[after != before])
    limit = loud_dbfs(speech) - SILENT_BELOW_LOUD_DB
    silence = [_silence_s(audio, at, limit) for audio in (new, old)]
    return Join(
        click=float(steps.max(initial=0.0)) / max(own, 1e-9),
        gap_s=max(0.0, silence[0] - silence[1]),
    )


def _silence_s(audio: Samples, at: int, limit_dbfs: float) -> float:
    """Length of the longest stretch below a level that touches the 50 ms on either side of `at`, seconds."""
    step, reach = round(_STEP_S * RATE_HZ), round(0.05 * RATE_HZ)
    first = max(0, at - 8 * reach) // step * step
    levels = frame_dbfs(audio[first : at + 8 * reach], _STEP_S)
    low, high = (at - reach - first) // step, (at + reach - first) // step
    quiet = np.asarray(levels < max(limit_dbfs, FLOOR_DBFS + 1))
    touching = [(a, b) for a, b in runs(quiet) if b > low and a <= high]
    return max((b - a for a, b in touching), default=0) * _STEP_S
