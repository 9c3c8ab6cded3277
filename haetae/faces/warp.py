"""Moving the pixels of a face: piecewise-affine warps over a triangle mesh, similarity fits, aligned crops.

Mixing the result into another picture is `blend`; which points go where is the caller's business.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.faces import regions

_SHIFT = 4


def warp_mesh(
    src_img: NDArray[np.uint8],
    src_pts: NDArray[np.float32],
    dst_pts: NDArray[np.float32],
    out_size: tuple[int, int],
    triangles: NDArray[np.int32] | None = None,
    interpolation: int = cv2.INTER_LINEAR,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw `src_img` so that its `src_pts` come to lie on `dst_pts`, affine within each triangle.

    src_img: uint8 [H, W, 3]. src_pts, dst_pts: float [N, 2] or [N, 3] px; with a third column in `dst_pts`
    (z, smaller is nearer) nearer triangles hide farther ones where they overlap. out_size: (h, w).
    triangles: int32 [M, 3] into the points; None: those of the face mesh.
    Returns img uint8 [h, w, 3], black where nothing was drawn, and covered bool [h, w].
    One dense `cv2.remap` over the covered box. A source much larger than its target is shrunk first, so that
    fine texture does not alias.
    """
    corners = regions.triangles() if triangles is None else np.asarray(triangles)
    img = np.zeros((*out_size, src_img.shape[2]), np.uint8)
    covered = np.zeros(out_size, np.bool_)
    src, dst = np.asarray(src_pts, np.float64), np.asarray(dst_pts, np.float64)
    corners = _drawable(src[:, :2], dst, corners)
    if len(corners) == 0:
        return img, covered
    x1, y1, x2, y2 = _bounds(dst[:, :2][corners], out_size)
    if x1 >= x2 or y1 >= y2:
        return img, covered
    src_img, src_xy = _shrunk(src_img, src[:, :2], dst[:, :2], corners)
    offset = np.array([x1, y1], np.float64)
    local = dst[:, :2] - offset
    ids = _triangle_ids(local, corners, (y2 - y1, x2 - x1))
    map_x, map_y = _coordinates(ids, _affine(local[corners], src_xy[corners]))
    part = cv2.remap(src_img, map_x, map_y, interpolation, borderMode=cv2.BORDER_REPLICATE)
    inside = ids >= 0
    covered[y1:y2, x1:x2] = inside
    img[y1:y2, x1:x2] = part * inside[..., None]
    return img, covered


def _drawable(
    src: NDArray[np.float64], dst: NDArray[np.float64], corners: NDArray[np.int32]
) -> NDArray[np.int32]:
    """The triangles with an area and finite corners, farthest first where depth is known."""
    a, b, c = (dst[corners[:, k], :2] for k in range(3))
    area = np.abs((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]))
    finite = np.isfinite(src[corners]).all((1, 2)) & np.isfinite(dst[corners]).all((1, 2))
    keep = np.flatnonzero(finite & (area > 1e-3))
    if dst.shape[1] > 2:
        keep = keep[np.argsort(-dst[corners[keep], 2].mean(1), kind="stable")]
    return np.asarray(corners[keep])


def _bounds(points: NDArray[np.float64], size: tuple[int, int]) -> tuple[int, int, int, int]:
    low = np.floor(points.min((0, 1))).astype(int)
    high = np.ceil(points.max((0, 1))).astype(int) + 1
    return max(0, low[0]), max(0, low[1]), min(size[1], high[0]), min(size[0], high[1])


def _shrunk(
    img: NDArray[np.uint8], src: NDArray[np.float64], dst: NDArray[np.float64], corners: NDArray[np.int32]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    ratio = np.sqrt(_area(src[corners]).sum() / _area(dst[corners]).sum())
    if ratio < 1.5:
        return img, src
    height, width = img.shape[:2]
    size = max(1, round(width / ratio)), max(1, round(height / ratio))
    small = cv2.resize(img, size, interpolation=cv2.INTER_AREA)
    scale = np.array([size[0] / width, size[1] / height])
    return np.asarray(small, np.uint8), (src + 0.5) * scale - 0.5


def _area(points: NDArray[np.float64]) -> NDArray[np.float64]:
    ab, ac = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    return np.abs(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]) / 2


def _triangle_ids(
    points: NDArray[np.float64], corners: NDArray[np.int32], size: tuple[int, int]
) -> NDArray[np.int32]:
    """Which triangle covers each pixel: int32 [h, w], -1 for none; later triangles are on top."""
    ids = np.full(size, -1, np.int32)
    drawn = np.round(np.clip(points, -20_000, 20_000) * (1 << _SHIFT)).astype(np.int32)
    for k, triangle in enumerate(drawn[corners]):
        cv2.fillConvexPoly(ids, triangle, k, cv2.LINE_8, _SHIFT)
    return ids


