"""`mesh_swap` and `self_blend` change the face and only the face, the same way every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from generators.face_swap.donor_frames import Pose, choose, poses
from generators.face_swap.mesh_swap import MeshSwap
from generators.face_swap.self_blend import REGIONS, Recipe, SelfBlend
from generators.followed import follow
from generators.protocol import ClipView, FakeRequest, FakeResult, Segment
from generators.verify import same, verify
from haetae.errors import Rejected


@pytest.fixture(scope="module")
def swap(actor: ClipView, other_actor: ClipView) -> tuple[FakeRequest, FakeResult]:
    request = FakeRequest(actor, 1, "ms", donor=other_actor)
    return request, MeshSwap().generate(request)


@pytest.fixture(scope="module")
def blend(actor: ClipView) -> tuple[FakeRequest, FakeResult]:
    request = FakeRequest(actor, 5, "ms")
    return request, SelfBlend().generate(request)


def _found_again(clip: ClipView, result: FakeResult) -> float:
    from haetae.faces.mesh import MeshTracker

    assert result.frames is not None
    mesh, found = MeshTracker().track(result.frames)
    off_px = np.linalg.norm(mesh[:, 1, :2] - clip.faces[0].mesh[:, 1, :2], axis=1)
    return float((found & (off_px < 15)).mean())


def test_a_swap_keeps_its_contract_and_really_changes_the_face(swap: tuple[FakeRequest, FakeResult]) -> None:
    request, result = swap
    change = verify(MeshSwap.card, request, result)
    assert change.mean_abs_delta > 5
    assert change.edge_delta < 2, "the rim of the mask must fade into the target"
    assert 0.05 < change.mask_fraction < 0.3
    assert result.segments == (Segment("video", 0.0, len(result.frames) / 25.0),)
    assert result.track_id == request.target.faces[0].track_id


def test_a_face_is_found_again_where_it_was_swapped(swap: tuple[FakeRequest, FakeResult]) -> None:
    assert _found_again(swap[0].target, swap[1]) >= 0.95


def test_a_swap_takes_on_the_targets_complexion(
    swap: tuple[FakeRequest, FakeResult], other_actor: ClipView
) -> None:
    request, result = swap
    assert request.target.frames is not None
    assert result.frames is not None
    assert result.masks is not None
    assert other_actor.frames is not None

    def cheeks(frames: np.ndarray, mesh: np.ndarray, t: int) -> np.ndarray:
        points = mesh[t, [50, 280, 205, 425], :2].round().astype(int)
        return np.mean([frames[t, y - 3 : y + 4, x - 3 : x + 4].mean(axis=(0, 1)) for x, y in points], axis=0)

    mesh = request.target.faces[0].mesh
    before = np.mean([cheeks(request.target.frames, mesh, t) for t in range(0, 40, 5)], axis=0)
    after = np.mean([cheeks(result.frames, mesh, t) for t in range(0, 40, 5)], axis=0)
    donor = np.mean(
        [cheeks(other_actor.frames, other_actor.faces[0].mesh, t) for t in range(0, 40, 5)], axis=0
    )
    assert np.linalg.norm(after - before) < 0.4 * np.linalg.norm(donor - before)


def test_a_swap_does_not_flicker_more_than_its_target(swap: tuple[FakeRequest, FakeResult]) -> None:
    request, result = swap
    assert request.target.frames is not None
    assert result.frames is not None
    assert result.masks is not None
    core = result.masks.all(axis=0)
    light = [f[:, core].mean(axis=(1, 2)) for f in (request.target.frames, result.frames)]
    before, after = (float(np.abs(np.diff(x, n=2)).mean()) for x in light)
    assert after < 1.5 * before + 0.5


def test_equal_requests_give_equal_swaps(swap: tuple[FakeRequest, FakeResult]) -> None:
    request, result = swap
    assert same(result, MeshSwap().generate(request)) is None


def test_frames_in_which_the_face_is_lost_stay_and_are_not_labelled(
    actor: ClipView, other_actor: ClipView
) -> None:
    face = actor.faces[0]
    found, mesh = face.found.copy(), face.mesh.copy()
    found[15:25], mesh[18:22] = False, np.nan
    clip = replace(actor, faces=(replace(face, found=found, mesh=mesh),))
    for generator, donor in ((MeshSwap(), other_actor), (SelfBlend(), None)):
        request = FakeRequest(clip, 1, "ms", donor=donor)
        result = generator.generate(request)
        verify(generator.card, request, result)
        assert result.segments == (Segment("video", 0.0, 0.6), Segment("video", 1.0, 1.6))
        assert result.masks is not None
        assert not result.masks[15:25].any()


def test_a_clip_without_a_usable_face_is_refused_with_the_reason(
    actor: ClipView, other_actor: ClipView
) -> None:
    face = actor.faces[0]
    never = replace(face, found=np.zeros_like(face.found), mesh=np.full_like(face.mesh, np.nan))
    tiny = replace(face, mesh=face.mesh * np.float32(0.2))
    for clip, reason in (
        (replace(actor, faces=()), "no_face"),
        (replace(actor, faces=(never,)), "face_lost"),
        (replace(actor, faces=(tiny,)), "face_too_small"),
    ):
        with pytest.raises(Rejected) as caught:
            SelfBlend().generate(FakeRequest(clip, 1, "ms"))
        assert caught.value.reason == reason
        with pytest.raises(Rejected) as caught:
            MeshSwap().generate(FakeRequest(clip, 1, "ms", donor=other_actor))
        assert caught.value.reason == reason
    with pytest.raises(Rejected, match="no_donor"):
        MeshSwap().generate(FakeRequest(actor, 1, "ms"))


def _pose(yaw: list[float], mouth: list[float] | None = None) -> Pose:
    at = np.array(yaw, np.float64)
    return Pose(at, np.zeros_like(at), np.array(mouth or [0.0] * len(yaw)), np.ones_like(at))


def test_a_donor_frame_is_chosen_by_pose_and_by_the_mouth() -> None:
    donor = _pose([-30, -15, 0, 15, 30])
    assert choose(_pose([30] * 6), donor).tolist() == [4] * 6
    assert choose(_pose([-30] * 6), donor).tolist() == [0] * 6
    mouths = _pose([0, 0, 0], [0.0, 0.25, 0.5])
    assert choose(_pose([0] * 8, [0.5] * 8), mouths).tolist() == [2] * 8


def test_the_donor_does_not_jump_between_frames_that_fit_almost_equally() -> None:
    rng = np.random.default_rng(0)
    wavering = _pose(list(rng.normal(0, 0.6, 60)))
    donor = _pose([-0.5, *[60.0] * 5, 0.5])
    assert len(set(choose(wavering, donor).tolist())) == 1


def test_someone_who_looks_down_all_the_time_is_not_taken_to_have_open_eyes(actor: ClipView) -> None:
    face = actor.faces[0]
    mesh = face.mesh.copy()
    for upper, lower in (([160, 159, 158], [144, 145, 153]), ([385, 386, 387], [380, 374, 373])):
        mesh[:, lower] = 0.85 * mesh[:, upper] + 0.15 * mesh[:, lower]
    drowsy = replace(actor, faces=(replace(face, mesh=mesh),))
    assert np.nanmedian(poses(follow(actor)).eyes) > 0.8
    assert np.nanmedian(poses(follow(drowsy)).eyes) < 0.4


def test_frames_without_a_face_get_no_donor_frame() -> None:
    assert choose(_pose([0.0, np.nan, 0.0]), _pose([np.nan, 0.0])).tolist() == [1, -1, 1]
    assert choose(_pose([0.0]), _pose([np.nan])).tolist() == [-1]


def test_a_self_blend_keeps_its_contract_and_leaves_traces(blend: tuple[FakeRequest, FakeResult]) -> None:
    request, result = blend
    change = verify(SelfBlend.card, request, result)
    assert change.mean_abs_delta > 2
    assert change.mask_fraction < 0.3
    assert _found_again(request.target, result) >= 0.95
    assert same(result, SelfBlend().generate(request)) is None


def test_self_blends_of_other_seeds_differ_and_always_change_something(actor: ClipView) -> None:
    short = replace(actor, frames=actor.frames[:8] if actor.frames is not None else None)
    results = [SelfBlend().generate(FakeRequest(short, seed, "ms")) for seed in range(6)]
    for seed, result in enumerate(results):
        change = verify(SelfBlend.card, FakeRequest(short, seed, "ms"), result)
        assert change.mean_abs_delta > 0.8
    assert len({result.frames.tobytes() for result in results if result.frames is not None}) == 6


def test_recipes_drift_slowly_and_cover_all_ratios_and_regions() -> None:
    drawn = [Recipe.draw(seed, 100, 0.25, 1.0) for seed in range(80)]
    assert {r.ratio for r in drawn} == {0.25, 0.5, 0.75, 1.0}
    assert {r.region for r in drawn} == set(REGIONS)
    assert min(r.ratio for r in (Recipe.draw(s, 10, 0.75, 1.0) for s in range(40))) == 0.75
    for recipe in drawn:
        assert np.abs(np.diff(recipe.shift, axis=0)).max() < 0.001
        assert np.abs(np.diff(recipe.lab, axis=0)).max() < 0.1
