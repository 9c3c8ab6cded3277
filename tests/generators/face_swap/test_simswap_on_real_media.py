"""`simswap` on real films: it learns from their first part, and swaps the part that it did not see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generators.face_swap.simswap.evidence import Judge
from generators.face_swap.simswap.generator import SimSwap
from generators.face_swap.simswap.network import Sizes
from generators.face_swap.simswap.training import Recipe
from generators.followed import follow
from generators.protocol import ClipView, Face, FaceSet, FakeRequest, Learned, Lesson
from generators.verify import verify
from haetae.faces.mesh import MeshTracker
from haetae.faces.warp import align_crop
from haetae.media.frames import read_frames

pytestmark = pytest.mark.slow

FILMS = ("real_lp_d0", "real_lp_d10", "real_lp_d12", "real_lp_d18", "real_lp_d9", "real_lp_d14")
SEEN, LATER = slice(0, 48, 3), slice(56, 72)
SIZES = Sizes(crop_px=48, channels=16, blocks=2, halvings=2, id_values=64, id_channels=16)
RECIPE = Recipe(identity_steps=60, identity_batch=24, steps=160, batch=8, discriminator_channels=12)


@pytest.fixture(scope="module")
def films(dev_media: Path) -> tuple[FaceSet, list[ClipView]]:
    """Crops of the first two seconds of each film, and clips of a moment later."""
    crops, meshes, person, frame, clips = [], [], [], [], []
    for who, name in enumerate(FILMS):
        frames = read_frames(dev_media / "video" / f"{name}.mp4", last=LATER.stop - 1)
        mesh, found = MeshTracker().track(frames)
        assert found.all()
        for t in range(len(frames))[SEEN]:
            crop, matrix = align_crop(frames[t], mesh[t], 128)
            crops.append(crop)
            meshes.append(mesh[t, :, :2] @ matrix[:, :2].T + matrix[:, 2])
            person.append(who)
            frame.append(t)
        clips.append(
            ClipView(name, "other", frames[LATER], None, (Face(name, 0, mesh[LATER], found[LATER]),))
        )
    who_is = np.array(person, np.int64)
    return FaceSet(
        np.stack(crops), np.stack(meshes).astype(np.float32), who_is, who_is, np.array(frame, np.int64)
    ), clips


@pytest.fixture(scope="module")
def lesson(films: tuple[FaceSet, list[ClipView]]) -> Learned:
    return SimSwap(SIZES, RECIPE).learn(films[0], Lesson(seed=2))


def test_learning_lowers_the_losses_and_moves_the_identity_to_the_donor(lesson: Learned) -> None:
    for name, share in (("reconstruction", 0.6), ("identity", 0.85), ("identity_softmax_teacher", 0.5)):
        values = [point[name] for point in lesson.curve if name in point]
        assert np.mean(values[-3:]) < share * np.mean(values[:2]), name
    metrics = lesson.metrics
    assert metrics["judge_accuracy"] > 0.9
    assert metrics["reconstruction_after"] < 0.4 * metrics["reconstruction_before"]
    assert metrics["identity_to_donor_after"] > metrics["identity_to_donor_before"] + 0.1
    assert metrics["identity_to_target_after"] < metrics["identity_to_target_before"] - 0.1
    assert metrics["identity_moved"] > 0.7


def test_a_later_clip_is_swapped_towards_its_donor(
    films: tuple[FaceSet, list[ClipView]], lesson: Learned, tmp_path: Path
) -> None:
    """By a judge of another seed, which learned from faces that the generator's teacher did not see."""
    faces, clips = films
    (tmp_path / "learned.safetensors").write_bytes(lesson.weights)
    generator = SimSwap()
    generator.use(tmp_path / "learned.safetensors")
    generator.load("cpu")
    judge = Judge.taught(faces, "cpu", seed=77, steps=50)
    towards, away = [], []
    for k, clip in enumerate(clips):
        donor = (k + 1) % len(clips)
        request = FakeRequest(clip, 1, "other", donor=clips[donor])
        result = generator.generate(request)
        verify(generator.card, request, result)
        before, after = (judge.likeness(follow(one)) for one in (clip, replace(clip, frames=result.frames)))
        towards.append(after[donor] - before[donor])
        away.append(before[k] - after[k])
    assert np.mean(towards) > 0.05
    assert np.mean(away) > 0.05
    assert np.mean(np.array(towards) > 0) >= 0.6
