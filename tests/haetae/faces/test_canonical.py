"""The canonical face and its triangles."""

from __future__ import annotations

from collections import Counter

import numpy as np

from haetae.faces import canonical


def test_the_shipped_file_is_what_the_builder_makes_of_the_portrait(portrait):
    made = canonical.build_canonical(portrait).splitlines()
    shipped = (canonical._FILE).read_text("ascii").splitlines()
    assert [x for x in made if x[0] == "f"] == [x for x in shipped if x[0] == "f"]
    points = np.array([x.split()[1:] for x in made if x[0] == "v"], np.float32)
    assert np.abs(points - canonical.canonical_points()).max() < 5e-3


def test_the_face_is_symmetric_with_level_eyes_one_apart():
    points = canonical.canonical_points()
    mirrored = points * [-1, 1, 1]
    nearest = np.linalg.norm(points[:, None] - mirrored[None], axis=2).min(axis=1)
    assert nearest.max() < 1e-4
    assert np.allclose(points[33], [-0.5, 0, 0], atol=1e-5)
    assert np.allclose(points[263], [0.5, 0, 0], atol=1e-5)
    assert points[152, 1] > points[10, 1]
    assert points[4, 2] < points[234, 2] < 1


def test_the_triangles_are_a_disc_that_holds_every_edge_of_the_mesh_model():
    triangles = canonical.canonical_triangles()
    assert triangles.shape == (canonical.N_TRIANGLES, 3)
    assert set(triangles.ravel().tolist()) == set(range(468))
    edges = Counter(frozenset((t[i], t[(i + 1) % 3])) for t in triangles.tolist() for i in range(3))
    rim = {edge for edge, count in edges.items() if count == 1}
    assert max(edges.values()) == 2
    assert {point for edge in rim for point in edge} == set(_oval())
    assert {frozenset(e) for e in canonical._connections().FACEMESH_TESSELATION} <= set(edges)
    # Euler's formula for a disc: no hole is left at eyes or mouth.
    assert 468 - len(edges) + len(triangles) == 1


def _oval() -> list[int]:
    from haetae.faces.regions import FACE_OVAL

    return FACE_OVAL
