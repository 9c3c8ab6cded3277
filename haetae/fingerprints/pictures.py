"""Picture hashes: what a clip shows at each step, as 256 bits that survive re-encoding, scaling and a small crop.

How hashes are compared is in `align`, how they are found among many in `index`; sound is in `sounds`.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.media.frames import displayed_rgb, iter_frames
from haetae.media.opening import Orientation, open_media, orientation, pixel_aspect, video_stream

METHOD = "creases256.2"
STEP_S = 0.2
BITS = 256
SIDE_PX = 64
BLUR_PX = 2.0
REACH_PX = 4
"""Distance over which a crease is measured: twice the blur."""
COARSE, FINE = 8, 16
SURE = 0.5
"""Grey levels by which a value must differ from the middle for its bit to count as sure."""
READ_PX = 256
INNER = 0.94
"""Share of each side of a still that its second hash sees. A film has many pictures, of which some outlast a crop;
a still has one."""
MAX_STEPS = 3000
Hashes = NDArray[np.uint8]
Quality = NDArray[np.uint8]


def read_pictures(path: Path, step_s: float = STEP_S, max_steps: int = MAX_STEPS) -> NDArray[np.uint8]:
    """The pictures at 0, step_s, 2 step_s, … seconds of a file: uint8 [N, 64, 64], luma, as displayed.

    Raises: Rejected `no_video`, `decode_failed`; `too_many_frames` beyond max_steps.
    """
    taken: list[NDArray[np.uint8]] = []
    try:
        with open_media(path) as container:
            stream = video_stream(container)
            if stream is None:
                raise Rejected("no_video", f"{path.name} has no video stream")
            aspect = pixel_aspect(stream)
            way: Orientation | None = None
            for frame in container.decode(stream):
                way = way or orientation(frame)
                due = len(taken)
                if taken and (frame.time or 0.0) + 1e-6 < due * step_s:
                    continue
                if due >= max_steps:
                    raise Rejected("too_many_frames", f"{path.name}: more than {max_steps * step_s:g} s")
                rgb = displayed_rgb(frame, aspect, way, width=min(frame.width, READ_PX))
                taken.append(small_luma(rgb))
    except av.error.FFmpegError as error:
        raise Rejected("decode_failed", f"{path.name}: {error.strerror}") from error
    if not taken:
        raise Rejected("decode_failed", f"{path.name}: no picture in it")
    return np.stack(taken)


def read_still(path: Path) -> NDArray[np.uint8]:
    """The first picture of a file and its inner part, 3 % off every edge: uint8 [2, 64, 64], luma, as displayed.

    Raises: Rejected `no_video`, `decode_failed`.
    """
    with closing(iter_frames(path)) as frames:
        rgb = next(frames, None)
    if rgb is None:
        raise Rejected("decode_failed", f"{path.name}: no picture in it")
    top, left = (round(side * (1 - INNER) / 2) for side in rgb.shape[:2])
    inner = rgb[top : len(rgb) - top, left : rgb.shape[1] - left]
    return np.stack([small_luma(rgb), small_luma(inner)])


def small_luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture of any size, uint8 [H, W, 3], as luma of 64 by 64; its shape is not kept."""
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(luma, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def hash_pictures(luma: NDArray[np.uint8]) -> tuple[Hashes, Quality]:
    """Hash pictures of uint8 [N, 64, 64]: uint8 [N, 32], 256 bits each, and quality uint8 [N], 0 to 100.

    A bit says whether a place stands out from its two neighbours, left and right (8 rows of 16) or above and
    below (16 rows of 8), more than the median place does. Each bit hangs on one place only, so an overlaid
    logo changes the bits below it and no others, and a crop moves the places in the middle least. (Signs
    of cosine coefficients, as in PDQ, hang on the whole picture: measured on 90 pictures, a 3 % crop
    changed up to 19 % of them and a logo 31 %, of these bits 13 % and 10 %.)
    Quality is the share of bits that hang on more than half a grey level.
    """
    values = np.stack([_creases(picture) for picture in luma])
    half = BITS // 2
    middle = np.concatenate(
        [np.repeat(np.median(values[:, part], axis=1, keepdims=True), half, axis=1) for part in _HALVES],
        axis=1,
    )
    lead = values - middle
    sure = np.mean(np.abs(lead) > SURE, axis=1)
    return np.packbits(lead > 0, axis=1), np.round(100 * sure).astype(np.uint8)


_HALVES = (slice(0, BITS // 2), slice(BITS // 2, BITS))


def _creases(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Second differences across and down at the places of the two grids: float32 [256]."""
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), BLUR_PX, borderType=cv2.BORDER_REPLICATE)
    wide = np.pad(blurred, REACH_PX, mode="edge")
    inner = slice(REACH_PX, -REACH_PX)
    across = 2 * blurred - wide[inner, : -2 * REACH_PX] - wide[inner, 2 * REACH_PX :]
    down = 2 * blurred - wide[: -2 * REACH_PX, inner] - wide[2 * REACH_PX :, inner]
    # Sampled symmetrically, so that a mirror image has mirrored bits.
    parts = (_sampled(across, COARSE, FINE), _sampled(down, FINE, COARSE))
    return np.concatenate([part.reshape(-1) for part in parts])


def _sampled(values: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """The four values around the middle of each cell of a grid, averaged: float32 [rows, columns]."""
    y = (np.arange(rows) * 2 + 1) * SIDE_PX // (2 * rows)
    x = (np.arange(columns) * 2 + 1) * SIDE_PX // (2 * columns)
    lines = values[y - 1] + values[y]
    return np.asarray((lines[:, x - 1] + lines[:, x]) / 4, dtype=np.float32)


def mirrored(hashes: Hashes) -> Hashes:
    """The hashes of the same pictures seen in a mirror: uint8 [N, 32]."""
    bits = np.unpackbits(hashes, axis=1)
    across = bits[:, _HALVES[0]].reshape(-1, COARSE, FINE)[:, :, ::-1]
    down = bits[:, _HALVES[1]].reshape(-1, FINE, COARSE)[:, :, ::-1]
    return np.packbits(
        np.concatenate([across.reshape(-1, BITS // 2), down.reshape(-1, BITS // 2)], axis=1), axis=1
    )