def _affine(dst: NDArray[np.float64], src: NDArray[np.float64]) -> NDArray[np.float32]:
    """Per triangle, the map from target to source pixels: float32 [M, 2, 3]."""
    ab, ac = dst[:, 1] - dst[:, 0], dst[:, 2] - dst[:, 0]
    det = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    adjoint = np.stack([ac[:, 1], -ac[:, 0], -ab[:, 1], ab[:, 0]], axis=1).reshape(-1, 2, 2)
    sides = np.stack([src[:, 1] - src[:, 0], src[:, 2] - src[:, 0]], axis=2)
    linear = sides @ (adjoint / det[:, None, None])
    shift = src[:, 0] - (linear @ dst[:, 0, :, None])[..., 0]
    return np.concatenate([linear, shift[..., None]], axis=2).astype(np.float32)


def _coordinates(
    ids: NDArray[np.int32], affine: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Source coordinates of every pixel of an id image, for `cv2.remap`; uncovered pixels get (-1, -1)."""
    ys, xs = np.nonzero(ids >= 0)
    rows = affine[ids[ys, xs]]
    x, y = xs.astype(np.float32), ys.astype(np.float32)
    map_x, map_y = np.full(ids.shape, -1, np.float32), np.full(ids.shape, -1, np.float32)
    map_x[ys, xs] = rows[:, 0, 0] * x + rows[:, 0, 1] * y + rows[:, 0, 2]
    map_y[ys, xs] = rows[:, 1, 0] * x + rows[:, 1, 1] * y + rows[:, 1, 2]
    return map_x, map_y


def similarity(
    src_pts: NDArray[np.float32], dst_pts: NDArray[np.float32], scale: bool = True
) -> NDArray[np.float64]:
    """Least-squares rotation, uniform scale and shift from `src_pts` to `dst_pts`, both float [N, D].

    Returns float64 [D, D + 1]: `dst ≈ src @ m[:, :D].T + m[:, D]` (for D = 2, what cv2.warpAffine takes).
    Raises: ValueError when all source points are one. After: Umeyama, PAMI 1991.
    """
    src, dst = np.asarray(src_pts, np.float64), np.asarray(dst_pts, np.float64)
    dim = src.shape[1]
    src_mean, dst_mean = src.mean(0), dst.mean(0)
    src_flat, dst_flat = src - src_mean, dst - dst_mean
    spread = (src_flat**2).sum()
    if spread <= 0:
        raise ValueError("all source points are equal; no similarity is defined")
    u, values, vt = np.linalg.svd(dst_flat.T @ src_flat)
    sign = np.ones(dim)
    sign[-1] = 1.0 if np.linalg.det(u) * np.linalg.det(vt) >= 0 else -1.0
    turn = (u * sign) @ vt
    factor = (values * sign).sum() / spread if scale else 1.0
    return np.concatenate([factor * turn, (dst_mean - factor * turn @ src_mean)[:, None]], axis=1)


def align_crop(
    img: NDArray[np.uint8], mesh: NDArray[np.float32], size_px: int = 256, scale: float = 1.3
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A square picture of one face with level eyes, and how it was cut.

    img: uint8 [H, W, 3]; mesh: float32 [478, 3] px; scale: side of the crop over the longer side of the face.
    Returns crop uint8 [size_px, size_px, 3] (edge pixels repeated beyond the frame) and the map from image to
    crop pixels, float64 [2, 3], whose inverse is `cv2.invertAffineTransform`.
    """
    skin = np.asarray(mesh[: regions.N_SKIN, :2], np.float64)
    along = skin[regions.LEFT_EYE].mean(0) - skin[regions.RIGHT_EYE].mean(0)
    along /= max(float(np.hypot(*along)), 1e-6)
    turn = np.array([[along[0], along[1]], [-along[1], along[0]]])
    level = skin @ turn.T
    low, high = level.min(0), level.max(0)
    factor = size_px / (max(float((high - low).max()), 1.0) * scale)
    shift = (size_px - 1) / 2 - factor * (low + high) / 2
    matrix = np.concatenate([factor * turn, shift[:, None]], axis=1)
    # Area averaging does not exist for affine warps: blur away what the smaller crop cannot hold.
    source = img if factor > 0.67 else cv2.GaussianBlur(img, (0, 0), 0.4 / factor)
    crop = cv2.warpAffine(
        source, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, np.uint8), matrix
