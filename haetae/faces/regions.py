"""What the points of the face mesh mean: contours, masks, boxes, openness of mouth and eyes, head pose.

Finding the points (`mesh`) and moving pixels (`warp`, `blend`) are not here. "Left" and "right" are the
person's own; RIGHT_EYE is on the left of an unmirrored picture. Functions that take `mesh` accept one frame,
float [478, 3], or many, float [T, 478, 3], in pixels with z scaled like x, and return the matching shape.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from haetae.faces.canonical import canonical_points, canonical_triangles

Mesh = NDArray[np.float32]

N_SKIN = 468
FACE_OVAL = [
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
]
"""Outline of the face: a closed polygon, clockwise on screen from the top of the forehead."""
OVAL = FACE_OVAL
JAW = [454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234]
"""The lower part of FACE_OVAL, from the person's left ear over the chin to the right ear; open."""
CHIN = [152, 148, 176, 140, 171, 175, 396, 369, 400, 377, 199, 200, 208, 428, 201, 421, 18, 83, 313]
"""Points of the chin below the lower lip; they move with the jaw."""
LIPS_OUTER = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146]
"""Outer rim of the lips: a closed polygon, clockwise on screen from the person's right corner."""
LIPS_INNER = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95]
"""Inner rim of the lips, in the same order; its area is the opening of the mouth."""
RIGHT_EYE = [33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7]
LEFT_EYE = [362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382]
EYES = [RIGHT_EYE, LEFT_EYE]
RIGHT_IRIS = [468, 469, 470, 471, 472]
"""Centre of the iris, then four points of its rim."""
LEFT_IRIS = [473, 474, 475, 476, 477]
IRISES = [RIGHT_IRIS, LEFT_IRIS]
RIGHT_BROW = [46, 53, 52, 65, 55, 70, 63, 105, 66, 107]
LEFT_BROW = [276, 283, 282, 295, 285, 300, 293, 334, 296, 336]
NOSE = [168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 97, 326, 327, 48, 64, 278, 294, 115, 220, 440, 344]
"""Bridge, tip, base and wings of the nose."""
RIGID = [
    *(10, 109, 338, 67, 297, 103, 332, 54, 284, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 19, 94),
    *(33, 133, 362, 263, 21, 251, 162, 389, 127, 356, 234, 454, 116, 345, 117, 346, 50, 280),
]
"""Points that speech, blinks and smiles move little: forehead, bridge of nose, eye corners, cheekbones."""
_LIP_PAIRS = ([82, 13, 312], [87, 14, 317])
_LID_PAIRS = (([160, 159, 158], [144, 145, 153]), ([385, 386, 387], [380, 374, 373]))


def triangles(points: ArrayLike | None = None) -> NDArray[np.int32]:
    """Corners of the triangles that cover a set of points: int32 [M, 3].

    For a mesh (468 or 478 points, or None) the same 898 triangles for every frame and person: the mesh
    model's tessellation with eyes and mouth closed. For any other set, float [N, 2+], for example a mesh
    with points of the picture's border added, its Delaunay triangles; compute them once and keep them.
    """
    if points is None:
        return canonical_triangles()
    flat = np.asarray(points, np.float64)[:, :2]
    if len(flat) in (N_SKIN, 478):
        return canonical_triangles()
    from scipy.spatial import Delaunay

    return np.asarray(Delaunay(flat).simplices, np.int32)


def face_box(mesh: Mesh, scale: float = 1.0) -> NDArray[np.float32]:
    """Box around the skin points, grown about its centre by `scale`: float32 [4] or [T, 4], xyxy px."""
    skin = mesh[..., :N_SKIN, :2]
    low, high = skin.min(axis=-2), skin.max(axis=-2)
    centre, half = (low + high) / 2, (high - low) / 2 * scale
    return np.concatenate([centre - half, centre + half], axis=-1).astype(np.float32)


