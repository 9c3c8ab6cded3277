"""Photographs of the report: the frames worth showing, what was changed in them, and mel strips.

Drawings are in `figures`; which fakes are shown is decided in `pairs`.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av.error
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from haetae.errors import Rejected
from haetae.media.frames import displayed_rgb
from haetae.media.opening import MAX_PIXELS, open_media, orientation, pixel_aspect, video_stream
from haetae.voice.features import log_mel

Picture = NDArray[np.uint8]
"""uint8 [H, W, 3], RGB."""
Mask = NDArray[np.bool_]
"""bool [H, W]."""
Window = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, x2 and y2 exclusive."""
Box = Sequence[float]

FAKE_RGB = (224, 72, 32)
BOX_RGB = (255, 214, 10)
_MAX_MASK_BITS = 1500 * 1920 * 1920
_FACE_SHARE = 0.5
_SEEK_BEYOND = 30
"""Frames that are decoded rather than jumped over: our clips have a keyframe every 50."""


def pick_frames(path: Path, wanted: Iterable[int]) -> dict[int, Picture]:
    """Some frames of a clip of constant rate, by number; those past its end are absent.

    Far ones are reached from the keyframe before them, and only the wanted ones are converted.
    Raises: Rejected `no_video`, `decode_failed`, `unreadable`.
    """
    todo = sorted(set(wanted))
    found: dict[int, Picture] = {}
    if not todo:
        return found
    try:
        with open_media(path, MAX_PIXELS) as container:
            stream = video_stream(container)
            if stream is None or not stream.average_rate or not stream.time_base:
                raise Rejected("no_video", f"{path.name} has no moving pictures")
            aspect, start = pixel_aspect(stream), stream.start_time or 0
            frame_ticks = 1 / (stream.average_rate * stream.time_base)
            frames, at = container.decode(stream), -1
            for number in todo:
                if number - at > _SEEK_BEYOND:
                    container.seek(start + round(number * frame_ticks), stream=stream)
                    frames = container.decode(stream)
                while at < number and (frame := next(frames, None)) is not None:
                    at = round(((frame.pts or 0) - start) / frame_ticks)
                    if at in todo:
                        found[at] = displayed_rgb(frame, aspect, orientation(frame))
    except av.error.FFmpegError as error:
        raise Rejected("decode_failed", f"{path.name}: {error.strerror}") from error
    return found


def load_mask_frames(path: Path, wanted: Iterable[int]) -> dict[int, Mask]:
    """Masks of some frames of a masks.npz (`bits` uint8 [T, H, ceil(W/8)], `shape`): bool [H, W] each.

    Raises: Rejected `bad_masks` for anything that is not such a file or would unpack beyond bounds.
    """
    bits, width = _packed_masks(path)
    return {i: _unpacked(bits[i], width) for i in wanted if i < len(bits)}


def iter_masks(path: Path) -> Iterator[Mask]:
    """The masks of all frames, one at a time: bool [H, W] each. Raises: as `load_mask_frames`."""
    bits, width = _packed_masks(path)
    for one in bits:
        yield _unpacked(one, width)


