"""The one portrait every actor is made from: its picture, its face mesh and its mattes, on one canvas.

How an actor differs from it is not decided here. The picture is NASA's public-domain portrait that
scikit-image carries as `skimage.data.astronaut`; no other likeness may be used in what is rendered.

The canvas is a square cut around the head at twice the portrait's resolution; every other module of this
package that speaks of canvas pixels means these.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

CANVAS_PX = 640
SCALE = 2.0
ORIGIN = (65, -30)
"""Canvas (0, 0) in pixels of the portrait."""

_CUT = CANVAS_PX // 2
_SELFIE = (slice(10, 266), slice(96, 352))
# Outlines in pixels of the portrait, read off by eye: the suit's collar must not pass for a neck,
# and the ears are too small for any segmentation.
_NECK_LEFT = [
    (181, 134),
    (182, 138),
    (182.6, 142),
    (184, 146),
    (185, 150),
    (185.6, 158),
    (186.5, 170),
    (188, 178),
]
_NECK_FOOT = [(205, 184), (222, 186), (240, 187), (255, 184)]
_NECK_RIGHT = [(255.5, 178), (256, 172), (257, 164), (257.5, 158), (259.4, 150), (262.5, 146), (265.6, 142)]
_NECK = np.array([*_NECK_LEFT, *_NECK_FOOT, *_NECK_RIGHT, (267.4, 138), (268.5, 134)])
_EARS = (
    np.array([(171, 117), (182, 119), (182, 132), (177, 131), (172, 126)]),
    np.array([(267, 136), (271, 135), (277, 131), (282, 125), (274, 129), (268, 130)]),
)


@dataclass(frozen=True, eq=False)
class Portrait:
    """rgb: uint8 [640, 640, 3]; head, skin, hair: float32 [640, 640] mattes in [0, 1], head = skin + hair;
    mesh: float32 [478, 3] canvas px, z as mediapipe gives it (negative towards the camera), scaled alike."""

    rgb: NDArray[np.uint8]
    head: F32
    skin: F32
    hair: F32
    mesh: F32

    @property
    def width_px(self) -> float:
        """Width of the face between the outermost points of its oval."""
        return float(np.ptp(self.mesh[:468, 0]))

    @property
    def height_px(self) -> float:
        """Height of the face from the top of its oval to the chin."""
        return float(np.ptp(self.mesh[:468, 1]))


@lru_cache(maxsize=2)
def load_portrait(mirrored: bool = False) -> Portrait:
    """Segment and mesh the portrait, or its mirror image, in which the light falls from the other side."""
    from skimage.data import astronaut

    from haetae.faces.mesh import mesh_of_image

    picture = np.ascontiguousarray(np.asarray(astronaut(), dtype=np.uint8))
    head, skin = _mattes(picture)
    canvas = _to_canvas(picture)
    head_c, skin_c = _to_canvas(head), _to_canvas(skin)
    canvas = _without_halo(canvas, head_c)
    if mirrored:
        canvas, head_c, skin_c = (np.ascontiguousarray(a[:, ::-1]) for a in (canvas, head_c, skin_c))
        picture = np.ascontiguousarray(picture[:, ::-1])
    mesh = mesh_of_image(picture)
    if mesh is None:
        raise RuntimeError(
            "the face mesh was not found in the portrait; reinstall mediapipe and scikit-image"
        )
    origin_x = picture.shape[1] - ORIGIN[0] - _CUT if mirrored else ORIGIN[0]
    # Pixel centres: portrait pixel i has its centre at canvas 2 (i - origin) + 0.5.
    offset = np.array([origin_x - 0.25, ORIGIN[1] - 0.25, 0.0])
    points = ((mesh - offset) * SCALE).astype(np.float32)
    skin_c = np.minimum(skin_c, head_c)
    return Portrait(canvas, head_c, skin_c, head_c - skin_c, points)


def _to_canvas(picture: NDArray[Any]) -> NDArray[Any]:
    """Cut the canvas out and double it; beyond the picture's top its first row goes on."""
    x, y = ORIGIN
    above = max(0, -y)
    cut = picture[max(0, y) : y + _CUT, x : x + _CUT]
    cut = cv2.copyMakeBorder(cut, above, 0, 0, 0, cv2.BORDER_REPLICATE)
    doubled = cv2.resize(cut, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(doubled, 0, 1) if doubled.dtype == np.float32 else doubled)


