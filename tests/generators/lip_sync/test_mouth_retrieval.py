"""The clip's own mouths are found, put in a new order and pasted; nothing is lent by anybody else."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from generators.followed import follow
from generators.lip_sync.mouth_paste import Lent, Pasting, lenders
from generators.lip_sync.mouth_retrieval import MouthRetrieval, Rewritten, rewrite
from generators.lip_sync.retrieval import (
    NEAR_FRAMES,
    Mouths,
    cheapest_path,
    join_cost,
    measure,
    said_curves,
    target_cost,
    within_reach,
)
from generators.lip_sync.visemes import viseme_track
from generators.protocol import ClipView, Face, FakeRequest, FakeResult
from generators.verify import same, verify
from haetae.errors import Rejected
from haetae.faces.regions import lower_face_mask
from haetae.voice.espeak import Phoneme, speak
from haetae.voice.sync import av_offset
from haetae.voice.words import Word
from tests.generators.conftest import _frame

SENTENCE = "Mama makan nasi."
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def talker(portrait: np.ndarray) -> ClipView:
    """The portrait, moving its mouth for 2.6 s."""
    from haetae.faces.mesh import MeshTracker, mesh_of_image

    mesh = mesh_of_image(portrait)
    assert mesh is not None
    frames = np.stack([_frame(portrait, mesh, t, 0.4) for t in range(65)])
    track, found = MeshTracker().track(frames)
    return ClipView("clip-talker", "ms", frames, None, (Face("track-talker", 0, track, found),))


@pytest.fixture(scope="module")
def spoken_by(talker: ClipView) -> tuple[Rewritten, np.ndarray]:
    """The talker rewritten to a sentence, and the sound of that sentence on the clip's clock."""
    made = speak("Mama pergi ke pasar awal pagi.", "ms", rate_wpm=140)
    sound = np.zeros(65 * 640, np.float32)
    start = round(0.1 * RATE_HZ)
    heard = made.audio[: sound.size - start]
    sound[start : start + heard.size] = heard
    return rewrite(talker, made.phonemes, 0.1), sound


@pytest.fixture(scope="module")
def retrieved(actor: ClipView) -> tuple[FakeRequest, FakeResult]:
    request = FakeRequest(actor, 1, "ms", sentence=SENTENCE)
    return request, MouthRetrieval().generate(request)


