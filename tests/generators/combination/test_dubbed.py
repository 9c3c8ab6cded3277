"""Dubbing changes sound and picture together, and they agree."""

from __future__ import annotations

import numpy as np
import pytest

from generators.combination.dubbed import Dubbed
from generators.lip_sync.visemes import viseme_track
from generators.protocol import ClipView, FakeRequest, FakeResult, settings
from generators.speech.espeak_tts import revoice
from generators.verify import same, verify
from haetae.errors import Rejected


@pytest.fixture(scope="module")
def dub(actor: ClipView) -> tuple[FakeRequest, FakeResult]:
    request = FakeRequest(actor, 1, "ms", sentence="Apa khabar, kawan?")
    return request, Dubbed().generate(request)


def test_both_modalities_are_changed_and_labelled(dub: tuple[FakeRequest, FakeResult]) -> None:
    request, result = dub
    change = verify(Dubbed.card, request, result)
    assert change.audio_fraction > 0.5
    assert change.mean_abs_delta > 3
    assert {s.modality for s in result.segments} == {"video", "audio"}
    assert [w.word for w in result.words] == ["Apa", "khabar", "kawan"]
    assert same(result, Dubbed().generate(request)) is None


def test_the_lips_follow_the_sound_that_is_heard(dub: tuple[FakeRequest, FakeResult]) -> None:
    from haetae.faces.mesh import MeshTracker
    from haetae.faces.regions import mouth_openness

    request, result = dub
    assert result.frames is not None
    heard = revoice(request, settings(Dubbed.card, request))
    assert np.array_equal(heard.audio, result.audio)
    curves = viseme_track(heard.phonemes, len(result.frames))
    mesh, found = MeshTracker().track(result.frames)
    at = curves.active & found
    assert found.mean() >= 0.95
    assert np.corrcoef(mouth_openness(mesh)[at], curves.openness[at])[0, 1] > 0.7
    first_word, video = result.words[0], result.segments[0]
    assert abs(first_word.start_s - video.start_s) < 0.25


def test_a_clip_without_sound_cannot_be_dubbed(silent_actor: ClipView) -> None:
    with pytest.raises(Rejected, match="no_audio"):
        Dubbed().generate(FakeRequest(silent_actor, 1, "ms", sentence="Apa khabar?"))
