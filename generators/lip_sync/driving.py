"""The sound that a mouth is driven by, on the clock of the clip: another person's voice, or the clip's own.

Which network listens to it is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.protocol import ClipView, FakeRequest
from generators.segments import FPS, RATE_HZ
from haetae.errors import Rejected, UsageError
from haetae.provenance.ids import seed_of

MIN_VOICE_S = 0.6
BEFORE_S, AFTER_S = 0.08, 0.12
"""How long before the first sound and after the last one the mouth already, or still, moves."""
SOURCES = ("donor", "own")


@dataclass(frozen=True)
class Driving:
    """audio: float32 [T * 640] at 16 kHz, silent where nothing drives; active: bool [T], frames that it drives."""

    audio: NDArray[np.float32]
    active: NDArray[np.bool_]


def driving_voice(request: FakeRequest, source: str) -> Driving:
    """The voice that drives the target's mouth.

    source: `donor`: a stretch of the donor's speech, drawn by the seed, starts where the target's speech starts;
    `own`: the target's own sound, where it speaks.
    Raises: Rejected no_face (no pictures), no_donor, no_audio, too_little_voice; UsageError for another source.
    """
    if source not in SOURCES:
        raise UsageError(f"a mouth is driven by one of {', '.join(SOURCES)}, not by {source!r}")
    target = request.target
    if target.frames is None:
        raise Rejected("no_face", f"clip {target.clip_id} has no pictures")
    n_frames = len(target.frames)
    if source == "own":
        return _own(target, n_frames)
    if request.donor is None:
        raise Rejected("no_donor", "a donor's voice is needed to drive the mouth")
    start_s = target.speech[0][0] if target.speech else 0.2
    # A clip whose speech starts at its very end leaves no room there.
    start_s = max(0.0, min(start_s, n_frames / FPS - 2 * MIN_VOICE_S))
    said = _stretch(request.donor, n_frames / FPS - start_s, request.seed)
    audio = np.zeros(round(n_frames * RATE_HZ / FPS), np.float32)
    first = round(start_s * RATE_HZ)
    said = said[: audio.size - first]
    if said.size < MIN_VOICE_S * RATE_HZ:
        raise Rejected("too_little_voice", f"{said.size / RATE_HZ:.2f} s of voice, at least {MIN_VOICE_S}")
    audio[first : first + said.size] = said
    return Driving(audio, _active(n_frames, [(start_s, start_s + said.size / RATE_HZ)]))


def _own(target: ClipView, n_frames: int) -> Driving:
    heard = _sound(target)
    audio = np.zeros(round(n_frames * RATE_HZ / FPS), np.float32)
    audio[: heard.size] = heard[: audio.size]
    speech = [(a, b) for a, b in target.speech if b > a]
    if sum(b - a for a, b in speech) < MIN_VOICE_S:
        raise Rejected("too_little_voice", f"the clip speaks for less than {MIN_VOICE_S} s")
    return Driving(audio, _active(n_frames, speech))


def _stretch(donor: ClipView, room_s: float, seed: int) -> NDArray[np.float32]:
    """The donor's sound from the start of one of its stretches of speech to the end of its last."""
    heard = _sound(donor)
    spoken = [(max(a, 0.0), min(b, heard.size / RATE_HZ)) for a, b in donor.speech]
    spoken = [(a, b) for a, b in spoken if b > a] or [(0.0, heard.size / RATE_HZ)]
    end_s = spoken[-1][1]
    # Any start that leaves enough to fill the room; else the first, which leaves most.
    starts = [a for a, _ in spoken if end_s - a >= room_s] or [spoken[0][0]]
    start_s = starts[seed_of("driving", donor.clip_id, seed) % len(starts)]
    return heard[round(start_s * RATE_HZ) : round(min(end_s, start_s + room_s) * RATE_HZ)]


def _sound(clip: ClipView) -> NDArray[np.float32]:
    if clip.audio is None or not clip.audio.size:
        raise Rejected("no_audio", f"clip {clip.clip_id} has no sound")
    return np.clip(np.nan_to_num(clip.audio), -1, 1).astype(np.float32)


def _active(n_frames: int, spans: list[tuple[float, float]]) -> NDArray[np.bool_]:
    middle_s = (np.arange(n_frames) + 0.5) / FPS
    active = np.zeros(n_frames, np.bool_)
    for start_s, end_s in spans:
        active |= (middle_s >= start_s - BEFORE_S) & (middle_s <= end_s + AFTER_S)
    return active