def _packed_masks(path: Path) -> tuple[NDArray[np.uint8], int]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_MASK_BITS // 8 + 4096:
                raise ValueError("too large")
        with np.load(path, allow_pickle=False) as file:
            frames, height, width = (int(n) for n in file["shape"])
            bits = file["bits"]
        if bits.dtype != np.uint8 or bits.shape != (frames, height, (width + 7) // 8):
            raise ValueError(f"bits {bits.dtype} {bits.shape} for {frames} × {height} × {width}")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Rejected("bad_masks", f"{path.name}: {error}") from error
    return bits, width


def _unpacked(bits: NDArray[np.uint8], width: int) -> Mask:
    return np.unpackbits(bits, axis=1, count=width).astype(np.bool_)


def boxes_at(regions: Sequence[Mapping[str, Any]] | None, frame: int) -> list[Box]:
    """Changed boxes in one frame, xyxy pixels, over all regions of a fake."""
    found = []
    for region in regions or ():
        at = frame - (region["first_frame"] or 0)
        boxes = region["boxes"] or ()
        if 0 <= at < len(boxes) and len(boxes[at] or ()) == 4:
            found.append(boxes[at])
    return found


def representative_frames(
    segments: Sequence[tuple[float, float]],
    regions: Sequence[Mapping[str, Any]] | None,
    n_frames: int,
    fps: float,
    n: int = 3,
) -> list[int]:
    """`n` frames spread evenly over those that were changed, with a box where there are boxes."""
    inside = [
        i
        for start, end in segments
        for i in range(max(0, math.ceil(start * fps - 1e-6)), min(n_frames, math.ceil(end * fps - 1e-6)))
    ]
    changed = sorted(set(inside)) or list(range(n_frames))
    boxed = [i for i in changed if boxes_at(regions, i)]
    pool = boxed or changed
    return sorted({pool[int(len(pool) * (2 * k + 1) / (2 * n))] for k in range(n)}) if pool else []


def window_around(boxes: Sequence[Box], width: int, height: int) -> Window:
    """The part of the picture worth showing: all of it, or, where the boxes are small, what is around them.

    The window keeps the picture's proportions and is the same for all frames of a pair.
    """
    if not boxes:
        return (0, 0, width, height)
    x1, y1 = min(b[0] for b in boxes), min(b[1] for b in boxes)
    x2, y2 = max(b[2] for b in boxes), max(b[3] for b in boxes)
    scale = max((x2 - x1) / width, (y2 - y1) / height) / _FACE_SHARE
    if scale >= 0.9 or scale <= 0:
        return (0, 0, width, height)
    w, h = max(16, round(width * scale)), max(16, round(height * scale))
    left = min(max(0, round((x1 + x2 - w) / 2)), max(0, width - w))
    up = min(max(0, round((y1 + y2 - h) / 2)), max(0, height - h))
    return (left, up, min(width, left + w), min(height, up + h))


def cropped(picture: Picture, window: Window, width_px: int) -> Picture:
    """The window of a picture, scaled to a width; never enlarged beyond twice its size."""
    x1, y1, x2, y2 = window
    part = picture[y1:y2, x1:x2]
    w = min(width_px, 2 * part.shape[1])
    h = max(1, round(part.shape[0] * w / part.shape[1]))
    way = cv2.INTER_AREA if w < part.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(part), (w, h), interpolation=way), dtype=np.uint8)


def marked(
    picture: Picture, boxes: Sequence[Box], mask: Mask | None, window: Window, width_px: int
) -> Picture:
    """As `cropped`, with the changed pixels tinted and outlined, and the boxes drawn."""
    out = cropped(picture, window, width_px)
    x1, y1, x2, y2 = window
    scale_x, scale_y = out.shape[1] / (x2 - x1), out.shape[0] / (y2 - y1)
    if mask is not None and mask.shape == picture.shape[:2] and mask[y1:y2, x1:x2].any():
        part = mask[y1:y2, x1:x2].astype(np.uint8)
        small = cv2.resize(part, (out.shape[1], out.shape[0]), interpolation=cv2.INTER_NEAREST)
        tint = 0.7 * out + 0.3 * np.array(FAKE_RGB, dtype=np.float32)
        out = np.where(small[..., None] > 0, np.round(tint).astype(np.uint8), out)
        edges, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(out, edges, -1, FAKE_RGB, 1, cv2.LINE_AA)
    for box in boxes:
        a = (round((box[0] - x1) * scale_x), round((box[1] - y1) * scale_y))
        b = (round((box[2] - x1) * scale_x) - 1, round((box[3] - y1) * scale_y) - 1)
        cv2.rectangle(out, a, b, (0, 0, 0), 4, cv2.LINE_AA)
        cv2.rectangle(out, a, b, BOX_RGB, 2, cv2.LINE_AA)
    return out


def mel_strip(audio: NDArray[np.float32], width_px: int = 480, height_px: int = 64) -> Picture:
    """Log-mel spectrogram as a picture, low pitches below. audio: float32 [N], 16 kHz mono."""
    mel = log_mel(audio).T[::-1]
    low, high = float(np.percentile(mel, 5)), float(mel.max())
    level = np.clip((mel - low) / max(high - low, 1e-6), 0, 1)
    grey = np.round(255 * level).astype(np.uint8)
    scaled = cv2.resize(grey, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.applyColorMap(scaled, cv2.COLORMAP_MAGMA)[..., ::-1], dtype=np.uint8)


def webp(picture: Picture, quality: int = 74) -> bytes:
    """Equal pictures give equal bytes."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(out, "WEBP", quality=quality, method=2)
    return out.getvalue()
