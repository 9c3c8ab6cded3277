"""Finding faces in single frames."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from haetae.faces.detect import FaceDetector, detect_faces
from haetae.faces.regions import face_box, iou


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


def test_the_portrait_has_one_face_where_the_mesh_is(detector, portrait, portrait_mesh):
    (found,) = detector.detect_one(portrait)
    assert iou(found.box, face_box(portrait_mesh)) > 0.6
    assert found.score > 0.99
    assert found.points.shape == (5, 2)
    assert found.points[0, 0] < found.points[1, 0]


def test_two_faces_are_found_largest_first_in_every_frame(detector, two_heads):
    frames = two_heads[::10]
    for t, faces in zip(range(0, 30, 10), detector.detect(frames), strict=True):
        assert len(faces) == 2
        assert faces[0].size_px > faces[1].size_px
        assert faces[1].box[0] == pytest.approx(72 + 3 * t, abs=12)


def test_a_large_frame_is_shrunk_and_its_boxes_are_those_of_the_frame(detector, portrait):
    (small,) = detector.detect_one(portrait)
    (large,) = detector.detect_one(cv2.resize(portrait, (2048, 2048), interpolation=cv2.INTER_CUBIC))
    assert iou(large.box / 4, small.box) > 0.8
    assert np.abs(large.points / 4 - small.points).max() < 4


def test_faces_below_the_smallest_size_are_not_returned(portrait):
    tiny = cv2.resize(portrait, (128, 128), interpolation=cv2.INTER_AREA)
    assert FaceDetector(min_face_px=40).detect_one(tiny) == []
    assert len(FaceDetector(min_face_px=16).detect_one(tiny)) == 1


@pytest.mark.parametrize("size", [(1, 1), (8, 300), (30, 30), (240, 320)])
def test_frames_without_a_face_however_small_give_nothing(detector, size):
    assert detector.detect_one(np.zeros((*size, 3), np.uint8)) == []
    noise = np.random.default_rng(2).integers(0, 255, (*size, 3), dtype=np.uint8)
    assert detector.detect_one(noise) == []


def test_faces_that_are_known_are_not_found_again_and_hide_no_other(detector, two_heads):
    large, small = detector.detect_one(two_heads[0])
    (other,) = detector.detect_one(two_heads[0], known=[large.box])
    assert iou(other.box, small.box) > 0.9
    assert detector.detect_one(two_heads[0], known=[large.box, small.box]) == []


def test_faces_are_those_that_the_package_of_the_networks_finds(detector, two_heads, portrait):
    from facenet_pytorch import MTCNN

    package = MTCNN(keep_all=True, min_face_size=40, device="cpu").eval()
    tilted = cv2.warpAffine(portrait, cv2.getRotationMatrix2D((224, 125), 25, 0.7), (512, 400))
    cut = np.ascontiguousarray(portrait[40:, 190:])  # half of the face is outside
    for frame in (portrait, two_heads[0], tilted, cut):
        boxes, scores, points = package.detect(frame, landmarks=True)
        sure = scores >= 0.9
        found = detector.detect_one(frame)
        assert len(found) == sure.sum()
        for box, five in zip(boxes[sure], points[sure], strict=True):
            same = max(found, key=lambda d, box=box: iou(d.box, box))
            assert iou(same.box, box) > 0.85
            assert np.abs(same.points - five).max() < 0.06 * (box[3] - box[1])


def test_frames_of_different_sizes_are_looked_at_one_by_one(portrait, head):
    faces = detect_faces([portrait, np.zeros((100, 100, 3), np.uint8), head])
    assert [len(f) for f in faces] == [1, 0, 1]


def test_every_person_of_real_photographs_is_found(detector, dev_media):
    expected = {"real_multi_deepface_couple": 2, "real_multi_deepface_selfie": 4, "real_lp_s12": 1}
    for name, count in expected.items():
        (path,) = (dev_media / "image").glob(f"{name}.*")
        assert len(detector.detect_one(cv2.imread(str(path))[..., ::-1])) == count, name


def test_animals_are_not_people(detector, dev_media):
    for name in ("negative_lp_s30.jpg", "negative_lp_s41.jpg"):
        assert detector.detect_one(cv2.imread(str(dev_media / "image" / name))[..., ::-1]) == [], name
