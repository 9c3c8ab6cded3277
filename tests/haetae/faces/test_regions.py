"""What the mesh points mean."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from haetae.faces import regions
from haetae.faces.canonical import canonical_points
from haetae.faces.mesh import mesh_of_image


def _head(yaw_deg: float = 0, pitch_deg: float = 0, roll_deg: float = 0) -> np.ndarray:
    """The canonical face, 100 px between the eyes, turned: in image axes x right, y down, z away.

    Roll (about z) is applied last, yaw (about y, so that the nose goes to +x) second, pitch first.
    """
    turn = Rotation.from_euler("z", roll_deg, degrees=True)
    turn *= Rotation.from_euler("y", -yaw_deg, degrees=True)
    turn *= Rotation.from_euler("x", -pitch_deg, degrees=True)
    points = turn.apply(canonical_points()) * 100 + [300, 250, 0]
    return np.concatenate([points, np.repeat(points[[159, 386]], 5, axis=0)]).astype(np.float32)


def test_a_known_rotation_moves_the_nose_as_the_signs_say():
    straight = _head()[4]
    assert _head(yaw_deg=20)[4, 0] > straight[0] + 10, "positive yaw: the nose goes to the image's right"
    assert _head(pitch_deg=20)[4, 1] < straight[1] - 10, "positive pitch: the nose goes up"
    rolled = _head(roll_deg=20)
    assert rolled[263, 1] > rolled[33, 1] + 30, "positive roll: clockwise, the right of the picture sinks"


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll"), [(0, 0, 0), (30, 0, 0), (0, -20, 0), (0, 0, 25), (-40, 15, -10)]
)
def test_head_pose_of_a_turned_canonical_face_is_the_turn(yaw, pitch, roll):
    found = [float(a) for a in regions.head_pose(_head(yaw, pitch, roll))]
    assert found == pytest.approx([yaw, pitch, roll], abs=0.05)


def test_head_pose_of_many_frames_is_that_of_each():
    frames = np.stack([_head(yaw_deg=a) for a in (-30, 0, 30)])
    yaw, pitch, roll = regions.head_pose(frames)
    assert yaw == pytest.approx([-30, 0, 30], abs=0.05)
    assert pitch.shape == roll.shape == (3,)


def test_turning_the_picture_clockwise_is_positive_roll(portrait, portrait_mesh):
    matrix = cv2.getRotationMatrix2D((224, 125), -15, 1.0)  # OpenCV counts anticlockwise
    turned = mesh_of_image(cv2.warpAffine(portrait, matrix, (512, 512)))
    before, after = (float(regions.head_pose(m)[2]) for m in (portrait_mesh, turned))
    assert after - before == pytest.approx(15, abs=2.5)


def test_the_mirror_image_has_the_opposite_yaw(portrait, portrait_mesh):
    matrix = np.float32([[1, 0.0, 0], [0, 1, 0]])
    matrix[0, 0] = 0.94  # any picture: its mirror image must read the other way round
    one = cv2.warpAffine(portrait, matrix, (512, 512))
    yaw = float(regions.head_pose(mesh_of_image(one))[0])
    mirrored = float(regions.head_pose(mesh_of_image(np.ascontiguousarray(one[:, ::-1])))[0])
    assert yaw == pytest.approx(-mirrored, abs=3)


def test_the_mouth_opens_by_the_gap_that_was_made_whatever_the_pose():
    for pose in ((0, 0, 0), (35, 0, 0), (-20, 20, 30)):
        mesh = _head(*pose)
        width = np.linalg.norm(mesh[61] - mesh[291])
        down = regions.rotation(mesh)[:, 1]
        lower = [p for p in regions.LIPS_INNER if p in (14, 87, 317, 178, 402, 88, 318)]
        opened = mesh.copy()
        opened[lower] += (0.3 * width * down).astype(np.float32)
        gain = float(regions.mouth_openness(opened)) - float(regions.mouth_openness(mesh))
        assert gain == pytest.approx(0.3, abs=0.01), pose


def test_lids_that_meet_read_as_a_closed_eye():
    mesh = _head()
    assert 0.15 < float(regions.eye_openness(mesh)) < 0.6
    for upper, lower in ((160, 144), (159, 145), (158, 153), (385, 380), (386, 374), (387, 373)):
        mesh[upper] = mesh[lower]
    assert float(regions.eye_openness(mesh)) < 1e-3


def test_masks_are_nested_and_lie_where_they_should(portrait, portrait_mesh):
    size = portrait.shape[:2]
    face, mouth = regions.face_mask(portrait_mesh, size), regions.mouth_mask(portrait_mesh, size)
    lower = regions.lower_face_mask(portrait_mesh, size)
    assert face.dtype == np.float32
    assert face.shape == size
    assert set(np.unique(face)) == {0.0, 1.0}
    assert (face[mouth > 0] == 1).all()
    assert (face[lower > 0] == 1).mean() > 0.99
    assert (lower[mouth > 0] == 1).all()
    for index in (4, 205, 425, 151, 199):
        x, y = portrait_mesh[index, :2].round().astype(int)
        assert face[y, x] == 1
    assert 0.5 < lower.sum() / face.sum() * 2 < 1.2
    polygon = portrait_mesh[regions.FACE_OVAL, :2].astype(np.float64)
    x, y = polygon.T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert face.sum() == pytest.approx(area, rel=0.05)


def test_growing_widens_and_feathering_stays_inside(portrait, portrait_mesh):
    size = portrait.shape[:2]
    plain = regions.face_mask(portrait_mesh, size) > 0
    grown = regions.face_mask(portrait_mesh, size, grow_px=6)
    shrunk = regions.face_mask(portrait_mesh, size, grow_px=-6)
    columns = [int((m > 0).any(axis=0).sum()) for m in (shrunk, plain, grown)]
    assert columns[2] - columns[1] == pytest.approx(12, abs=1)
    assert columns[1] - columns[0] == pytest.approx(12, abs=2)
    soft = regions.face_mask(portrait_mesh, size, feather_px=10)
    assert ((soft > 0) == plain).all()
    assert 0.3 < soft[plain].mean() < 1
    assert soft.max() == 1
    x, y = portrait_mesh[4, :2].round().astype(int)
    assert soft[y, x] == 1


def test_a_mesh_half_outside_the_picture_still_gives_a_mask(portrait_mesh):
    moved = portrait_mesh - np.float32([225, 120, 0])
    mask = regions.face_mask(moved, (200, 200), grow_px=3, feather_px=5)
    assert mask[2, 2] == 1
    assert mask[150, 150] == 0
    away = portrait_mesh + np.float32([5000, 0, 0])
    assert regions.face_mask(away, (200, 200)).sum() == 0


def test_the_box_is_tight_and_scales_about_its_centre(portrait_mesh):
    box, wide = regions.face_box(portrait_mesh), regions.face_box(portrait_mesh, 1.5)
    assert box[0] == portrait_mesh[:468, 0].min()
    assert box[3] == portrait_mesh[:468, 1].max()
    assert np.allclose((wide[2:] - wide[:2]), 1.5 * (box[2:] - box[:2]), rtol=1e-5)
    assert np.allclose(wide[:2] + wide[2:], box[:2] + box[2:], rtol=1e-5)
    assert regions.face_box(np.stack([portrait_mesh] * 3)).shape == (3, 4)


def test_triangles_are_constant_for_meshes_and_delaunay_for_other_points(portrait_mesh):
    assert regions.triangles(portrait_mesh) is regions.triangles()
    corners = np.array([[0, 0], [10, 0], [0, 10], [10, 10], [5, 5]], np.float32)
    assert len(regions.triangles(corners)) == 4


def test_the_index_lists_name_the_right_side(portrait_mesh):
    left_of_picture = portrait_mesh[regions.RIGHT_EYE, 0].mean()
    assert left_of_picture < portrait_mesh[regions.NOSE, 0].mean() < portrait_mesh[regions.LEFT_EYE, 0].mean()
    for eye, iris in zip(regions.EYES, regions.IRISES, strict=True):
        polygon = portrait_mesh[eye, :2].reshape(-1, 1, 2)
        centre = tuple(float(v) for v in portrait_mesh[iris[0], :2])
        assert cv2.pointPolygonTest(polygon, centre, False) > 0
    for ring in (regions.FACE_OVAL, regions.LIPS_OUTER, regions.LIPS_INNER, *regions.EYES):
        x, y = portrait_mesh[ring, 0].astype(float), portrait_mesh[ring, 1].astype(float)
        assert x @ np.roll(y, -1) - y @ np.roll(x, -1) > 0, "clockwise on screen"
