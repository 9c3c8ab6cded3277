"""Small pictures for the metadata of assets: a row of marked frames, a contact sheet.

The report page has its own pictures (`pictures`); nothing is read from the lake here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from haetae.web.pictures import Box, Picture, cropped, marked

MAX_BYTES = 200_000
_GAP_PX = 4
_BACKGROUND = 244


def preview_png(
    frames: NDArray[np.uint8],
    boxes: Sequence[Sequence[Box]] | None = None,
    masks: NDArray[np.bool_] | None = None,
    *,
    n: int = 4,
    max_bytes: int = MAX_BYTES,
) -> bytes:
    """A PNG with up to `n` frames side by side, spread over the clip, changed pixels and boxes marked.

    frames: uint8 [T, H, W, 3], RGB; boxes: per frame any number of xyxy in pixels; masks: bool [T, H, W].
    Returns at most `max_bytes` bytes: colours and then size give way. Raises: ValueError for no frames.
    """
    if len(frames) == 0:
        raise ValueError("no frames to show")
    height, width = frames.shape[1:3]
    picked = sorted({int(len(frames) * (2 * k + 1) / (2 * n)) for k in range(n)})

    def drawn(tile_px: int) -> list[list[Picture]]:
        return [
            [
                marked(
                    frames[i],
                    boxes[i] if boxes is not None and i < len(boxes) else (),
                    masks[i] if masks is not None and i < len(masks) else None,
                    (0, 0, width, height),
                    tile_px,
                )
                for i in picked
            ]
        ]

    for tile_px in (320, 256, 200, 160, 128, 96, 64, 32):
        sheet = Image.fromarray(_laid_out(drawn(tile_px)))
        for colours in (None, 256, 64):
            out = io.BytesIO()
            shown = sheet if colours is None else sheet.quantize(colours, method=Image.Quantize.FASTOCTREE)
            shown.save(out, "PNG", optimize=True)
            if out.tell() <= max_bytes:
                return out.getvalue()
    raise ValueError(f"{max_bytes} bytes are too few for a preview")


def contact_sheet(
    rows: Sequence[Sequence[Picture]], *, tile_px: int = 240, max_bytes: int = MAX_BYTES
) -> bytes:
    """A JPEG with rows of pictures, each uint8 [H, W, 3], RGB, of any size; rows may differ in length.

    Returns at most `max_bytes` bytes: quality and then size give way. Raises: ValueError for no pictures.
    """
    if not any(len(row) for row in rows):
        raise ValueError("no pictures to show")
    while tile_px >= 8:
        tiles = [[_whole(picture, tile_px) for picture in row] for row in rows if len(row)]
        sheet = Image.fromarray(_laid_out(tiles))
        for quality in (85, 70, 50):
            out = io.BytesIO()
            sheet.save(out, "JPEG", quality=quality)
            if out.tell() <= max_bytes:
                return out.getvalue()
        tile_px = tile_px * 3 // 4
    raise ValueError(f"{max_bytes} bytes are too few for {sum(map(len, rows))} pictures")


def _whole(picture: Picture, width_px: int) -> Picture:
    return cropped(picture, (0, 0, picture.shape[1], picture.shape[0]), width_px)


def _laid_out(rows: Sequence[Sequence[Picture]]) -> Picture:
    """Pictures in rows on a light ground; each row as high as its highest picture."""
    wide = max(sum(p.shape[1] for p in row) + _GAP_PX * (len(row) - 1) for row in rows)
    strips = []
    for row in rows:
        high = max(p.shape[0] for p in row)
        strip = np.full((high + _GAP_PX, wide, 3), _BACKGROUND, dtype=np.uint8)
        x = 0
        for picture in row:
            strip[: picture.shape[0], x : x + picture.shape[1]] = picture
            x += picture.shape[1] + _GAP_PX
        strips.append(strip)
    sheet = np.concatenate(strips)[:-_GAP_PX]
    return np.asarray(sheet, dtype=np.uint8)
