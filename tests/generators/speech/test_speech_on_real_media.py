"""Voices of real people in real rooms: converted, copied, and with a word exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from generators.protocol import ClipView, FakeRequest, Word
from generators.speech.copy_synthesis import CopySynthesis
from generators.speech.timbre import Voiceprint, distance_db, voiceprint
from generators.speech.word_edit import WordEdit
from generators.speech.world_voice import WorldVoice
from generators.verify import same, verify
from haetae.media.audio import read_audio
from haetae.voice.level import loud_dbfs
from haetae.voice.world import analyse
from tests.generators.speech.recordings import RATE_HZ, Exchange, OneExchange, samples_of

pytestmark = pytest.mark.slow
MAN, WOMAN = "ko_real_kih00001", "ko_real_picovoice_rhino_in"


def _clip(folder: Path, name: str) -> ClipView:
    from haetae.voice.activity import speech_regions

    audio = read_audio(folder / "audio" / f"{name}.wav")[: 5 * RATE_HZ]
    return ClipView(name, "ko", None, audio, (), tuple(speech_regions(audio)))


def _speech(clip: ClipView, audio: np.ndarray) -> np.ndarray:
    return np.concatenate([audio[round(a * RATE_HZ) : round(b * RATE_HZ)] for a, b in clip.speech])


def _print(audio: np.ndarray) -> Voiceprint:
    return voiceprint(analyse(audio, quick=True), "test")


@pytest.mark.parametrize(("of", "to"), [(MAN, WOMAN), (WOMAN, MAN)])
def test_a_real_voice_becomes_another_real_voice(dev_media: Path, of: str, to: str) -> None:
    target, donor = _clip(dev_media, of), replace(_clip(dev_media, to), speech=())
    request = FakeRequest(target, 1, "ko", donor=donor)
    result = WorldVoice().generate(request)
    verify(WorldVoice.card, request, result)
    assert same(result, WorldVoice().generate(request)) is None
    before, after = (_print(_speech(target, x)) for x in (samples_of(target), result.audio))
    lent = _print(samples_of(donor))
    assert distance_db(after, lent) < 0.5 * distance_db(before, lent)
    assert abs(after.log_f0 - lent.log_f0) < 0.15 * abs(before.log_f0 - lent.log_f0)
    assert loud_dbfs(_speech(target, result.audio)) == pytest.approx(
        loud_dbfs(_speech(target, samples_of(target))), abs=1.5
    )


def test_a_real_voice_goes_through_the_vocoder_unchanged(dev_media: Path) -> None:
    target = _clip(dev_media, WOMAN)
    request = FakeRequest(target, 1, "ko")
    result = CopySynthesis().generate(request)
    verify(CopySynthesis.card, request, result)
    assert (
        distance_db(_print(_speech(target, samples_of(target))), _print(_speech(target, result.audio))) < 1.5
    )


class _AnyOther(OneExchange):
    """Exchanges words of the clip among each other."""

    def proposals(self, words: Sequence[str], language: str, kinds: Sequence[str]) -> Sequence[Exchange]:
        return [
            Exchange(i, 1, old, new, "word")
            for i, old in enumerate(words)
            for new in words
            if new != old and abs(len(new) - len(old)) <= 1
        ]


def test_a_word_is_set_into_real_speech_without_a_trace_at_the_joins(dev_media: Path) -> None:
    """Without an aligner the words' times are shares of the speech: enough to cut in the middle of sounds."""
    clip = _clip(dev_media, "ko_real_nea00001")
    ((start_s, end_s),) = clip.speech
    edges = np.linspace(start_s, end_s, 9)
    spoken = ["오늘", "아침에", "우리는", "바다로", "갔고", "저녁에", "집으로", "왔다"]
    words = tuple(Word(w, float(a), float(b)) for w, (a, b) in zip(spoken, pairwise(edges), strict=True))
    clip = replace(clip, words=words)
    made = 0
    for seed in range(3):
        request = FakeRequest(clip, seed, "ko")
        result = WordEdit(_AnyOther("", "")).generate(request)
        verify(WordEdit.card, request, result)
        (segment,) = result.segments
        assert segment.start_s == pytest.approx(result.metrics["word_start_s"], abs=0.02)
        assert segment.end_s == pytest.approx(result.metrics["word_end_s"], abs=0.02)
        assert result.metrics["join_click"] < 1.2
        assert result.metrics["join_gap_s"] <= 0.03
        assert abs(result.metrics["level_error_db"]) < 1.0
        made += 1
    assert made == 3