def _openness(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from haetae.faces.mesh import MeshTracker
    from haetae.faces.regions import mouth_openness

    mesh, found = MeshTracker().track(frames)
    return np.asarray(mouth_openness(mesh)), found


def _flat_mouths(n: int, **more: np.ndarray) -> Mouths:
    """Mouths that look all the same."""
    rng = np.random.default_rng(1)
    given = {
        "usable": np.ones(n, np.bool_),
        "openness": np.full(n, 0.2),
        "width": np.ones(n),
        "lips": rng.normal(0, 1e-3, (n, 80)),
        "pose_deg": np.zeros((n, 3)),
        "light": np.full(n, 60.0),
        "said": np.full((n, 3), np.nan),
    }
    return Mouths(**{**given, **more})


def test_the_cheapest_path_is_the_cheapest_of_all_paths() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        target, join = rng.random((5, 4)), rng.random((4, 4))
        costs = {
            path: sum(target[t, s] for t, s in enumerate(path)) + sum(join[a, b] for a, b in pairwise(path))
            for path in product(range(4), repeat=5)
        }
        assert tuple(cheapest_path(target, join)) == min(costs, key=costs.__getitem__)


def test_a_planted_sequence_is_found_among_noise() -> None:
    rng = np.random.default_rng(4)
    planted = np.concatenate([np.arange(30, 50), np.arange(5, 25)])
    target = rng.random((40, 80)) + 0.5
    target[np.arange(40), planted] = 0.3
    join = np.full((80, 80), 0.6)
    join[np.arange(79), np.arange(1, 80)] = 0.0
    assert np.array_equal(cheapest_path(target, join), planted)
    with pytest.raises(ValueError, match="no path"):
        cheapest_path(np.full((3, 4), np.inf), np.zeros((4, 4)))


def test_the_stretch_where_the_same_words_were_said_is_taken() -> None:
    """All mouths look alike, so the sounds of the words decide."""
    words = [Word("pagi", 0.4, 0.8), Word("mama", 2.0, 2.5), Word("susu", 3.2, 3.7)]
    mouths = _flat_mouths(100, said=said_curves(words, "ms", 100))
    sounds = speak("mama", "ms").phonemes
    first_s = sounds[0].start_s
    pace = 0.5 / (sounds[-1].end_s - first_s)
    sounds = tuple(
        Phoneme(p.symbol, (p.start_s - first_s) * pace, (p.end_s - first_s) * pace) for p in sounds
    )
    curves = viseme_track(sounds, 100, start_s=0.2)
    where = np.zeros(100, np.bool_)
    where[5:17] = True
    wanted = within_reach(curves, mouths, where, 1.0)
    path = cheapest_path(target_cost(mouths, wanted), join_cost(mouths))
    assert np.array_equal(path[2:-2], np.arange(5, 17)[2:-2] + 45)


def test_an_open_vowel_takes_an_open_mouth_and_a_lip_stop_a_closed_one() -> None:
    openness = np.where(np.arange(120) // 10 % 2 == 0, 0.02, 0.4)
    mouths = _flat_mouths(120, openness=openness)
    sounds = [Phoneme("a", 0.4, 1.0), Phoneme("m", 1.0, 1.4), Phoneme("a", 1.4, 2.0)]
    wanted = within_reach(viseme_track(sounds, 120), mouths, np.arange(120) < 60, 1.0)
    path = cheapest_path(target_cost(mouths, wanted), join_cost(mouths))
    assert openness[path[14:20]].min() > 0.3
    assert openness[path[27:33]].max() < 0.1


def test_frames_that_are_not_usable_lend_nothing(actor: ClipView) -> None:
    face = actor.faces[0]
    found = face.found.copy()
    found[10:18] = False
    half = replace(actor, faces=(replace(face, found=found),))
    made = rewrite(half, speak(SENTENCE, "ms").phonemes, 0.0)
    lent = made.source[made.source >= 0]
    assert lent.size
    assert follow(half).usable[lent].all()
    assert not set(range(10, 18)) & set(lent.tolist())


def test_a_mouth_in_its_own_shape_is_the_lenders_picture(actor: ClipView) -> None:
    face = follow(actor)
    pasting = Pasting(face, np.array([3]), np.ones(1), [[Lent(19, 1.0)]], np.zeros(1), 0.0)
    patch, seen = pasting._patch(0, face.mesh[19], face.size)
    inside = lower_face_mask(face.mesh[19], face.size) > 0
    assert seen[inside].mean() > 0.99
    at = inside & seen
    lent = face.frames[19].astype(int)
    assert np.abs(patch[at] - lent[at]).mean() < 1.5
    assert np.abs(patch[at] - face.frames[3].astype(int)[at]).mean() > 4, "the frame itself looks otherwise"


def test_frames_that_are_not_usable_cost_more_than_anything(actor: ClipView) -> None:
    usable = np.arange(40) % 7 != 0
    openness = np.where(usable, 0.2, np.nan)
    mouths = _flat_mouths(40, usable=usable, openness=openness)
    wanted = within_reach(viseme_track([Phoneme("a", 0.2, 0.6)], 40), mouths, np.arange(40) < 20, 1.0)
    cost = target_cost(mouths, wanted)
    assert np.isinf(cost[:, ~usable]).all()
    assert np.isfinite(cost[:, usable]).all()


def test_no_frame_lends_its_mouth_to_itself(spoken_by: tuple[Rewritten, np.ndarray]) -> None:
    made, _ = spoken_by
    at = np.flatnonzero(made.source >= 0)
    assert at.size > 30
    assert (np.abs(made.source[at] - at) > NEAR_FRAMES).all()


def test_nobody_else_in_the_picture_lends_anything(actor: ClipView, other_actor: ClipView) -> None:
    """Whoever stands beside, the first face comes out the same; and the other one is left alone."""
    assert actor.frames is not None
    assert other_actor.frames is not None
    n, width = 30, actor.frames.shape[2]
    mesh = other_actor.faces[0].mesh[:n] + np.array([width, 0, 0], np.float32)
    beside = Face("track-beside", 0, mesh, other_actor.faces[0].found[:n])
    mine = Face("track-mine", 0, actor.faces[0].mesh[:n], actor.faces[0].found[:n])
    made = []
    for right in (other_actor.frames[:n], np.zeros_like(other_actor.frames[:n])):
        frames = np.concatenate([actor.frames[:n], right], axis=2)
        clip = replace(actor, frames=frames, faces=(mine, beside))
        result = rewrite(clip, speak("Apa khabar?", "ms").phonemes, 0.0)
        assert np.array_equal(result.frames[:, :, width:], right)
        made.append(result.frames[:, :, :width])
    assert np.array_equal(*made)
    assert not np.array_equal(made[0], actor.frames[:n])


def test_the_contract_holds_and_the_sound_is_left_alone(retrieved: tuple[FakeRequest, FakeResult]) -> None:
    request, result = retrieved
    change = verify(MouthRetrieval.card, request, result)
    assert change.mean_abs_delta > 2
    assert change.edge_delta < 1.5
    assert result.audio is None
    assert same(result, MouthRetrieval().generate(request)) is None


def test_only_the_lower_face_is_touched(retrieved: tuple[FakeRequest, FakeResult]) -> None:
    request, result = retrieved
    assert result.masks is not None
    mesh = request.target.faces[0].mesh
    for t in range(0, len(mesh), 4):
        nose = int(mesh[t, [197, 5], 1].min())
        assert not result.masks[t, :nose].any()


def test_lips_and_sound_agree_better_than_before(
    talker: ClipView, spoken_by: tuple[Rewritten, np.ndarray]
) -> None:
    made, sound = spoken_by
    assert talker.frames is not None
    openness, found = _openness(made.frames)
    before, _ = _openness(talker.frames)
    at = made.curves.active & found
    assert found.mean() >= 0.95
    r = np.corrcoef(openness[at], made.curves.openness[at])[0, 1]
    own = np.corrcoef(before[at], made.curves.openness[at])[0, 1]
    lips, own_lips = av_offset(openness, sound), av_offset(before, sound)
    assert lips is not None
    assert own_lips is not None
    print(f"r {own:.2f} -> {r:.2f}; av {own_lips} -> {lips}")
    assert r > 0.8
    assert r > own + 0.3
    assert abs(lips.offset_s) < 0.06
    assert lips.peak > own_lips.peak + 0.1


def test_outside_the_sentence_the_clip_is_as_it_was(actor: ClipView) -> None:
    made = rewrite(actor, [Phoneme("a", 0.0, 0.3)], 0.7)
    (segment,) = made.segments
    assert 0.4 <= segment.start_s <= 0.7
    assert 1.0 <= segment.end_s <= 1.35
    assert actor.frames is not None
    assert np.array_equal(made.frames[:10], actor.frames[:10])
    assert np.array_equal(made.frames[34:], actor.frames[34:])
    assert not made.masks[:10].any()


def test_at_a_join_one_mouth_fades_into_the_next() -> None:
    usable = np.ones(40, np.bool_)
    openness = np.full(40, 0.2)
    lent = lenders(np.array([5, 6, 20, 21, 21]), np.arange(10, 15), usable, openness)
    assert [[(one.frame, one.share) for one in moment] for moment in lent] == [
        [(5, 1.0)], [(6, 1.0)], [(20, 0.65), (7, 0.35)], [(21, 1.0)], [(21, 0.65), (22, 0.35)],
    ]  # fmt: skip


def test_an_open_mouth_does_not_shine_through_a_shut_one() -> None:
    openness = np.where(np.arange(40) < 15, 0.3, 0.0)
    lent = lenders(np.array([5, 20, 21]), np.arange(10, 13), np.ones(40, np.bool_), openness)
    assert [[one.frame for one in moment] for moment in lent] == [[5], [20], [21]]


def test_mouths_that_offer_nothing_are_refused(actor: ClipView) -> None:
    face = actor.faces[0]
    assert actor.frames is not None
    frozen = replace(
        actor,
        frames=np.repeat(actor.frames[:1], 40, axis=0),
        faces=(replace(face, mesh=np.repeat(face.mesh[:1], 40, axis=0)),),
    )
    short = replace(
        actor, frames=actor.frames[:16], faces=(replace(face, mesh=face.mesh[:16], found=face.found[:16]),)
    )
    for clip, sentence, reason in (
        (frozen, SENTENCE, "mouth_too_still"),
        (short, "Apa?", "too_few_mouths"),
        (replace(actor, faces=()), SENTENCE, "no_face"),
        (actor, None, "no_sentence"),
        (actor, "Satu dua tiga empat lima enam tujuh lapan sembilan sepuluh.", "sentence_does_not_fit"),
    ):
        with pytest.raises(Rejected) as caught:
            MouthRetrieval().generate(FakeRequest(clip, 1, "ms", sentence=sentence))
        assert caught.value.reason == reason


def test_words_in_a_language_without_a_voice_are_left_out() -> None:
    assert np.isnan(said_curves([Word("bonjour", 0.2, 0.6)], "other", 30)).all()


def test_measured_openness_is_that_of_the_mesh(actor: ClipView) -> None:
    from haetae.faces.regions import mouth_openness

    mouths = measure(follow(actor), (), "ms")
    assert mouths.usable.all()
    assert np.corrcoef(mouths.openness, mouth_openness(actor.faces[0].mesh))[0, 1] > 0.97
    assert np.diff(mouths.pose_deg[:, 2]).std() < 2
