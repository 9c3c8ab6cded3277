"""The mouth does what the new sentence asks of it, and what it does is measured on the pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from generators.lip_sync.viseme_sync import VisemeSync, animate
from generators.lip_sync.visemes import viseme_of, viseme_track
from generators.protocol import ClipView, FakeRequest, FakeResult
from generators.verify import same, verify
from haetae.errors import Rejected
from haetae.voice.espeak import Phoneme, speak

SENTENCE = "Mama makan nasi."


@pytest.fixture(scope="module")
def synced(actor: ClipView) -> tuple[FakeRequest, FakeResult]:
    request = FakeRequest(actor, 1, "ms", sentence=SENTENCE)
    return request, VisemeSync().generate(request)


def _openness(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from haetae.faces.mesh import MeshTracker
    from haetae.faces.regions import mouth_openness

    mesh, found = MeshTracker().track(frames)
    return np.asarray(mouth_openness(mesh)), found


def test_the_contract_holds_and_the_sound_is_left_alone(synced: tuple[FakeRequest, FakeResult]) -> None:
    request, result = synced
    change = verify(VisemeSync.card, request, result)
    assert change.mean_abs_delta > 3
    assert change.edge_delta < 2
    assert result.audio is None
    assert same(result, VisemeSync().generate(request)) is None


def test_the_upper_half_of_the_face_is_untouched(synced: tuple[FakeRequest, FakeResult]) -> None:
    request, result = synced
    assert result.masks is not None
    mesh = request.target.faces[0].mesh
    for t in range(0, len(mesh), 4):
        eyes = int(mesh[t, [145, 374], 1].min())
        assert not result.masks[t, :eyes].any()


def test_the_mouth_measured_again_follows_the_speech_that_drove_it(actor: ClipView) -> None:
    sounds = speak(SENTENCE, "ms", rate_wpm=150).phonemes
    made = animate(actor, sounds, 0.1)
    openness, found = _openness(made.frames)
    assert found.mean() >= 0.95
    at = made.curves.active & found
    r = np.corrcoef(openness[at], made.curves.openness[at])[0, 1]
    own = np.corrcoef(_openness(actor.frames)[0][at], made.curves.openness[at])[0, 1]
    print(f"r = {r:.3f} (the actor's own mouth: {own:.3f})")
    assert r > 0.7
    assert r > own + 0.3
    assert abs(float(openness[at].mean() - made.curves.openness[at].mean())) < 0.08


def test_a_mouth_that_was_open_closes_and_one_that_was_closed_opens(actor: ClipView) -> None:
    own, _ = _openness(actor.frames)
    shut = animate(actor, [Phoneme("m", 0.0, 1.6)], 0.0)
    wide = animate(actor, [Phoneme("a", 0.0, 1.6)], 0.0)
    inner = slice(4, 36)
    assert own[inner].max() > 0.2
    assert _openness(shut.frames)[0][inner].mean() < 0.06
    assert _openness(wide.frames)[0][inner].mean() > 0.3


def test_outside_the_sentence_the_clip_is_as_it_was(actor: ClipView) -> None:
    made = animate(actor, [Phoneme("a", 0.0, 0.3)], 0.7)
    (segment,) = made.segments
    assert 0.4 <= segment.start_s <= 0.7
    assert 1.0 <= segment.end_s <= 1.35
    assert actor.frames is not None
    assert np.array_equal(made.frames[:10], actor.frames[:10])
    assert np.array_equal(made.frames[34:], actor.frames[34:])


def test_sentences_that_cannot_be_shown_are_refused(actor: ClipView) -> None:
    for request, reason in (
        (
            FakeRequest(
                actor, 1, "ms", sentence="Satu dua tiga empat lima enam tujuh lapan sembilan sepuluh sebelas."
            ),
            "sentence_does_not_fit",
        ),
        (FakeRequest(actor, 1, "ms"), "no_sentence"),
        (FakeRequest(replace(actor, faces=()), 1, "ms", sentence=SENTENCE), "no_face"),
    ):
        with pytest.raises(Rejected) as caught:
            VisemeSync().generate(request)
        assert caught.value.reason == reason


@pytest.mark.parametrize("language", ["ko", "ms", "ta", "en-SG"])
def test_nearly_every_sound_of_a_language_has_a_mouth_shape(language: str) -> None:
    from haetae.locales import load

    sentences = [s for use in ("news", "social_media") for s in load(language).sentences_for(use)]
    sounds = [p.symbol for s in sentences[:10] for p in speak(s, language).phonemes]
    known = [s for s in sounds if viseme_of(s) is not None]
    assert len(known) >= 0.98 * len(sounds), sorted({s for s in sounds if viseme_of(s) is None})


def test_lips_close_for_stops_open_for_vowels_and_rest_in_silence() -> None:
    sounds = [Phoneme("a", 0.5, 0.8), Phoneme("m", 0.8, 0.9), Phoneme("a", 0.9, 1.2)]
    track = viseme_track(sounds, 60)
    assert track.openness[round(0.65 * 25)] > 0.3
    assert track.openness[round(0.85 * 25 - 0.5)] < 0.05
    assert track.openness[:8].max() < 0.05
    assert track.openness[38:].max() < 0.05
    assert not track.active[:8].any()
    assert not track.active[36:].any()


def test_neighbours_colour_a_sound() -> None:
    alone = viseme_track([Phoneme("t", 0.5, 0.58)], 30)
    between = viseme_track([Phoneme("u", 0.3, 0.5), Phoneme("t", 0.5, 0.58), Phoneme("u", 0.58, 0.8)], 30)
    assert between.width[13] < alone.width[13] - 0.05


def test_silence_leaves_the_mouth_at_rest() -> None:
    track = viseme_track([], 20)
    assert not track.active.any()
    assert track.openness.max() == 0
    assert (track.width == 1).all()
