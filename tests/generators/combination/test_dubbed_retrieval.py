"""Dubbing with the clip's own mouths changes sound and picture together, and they agree."""

from __future__ import annotations

import numpy as np
import pytest

from generators.combination.dubbed_retrieval import DubbedRetrieval
from generators.lip_sync.visemes import viseme_track
from generators.protocol import ClipView, FakeRequest, settings
from generators.speech.espeak_tts import revoice
from generators.verify import verify
from haetae.errors import Rejected


def test_the_retrieved_lips_follow_the_sound_that_is_heard(actor: ClipView) -> None:
    from haetae.faces.mesh import MeshTracker
    from haetae.faces.regions import mouth_openness

    request = FakeRequest(actor, 1, "ms", sentence="Apa khabar, kawan?")
    result = DubbedRetrieval().generate(request)
    change = verify(DubbedRetrieval.card, request, result)
    assert change.audio_fraction > 0.5
    assert {s.modality for s in result.segments} == {"video", "audio"}
    assert [w.word for w in result.words] == ["Apa", "khabar", "kawan"]
    assert result.frames is not None
    heard = revoice(request, settings(DubbedRetrieval.card, request))
    assert np.array_equal(heard.audio, result.audio)
    curves = viseme_track(heard.phonemes, len(result.frames))
    mesh, found = MeshTracker().track(result.frames)
    at = curves.active & found
    assert np.corrcoef(mouth_openness(mesh)[at], curves.openness[at])[0, 1] > 0.7


def test_a_clip_without_sound_is_refused(silent_actor: ClipView) -> None:
    with pytest.raises(Rejected, match="no_audio"):
        DubbedRetrieval().generate(FakeRequest(silent_actor, 1, "ms", sentence="Apa khabar?"))
