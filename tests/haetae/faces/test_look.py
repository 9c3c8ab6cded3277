"""How a face looks, and where it should be: what tells the people of a shot apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from haetae.faces.look import look_at
from haetae.faces.mesh import MeshTracker
from haetae.faces.regions import five_points
from haetae.faces.trail import Trail


@pytest.fixture(scope="module")
def five(portrait_mesh) -> np.ndarray:
    return five_points(portrait_mesh)


def _moved(portrait, five, angle_deg: float, scale: float, gain: float):
    matrix = cv2.getRotationMatrix2D((224, 125), angle_deg, scale)
    frame = np.clip(cv2.warpAffine(portrait, matrix, (512, 512)) * gain, 0, 255).astype(np.uint8)
    return frame, cv2.transform(five[None].astype(np.float64), matrix)[0].astype(np.float32)


def test_a_face_looks_like_itself_turned_smaller_and_darker_and_not_like_another(portrait, five):
    own = look_at(portrait, five)
    assert own.distance(own) == pytest.approx(0, abs=1e-5)
    for change in ((25, 1.0, 1.0), (0, 0.6, 1.0), (0, 1.0, 0.8), (-15, 1.4, 0.9)):
        assert own.distance(look_at(*_moved(portrait, five, *change))) < 0.45, change
    tinted = np.clip(portrait * np.array([0.55, 0.6, 0.75]) + [5, 10, 30], 0, 255).astype(np.uint8)
    assert own.distance(look_at(tinted, five)) > 1.2


def test_points_that_are_no_face_have_no_look(portrait, five):
    assert look_at(portrait, five + 5000) is None
    assert look_at(portrait, np.full((5, 2), 100, np.float32)) is None


def _trail(centres: list[tuple[float, float] | None], size: float = 100.0) -> Trail:
    trail = Trail(MeshTracker(), 0)
    for centre in centres:
        if centre is None:
            trail.add(None)
            continue
        points = np.zeros((478, 3), np.float32)
        points[:, 0] = centre[0] + np.linspace(-size / 2, size / 2, 478)
        points[:, 1] = centre[1] + np.linspace(-size / 2, size / 2, 478)
        trail.add(points)
    return trail


def _box(x: float, y: float, size: float = 100.0) -> np.ndarray:
    return np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2], np.float32)


def test_a_lost_face_is_expected_where_it_was_going(five):
    trail = _trail([(10.0 * t, 50) for t in range(12)] + [None] * 6)
    assert np.allclose(trail.expected(17), _box(170, 50), atol=3)
    assert trail.remoteness(_box(170, 50), 17) < 0.05
    assert trail.remoteness(_box(100, 50), 17) < 0.2, "it may have stopped on the way"
    assert trail.remoteness(_box(20, 50), 17) > 0.5
    assert trail.remoteness(_box(170, 250), 17) > 1.5
    assert trail.remoteness(_box(170, 50, 220), 17) > 0.7


def test_a_face_that_jumps_on_another_is_not_expected_to_go_on_with_it(five):
    trail = _trail([(10.0 * t, 50) for t in range(12)])
    for t in range(4):
        trail.add(_trail([(110 - 15.0 * t, 50)]).spot.points)
        trail.contest()
    trail.retract()
    assert trail.lost == 4
    assert np.allclose(trail.expected(16), _box(160, 50), atol=3)
