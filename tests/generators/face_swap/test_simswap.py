"""`simswap` learns from synthetic people, keeps what it learned in one file, and swaps with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generators.face_swap.simswap.generator import SimSwap
from generators.learned_file import packed, unpacked
from generators.protocol import ClipView, FakeRequest, FakeResult, Learned, Learner, Lesson, Segment
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError
from tests.generators.face_swap.people import QUICK, SMALL, face_set, shortened

N_FRAMES = 14


@pytest.fixture(scope="module")
def lesson(actor: ClipView, other_actor: ClipView) -> Learned:
    return SimSwap(SMALL, QUICK).learn(face_set(actor, other_actor), Lesson(seed=3))


@pytest.fixture(scope="module")
def weights(lesson: Learned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simswap") / "learned.safetensors"
    path.write_bytes(lesson.weights)
    return path


@pytest.fixture(scope="module")
def loaded(weights: Path) -> SimSwap:
    """One that finds its sizes in the file, as the pipeline's does."""
    generator = SimSwap()
    generator.use(weights)
    generator.load("cpu")
    return generator


@pytest.fixture(scope="module")
def swap(loaded: SimSwap, actor: ClipView, other_actor: ClipView) -> tuple[FakeRequest, FakeResult]:
    request = FakeRequest(shortened(actor, N_FRAMES), 1, "ms", donor=other_actor)
    return request, loaded.generate(request)


@pytest.fixture
def other_thread_count() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    yield
    assert torch.get_num_threads() == before + 1, "what was set must stay"
    torch.set_num_threads(before)


def test_a_lesson_lowers_its_losses_and_moves_the_identity(lesson: Learned) -> None:
    def ends(name: str) -> tuple[float, float]:
        values = [point[name] for point in lesson.curve if name in point]
        return float(np.mean(values[:2])), float(np.mean(values[-3:]))

    for name, share in (
        ("identity_softmax_teacher", 0.6),
        ("identity_softmax_judge", 0.6),
        ("reconstruction", 0.8),
        ("identity", 0.9),
    ):
        first, last = ends(name)
        assert last < share * first, name
    metrics = lesson.metrics
    assert metrics["judge_accuracy"] == 1
    assert metrics["reconstruction_after"] < 0.7 * metrics["reconstruction_before"]
    assert metrics["identity_to_donor_after"] > metrics["identity_to_donor_before"] + 0.1
    assert metrics["identity_to_target_after"] < metrics["identity_to_target_before"] - 0.1
    assert [point["step"] for point in lesson.curve] == sorted({point["step"] for point in lesson.curve})


def test_equal_lessons_teach_the_same_whatever_the_number_of_threads(
    actor: ClipView, other_actor: ClipView, other_thread_count: None
) -> None:
    import torch

    faces = face_set(actor, other_actor, every=4)
    short = replace(QUICK, identity_steps=3, steps=3)
    torch.manual_seed(1)
    one = SimSwap(SMALL, short).learn(faces, Lesson(seed=5))
    torch.manual_seed(2)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    again = SimSwap(SMALL, short).learn(faces, Lesson(seed=5))
    torch.set_num_threads(threads)
    assert one.weights == again.weights
    assert one.curve == again.curve
    assert one.metrics == again.metrics
    assert SimSwap(SMALL, short).learn(faces, Lesson(seed=6)).weights != one.weights


def test_effort_is_a_share_of_the_steps_and_progress_is_told(actor: ClipView, other_actor: ClipView) -> None:
    told: list[tuple[int, int]] = []
    recipe = replace(QUICK, identity_steps=4, steps=40)
    lesson = Lesson(seed=1, effort=0.1, tell=lambda done, of, _losses: told.append((done, of)))
    SimSwap(SMALL, recipe).learn(face_set(actor, other_actor, every=4), lesson)
    assert told[-1] == (4 + 4 + 4, 4 + 4 + 4)


def test_a_swap_keeps_its_contract(swap: tuple[FakeRequest, FakeResult]) -> None:
    request, result = swap
    change = verify(SimSwap.card, request, result)
    assert change.mean_abs_delta > 1
    assert change.edge_delta < 2, "the rim of the mask must fade into the target"
    assert 0.03 < change.mask_fraction < 0.3
    assert result.segments == (Segment("video", 0.0, N_FRAMES / 25.0),)


def test_a_swap_repeats_in_any_number_of_threads_and_leaves_random_states_alone(
    loaded: SimSwap, swap: tuple[FakeRequest, FakeResult], other_thread_count: None
) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    assert same(swap[1], loaded.generate(swap[0])) is None
    assert torch.equal(torch.rand(2), expected)


def test_a_face_is_found_again_and_keeps_its_colour(swap: tuple[FakeRequest, FakeResult]) -> None:
    from haetae.faces.mesh import MeshTracker

    request, result = swap
    assert request.target.frames is not None
    assert result.frames is not None
    assert result.masks is not None
    assert MeshTracker().track(result.frames)[1].mean() >= 0.95
    core = result.masks.all(axis=0)
    before, after = (x[:, core].mean(axis=(0, 1)) for x in (request.target.frames, result.frames))
    assert np.abs(after - before).max() < 8