def _mattes(picture: NDArray[np.uint8]) -> tuple[F32, F32]:
    """Soft mattes of the head (with neck, without suit) and of its skin, in pixels of the portrait."""
    person = np.zeros(picture.shape[:2], np.float32)
    person[_SELFIE] = _person_matte(np.ascontiguousarray(picture[_SELFIE]))
    rows = np.arange(picture.shape[0], dtype=np.float32)[:, None]
    neck = _filled(person.shape, _NECK)
    neck = np.minimum(
        cv2.GaussianBlur(neck, (0, 0), 0.5), np.maximum(person, np.clip((rows - 146) / 6, 0, 1))
    )
    below_ears = np.clip((rows - 136) / 2, 0, 1)
    person = (neck * below_ears + person * (1 - below_ears)).astype(np.float32)
    # The neck fades out before the suit's collar begins, the jaw in front of it does not.
    jaw = np.asarray(
        cv2.ellipse(np.zeros_like(person), (222, 128), (41, 51), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    )
    person *= np.maximum(np.clip((178 - rows) / 10, 0, 1), cv2.GaussianBlur(jaw, (0, 0), 0.8))
    # Below the ears there is no hair; a segmentation would leave some along the jaw.
    skin = np.where(rows > 138, person, _skin_in(picture, person))
    return person, np.minimum(skin, person).astype(np.float32)


def _person_matte(crop: NDArray[np.uint8]) -> F32:
    from haetae.faces.mesh import quiet  # the model's native log lines ignore Python's logging

    with quiet():
        from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

        with SelfieSegmentation(model_selection=0) as model:
            return np.asarray(model.process(crop).segmentation_mask, dtype=np.float32)


def _skin_in(picture: NDArray[np.uint8], person: F32) -> F32:
    """Skin against hair by grabCut from a sure centre of the face, its edge refined by a guided filter.

    After: Rother et al., GrabCut, 2004; He et al., Guided Image Filtering, 2010.
    """
    height, width = person.shape
    rows, cols = np.mgrid[:height, :width]
    face = ((cols - 225) / 46.0) ** 2 + ((rows - 128) / 52.0) ** 2
    inside = person > 0.5
    trimap = np.full(person.shape, cv2.GC_BGD, np.uint8)
    trimap[inside] = cv2.GC_PR_BGD
    trimap[inside & (face < 1)] = cv2.GC_PR_FGD
    trimap[inside & (face < 0.55) & (rows > 110)] = cv2.GC_FGD
    trimap[inside & (face > 1.5) & (rows < 120)] = cv2.GC_BGD
    trimap[inside & (rows > 142)] = cv2.GC_FGD
    for ear in _EARS:
        trimap[(_filled(person.shape, ear) > 0.5) & inside] = cv2.GC_FGD
    plain = picture.copy()
    plain[~inside] = (110, 85, 50)  # the colour of the hair, so that what is around teaches nothing
    roi = (slice(0, 200), slice(130, 320))
    cut = np.ascontiguousarray(trimap[roi])
    cv2.setRNGSeed(1)  # grabCut's clustering draws from OpenCV's generator
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(plain[roi]), cut, None, *models, 4, cv2.GC_INIT_WITH_MASK)
    skin = np.zeros(person.shape, np.float32)
    skin[roi] = ((cut == cv2.GC_FGD) | (cut == cv2.GC_PR_FGD)) & inside[roi]
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    return np.clip(_guided(grey, skin, 3, 1e-3), 0, 1)


def _guided(guide: F32, value: F32, radius_px: int, eps: float) -> F32:
    size = (2 * radius_px + 1, 2 * radius_px + 1)
    mean_g, mean_v = cv2.blur(guide, size), cv2.blur(value, size)
    slope = (cv2.blur(guide * value, size) - mean_g * mean_v) / (
        cv2.blur(guide * guide, size) - mean_g**2 + eps
    )
    level = mean_v - slope * mean_g
    return np.asarray(cv2.blur(slope, size) * guide + cv2.blur(level, size), dtype=np.float32)


def _without_halo(canvas: NDArray[np.uint8], head: F32) -> NDArray[np.uint8]:
    """Give the rim of the head the colour just inside it, so the old background does not shine through."""
    core = cv2.erode((head > 0.95).astype(np.float32), np.ones((5, 5), np.uint8))
    colours = canvas.astype(np.float32) * core[..., None]
    near, far = (
        (cv2.GaussianBlur(colours, (0, 0), s), cv2.GaussianBlur(core, (0, 0), s)[..., None]) for s in (4, 20)
    )
    trust = np.clip(near[1] * 20, 0, 1)
    inner = near[0] / (near[1] + 1e-6) * trust + far[0] / (far[1] + 1e-6) * (1 - trust)
    keep = cv2.GaussianBlur(core, (0, 0), 1.5)[..., None]
    return np.asarray(np.clip(canvas * keep + inner * (1 - keep), 0, 255), dtype=np.uint8)


def _filled(shape: tuple[int, ...], polygon: NDArray[Any]) -> F32:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(
        mask, [np.rint(np.asarray(polygon, dtype=np.float64) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4
    )
    return np.asarray(mask / 255, dtype=np.float32)
