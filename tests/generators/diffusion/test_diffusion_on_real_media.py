"""On real people a short lesson gives a network whose faces are faces, and not copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generators.diffusion.face_diffusion import FaceDiffusion
from generators.learning import Material, face_set
from generators.protocol import ClipView, Face, FakeRequest, Lesson
from generators.verify import verify
from haetae.faces.detect import FaceDetector
from haetae.faces.mesh import MeshTracker, mesh_of_image
from haetae.media.frames import read_frames

pytestmark = pytest.mark.slow
LEARNED_FROM = ("real_lp_d0", "real_lp_d12", "real_lp_d19", "real_lp_s20", "real_lp_d14", "real_lp_d10")
TRIED = "real_lp_d9"
N_FRAMES = 24


def _clip(folder: Path, name: str) -> ClipView:
    frames = read_frames(
        folder / "video" / f"{name}.mp4", first=0, last=N_FRAMES - 1, max_frames=N_FRAMES + 1
    )
    mesh, found = MeshTracker().track(frames)
    return ClipView(name, "other", frames, None, (Face(name, 0, mesh, found),))


def test_a_lesson_on_real_faces_gives_faces_that_are_no_copies(dev_media: Path, tmp_path: Path) -> None:
    faces = face_set([_clip(dev_media, name) for name in LEARNED_FROM], Material(crops_per_track=16))
    generator = FaceDiffusion()
    learned = generator.learn(faces, Lesson(1, 0.8))
    figures = learned.metrics
    assert figures["held_loss_after"] < 0.2 * figures["held_loss_before"]
    assert figures["found_face"] >= 0.7, "what it makes of people whom it was not shown is a face"
    assert figures["distance_to_input"] > 5, "which is not the one that was there"
    assert figures["distance_to_nearest"] > 0.7 * figures["distance_to_nearest_before"], (
        "nor one of those it saw"
    )

    (tmp_path / "w.safetensors").write_bytes(learned.weights)
    generator.use(tmp_path / "w.safetensors")
    generator.load("cpu")
    request = FakeRequest(_clip(dev_media, TRIED), 3, "other")
    result = generator.generate(request)
    change = verify(generator.card, request, result)
    assert change.mean_abs_delta > 3
    assert change.edge_delta < 2
    assert result.frames is not None
    for t in (2, 12, 20):
        assert FaceDetector().detect_one(result.frames[t])
        mesh = mesh_of_image(result.frames[t])
        assert mesh is not None
        before = request.target.faces[0].mesh[t]
        tall = float(np.ptp(before[:468, 1]))
        assert np.linalg.norm((mesh - before)[:468, :2], axis=1).mean() < 0.1 * tall, "where the face was"