def five_points(mesh: Mesh) -> NDArray[np.float32]:
    """Eyes, tip of the nose and corners of the mouth: float32 [5, 2] or [T, 5, 2], xy px.

    In the order of face detectors: of eyes and corners the person's right, which is on the left of an
    unmirrored picture, comes first. An eye is the middle between its two corners, which a blink does not move.
    """
    right, left = (mesh[..., corners, :2].mean(axis=-2) for corners in ([33, 133], [362, 263]))
    points = [right, left, *(mesh[..., k, :2] for k in (4, 61, 291))]
    return np.stack(points, axis=-2).astype(np.float32)


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes, xyxy px: 0 to 1."""
    w = float(min(a[2], b[2]) - max(a[0], b[0]))
    h = float(min(a[3], b[3]) - max(a[1], b[1]))
    if w <= 0 or h <= 0:
        return 0.0
    both = w * h
    return both / (float((a[2] - a[0]) * (a[3] - a[1])) + float((b[2] - b[0]) * (b[3] - b[1])) - both)


def face_mask(
    mesh: Mesh, size: tuple[int, int], grow_px: float = 0, feather_px: float = 0
) -> NDArray[np.float32]:
    """Mask of the whole face, forehead to chin; see `region_mask`. One frame only."""
    mask = _polygons([mesh[FACE_OVAL, :2]], size)
    # On a turned head the nose stands out of the oval: the triangles cover what the oval misses.
    for corners in _fixed(mesh[:, :2])[canonical_triangles()]:
        cv2.fillConvexPoly(mask, corners, 1, cv2.LINE_8, _SHIFT)
    return _shaped(mask, grow_px, feather_px)


def mouth_mask(
    mesh: Mesh, size: tuple[int, int], grow_px: float = 0, feather_px: float = 0
) -> NDArray[np.float32]:
    """Mask of the lips and what is between them; see `region_mask`. One frame only."""
    return region_mask(mesh, LIPS_OUTER, size, grow_px, feather_px)


def lower_face_mask(
    mesh: Mesh, size: tuple[int, int], grow_px: float = 0, feather_px: float = 0
) -> NDArray[np.float32]:
    """Mask of what moves in speech: from below the nose, along the cheeks, to the jaw. One frame only."""
    return region_mask(mesh, [*JAW[1:-1], 50, 205, 98, 2, 327, 425, 280], size, grow_px, feather_px)


def region_mask(
    mesh: Mesh, indices: list[int], size: tuple[int, int], grow_px: float = 0, feather_px: float = 0
) -> NDArray[np.float32]:
    """Mask of the polygon through mesh points: float32 [h, w] in [0, 1]; `size` is (h, w).

    The polygon is dilated by `grow_px` (eroded if negative); the mask is 0 outside it and rises from its edge
    inwards to 1 within `feather_px`. So it never reaches beyond the grown polygon.
    """
    return _shaped(_polygons([mesh[indices, :2]], size), grow_px, feather_px)


def mouth_openness(mesh: Mesh) -> NDArray[np.float32]:
    """Gap between the inner lips over the width of the mouth: float32 [T] (or scalar []), 0 when closed.

    Measured in 3-D along the head's own vertical, so turning, nodding and tilting change it little; about 0.1
    to 0.6 in speech.
    """
    gap = _along_down(mesh, _LIP_PAIRS)
    width = np.linalg.norm(mesh[..., 61, :] - mesh[..., 291, :], axis=-1)
    return np.asarray(np.maximum(gap, 0) / np.maximum(width, 1e-6), np.float32)


def eye_openness(mesh: Mesh) -> NDArray[np.float32]:
    """Gap between the lids over the width of the eye, mean of both eyes: float32 [T]; below 0.1 is a blink.

    After: Soukupová & Čech, Real-Time Eye Blink Detection using Facial Landmarks, 2016.
    """
    both = []
    for lids, (outer, inner) in zip(_LID_PAIRS, ((33, 133), (263, 362)), strict=True):
        width = np.linalg.norm(mesh[..., outer, :] - mesh[..., inner, :], axis=-1)
        both.append(np.maximum(_along_down(mesh, lids), 0) / np.maximum(width, 1e-6))
    return np.asarray((both[0] + both[1]) / 2, np.float32)


def head_pose(mesh: Mesh) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Yaw, pitch, roll of the head in degrees, each float32 [T] (or scalar []).

    Yaw is positive when the face looks to the image's right, pitch positive up, roll positive clockwise as
    seen; all 0 for an upright face that looks into the camera. Roll is the outermost turn, then yaw, then
    pitch, so turning the picture changes roll alone. Taken from the mesh's own depth by fitting the rigid
    part of the canonical face to it: no camera needs to be known.
    """
    turn = rotation(mesh)
    yaw = np.arcsin(np.clip(turn[..., 2, 0], -1, 1))
    pitch = -np.arctan2(turn[..., 2, 1], turn[..., 2, 2])
    roll = np.arctan2(turn[..., 1, 0], turn[..., 0, 0])
    yaw_deg, pitch_deg, roll_deg = (np.asarray(np.degrees(a), np.float32) for a in (yaw, pitch, roll))
    return yaw_deg, pitch_deg, roll_deg


