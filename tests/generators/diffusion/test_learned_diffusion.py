"""A small diffusion model learns faces, is stored, read again, and makes faces and parts of them anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators.diffusion.face_diffusion import FaceDiffusion
from generators.diffusion.region_inpaint import RegionInpaint, region_of
from generators.diffusion.views import AREAS, FACE, seen, views
from generators.followed import follow
from generators.learned_file import packed, unpacked
from generators.protocol import ClipView, FaceSet, FakeRequest, Learned, Learner, Lesson, Segment
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError
from haetae.quality.fakes import picture_quality

EFFORT = 0.02
MAKERS = {"face_diffusion": FaceDiffusion, "region_inpaint": RegionInpaint}


@pytest.fixture(scope="module")
def taught(faces: FaceSet) -> dict[str, Learned]:
    """What each of them learned in a lesson of a few steps."""
    return {name: maker().learn(faces, Lesson(1, EFFORT)) for name, maker in MAKERS.items()}


@pytest.fixture(scope="module")
def ready(taught: dict[str, Learned], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Both, with what they learned read from a file."""
    made: dict[str, Any] = {}
    for name, maker in MAKERS.items():
        path = tmp_path_factory.mktemp("learned") / "w.safetensors"
        path.write_bytes(taught[name].weights)
        generator = maker()
        generator.use(path)
        generator.load("cpu")
        made[name] = generator
    return made


@pytest.mark.parametrize("name", MAKERS)
def test_a_lesson_lowers_the_loss_on_faces_held_back_and_tells_of_it(
    taught: dict[str, Learned], name: str
) -> None:
    learned = taught[name]
    figures = learned.metrics
    assert figures["held_loss_after"] < 0.9 * figures["held_loss_before"]
    assert learned.curve[-1]["loss"] < learned.curve[0]["loss"]
    assert [row["step"] for row in learned.curve] == sorted(row["step"] for row in learned.curve)
    assert 0 <= figures["found_face"] <= 1
    assert figures["distance_to_input"] > 1
    assert np.isfinite(list(figures.values())).all()


def test_equal_lessons_give_equal_weights_whatever_the_threads(faces: FaceSet) -> None:
    import torch

    lesson = Lesson(4, 0.004)
    state = torch.get_rng_state()
    one = FaceDiffusion().learn(faces, lesson)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = FaceDiffusion().learn(faces, lesson)
        assert torch.get_num_threads() == 2, "the number of threads is put back"
    finally:
        torch.set_num_threads(threads)
    assert one.weights == again.weights
    assert one.metrics == again.metrics
    assert torch.equal(torch.get_rng_state(), state)
    assert FaceDiffusion().learn(faces, replace(lesson, seed=5)).weights != one.weights


@pytest.mark.parametrize("name", MAKERS)
def test_a_clip_is_changed_in_the_face_alone_the_same_way_every_time(
    ready: dict[str, Any], two_actors: ClipView, name: str
) -> None:
    generator = ready[name]
    assert isinstance(generator, Learner)
    request = FakeRequest(two_actors, 7, "ms")
    result = generator.generate(request)
    change = verify(generator.card, request, result)
    assert change.mean_abs_delta > 1
    assert result.segments == (Segment("video", 0.0, 0.24),)
    assert not result.masks[:, :, 288:].any(), "the other face stays"
    assert same(result, generator.generate(request)) is None
    other = generator.generate(replace(request, seed=8))
    assert not np.array_equal(other.frames, result.frames)


def test_every_region_has_a_mask_of_its_own_and_only_it_is_changed(
    ready: dict[str, Any], short_actor: ClipView
) -> None:
    from haetae.faces import regions

    inside = {
        "eyes": regions.RIGHT_EYE, "mouth": regions.LIPS_INNER, "nose": [4], "left_half": [280],
        "right_half": [50], "lower_half": [17, 199],
    }  # fmt: skip
    outside = {
        "eyes": [17, 152, 50], "mouth": [4, 50, 280], "nose": [17, 33, 263], "left_half": [50, 33],
        "right_half": [280, 263], "lower_half": [33, 263, 10],
    }  # fmt: skip
    clip = replace(short_actor, frames=short_actor.frames[:5])  # type: ignore[index]
    mesh = clip.faces[0].mesh
    for name in AREAS:
        request = FakeRequest(clip, 1, "ms", params={"region": name})
        result = ready["region_inpaint"].generate(request)
        verify(RegionInpaint.card, request, result)
        for t in range(5):
            for points, there in ((inside[name], True), (outside[name], False)):
                at = mesh[t, points, :2].mean(axis=0) if there else mesh[t, points, :2]
                x, y = np.atleast_2d(at).round().astype(int).T
                assert (result.masks[t, y, x] == there).all(), (name, there)
    assert {region_of("any", seed) for seed in range(60)} == set(AREAS)


def test_the_strength_decides_how_far_a_face_is_from_what_it_was(
    ready: dict[str, Any], short_actor: ClipView
) -> None:
    def change(strength: float) -> float:
        params = {"min_strength": strength, "max_strength": strength}
        result = ready["face_diffusion"].generate(FakeRequest(short_actor, 1, "ms", params=params))
        return float(result.metrics["model_change"])

    assert change(0.05) < change(0.2) < change(0.45)


def test_one_noise_for_all_frames_keeps_a_fake_steady(faces: FaceSet, ready: dict[str, Any]) -> None:
    from generators.diffusion.sdedit import remade

    crops, _ = seen_of(faces)
    still = np.repeat(crops[:1], 6, axis=0)
    network = ready["face_diffusion"]._network
    shared = remade(network, still, 0.4, 3, seed=1)
    apart = np.concatenate([remade(network, still[:1], 0.4, 3, seed=n) for n in range(6)])
    assert np.abs(np.diff(shared, axis=0)).mean() < 0.02 * np.abs(np.diff(apart, axis=0)).mean()


