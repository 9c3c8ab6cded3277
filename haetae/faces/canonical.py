"""The canonical face: a frontal, symmetric shape and the constant triangles of the mesh.

Measuring or warping real faces with it is not here (`regions`, `warp`). The shape in `canonical_face.obj`
is the mesh of scikit-image's public-domain portrait averaged with that of its mirror image, so it has neither
yaw nor roll; `build_canonical` made the file and makes it again.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_TRIANGLES = 898
_FILE = Path(__file__).with_name("canonical_face.obj")
_OUTER_EYES = [33, 263]
_HAIRLINE, _CHIN = 10, 152
_DOWN = np.array([0.0, 1.0, 0.0])


@functools.cache
def canonical_points() -> NDArray[np.float32]:
    """float32 [468, 3]: x to the image's right, y down, z away from the camera.

    The outer eye corners are 1 apart and the middle between them is the origin. The pitch is the sitter's,
    who looks into the camera: measured on photographs, camera-facing people have a median pitch of 1.6
    degrees against it, while against a face with an upright line from hairline to chin they would have -9.
    """
    points = np.array([line.split()[1:] for line in _lines("v ")], np.float32)
    points.setflags(write=False)
    return points


@functools.cache
def canonical_triangles() -> NDArray[np.int32]:
    """int32 [898, 3]: the mesh model's own tessellation with eyes and mouth closed by triangles."""
    corners = np.array([line.split()[1:] for line in _lines("f ")], np.int32) - 1
    corners.setflags(write=False)
    return corners


def _lines(kind: str) -> list[str]:
    return [line for line in _FILE.read_text("ascii").splitlines() if line.startswith(kind)]


def build_canonical(portrait: NDArray[np.uint8]) -> str:
    """The text of `canonical_face.obj` from a frontal portrait (uint8 [H, W, 3] RGB)."""
    from scipy.optimize import linear_sum_assignment

    from haetae.faces.mesh import mesh_of_image

    seen = mesh_of_image(portrait)
    mirrored = mesh_of_image(np.ascontiguousarray(portrait[:, ::-1]))
    if seen is None or mirrored is None:
        raise ValueError("no face in the portrait")
    # A point of the mirror image's mesh is the same anatomical point of the mirrored person: the mean of both
    # people is symmetric but for the model's own bias, which pairing each point with its twin takes out.
    both = [_normal(points[:468].astype(np.float64)) for points in (seen, mirrored)]
    mean = (both[0] + both[1]) / 2
    flip = np.array([-1.0, 1.0, 1.0])
    _, twin = linear_sum_assignment(((mean[None] * flip - mean[:, None]) ** 2).sum(axis=2))
    mean = _normal((mean + mean[twin] * flip) / 2)
    # Seen with an upright line from hairline to chin, no triangle is turned away: a planar drawing.
    corners = _triangles(_normal(mean, mean[_CHIN] - mean[_HAIRLINE])[:, :2])
    lines = ["# Mean face shape; made by haetae.faces.canonical.build_canonical."]
    lines += [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in mean + 0.0]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in corners.tolist()]
    return "\n".join(lines) + "\n"


def _normal(points: NDArray[np.float64], down: NDArray[np.float64] = _DOWN) -> NDArray[np.float64]:
    """Turn, move and scale so that the eyes are level, unturned and one apart, and `down` has no depth."""
    right = points[_OUTER_EYES[1]] - points[_OUTER_EYES[0]]
    x = right / np.linalg.norm(right)
    y = down - (down @ x) * x
    y /= np.linalg.norm(y)
    turned = points @ np.stack([x, y, np.cross(x, y)], axis=1)
    return np.asarray((turned - turned[_OUTER_EYES].mean(0)) / np.linalg.norm(right))


def _connections() -> Any:
    """The mesh model's table of edges, loaded without its package, which would load the model's runtime."""
    found = importlib.util.find_spec("mediapipe")
    if found is None or found.origin is None:
        raise ImportError("mediapipe is not installed")
    path = Path(found.origin).parent / "python/solutions/face_mesh_connections.py"
    spec = importlib.util.spec_from_file_location("face_mesh_connections", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot read {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _triangles(flat: NDArray[np.float64]) -> NDArray[np.int32]:
    """Faces of the planar drawing of the tessellation at `flat` [468, 2], holes closed; clockwise."""
    edges = {tuple(sorted(edge)) for edge in _connections().FACEMESH_TESSELATION}
    around: dict[int, list[int]] = {}
    for a, b in edges:
        around.setdefault(a, []).append(b)
        around.setdefault(b, []).append(a)
    for a, neighbours in around.items():
        neighbours.sort(key=lambda b: float(np.arctan2(*(flat[b] - flat[a])[::-1])))
    out: list[tuple[int, ...]] = []
    for loop in _loops(around):
        ring = flat[loop]
        turn = float(np.sum(ring[:, 0] * np.roll(ring[:, 1], -1) - np.roll(ring[:, 0], -1) * ring[:, 1]))
        if turn <= 0:
            continue  # the outside
        out += [tuple(loop)] if len(loop) == 3 else _closed(loop, flat)
    return np.array(sorted(_from_lowest(t) for t in out), np.int32)


def _loops(around: dict[int, list[int]]) -> list[list[int]]:
    """Faces of a planar graph whose neighbours are sorted by angle: each directed edge is in one loop."""
    seen: set[tuple[int, int]] = set()
    loops = []
    for start in sorted((a, b) for a in around for b in around[a]):
        loop = []
        a, b = start
        while (a, b) not in seen:
            seen.add((a, b))
            loop.append(a)
            turn = around[b]
            a, b = b, turn[turn.index(a) - 1]
        if loop:
            loops.append(loop)
    return loops


def _closed(loop: list[int], flat: NDArray[np.float64]) -> list[tuple[int, ...]]:
    """Close an eye or mouth: a zip between its upper and lower rim, from its left to its right corner."""
    first = loop.index(min(loop, key=lambda k: flat[k][0]))
    ring = loop[first:] + loop[:first]
    last = ring.index(max(ring, key=lambda k: flat[k][0]))
    one, other = ring[: last + 1], [ring[0], *ring[: last - 1 : -1]]
    out: list[tuple[int, ...]] = []
    i = j = 0
    while i < len(one) - 1 or j < len(other) - 1:
        step_one = j == len(other) - 1 or (i < len(one) - 1 and i / len(one) <= j / len(other))
        corner = one[i + 1] if step_one else other[j + 1]
        triangle = (one[i], corner, other[j])
        if len(set(triangle)) == 3:
            out.append(triangle)
        i, j = i + step_one, j + (not step_one)
    return out


def _from_lowest(triangle: tuple[int, ...]) -> tuple[int, ...]:
    k = triangle.index(min(triangle))
    return triangle[k:] + triangle[:k]
