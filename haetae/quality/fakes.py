"""How good a fake is, in numbers: who it shows, how steady and seamless it is, how its sound fits.

Whether a fake is good enough is decided later, by a query over these columns and `params.yaml`. Whether its
labels are true is checked in `generators.verify`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.faces.regions import mouth_openness
from haetae.voice.loudness import loudness_lufs
from haetae.voice.sync import av_offset

if TYPE_CHECKING:
    from haetae.faces.embed import FaceEmbedder

Frames = NDArray[np.uint8]
Masks = NDArray[np.bool_]
FPS, RATE_HZ = 25, 16_000
MAX_LOOKS = 5
RING_PX = 2
MIN_PAIR_PX = 64
"""Least pixels that two neighbouring masks must share for their flicker to count."""


@dataclass(frozen=True)
class Seen:
    """One followed face in the pictures it was followed in.

    frames: uint8 [T, H, W, 3] RGB; mesh: float32 [T, 478, 3] px; found: bool [T].
    """

    frames: Frames
    mesh: NDArray[np.float32]
    found: NDArray[np.bool_]

    def evenly(self, n: int = MAX_LOOKS) -> list[int]:
        """Indices of at most n frames with the face, spread over all of them."""
        there = np.flatnonzero(self.found)
        return [int(there[(2 * k + 1) * len(there) // (2 * n)]) for k in range(n)] if len(there) >= n else []


@dataclass(frozen=True)
class FakeQuality:
    """What was measured of one fake; None where there is nothing to measure it on.

    flicker: mean |change from frame to frame of the fake, less that of the target| inside the masks, luma
    0 to 255. seam: mean gradient on the border of the masks, less that of the target there, luma per px; a
    hard edge is large, a blurred one negative. identity_to_target, identity_to_donor: cosine of embeddings, -1 to
    1, only with recogniser weights; light and skin, which a swap takes over from its target, tell nothing.
    sync_offset_s: how much later the sound is than the lips; sync_confidence: see `voice.sync`. loudness_change_lu:
    loudness of the changed sound, less that of the same stretch of the target, LU. duration_change_s: of the sound.
    intelligibility: share of the letters of a made text that a recogniser of speech understood, 0 to 1.
    """

    flicker: float | None = None
    seam: float | None = None
    identity_to_target: float | None = None
    identity_to_donor: float | None = None
    sync_offset_s: float | None = None
    sync_confidence: float | None = None
    loudness_change_lu: float | None = None
    duration_change_s: float | None = None
    intelligibility: float | None = None

    def as_columns(self) -> dict[str, float | None]:
        """The figures by column, rounded to 4 places."""
        values = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: None if value is None else round(float(value), 4) for name, value in values}


def picture_quality(before: Frames, after: Frames, masks: Masks) -> FakeQuality:
    """Flicker and seam. before, after: uint8 [T, H, W, 3] RGB; masks: bool [T, H, W], where they may differ."""
    return FakeQuality(flicker=_flicker(before, after, masks), seam=_seam(before, after, masks))


def likeness(target: Seen, fake: Seen, donor: Seen | None, embedder: FaceEmbedder | None) -> FakeQuality:
    """Whom the changed face is like; target and fake are the same stretch, with the changed face.

    embedder: a recogniser, where its weights are given.
    """
    if embedder is None:
        return FakeQuality()
    shown = _person(fake, embedder)
    return FakeQuality(
        identity_to_target=_cosine(shown, _person(target, embedder)),
        identity_to_donor=_cosine(shown, _person(donor, embedder)),
    )


def sync_quality(fake: Seen, first_frame: int, audio: NDArray[np.float32]) -> FakeQuality:
    """Offset of the fake's sound from its lips. audio: float32 [N] at 16 kHz, of the whole clip.

    first_frame: of the clip, at which the face's frames begin.
    """
    mouth = np.where(fake.found, mouth_openness(fake.mesh), np.float32(np.nan)).astype(np.float32)
    first = first_frame * RATE_HZ // FPS
    heard = audio[first : first + len(mouth) * RATE_HZ // FPS]
    measured = av_offset(mouth, heard, FPS)
    if measured is None:
        return FakeQuality()
    return FakeQuality(sync_offset_s=measured.offset_s, sync_confidence=measured.confidence)


def sound_quality(
    before: NDArray[np.float32], after: NDArray[np.float32], changed_s: Sequence[tuple[float, float]]
) -> FakeQuality:
    """Loudness over the changed stretches, and length. before, after: float32 [N] at 16 kHz."""
    spans = [(round(a * RATE_HZ), round(b * RATE_HZ)) for a, b in changed_s]
    old, new = (np.concatenate([one[a:b] for a, b in spans] or [one[:0]]) for one in (before, after))
    was, became = loudness_lufs(old), loudness_lufs(new)
    return FakeQuality(
        loudness_change_lu=None if was is None or became is None else became - was,
        duration_change_s=(after.size - before.size) / RATE_HZ,
    )


def together(*parts: FakeQuality) -> FakeQuality:
    """All that was measured; each figure is in one part at most."""
    values: dict[str, float] = {}
    for part in parts:
        values |= {one.name: value for one in fields(part) if (value := getattr(part, one.name)) is not None}
    return FakeQuality(**values)


def _luma(frame: Frames) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.float32)


def _flicker(before: Frames, after: Frames, masks: Masks) -> float | None:
    total = pixels = 0.0
    last: tuple[NDArray[np.float32], Masks] | None = None
    for old, new, mask in zip(before, after, masks, strict=True):
        if not mask.any():
            last = None
            continue
        added = _luma(new) - _luma(old)
        if last is not None and np.count_nonzero(both := mask & last[1]) >= MIN_PAIR_PX:
            total += float(np.abs(added - last[0])[both].sum())
            pixels += float(np.count_nonzero(both))
        last = (added, mask)
    return total / pixels if pixels else None


def _seam(before: Frames, after: Frames, masks: Masks) -> float | None:
    kernel = np.ones((2 * RING_PX + 1,) * 2, np.uint8)
    total = pixels = 0.0
    for old, new, mask in zip(before, after, masks, strict=True):
        if not mask.any():
            continue
        area = mask.astype(np.uint8)
        # What the frame cuts off of a mask is no border of it.
        ring = (cv2.dilate(area, kernel) != cv2.erode(area, kernel, borderValue=1)).astype(bool)
        added = _steepness(_luma(new)) - _steepness(_luma(old))
        total += float(added[ring].sum())
        pixels += float(np.count_nonzero(ring))
    return total / pixels if pixels else None


def _steepness(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Length of the gradient, luma per pixel."""
    across, down = (cv2.Sobel(luma, cv2.CV_32F, *way, ksize=3, scale=1 / 8) for way in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(across, down), np.float32)


def _person(seen: Seen | None, embedder: FaceEmbedder) -> NDArray[np.float32] | None:
    from haetae.faces.embed import face_crop

    if seen is None or not (at := seen.evenly()):
        return None
    return embedder.embed([face_crop(seen.frames[t], seen.mesh[t]) for t in at])


def _cosine(a: NDArray[np.float32] | None, b: NDArray[np.float32] | None) -> float | None:
    return None if a is None or b is None else float(a @ b)
