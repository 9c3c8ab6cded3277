"""One word is exchanged in sound and picture, and the mouth moves for no longer than that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from generators.combination.dubbed_word import DubbedWord
from generators.protocol import ClipView, FakeRequest, FakeResult, Word
from generators.speech.word_edit import WordEdit
from generators.verify import same, verify
from haetae.errors import Rejected
from haetae.voice.espeak import speak
from tests.generators.conftest import RATE_HZ, SENTENCE
from tests.generators.speech.recordings import OneExchange

EDITOR = OneExchange("khabar", "pesanan")


@pytest.fixture(scope="module")
def with_words(actor: ClipView) -> ClipView:
    """The actor with the true times of what it says (as `actor` is made)."""
    assert actor.audio is not None
    end_s = actor.audio.size / RATE_HZ - 0.05
    said = speak(SENTENCE, "ms", rate_wpm=260, variant="f2").words
    words = (w.shifted(0.1) for w in said)
    return replace(actor, words=tuple(w for w in words if w.end_s < end_s))


@pytest.fixture(scope="module")
def dub(with_words: ClipView) -> tuple[FakeRequest, FakeResult, Word]:
    (old,) = [w for w in with_words.words if w.word == EDITOR.old]
    request = FakeRequest(with_words, 1, "ms")
    return request, DubbedWord(EDITOR).generate(request), old


def test_sound_and_picture_change_where_the_word_is(dub: tuple[FakeRequest, FakeResult, Word]) -> None:
    request, result, old = dub
    change = verify(DubbedWord.card, request, result)
    assert change.mean_abs_delta > 2
    by_modality = {s.modality: s for s in result.segments}
    sound, picture = by_modality["audio"], by_modality["video"]
    assert len(result.segments) == 2
    assert (sound.start_s, sound.end_s) == pytest.approx((old.start_s, old.end_s), abs=0.02)
    assert old.start_s - 0.08 - 1e-6 <= picture.start_s < picture.end_s <= old.end_s + 0.08 + 1e-6
    assert picture.end_s - picture.start_s > 0.6 * (old.end_s - old.start_s)
    assert same(result, DubbedWord(EDITOR).generate(request)) is None


def test_the_sound_is_that_of_the_word_alone(dub: tuple[FakeRequest, FakeResult, Word]) -> None:
    request, result, _ = dub
    alone = WordEdit(EDITOR).generate(request)
    assert np.array_equal(alone.audio, result.audio)
    assert (alone.text, alone.words) == (result.text, result.words)


def test_no_pixel_changes_beyond_two_frames_from_the_word(dub: tuple[FakeRequest, FakeResult, Word]) -> None:
    request, result, old = dub
    assert result.frames is not None
    assert request.target.frames is not None
    first, last = int(np.ceil((old.start_s - 0.08) * 25 - 1e-6)), int((old.end_s + 0.08) * 25)
    assert np.array_equal(result.frames[:first], request.target.frames[:first])
    assert np.array_equal(result.frames[last:], request.target.frames[last:])


def test_the_mouth_eases_into_the_word_and_out_of_it(dub: tuple[FakeRequest, FakeResult, Word]) -> None:
    from haetae.faces.mesh import MeshTracker
    from haetae.faces.regions import mouth_openness

    request, result, _ = dub
    mesh, found = MeshTracker().track(result.frames)
    assert found.all()
    (picture,) = [s for s in result.segments if s.modality == "video"]
    first, last = round(picture.start_s * 25), round(picture.end_s * 25)
    step = np.abs(np.diff(mouth_openness(mesh)))
    own = np.abs(np.diff(mouth_openness(request.target.faces[0].mesh)))
    assert max(step[first - 1], step[last - 1]) < own.max()
    assert np.abs(step - own)[first:last].max() > 0.05


def test_a_face_that_is_lost_while_the_word_lasts_is_refused(with_words: ClipView) -> None:
    (face,) = with_words.faces
    (old,) = [w for w in with_words.words if w.word == EDITOR.old]
    found = face.found.copy()
    found[int(old.start_s * 25) - 3 : int(old.end_s * 25) + 4] = False
    mesh = face.mesh.copy()
    mesh[~found] = np.nan
    lost = replace(with_words, faces=(replace(face, found=found, mesh=mesh),))
    with pytest.raises(Rejected, match="face_lost"):
        DubbedWord(EDITOR).generate(FakeRequest(lost, 1, "ms"))