def test_smoothing_the_change_over_time_takes_out_flicker(
    ready: dict[str, Any], short_actor: ClipView
) -> None:
    def flicker(frames: float) -> float:
        params = {"steady_frames": frames}
        result = ready["face_diffusion"].generate(FakeRequest(short_actor, 1, "ms", params=params))
        value = picture_quality(short_actor.frames, result.frames, result.masks).flicker
        assert value is not None
        return value

    assert flicker(2.0) < 0.9 * flicker(0.0)


def test_frames_in_which_the_face_is_lost_stay(ready: dict[str, Any], actor: ClipView) -> None:
    face = actor.faces[0]
    found, mesh = face.found.copy(), face.mesh.copy()
    found[8:30], mesh[8:30] = False, np.nan
    clip = replace(actor, faces=(replace(face, found=found, mesh=mesh),))
    request = FakeRequest(clip, 1, "ms")
    result = ready["face_diffusion"].generate(request)
    verify(FaceDiffusion.card, request, result)
    assert [(s.start_s, s.end_s) for s in result.segments] == [(0.0, 8 / 25), (30 / 25, 1.6)]


@pytest.mark.parametrize("name", MAKERS)
def test_who_has_not_learned_says_how_to_teach(name: str, actor: ClipView, tmp_path: Path) -> None:
    generator: Any = MAKERS[name]()
    with pytest.raises(UsageError, match=f"haetae generators learn {name}"):
        generator.load("cpu")
    with pytest.raises(RuntimeError, match="not loaded"):
        generator.generate(FakeRequest(actor, 1, "ms"))
    generator.use(tmp_path / "nothing.safetensors")
    with pytest.raises(UsageError, match="nothing"):
        generator.load("cpu")


def test_a_file_of_another_network_is_refused_with_the_reason(
    taught: dict[str, Learned], tmp_path: Path
) -> None:
    import torch

    path = tmp_path / "w.safetensors"

    def refused(content: bytes, message: str) -> None:
        path.write_bytes(content)
        generator = FaceDiffusion()
        generator.use(path)
        with pytest.raises(UsageError, match=message):
            generator.load("cpu")

    good = taught["face_diffusion"].weights
    path.write_bytes(good)
    mapped, build = unpacked(path)
    tensors = {name: tensor.clone() for name, tensor in mapped.items()}  # the file is written over below
    refused(taught["region_inpaint"].weights, "learned by region_inpaint")
    refused(good[: len(good) // 2], "cannot be read")
    refused(packed(tensors, {**build, "channels": [8, 16]}), "no network of face_diffusion")
    refused(packed(tensors, {**build, "channels": [8192, 8192]}), "no network of face_diffusion")
    refused(packed(tensors, {**build, "size_px": 50}), "no network of face_diffusion")
    refused(packed(dict(list(tensors.items())[1:]), build), "no network of face_diffusion")
    name = next(iter(tensors))
    refused(packed({**tensors, name: torch.full_like(tensors[name], torch.nan)}, build), "not finite")


def test_faces_that_are_too_few_or_an_effort_of_nothing_are_refused(faces: FaceSet) -> None:
    few = FaceSet(faces.crops[:8], faces.meshes[:8], faces.person[:8], faces.track[:8], faces.frame[:8])
    for maker in MAKERS.values():
        with pytest.raises(UsageError, match="at least 16"):
            maker().learn(few, Lesson(1, EFFORT))
        with pytest.raises(UsageError, match="effort"):
            maker().learn(faces, Lesson(1, 0.0))


def test_requests_that_cannot_be_met_are_refused(ready: dict[str, Any], actor: ClipView) -> None:
    small = replace(actor.faces[0], mesh=actor.faces[0].mesh * np.float32(0.2))
    for clip, reason in (
        (replace(actor, faces=()), "no_face"),
        (replace(actor, frames=None), "no_face"),
        (replace(actor, faces=(small,)), "face_too_small"),
    ):
        for generator in ready.values():
            with pytest.raises(Rejected) as caught:
                generator.generate(FakeRequest(clip, 1, "ms"))
            assert caught.value.reason == reason
    for name, params, message in (
        ("face_diffusion", {"max_strength": 0.9, "min_strength": 0.9}, "at most 0.5"),
        ("face_diffusion", {"steps": 0}, "steps"),
        ("region_inpaint", {"region": "ears"}, "region"),
        ("region_inpaint", {"size": 3}, "no parameter"),
    ):
        with pytest.raises(UsageError, match=message):
            ready[name].generate(FakeRequest(actor, 1, "ms", params=params))


def test_a_view_in_a_clip_is_the_view_that_was_learned_from(actor: ClipView) -> None:
    from generators.crops import cut

    face = follow(actor)
    for area in (FACE, AREAS["mouth"], AREAS["eyes"]):
        shown = views(face, area, 48)
        assert shown.large_px % 48 == 0
        n = 12
        at = cut(face, int(shown.at[n]), 128)
        learned, _ = seen(at.crop, at.mesh, area, 48)
        here = shown.small()[n].astype(int)
        difference, elsewhere = (
            np.abs(here - one.astype(int)).mean() for one in (learned, np.roll(learned, 5, axis=(0, 1)))
        )
        assert difference < 0.6 * elsewhere, "the same place at the same size"
        mask = shown.masks()[n]
        assert 0.03 < (mask > 0).mean() < 0.75


def seen_of(faces: FaceSet) -> tuple[Any, Any]:
    from generators.diffusion.repaint import to_learn_from

    return to_learn_from(faces.crops[:2], faces.meshes[:2], FACE, 48)
