"""One prepared item, what a detector reads: face crops, log-mel, mouth and envelope of one track, labels.

How items are made from media is in `prepare`, how they are packed in `shards`. The bytes of an item
depend on its content only.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.provenance.ids import canonical_json

FPS = 25
"""Frames per second of every clip, and of `mouth` and `envelope`."""

GRID = 16
"""Changed regions are kept on a grid of GRID × GRID cells over the crop."""

MODALITIES = ("video", "audio", "sync")
"""The modalities that a detector has a branch for, in the order of every array over them."""

JPEG = (
    *(cv2.IMWRITE_JPEG_QUALITY, 95),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)

Verdict = Literal["real", "fake", "unknown"]
Segments = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Item:
    """One face of one sample, or a sample's sound alone.

    frames: JPEG bytes of n square RGB crops, at `frame_index` (frames of the clip); empty without a face.
    to_crop: float64 [n, 2, 3], affine map of frame pixels to crop pixels.
    mel: float16 [T, n_mels], one row every `mel_step_s` seconds; None without sound.
    mouth, envelope: float32 [T], 25 a second from frame `first_frame`; None unless both can be had.
    verdicts: of each modality in MODALITIES; None where the modality is absent, `unknown` where nobody knows.
    frame_fake: bool [n], which crops were changed; None where that is unknown.
    audio_segments, sync_segments: changed stretches in seconds; None where unknown.
    regions: uint8 [n, GRID, GRID], share of each cell that was changed, 0–255; None where unknown.
    """

    item_id: str
    sample_id: str
    split: str
    verdicts: Mapping[str, str | None]
    track_id: str | None = None
    first_frame: int = 0
    n_clip_frames: int = 0
    frame_index: tuple[int, ...] = ()
    frames: tuple[bytes, ...] = ()
    to_crop: NDArray[np.float64] | None = None
    mel: NDArray[np.float16] | None = None
    mel_step_s: float = 0.0
    mouth: NDArray[np.float32] | None = None
    envelope: NDArray[np.float32] | None = None
    frame_fake: tuple[bool, ...] | None = None
    audio_segments: Segments | None = None
    sync_segments: Segments | None = None
    regions: NDArray[np.uint8] | None = None

    @property
    def has(self) -> dict[str, bool]:
        """Which branches of a detector this item can feed."""
        return {
            "video": bool(self.frames),
            "audio": self.mel is not None,
            "sync": self.mouth is not None and self.envelope is not None,
        }


def encode_crop(rgb: NDArray[np.uint8]) -> bytes:
    """One crop (uint8 [S, S, 3] RGB) as JPEG, quality 95, chroma not subsampled."""
    fine, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), JPEG)
    if not fine:
        raise ValueError(f"cannot encode a crop of shape {rgb.shape}")
    return data.tobytes()


def decode_crop(data: bytes) -> NDArray[np.uint8]:
    """The inverse of `encode_crop`, up to JPEG's loss: uint8 [S, S, 3] RGB."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError("not a crop: the JPEG cannot be decoded")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def to_files(item: Item) -> dict[str, bytes]:
    """The item as files, by extension, in the order in which a shard holds them."""
    meta = {
        "item_id": item.item_id,
        "sample_id": item.sample_id,
        "split": item.split,
        "track_id": item.track_id,
        "verdicts": {modality: item.verdicts.get(modality) for modality in MODALITIES},
        "first_frame": item.first_frame,
        "n_clip_frames": item.n_clip_frames,
        "frame_index": list(item.frame_index),
        "mel_step_s": item.mel_step_s,
        "frame_fake": None if item.frame_fake is None else list(item.frame_fake),
        "audio_segments": _pairs(item.audio_segments),
        "sync_segments": _pairs(item.sync_segments),
    }
    files = {"json": canonical_json(meta).encode()}
    files |= {f"{i:03}.jpg": data for i, data in enumerate(item.frames)}
    for name in ("to_crop", "mel", "mouth", "envelope", "regions"):
        array = getattr(item, name)
        if array is not None:
            files[f"{name}.npy"] = _npy(array)
    return files


def from_files(files: Mapping[str, bytes]) -> Item:
    """The inverse of `to_files`. Other keys, such as those that webdataset adds, are left alone."""
    meta: dict[str, Any] = json.loads(files["json"])
    arrays = {
        name: np.load(io.BytesIO(files[f"{name}.npy"]), allow_pickle=False)
        if f"{name}.npy" in files
        else None
        for name in ("to_crop", "mel", "mouth", "envelope", "regions")
    }
    flags = meta["frame_fake"]
    return Item(
        item_id=meta["item_id"],
        sample_id=meta["sample_id"],
        split=meta["split"],
        verdicts=meta["verdicts"],
        track_id=meta["track_id"],
        first_frame=meta["first_frame"],
        n_clip_frames=meta["n_clip_frames"],
        frame_index=tuple(meta["frame_index"]),
        frames=tuple(files[f"{i:03}.jpg"] for i in range(len(meta["frame_index"]))),
        mel_step_s=meta["mel_step_s"],
        frame_fake=None if flags is None else tuple(flags),
        audio_segments=_tuples(meta["audio_segments"]),
        sync_segments=_tuples(meta["sync_segments"]),
        **arrays,
    )


def shard_key(item_id: str) -> str:
    """The item's name in a shard: webdataset ends a key at its first dot, so it may hold none."""
    return item_id.replace(".", "_")


def in_segments(times_s: NDArray[np.floating[Any]], segments: Segments) -> NDArray[np.bool_]:
    """Which moments lie in a segment, ends included at the start only: bool, as long as times_s."""
    inside = np.zeros(len(times_s), dtype=bool)
    for start_s, end_s in segments:
        inside |= (times_s >= start_s) & (times_s < end_s)
    return inside


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _pairs(segments: Segments | None) -> list[list[float]] | None:
    return None if segments is None else [[float(start), float(end)] for start, end in segments]


def _tuples(pairs: list[list[float]] | None) -> Segments | None:
    return None if pairs is None else tuple((start, end) for start, end in pairs)
