"""A converted voice is nearer to the donor's than to the target's; words, level and room stay."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from generators.protocol import ClipView, FakeRequest, FakeResult
from generators.speech.copy_synthesis import CopySynthesis
from generators.speech.timbre import Voiceprint, distance_db, formant_ratio, voiceprint
from generators.speech.world_voice import WorldVoice
from generators.verify import same, verify
from haetae.errors import Rejected
from haetae.voice.envelope import speech_envelope
from haetae.voice.level import frame_dbfs, loud_dbfs
from haetae.voice.pitch import median_f0_hz
from haetae.voice.world import analyse
from tests.generators.speech.recordings import RATE_HZ, recording, samples_of

Voice = tuple[str, int]
MAN, WOMAN = ("m3", 30), ("f2", 65)
PAIRS = [("ko", MAN, WOMAN), ("ms", WOMAN, MAN), ("ta", MAN, WOMAN), ("en-SG", WOMAN, MAN)]
SHORT = {
    "ko": "오늘 밤부터 비가 옵니다.",
    "en-SG": "Heavy rain this evening ah.",
    "ms": "Apa khabar semua?",
    "ta": "புதிய பாலம் திறக்கும்.",
}


def _speech(clip: ClipView, audio: np.ndarray | None = None) -> np.ndarray:
    ((start_s, end_s),) = clip.speech
    audio = samples_of(clip) if audio is None else audio
    return audio[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]


def _print(audio: np.ndarray) -> Voiceprint:
    return voiceprint(analyse(audio, quick=True), "test")


def _recording(language: str, voice: Voice, text: str | None = None) -> ClipView:
    return recording(language, text, variant=voice[0], pitch=voice[1])


@cache
def _converted(language: str, of: Voice, to: Voice) -> tuple[ClipView, ClipView, FakeResult]:
    target = _recording(language, of)
    # The lake knows no speech of a donor: what it says must be found in its sound.
    sentence = "Kereta api laju itu akan berhenti di lima stesen."
    donor = replace(_recording("ms", to, sentence), speech=(), words=())
    request = FakeRequest(target, 1, language, donor=donor)
    result = WorldVoice().generate(request)
    verify(WorldVoice.card, request, result)
    assert result.audio is not None
    return target, donor, result


@pytest.mark.parametrize(("language", "of", "to"), PAIRS)
def test_pitch_and_spectrum_move_from_the_target_to_the_donor(language: str, of: Voice, to: Voice) -> None:
    target, donor, result = _converted(language, of, to)
    before, after, lent = (
        _print(_speech(target)),
        _print(_speech(target, result.audio)),
        _print(samples_of(donor)),
    )
    assert distance_db(after, lent) < 0.5 * distance_db(before, lent)
    assert distance_db(after, before) > distance_db(after, lent)
    heard, own, wanted = (
        median_f0_hz(x) for x in (_speech(target, result.audio), _speech(target), samples_of(donor))
    )
    assert abs(np.log(heard / wanted)) < 0.2 * abs(np.log(own / wanted))


def test_level_rhythm_and_room_stay() -> None:
    target, _, result = _converted("ms", WOMAN, MAN)
    old, new = _speech(target), _speech(target, result.audio)
    assert loud_dbfs(new) == pytest.approx(loud_dbfs(old), abs=1.0)
    a, b = speech_envelope(old), speech_envelope(new)
    assert np.corrcoef(a, b)[0, 1] > 0.9
    quiet = [float(np.percentile(frame_dbfs(x), 5)) for x in (old, new)]
    assert quiet[1] == pytest.approx(quiet[0], abs=3.0)


def test_only_the_speech_changes_and_the_segment_says_so() -> None:
    target, _, result = _converted("ko", MAN, WOMAN)
    ((start_s, end_s),) = target.speech
    (segment,) = result.segments
    assert segment.start_s == pytest.approx(start_s, abs=0.07)
    assert segment.end_s == pytest.approx(end_s, abs=0.07)
    first, last = round(segment.start_s * RATE_HZ), round(segment.end_s * RATE_HZ)
    assert np.array_equal(result.audio[:first], samples_of(target)[:first])
    assert np.array_equal(result.audio[last:], samples_of(target)[last:])
    assert (result.audio[first:last] != samples_of(target)[first:last]).mean() > 0.99
    steps = np.abs(np.diff(result.audio))
    loudest = np.percentile(np.abs(np.diff(_speech(target))), 99.9)
    for at in (first, last):
        assert steps[at - 160 : at + 160].max() < loudest


def test_equal_requests_give_equal_samples() -> None:
    target, donor = (_recording("ms", voice, "Apa khabar?") for voice in (MAN, WOMAN))
    request = FakeRequest(target, 5, "ms", donor=donor)
    assert same(WorldVoice().generate(request), WorldVoice().generate(request)) is None
    assert same(CopySynthesis().generate(request), CopySynthesis().generate(request)) is None


def test_a_longer_or_shorter_vocal_tract_is_measured() -> None:
    frames = analyse(_speech(_recording("ms", MAN)), quick=True)
    own = voiceprint(frames, "own")
    for ratio in (0.88, 1.0, 1.14):
        at = np.minimum(np.arange(513) / ratio, 512)
        stretched = np.exp(np.stack([np.interp(at, np.arange(513), row) for row in np.log(frames.envelope)]))
        other = voiceprint(replace(frames, envelope=stretched), "other")
        assert formant_ratio(own, other) == pytest.approx(ratio, rel=0.03)


@pytest.mark.parametrize("language", ["ko", "en-SG", "ms", "ta"])
def test_copy_synthesis_keeps_voice_and_words_and_changes_every_sample_of_speech(language: str) -> None:
    target = recording(language, SHORT[language])
    request = FakeRequest(target, 1, language)
    result = CopySynthesis().generate(request)
    verify(CopySynthesis.card, request, result)
    old, new = _speech(target), _speech(target, result.audio)
    assert (old != new).mean() > 0.99
    assert distance_db(_print(old), _print(new)) < 1.0
    assert median_f0_hz(new) == pytest.approx(median_f0_hz(old), rel=0.03)
    assert loud_dbfs(new) == pytest.approx(loud_dbfs(old), abs=1.0)
    assert np.corrcoef(speech_envelope(old), speech_envelope(new))[0, 1] > 0.98
    assert result.words == target.words


def test_what_lies_between_two_stretches_stays() -> None:
    one = recording("ms", "Apa khabar semua?")
    audio = np.concatenate([samples_of(one), samples_of(one)])
    half_s = samples_of(one).size / RATE_HZ
    ((start_s, end_s),) = one.speech
    both = replace(one, audio=audio, speech=((start_s, end_s), (start_s + half_s, end_s + half_s)))
    result = CopySynthesis().generate(FakeRequest(both, 1, "ms"))
    assert len(result.segments) == 2
    first, last = round((end_s + 0.1) * RATE_HZ), round((start_s + half_s - 0.1) * RATE_HZ)
    assert np.array_equal(result.audio[first:last], audio[first:last])


def test_clips_without_a_voice_are_refused() -> None:
    clip = recording("ms", SHORT["ms"])
    noise = replace(
        clip, audio=np.random.default_rng(0).normal(0, 0.05, 32_000).astype(np.float32), speech=()
    )
    silent = replace(clip, audio=np.zeros_like(samples_of(clip)))
    for generator, target, donor, reason in (
        (WorldVoice(), clip, None, "no_donor"),
        (WorldVoice(), clip, noise, "too_little_voice"),
        (WorldVoice(), clip, replace(clip, audio=None), "no_audio"),
        (WorldVoice(), silent, clip, "too_little_voice"),
        (WorldVoice(), replace(clip, speech=()), clip, "no_speech"),
        (CopySynthesis(), replace(clip, audio=None), None, "no_audio"),
        (CopySynthesis(), replace(clip, speech=()), None, "no_speech"),
    ):
        with pytest.raises(Rejected) as caught:
            generator.generate(FakeRequest(target, 1, "ms", donor=donor))
        assert caught.value.reason == reason
