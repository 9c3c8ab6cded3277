"""The face mesh of pictures and frames."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from haetae.faces.mesh import MeshTracker, fill_gaps, mesh_of_image, meshes_of_image, smooth_mesh
from haetae.faces.regions import face_box


def test_the_mesh_lies_on_the_face_of_the_portrait(portrait_mesh):
    assert portrait_mesh.shape == (478, 3)
    assert portrait_mesh.dtype == np.float32
    # Where MTCNN, which shares nothing with the mesh model, sees eyes, nose and corners of the mouth.
    seen = {
        468: (205.4, 101.5),
        473: (246.9, 103.1),
        4: (225.1, 129.2),
        61: (201.2, 139.6),
        291: (245.1, 141.1),
    }
    for index, at in seen.items():
        assert np.hypot(*(portrait_mesh[index, :2] - at)) < 4, index


def test_a_picture_without_a_face_has_no_mesh():
    noise = np.random.default_rng(1).integers(0, 255, (256, 320, 3), dtype=np.uint8)
    assert mesh_of_image(noise) is None
    assert meshes_of_image(np.zeros((64, 64, 3), np.uint8)) == []


def test_all_faces_of_a_picture_are_found_largest_first(two_heads):
    meshes = meshes_of_image(two_heads[0])
    assert len(meshes) == 2
    assert meshes[0][4, 0] > 340 > meshes[1][4, 0]
    assert np.ptp(meshes[0][:468, 1]) > 1.1 * np.ptp(meshes[1][:468, 1])


def test_a_moving_face_is_followed_to_a_fraction_of_a_pixel(portrait):
    frames = np.stack([np.roll(portrait, (2 * t, 6 * t), (0, 1)) for t in range(20)])
    mesh, found = MeshTracker().track(frames)
    assert found.all()
    steps = np.diff(mesh[:, :468, :2].mean(axis=1), axis=0)
    assert np.abs(steps - [6, 2]).max() < 0.4


def test_the_given_one_of_two_faces_is_followed(two_heads):
    left = np.stack([np.array([60 + 3 * t, 100, 180 + 3 * t, 220], np.float32) for t in range(30)])
    mesh, found = MeshTracker().track(two_heads, left)
    assert found.all()
    assert (mesh[:, 4, 0] < 340).all()
    assert mesh[-1, 4, 0] - mesh[0, 4, 0] == pytest.approx(3 * 29, abs=2)


def test_boxes_without_a_face_find_nothing(two_heads):
    nowhere = np.tile(np.array([0, 0, 60, 40], np.float32), (5, 1))
    mesh, found = MeshTracker().track(two_heads[:5], nowhere)
    assert not found.any()
    assert np.isnan(mesh).all()


def test_a_short_blank_is_bridged_and_marked_and_a_long_one_is_nan(portrait):
    frames = np.stack([np.roll(portrait, 4 * t, 1) for t in range(30)])
    frames[5:10] = 0
    frames[12:26] = 0
    mesh, found = MeshTracker().track(frames)
    expected = np.ones(30, bool)
    expected[5:10] = expected[12:26] = False
    assert found.tolist() == expected.tolist()
    assert np.isfinite(mesh[:12]).all()
    assert np.isnan(mesh[12:26]).all()
    assert np.isfinite(mesh[26:]).all()
    inside = np.diff(mesh[4:11, 4, 0])
    assert np.allclose(inside, 4, atol=0.5)


def test_a_gap_at_the_start_is_held_at_the_first_mesh():
    mesh = np.full((4, 478, 3), np.nan, np.float32)
    mesh[2:] = 7
    fill_gaps(mesh, np.array([False, False, True, True]))
    assert (mesh == 7).all()


def test_smoothing_takes_noise_out_but_leaves_steady_motion_and_blinks():
    rng = np.random.default_rng(3)
    clean = np.zeros((60, 478, 3), np.float32)
    clean += np.linspace(0, 120, 60, dtype=np.float32)[:, None, None]
    clean[30:33, 159, 1] += 8.0  # a lid that closes for three frames
    noisy = clean + rng.normal(0, 0.5, clean.shape).astype(np.float32)
    smooth = smooth_mesh(noisy, np.ones(60, bool))
    skin = [4, 10, 152]
    before, after = ((m - clean)[5:25, skin].std() for m in (noisy, smooth))
    assert after < 0.75 * before
    steady = smooth_mesh(clean, np.ones(60, bool))
    assert np.abs((steady - clean)[:25]).max() < 1e-3
    assert (steady - np.linspace(0, 120, 60)[:, None, None])[31, 159, 1] > 6


def test_smoothing_does_not_reach_across_a_long_gap():
    mesh = np.zeros((20, 478, 3), np.float32)
    mesh[12:] = 100
    mesh[6:12] = np.nan
    smooth = smooth_mesh(mesh, np.isfinite(mesh[:, 0, 0]))
    assert np.abs(smooth[:6]).max() < 1e-3
    assert np.abs(smooth[12:] - 100).max() < 1e-3
    assert np.isnan(smooth[6:12]).all()


def test_two_runs_give_the_same_bytes(two_heads):
    tracker = MeshTracker()
    first, _ = tracker.track(two_heads[:12])
    second, _ = tracker.track(two_heads[:12])
    third, _ = MeshTracker().track(two_heads[:12])
    assert first.tobytes() == second.tobytes() == third.tobytes()


def test_without_refinement_there_are_478_points_with_irises_inside_the_eyes(portrait):
    mesh, found = MeshTracker(refine=False).track(portrait[None])
    assert found.all()
    assert mesh.shape == (1, 478, 3)
    right = face_box(mesh[0, [33, 133, 159, 145]].repeat(117, axis=0))
    assert right[0] < mesh[0, 468, 0] < right[2]
    assert right[1] < mesh[0, 468, 1] < right[3]


def test_nothing_is_printed():
    code = (
        "from skimage.data import astronaut; from haetae.faces.mesh import mesh_of_image;"
        "assert mesh_of_image(astronaut()) is not None"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    assert ran.stderr == ""