def test_the_donor_decides_what_a_face_becomes(
    loaded: SimSwap, swap: tuple[FakeRequest, FakeResult], actor: ClipView
) -> None:
    """Somebody else changes the face; the person in the target does not, which is refused as no fake at all."""
    request, result = swap
    assert result.metrics["mean_change"] > 1
    for oneself in (request.target, actor):
        with pytest.raises(Rejected, match="own face"):
            loaded.generate(replace(request, donor=oneself))


def test_the_inside_of_an_open_mouth_stays(
    swap: tuple[FakeRequest, FakeResult],
) -> None:
    from haetae.faces.regions import LIPS_INNER, mouth_openness, region_mask

    request, result = swap
    mesh = request.target.faces[0].mesh
    t = int(np.argmax(mouth_openness(mesh)))
    assert float(mouth_openness(mesh)[t]) > 0.2
    assert request.target.frames is not None
    assert result.frames is not None
    inside = region_mask(mesh[t], LIPS_INNER, result.frames.shape[1:3], grow_px=-2.0) > 0
    delta = np.abs(result.frames[t].astype(int) - request.target.frames[t])[inside]
    assert delta.mean() < 2


def test_frames_in_which_the_face_is_lost_stay(
    loaded: SimSwap, actor: ClipView, other_actor: ClipView
) -> None:
    clip = shortened(actor, 24)
    face = clip.faces[0]
    found, mesh = face.found.copy(), face.mesh.copy()
    found[8:14], mesh[9:13] = False, np.nan
    clip = replace(clip, faces=(replace(face, found=found, mesh=mesh),))
    request = FakeRequest(clip, 1, "ms", donor=other_actor)
    result = loaded.generate(request)
    verify(SimSwap.card, request, result)
    assert result.masks is not None
    assert not result.masks[8:14].any()
    assert result.masks[[7, 14]].any(axis=(1, 2)).all()


def test_it_is_a_learner_and_says_when_it_has_not_learned(actor: ClipView, other_actor: ClipView) -> None:
    assert isinstance(SimSwap(), Learner)
    assert SimSwap.card.learns
    with pytest.raises(UsageError, match="haetae generators learn simswap"):
        SimSwap().load("cpu")
    with pytest.raises(RuntimeError, match="not loaded"):
        SimSwap().generate(FakeRequest(actor, 1, "ms", donor=other_actor))


def test_faces_of_too_few_people_are_refused(actor: ClipView, other_actor: ClipView) -> None:
    with pytest.raises(UsageError, match="at least 2 people"):
        SimSwap(SMALL, QUICK).learn(face_set(actor), Lesson(seed=1))
    few = face_set(actor, other_actor, every=15)
    with pytest.raises(UsageError, match="of 2 people 0 have as many"):
        SimSwap(SMALL, QUICK).learn(few, Lesson(seed=1))


def test_clips_that_cannot_be_swapped_are_refused(
    loaded: SimSwap, actor: ClipView, other_actor: ClipView
) -> None:
    face = actor.faces[0]
    tiny = replace(face, mesh=face.mesh * np.float32(0.2))
    for target, donor, reason in (
        (actor, None, "no_donor"),
        (replace(actor, faces=()), other_actor, "no_face"),
        (actor, replace(other_actor, frames=None), "no_face"),
        (replace(actor, faces=(tiny,)), other_actor, "face_too_small"),
    ):
        with pytest.raises(Rejected) as caught:
            loaded.generate(FakeRequest(target, 1, "ms", donor=donor))
        assert caught.value.reason == reason
    for params in ({"detail": -0.1}, {"steadiness": 1.0}, {"feather": float("nan")}):
        with pytest.raises(UsageError, match="must lie in"):
            loaded.generate(FakeRequest(actor, 1, "ms", donor=other_actor, params=params))


def _written(path: Path, tensors: dict[str, object], build: dict[str, object]) -> SimSwap:
    path.write_bytes(packed(tensors, build))
    generator = SimSwap()
    generator.use(path)
    return generator


def test_wrong_files_are_refused_with_their_fault(weights: Path, tmp_path: Path) -> None:
    tensors, build = unpacked(weights)
    first = next(name for name in tensors if name.startswith("generator."))
    broken = {**tensors, first: tensors[first] * float("nan")}
    for message, given, plan in (
        ("was learned by 'other'", tensors, {**build, "generator": "other"}),
        ("does not fit", {k: v for k, v in tensors.items() if k != first}, build),
        ("does not fit", tensors, {**build, "channels": 16}),
        ("channels is 1000000000", tensors, {**build, "channels": 10**9}),
        ("no numbers", broken, build),
        ("less than 32 bits", {**tensors, first: tensors[first].half()}, build),
    ):
        with pytest.raises(UsageError, match=message):
            _written(tmp_path / "wrong.safetensors", given, plan).load("cpu")
    for content in (b"", b"no tensors", weights.read_bytes()[:-40]):
        (tmp_path / "cut.safetensors").write_bytes(content)
        generator = SimSwap()
        generator.use(tmp_path / "cut.safetensors")
        with pytest.raises(UsageError, match=r"cut\.safetensors"):
            generator.load("cpu")
    generator.use(tmp_path / "nowhere.safetensors")
    with pytest.raises(UsageError, match="nowhere"):
        generator.load("cpu")
