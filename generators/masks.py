"""Masks of changed pixels: packed bits in an npz file, and the boxes around them.

How masks come about is not known here.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.segments import runs
from haetae.errors import Rejected

MAX_MASK_BITS = 1500 * 1920 * 1920
"""The longest clip at the largest size: what a masks file may unpack to."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def masks_to_bytes(masks: NDArray[np.bool_]) -> bytes:
    """An npz file of `bits` uint8 [T, H, ceil(W/8)] and `shape` int64 [3]; equal masks give equal bytes."""
    if masks.ndim != 3 or masks.dtype != np.bool_:
        raise ValueError(f"masks must be bool [T, H, W], not {masks.dtype} {masks.shape}")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in (("bits", np.packbits(masks, axis=2)), ("shape", np.array(masks.shape, np.int64))):
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue(), compresslevel=6)
    return out.getvalue()


def save_masks(path: Path, masks: NDArray[np.bool_]) -> None:
    """Write `masks_to_bytes(masks)`; masks: bool [T, H, W]."""
    path.write_bytes(masks_to_bytes(masks))


def load_masks(path: Path) -> NDArray[np.bool_]:
    """The masks of a file: bool [T, H, W]. Raises: Rejected("bad_masks") for a file that is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_MASK_BITS // 8:
                raise ValueError("it would unpack to more than the longest clip needs")
        with np.load(path, allow_pickle=False) as file:
            shape = tuple(int(n) for n in file["shape"])
            if len(shape) != 3 or min(shape) < 1 or math.prod(shape) > MAX_MASK_BITS:
                raise ValueError(f"shape {shape}")
            bits = file["bits"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise Rejected("bad_masks", f"{path.name}: {error}") from error
    if bits.dtype != np.uint8 or bits.shape != (shape[0], shape[1], (shape[2] + 7) // 8):
        raise Rejected("bad_masks", f"{path.name}: bits {bits.dtype} {bits.shape} for masks {shape}")
    return np.unpackbits(bits, axis=2, count=shape[2]).astype(np.bool_)


def regions_of(masks: NDArray[np.bool_], track_id: str | None) -> list[dict[str, Any]]:
    """The value of a `regions` column: one entry per stretch of frames with a mask.

    Each has track_id, first_frame and one xyxy box in pixels per frame around the true pixels (x2, y2
    exclusive).
    """
    return [
        {"track_id": track_id, "first_frame": start, "boxes": [_box(mask) for mask in masks[start:end]]}
        for start, end in runs(np.asarray(masks.any(axis=(1, 2))))
    ]


def _box(mask: NDArray[np.bool_]) -> list[float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]
