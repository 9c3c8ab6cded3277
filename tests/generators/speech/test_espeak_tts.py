"""New speech lies where old speech was, says what it should, and everything else stays to the sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from generators.protocol import ClipView, FakeRequest, FakeResult
from generators.speech.espeak_tts import EspeakTts
from generators.speech.placing import Slot, choose_slot, slots, voice_near
from generators.verify import same, verify
from haetae.errors import Rejected
from haetae.locales import load
from haetae.voice.espeak import speak
from haetae.voice.level import frame_dbfs, loud_dbfs
from haetae.voice.pitch import median_f0_hz

RATE_HZ = 16_000


def _recording(language: str, *, variant: str = "m3", pitch: int = 40, noise: float = 0.003) -> ClipView:
    """Six seconds: a pause, a sentence, a pause, in a slightly noisy room."""
    old = speak(load(language).sentences_for("news")[0], language, variant=variant, pitch=pitch, rate_wpm=140)
    audio = np.random.default_rng(3).normal(0, noise, 6 * RATE_HZ).astype(np.float32)
    said = old.audio[: int(4.4 * RATE_HZ)]
    audio[RATE_HZ : RATE_HZ + said.size] += 0.4 * said
    return ClipView("clip-voice", language, None, audio, (), ((1.0, 1.0 + said.size / RATE_HZ),))


def _make(clip: ClipView, sentence: str, seed: int = 1) -> tuple[FakeRequest, FakeResult]:
    request = FakeRequest(clip, seed, clip.language, sentence=sentence)
    return request, EspeakTts().generate(request)


@pytest.mark.parametrize("language", ["ko", "ms", "ta", "en-SG"])
def test_every_language_gets_new_speech_that_keeps_the_contract(language: str) -> None:
    clip = _recording(language)
    sentence = load(language).sentences_for("news")[1]
    request, result = _make(clip, sentence)
    verify(EspeakTts.card, request, result)
    assert result.audio is not None
    assert clip.audio is not None
    assert result.audio.size == clip.audio.size
    assert result.text == sentence
    assert [w.word for w in result.words] == [w.word for w in speak(sentence, language).words]
    (segment,) = result.segments
    assert segment.start_s == pytest.approx(1.0, abs=0.02)
    assert all(segment.start_s - 0.01 <= w.start_s < w.end_s <= segment.end_s + 0.01 for w in result.words)


def test_samples_before_and_after_the_segment_are_equal_to_the_last_bit() -> None:
    clip = _recording("ms")
    _, result = _make(clip, load("ms").sentences_for("news")[1])
    (segment,) = result.segments
    first, last = round(segment.start_s * RATE_HZ), round(segment.end_s * RATE_HZ)
    assert np.array_equal(result.audio[:first], clip.audio[:first])
    assert np.array_equal(result.audio[last:], clip.audio[last:])
    assert last < clip.audio.size - 1000


def test_a_speech_detector_hears_speech_where_the_words_are() -> None:
    from haetae.voice.activity import speech_regions

    clip = _recording("ms", noise=0.001)
    _, result = _make(clip, load("ms").sentences_for("news")[1])
    heard = speech_regions(result.audio)
    overlap = sum(max(0.0, min(b, w.end_s) - max(a, w.start_s)) for a, b in heard for w in result.words)
    assert overlap > 0.9 * sum(w.end_s - w.start_s for w in result.words)


def test_the_new_voice_has_the_level_the_room_and_the_pitch_of_the_old() -> None:
    for variant, pitch in (("m3", 30), ("f2", 60)):
        clip = _recording("ms", variant=variant, pitch=pitch)
        _, result = _make(clip, load("ms").sentences_for("news")[1])
        (segment,) = result.segments
        new = result.audio[round(segment.start_s * RATE_HZ) : round(segment.end_s * RATE_HZ)]
        ((start_s, end_s),) = clip.speech
        old = clip.audio[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
        assert loud_dbfs(new) == pytest.approx(loud_dbfs(old), abs=2.0)
        assert median_f0_hz(new) == pytest.approx(median_f0_hz(old), rel=0.12)
        quiet = [float(np.percentile(frame_dbfs(x), 3)) for x in (new, clip.audio[:RATE_HZ])]
        assert quiet[0] > quiet[1] - 3, "the room must be heard in the pauses of the new speech"


def test_no_click_is_left_at_the_joins() -> None:
    clip = _recording("ms")
    _, result = _make(clip, load("ms").sentences_for("news")[1])
    (segment,) = result.segments
    steps = np.abs(np.diff(result.audio))
    for at_s in (segment.start_s, segment.end_s):
        at = round(at_s * RATE_HZ)
        assert steps[max(0, at - 200) : at + 200].max() < 3 * np.percentile(steps, 99)


def test_equal_requests_give_equal_samples_and_other_seeds_other_ones() -> None:
    clip, sentence = _recording("ko"), load("ko").sentences_for("news")[2]
    assert same(_make(clip, sentence)[1], _make(clip, sentence)[1]) is None
    assert same(_make(clip, sentence)[1], _make(clip, sentence, seed=2)[1]) == "audio"


def test_a_short_sentence_leaves_the_rest_of_a_long_speech_alone() -> None:
    clip = _recording("ms")
    _, result = _make(clip, "Apa khabar semua?")
    (segment,) = result.segments
    assert segment.end_s < clip.speech[0][1] - 0.5
    assert segment.end_s < result.words[-1].end_s + 1.0


def test_clips_and_sentences_that_do_not_go_together_are_refused() -> None:
    clip, sentence = _recording("ms"), "Apa khabar semua?"
    brief = replace(clip, audio=clip.audio[: int(1.4 * RATE_HZ)], speech=((1.0, 1.4),))
    for bad, text, language, reason in (
        (replace(clip, audio=None), sentence, "ms", "no_audio"),
        (replace(clip, speech=()), sentence, "ms", "no_speech"),
        (clip, None, "ms", "no_sentence"),
        (clip, sentence, "other", "no_voice"),
        (brief, load("ms").sentences_for("news")[1], "ms", "sentence_does_not_fit"),
    ):
        with pytest.raises(Rejected) as caught:
            EspeakTts().generate(FakeRequest(bad, 1, language, sentence=text))
        assert caught.value.reason == reason


def test_slots_reach_to_the_next_speech_and_the_best_filled_one_is_taken() -> None:
    options = slots([(0.5, 1.5), (2.0, 5.0)], 6.0)
    assert [(s.start_s, s.old_end_s) for s in options] == [(0.5, 1.5), (0.5, 5.0), (2.0, 5.0)]
    assert options[0].limit_s == pytest.approx(1.94)
    assert choose_slot(options, 3.1, 2.0) == options[2]
    assert choose_slot(options, 1.0, 0.8) == options[0]
    assert choose_slot(options, 4.6, 3.9) == options[1]
    with pytest.raises(Rejected, match="sentence_does_not_fit"):
        choose_slot([Slot(0.0, 1.0, 1.5)], 4.0, 3.0)


@pytest.mark.parametrize("hz", [80, 137, 220, 330])
def test_pitch_is_measured_on_a_buzz_of_known_frequency(hz: int) -> None:
    t = np.arange(RATE_HZ) / RATE_HZ
    buzz = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 8))
    assert median_f0_hz((0.1 * buzz).astype(np.float32)) == pytest.approx(hz, rel=0.02)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE_HZ).astype(np.float32)
    assert median_f0_hz(noise) is None
    assert median_f0_hz(np.zeros(RATE_HZ, np.float32)) is None
    assert median_f0_hz(np.zeros(10, np.float32)) is None
    assert voice_near(noise, "Apa khabar?", "ms", 1).pitch == 50