def rotation(mesh: Mesh) -> NDArray[np.float64]:
    """Rotation from the canonical face to the head: float64 [3, 3] or [T, 3, 3]; its columns are the head's
    right (of the image, for a frontal face), down and backward directions.

    After: Kabsch, Acta Crystallographica 1976; Umeyama, PAMI 1991.
    """
    there = mesh[..., RIGID, :].astype(np.float64)
    there = there - there.mean(axis=-2, keepdims=True)
    u, _, vt = np.linalg.svd(np.swapaxes(there, -1, -2) @ _rigid_canonical())
    sign = np.ones((*u.shape[:-2], 3))
    sign[..., 2] = np.linalg.det(u @ vt)
    return np.asarray((u * sign[..., None, :]) @ vt)


@functools.cache
def _rigid_canonical() -> NDArray[np.float64]:
    here = canonical_points()[RIGID].astype(np.float64)
    return np.asarray(here - here.mean(axis=0))


def _along_down(mesh: Mesh, pairs: tuple[list[int], list[int]]) -> NDArray[np.float64]:
    upper, lower = pairs
    gap = (mesh[..., lower, :] - mesh[..., upper, :]).astype(np.float64).mean(axis=-2)
    return np.asarray((gap * rotation(mesh)[..., :, 1]).sum(-1))


_SHIFT = 4
_FAR_PX = 20_000.0


def _fixed(points: NDArray[np.float32]) -> NDArray[np.int32]:
    """Points as the fixed-point integers that OpenCV draws with a sixteenth of a pixel."""
    return np.round(np.clip(points, -_FAR_PX, _FAR_PX) * (1 << _SHIFT)).astype(np.int32)


def _polygons(polygons: list[NDArray[np.float32]], size: tuple[int, int]) -> NDArray[np.uint8]:
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [_fixed(p) for p in polygons], 1, cv2.LINE_8, _SHIFT)
    return mask


def _shaped(mask: NDArray[np.uint8], grow_px: float, feather_px: float) -> NDArray[np.float32]:
    x, y, w, h = cv2.boundingRect(mask)
    out = np.zeros(mask.shape, np.float32)
    if w == 0 or h == 0:
        return out
    pad = int(np.ceil(max(grow_px, 0))) + 2
    y1, y2 = max(0, y - pad), min(mask.shape[0], y + h + pad)
    x1, x2 = max(0, x - pad), min(mask.shape[1], x + w + pad)
    part = np.pad(mask[y1:y2, x1:x2], 1, mode="edge")
    if grow_px > 0:
        part = (cv2.distanceTransform(1 - part, cv2.DIST_L2, 5) <= grow_px).astype(np.uint8)
    elif grow_px < 0:
        part = (cv2.distanceTransform(part, cv2.DIST_L2, 5) > -grow_px).astype(np.uint8)
    soft = part.astype(np.float32)
    if feather_px > 0 and not part.all():
        soft = np.clip(cv2.distanceTransform(part, cv2.DIST_L2, 5) / feather_px, 0, 1).astype(np.float32)
    out[y1:y2, x1:x2] = soft[1:-1, 1:-1]
    return out
