"""`Prints`: rows of the `fingerprints` table as arrays, the hashes of all clips one after the other.

How hashes are made is in `pictures` and `sounds`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haetae.engine import Row
from haetae.fingerprints.fingerprint import METHOD
from haetae.fingerprints.pictures import BITS

LEAST_QUALITY = 20
"""A picture with fewer sure bits than this, in percent, is nearly blank and like every other such."""
BYTES = BITS // 8
LANES = BYTES // 8
Lanes = NDArray[np.uint64]


@dataclass(frozen=True)
class Prints:
    """Fingerprints of N clips.

    ids, batches, media: of each clip; media is None where it is not told. stills: bool [N], images, whose
    pictures are of one moment. pictures: uint64 [P, 4], the
    picture hashes of all clips. telling: bool [P], the picture is not blank. picture_from: int64 [N + 1],
    where those of a clip begin. sounds: uint32 [S], 0 in silence. sound_from: int64 [N + 1].
    """

    ids: list[str]
    batches: list[str]
    media: list[str | None]
    stills: NDArray[np.bool_]
    pictures: Lanes
    telling: NDArray[np.bool_]
    picture_from: NDArray[np.int64]
    sounds: NDArray[np.uint32]
    sound_from: NDArray[np.int64]

    @staticmethod
    def of(rows: Iterable[Row]) -> Prints:
        """Rows of the `fingerprints` table, in the order of their ids; other methods are left out."""
        kept = sorted((row for row in rows if row["method"] == METHOD), key=lambda row: str(row["clip_id"]))
        packed = bytes.fromhex("".join("".join(row["video_hashes"]) for row in kept))
        quality = bytes.fromhex("".join("".join(row["video_quality"]) for row in kept))
        heard = [np.asarray(row["audio_hashes"], dtype=np.uint32) for row in kept]
        return Prints(
            ids=[str(row["clip_id"]) for row in kept],
            batches=[str(row["batch"]) for row in kept],
            media=[row.get("media_id") for row in kept],
            stills=np.asarray([row["video_step_s"] == 0 for row in kept], dtype=np.bool_),
            pictures=as_lanes(np.frombuffer(packed, dtype=np.uint8).reshape(-1, BYTES)),
            telling=np.frombuffer(quality, dtype=np.uint8) >= LEAST_QUALITY,
            picture_from=_ends([len(row["video_hashes"]) for row in kept]),
            sounds=np.concatenate(heard) if heard else np.zeros(0, np.uint32),
            sound_from=_ends([len(one) for one in heard]),
        )

    def pictures_of(self, clip: int) -> tuple[Lanes, NDArray[np.bool_]]:
        """Picture hashes of one clip, and which of them are not blank."""
        part = slice(self.picture_from[clip], self.picture_from[clip + 1])
        return self.pictures[part], self.telling[part]

    def sounds_of(self, clip: int) -> NDArray[np.uint32]:
        return self.sounds[self.sound_from[clip] : self.sound_from[clip + 1]]


def as_lanes(hashes: NDArray[np.uint8]) -> Lanes:
    """uint8 [N, 32] as uint64 [N, 4], which are compared faster."""
    return np.ascontiguousarray(hashes).view(np.uint64).reshape(-1, LANES)


def as_bytes(lanes: Lanes) -> NDArray[np.uint8]:
    """uint64 [N, 4] as uint8 [N, 32]."""
    return np.ascontiguousarray(lanes).view(np.uint8).reshape(-1, BYTES)


def _ends(counts: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))]).astype(np.int64)
