"""A known shift between lips and sound is measured, with its sign, and chance agreement is not trusted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from haetae.voice.envelope import speech_envelope
from haetae.voice.espeak import speak
from haetae.voice.sync import av_offset

TEXTS = {
    "ko": "안녕하세요 여러분, 오늘은 날씨가 좋습니다. 내일은 비가 옵니다.",
    "ta": "வணக்கம், இன்று வானிலை நன்றாக உள்ளது. நாளை மழை பெய்யும்.",
}


def voice(language: str = "ko") -> NDArray[np.float32]:
    quiet = np.zeros(12000, np.float32)
    return np.concatenate([quiet, speak(TEXTS[language], language).audio, quiet])


def lips_of(audio: NDArray[np.float32], fps: float = 25.0, seed: int = 0) -> NDArray[np.float32]:
    """A mouth that opens with the voice: coarser than it, sluggish and trembling."""
    strength = speech_envelope(audio, fps).astype(np.float64)
    slow = np.convolve(strength, [0.25, 0.5, 0.25], "same")
    opened = 0.4 * np.clip(slow - 0.1, 0, None) / slow.max()
    return (opened + np.random.default_rng(seed).normal(0, 0.02, len(opened))).astype(np.float32)


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("shift_s", [-0.45, -0.2, -0.04, 0.0, 0.033, 0.1, 0.3, 0.5])
def test_sound_later_than_the_lips_is_positive_and_measured_to_a_hundredth(
    language: str, shift_s: float
) -> None:
    audio = voice(language)
    measure = av_offset(lips_of(audio), np.roll(audio, round(shift_s * 16000)))
    assert measure is not None
    assert measure.offset_s == pytest.approx(shift_s, abs=0.01)
    assert measure.confidence > 0.5


def test_the_frame_rate_does_not_matter() -> None:
    audio = voice()
    for fps in (25.0, 29.97, 50.0):
        measure = av_offset(lips_of(audio, fps), np.roll(audio, 3200), fps)
        assert measure is not None
        assert measure.offset_s == pytest.approx(0.2, abs=0.015)


def test_the_voice_of_something_else_gives_little_confidence() -> None:
    own, other = voice("ko"), voice("ta")
    n = min(len(own), len(other))
    lips = lips_of(own[:n])
    right, wrong = av_offset(lips, own[:n]), av_offset(lips, other[:n])
    assert right is not None
    assert wrong is not None
    assert wrong.confidence < 0.6 * right.confidence


def test_frames_without_a_face_are_bridged() -> None:
    audio = voice()
    lips = lips_of(audio)
    lips[30:36] = np.nan
    measure = av_offset(lips, np.roll(audio, 1600))
    assert measure is not None
    assert measure.offset_s == pytest.approx(0.1, abs=0.015)


def test_where_nothing_can_be_measured_nothing_is_said() -> None:
    audio = voice()
    lips = lips_of(audio)
    assert av_offset(np.full_like(lips, 0.2), audio) is None
    assert av_offset(lips, np.zeros_like(audio)) is None
    assert av_offset(lips[:30], audio[: 30 * 640]) is None
    assert av_offset(np.full_like(lips, np.nan), audio) is None
    assert av_offset(np.zeros(0, np.float32), np.zeros(0, np.float32)) is None
