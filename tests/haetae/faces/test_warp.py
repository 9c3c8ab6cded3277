"""Moving the pixels of a face."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from haetae.faces import regions
from haetae.faces.mesh import mesh_of_image
from haetae.faces.warp import align_crop, similarity, warp_mesh


def test_equal_points_give_back_the_covered_pixels_unchanged(portrait, portrait_mesh):
    points = portrait_mesh[:, :2]
    img, covered = warp_mesh(portrait, points, points, portrait.shape[:2])
    assert (img[covered] == portrait[covered]).all()
    assert (img[~covered] == 0).all()
    mask = regions.face_mask(portrait_mesh, portrait.shape[:2]) > 0
    assert (covered != mask).sum() < 0.02 * mask.sum()


def test_a_warped_mark_lands_where_its_points_were_sent():
    """A dot is drawn in a grid of points; the grid is bent; the dot must be where the bend puts it."""
    img = np.zeros((200, 200, 3), np.uint8)
    cv2.circle(img, (80, 120), 5, (255, 255, 255), -1)
    grid = (
        np.stack(np.meshgrid(np.arange(0, 201, 20), np.arange(0, 201, 20)), -1)
        .reshape(-1, 2)
        .astype(np.float32)
    )

    def bend(p):
        x, y = np.atleast_2d(p).T
        return np.stack([x + 12 * np.sin(y / 40), y - 9 * np.cos(x / 50)], axis=1).astype(np.float32)

    out, covered = warp_mesh(img, grid, bend(grid), (200, 200), regions.triangles(grid))
    assert covered[100, 100]
    weight = out[..., 0].astype(float)
    ys, xs = np.mgrid[:200, :200]
    centre = np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()
    assert np.hypot(*(centre - bend([80, 120])[0])) < 1.0


def test_the_mesh_of_a_warped_face_is_the_mesh_that_was_asked_for(portrait, portrait_mesh):
    asked = portrait_mesh.copy()
    centre = asked[:, :2].mean(axis=0)
    asked[:, :2] = (asked[:, :2] - centre) * [1.15, 0.92] + centre + [9, -6]
    face, covered = warp_mesh(portrait, portrait_mesh[:, :2], asked[:, :2], portrait.shape[:2])
    img = np.where(covered[..., None], face, portrait)
    found = mesh_of_image(img)
    inner = [*regions.LIPS_OUTER, *regions.NOSE, *regions.RIGHT_EYE, *regions.LEFT_EYE]
    error = np.linalg.norm(found[inner, :2] - asked[inner, :2], axis=1)
    moved = np.linalg.norm(portrait_mesh[inner, :2] - asked[inner, :2], axis=1)
    assert error.mean() < 2.0 < 5.0 < moved.mean()


def test_the_mesh_sees_the_mouth_open_when_its_region_was_warped_open(head):
    img = cv2.resize(head, (480, 480), interpolation=cv2.INTER_CUBIC)
    mesh = mesh_of_image(img)
    middle, half_px = mesh[[61, 291]].mean(axis=0), np.linalg.norm(mesh[61] - mesh[291]) / 2
    lower = [*regions.LIPS_INNER[11:], *regions.LIPS_OUTER[11:], *regions.CHIN, *regions.JAW[8:13]]
    sag = np.clip(1 - ((mesh[lower, 0] - middle[0]) / half_px) ** 2, 0, 1)
    asked, seen = [], []
    for by_px in (0, 24):
        opened = mesh.copy()
        opened[lower, 1] += by_px * sag
        face, covered = warp_mesh(img, mesh[:, :2], opened[:, :2], img.shape[:2])
        out = np.where(covered[..., None], face, img)
        cv2.fillPoly(out, [opened[regions.LIPS_INNER, :2].round().astype(np.int32)], (50, 15, 15))
        asked.append(float(regions.mouth_openness(opened)))
        seen.append(float(regions.mouth_openness(mesh_of_image(out))))
    assert asked[1] > asked[0] + 0.2
    assert seen[1] > seen[0] + 0.12


def test_nearer_triangles_hide_farther_ones():
    img = np.zeros((40, 80, 3), np.uint8)
    img[:, :40], img[:, 40:] = (200, 0, 0), (0, 200, 0)
    src = np.array([[2, 2], [36, 2], [2, 36], [44, 2], [76, 2], [44, 36]], np.float32)
    dst = np.array([[0, 0], [40, 0], [0, 40]] * 2, np.float32)
    two = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    for near, colour in ((0, (200, 0, 0)), (1, (0, 200, 0))):
        depth = np.array([5.0 if near else -5.0] * 3 + [0.0] * 3, np.float32)
        out, _ = warp_mesh(img, src, np.column_stack([dst, depth]), (40, 40), two)
        assert tuple(out[8, 8]) == colour


def test_points_outside_the_picture_and_flat_triangles_are_survived(portrait, portrait_mesh):
    away = portrait_mesh[:, :2] + np.float32([9000, 0])
    img, covered = warp_mesh(portrait, portrait_mesh[:, :2], away, (100, 100))
    assert not covered.any()
    assert not img.any()
    flat = np.zeros_like(portrait_mesh[:, :2])
    _, covered = warp_mesh(portrait, portrait_mesh[:, :2], flat, (100, 100))
    assert not covered.any()
    half = portrait_mesh[:, :2] - np.float32([225, 0])
    img, covered = warp_mesh(portrait, portrait_mesh[:, :2], half, (512, 512))
    assert (img[:, :40][covered[:, :40]] == portrait[:, 225:265][covered[:, :40]]).all()
    assert covered.any()


def test_a_much_larger_source_does_not_alias():
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    square = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    out, covered = warp_mesh(stripes, square * 799, square * 99, (100, 100), np.array([[0, 1, 2], [1, 3, 2]]))
    inner = out[5:95, 5:95]
    assert covered[5:95, 5:95].all()
    assert inner.std() < 10
    assert inner.mean() == pytest.approx(127.5, abs=6)


def test_a_frame_of_512_px_takes_at_most_15_ms(portrait, portrait_mesh):
    big = cv2.resize(portrait[40:200, 145:305], (512, 512))
    src = (portrait_mesh[:, :2] - [145, 40]) * 3.2
    dst = (src + 5 * np.sin(src / 60)).astype(np.float32)
    warp_mesh(big, src, dst, (512, 512))
    took_ms = []
    for _ in range(9):
        start = time.perf_counter()
        _, covered = warp_mesh(big, src, dst, (512, 512))
        took_ms.append((time.perf_counter() - start) * 1e3)
    assert covered.mean() > 0.25
    assert min(took_ms) < 15


def test_similarity_finds_the_transform_that_was_applied():
    rng = np.random.default_rng(5)
    for dim in (2, 3):
        src = rng.normal(size=(20, dim))
        angle = 0.4
        turn = np.eye(dim)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        dst = 1.7 * src @ turn.T + np.arange(dim)
        found = similarity(src, dst)
        assert np.allclose(found[:, :dim], 1.7 * turn)
        assert np.allclose(found[:, dim], np.arange(dim))
    mirrored = similarity(src, src * [-1, 1, 1])
    assert np.linalg.det(mirrored[:, :3]) > 0, "never a reflection"
    with pytest.raises(ValueError, match="all source points"):
        similarity(np.ones((4, 2)), np.ones((4, 2)))


def test_an_aligned_crop_has_level_eyes_and_the_face_in_the_middle(portrait):
    matrix = cv2.getRotationMatrix2D((224, 125), 20, 1.2)
    tilted = cv2.warpAffine(portrait, matrix, (512, 512))
    crop, to_crop = align_crop(tilted, mesh_of_image(tilted), size_px=200, scale=1.3)
    assert crop.shape == (200, 200, 3)
    mesh = mesh_of_image(crop)
    eyes = [mesh[e, :2].mean(axis=0) for e in regions.EYES]
    assert abs(np.degrees(np.arctan2(eyes[1][1] - eyes[0][1], eyes[1][0] - eyes[0][0]))) < 2
    box = regions.face_box(mesh)
    assert np.abs((box[:2] + box[2:]) / 2 - 99.5).max() < 5
    assert max(box[2:] - box[:2]) == pytest.approx(200 / 1.3, rel=0.06)
    nose = cv2.transform(mesh_of_image(tilted)[None, 4:5, :2].astype(np.float64), to_crop)[0, 0]
    assert np.hypot(*(nose - mesh[4, :2])) < 3
