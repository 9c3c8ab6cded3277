"""The `fingerprints` stage: one clip in, its picture and sound hashes out.

Which clips are alike is not decided here; see `duplicates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from haetae.engine import Row
from haetae.fingerprints import pictures, sounds
from haetae.lake import Lake
from haetae.media.audio import read_audio

METHOD = f"{pictures.METHOD}+{sounds.METHOD}"


@dataclass
class Fingerprint:
    """Step: a row of the `clips` table → its row of the `fingerprints` table.

    Reads `clip_id`, `batch`, `kind`, `blob_id`, `has_video`, `has_audio`. An image has two picture hashes, of the
    whole and of its inner part, and a step of 0 s.
    Raises, per row: Rejected `decode_failed`, `no_video`, `no_audio`, `too_many_frames`.
    """

    lake_root: str
    timeout_s: float = 120.0

    stage: ClassVar[str] = "fingerprints"
    key: ClassVar[str] = "clip_id"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0

    _lake: Any = field(init=False, default=None, repr=False, compare=False)

    def setup(self) -> None:
        self._lake = Lake(self.lake_root)

    def __call__(self, row: Row) -> Sequence[Row]:
        if self._lake is None:
            self.setup()
        path = self._lake.open_local(row["blob_id"])
        still = row["kind"] == "image"
        shown: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
        if row["has_video"]:
            read = pictures.read_still if still else pictures.read_pictures
            shown = pictures.hash_pictures(read(path))
        heard = sounds.hash_sound(read_audio(path)) if row["has_audio"] else None
        return [
            {
                "clip_id": row["clip_id"],
                "batch": row["batch"],
                "video_step_s": None if shown is None else 0.0 if still else pictures.STEP_S,
                "video_hashes": [bytes(h).hex() for h in shown[0]] if shown else [],
                "video_quality": [f"{q:02x}" for q in shown[1]] if shown else [],
                "audio_step_s": sounds.STEP_S if heard is not None else None,
                "audio_hashes": [int(h) for h in heard] if heard is not None else [],
                "method": METHOD,
            }
        ]
