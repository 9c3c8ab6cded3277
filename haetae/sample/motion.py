"""How an actor moves over time: head, blinks, and a mouth that follows the sounds it is given.

Curves only, one value per frame; what they do to the picture is in `puppet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from haetae.media.audio import RATE_HZ
from haetae.media.encode import FPS
from haetae.voice.envelope import speech_envelope
from haetae.voice.espeak import Phoneme

Curve = NDArray[np.float64]

TICK_HZ = 100
MAX_YAW_DEG, MAX_PITCH_DEG, MAX_ROLL_DEG = 9.0, 5.0, 3.5
BLINK_S = 0.16

# Strengths of jaw, wide and round lips for the first IPA letter of a sound.
_VISEMES: dict[str, tuple[float, float, float]] = {
    **dict.fromkeys("aɑæɐʌ", (1.0, 0.10, 0.0)),
    **dict.fromkeys("eɛəɜ", (0.72, 0.45, 0.0)),
    **dict.fromkeys("iɪɨy", (0.46, 0.85, 0.0)),
    **dict.fromkeys("oɔɒɤø", (0.74, 0.0, 0.70)),
    **dict.fromkeys("uʊɯʉ", (0.42, 0.0, 0.90)),
    **dict.fromkeys("pbm", (0.0, 0.05, 0.05)),
    **dict.fromkeys("fvʋ", (0.14, 0.15, 0.0)),
    **dict.fromkeys("szʃʒɕʑ", (0.22, 0.45, 0.10)),
    **dict.fromkeys("tdnlɾrɹɻɭɳʈɖθð", (0.34, 0.20, 0.0)),
    **dict.fromkeys("kɡgŋhxɣɲcɟʔ", (0.42, 0.15, 0.0)),
    **dict.fromkeys("wʍ", (0.26, 0.0, 0.95)),
    **dict.fromkeys("j", (0.36, 0.70, 0.0)),
}
_OTHER = (0.35, 0.2, 0.1)


@dataclass(frozen=True, eq=False)
class Performance:
    """Movement of one actor, every curve float64 [T], one value per frame.

    yaw, pitch, roll: degrees, positive to the image's right, up, clockwise; sway_x, sway_y: shift of the
    whole body, canvas px; jaw, wide, round, smile, brows, blink: strengths of the sheet's basis
    movements, 0 to 1.
    """

    yaw: Curve
    pitch: Curve
    roll: Curve
    sway_x: Curve
    sway_y: Curve
    jaw: Curve
    wide: Curve
    round: Curve
    smile: Curve
    brows: Curve
    blink: Curve

    def __len__(self) -> int:
        return len(self.yaw)


def perform(
    phonemes: Sequence[Phoneme],
    audio: NDArray[np.float32],
    n_frames: int,
    seed: int,
    *,
    rest_deg: tuple[float, float] = (0.0, 0.0),
    opening: float = 0.56,
) -> Performance:
    """Movement for `n_frames` frames at 25 fps.

    phonemes: sounds with their times in the clip; empty: the actor is silent. audio: float32 [N], 16 kHz,
    only this actor's voice, dry. rest_deg: usual yaw and pitch. opening: jaw strength of a loud open vowel,
    0 to 1.
    """
    rng = np.random.default_rng(seed)
    jaw, wide, round_ = _mouth(phonemes, audio, n_frames, opening)
    stress = gaussian_filter1d(jaw, 4.0)
    yaw = rest_deg[0] + _wander(rng, n_frames, 3.6, 0.9)
    pitch = rest_deg[1] + _wander(rng, n_frames, 1.7, 0.7) - 5.0 * (stress - stress.mean())
    roll = _wander(rng, n_frames, 1.5, 1.0)
    breath = 1.6 * np.sin(2 * np.pi * (np.arange(n_frames) / FPS * rng.uniform(0.24, 0.34) + rng.uniform()))
    return Performance(
        yaw=np.clip(yaw, -MAX_YAW_DEG, MAX_YAW_DEG),
        pitch=np.clip(pitch, -MAX_PITCH_DEG, MAX_PITCH_DEG),
        roll=np.clip(roll, -MAX_ROLL_DEG, MAX_ROLL_DEG),
        sway_x=_wander(rng, n_frames, 2.6, 1.2),
        sway_y=breath + _wander(rng, n_frames, 0.8, 0.5),
        jaw=jaw,
        wide=wide,
        round=round_,
        smile=np.clip(0.25 + _wander(rng, n_frames, 0.25, 1.5), 0, 1) * (1 - np.clip(round_ * 2, 0, 1)),
        brows=np.clip(_wander(rng, n_frames, 0.16, 0.5) + 1.6 * (stress - stress.mean()), -0.2, 0.6),
        blink=blinks(rng, n_frames),
    )


def blinks(rng: np.random.Generator, n_frames: int) -> Curve:
    """Closing of the eyes, 0 open to 1 closed: a blink of 0.16 s every 1.4 to 3.4 s, one at least."""
    t = np.arange(n_frames) / FPS
    curve = np.zeros(n_frames)
    last_s = n_frames / FPS
    at_s = float(rng.uniform(0.25, 0.75)) * min(last_s, 1.6)
    while at_s < last_s:
        # Snapped to a frame, so that one frame of every blink is fully closed.
        middle = np.floor(at_s * FPS) / FPS
        lag = t - middle
        # Lids fall faster than they rise.
        half_s = np.where(lag < 0, 0.42 * BLINK_S, 0.62 * BLINK_S)
        curve = np.maximum(curve, np.clip(1.25 - 1.25 * (np.abs(lag) / half_s) ** 1.5, 0, 1))
        at_s += float(rng.uniform(1.4, 3.4))
    return curve


def _mouth(
    phonemes: Sequence[Phoneme], audio: NDArray[np.float32], n_frames: int, opening: float
) -> tuple[Curve, Curve, Curve]:
    """Jaw, wide and round lips: the shape comes from the sounds, the size from how loud they are."""
    ticks = n_frames * TICK_HZ // FPS
    targets = np.zeros((3, ticks))
    for sound in phonemes:
        first, last = round(sound.start_s * TICK_HZ), round(sound.end_s * TICK_HZ)
        targets[:, max(0, first) : max(0, last)] = np.array(viseme(sound.symbol))[:, None]
    if not phonemes:
        still = np.zeros(n_frames)
        return still, still.copy(), still.copy()
    loud = _loudness(audio, ticks)
    # Symmetric smoothing: lips move before and after a sound alike, so the mouth neither leads nor lags.
    shape = gaussian_filter1d(targets, 0.030 * TICK_HZ, axis=1)
    jaw = opening * (0.25 * shape[0] + 0.75 * loud * (0.35 + 0.65 * shape[0]))
    closed = gaussian_filter1d((targets[0] == 0) * 1.0, 0.018 * TICK_HZ)
    jaw = gaussian_filter1d(jaw * (1 - 0.55 * closed), 0.022 * TICK_HZ)
    jaw = np.maximum(jaw - 0.04, 0)
    at = slice(0, ticks, TICK_HZ // FPS)  # frame t shows the moment t / FPS
    return jaw[at], 0.8 * shape[1][at], 0.8 * shape[2][at]


def viseme(symbol: str) -> tuple[float, float, float]:
    """Jaw, wide and round strength of an IPA symbol; stress and length marks do not count."""
    for letter in symbol:
        if letter in _VISEMES:
            return _VISEMES[letter]
    return _OTHER


def _loudness(audio: NDArray[np.float32], ticks: int) -> Curve:
    """Envelope of the voice on the tick grid, 1 for its loud parts."""
    padded = np.zeros(ticks * RATE_HZ // TICK_HZ, np.float32)
    n = min(len(audio), len(padded))
    padded[:n] = audio[:n]
    envelope = np.asarray(speech_envelope(padded, fps=TICK_HZ), dtype=np.float64)
    envelope = gaussian_filter1d(envelope, 0.025 * TICK_HZ)
    loudest = float(np.percentile(envelope, 95))
    return np.asarray(np.clip(envelope / loudest, 0, 1.15) if loudest > 0 else envelope)


def _wander(rng: np.random.Generator, n_frames: int, size: float, period_s: float) -> Curve:
    """Smooth random movement: noise low-passed to about `period_s`, deviation `size`, plus a slower part."""
    extra = round(6 * period_s * FPS)
    out = np.zeros(n_frames)
    for share, sigma_s in ((0.75, 0.32 * period_s), (0.65, 0.9 * period_s)):
        noise = gaussian_filter1d(rng.standard_normal(n_frames + 2 * extra), sigma_s * FPS)
        # White noise smoothed by a Gaussian has a known deviation; a short clip has none of its own.
        noise *= np.sqrt(2 * sigma_s * FPS * np.sqrt(np.pi))
        out += share * size * noise[extra : extra + n_frames]
    return out
