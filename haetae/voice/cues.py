"""The `cues` stage, as far as it is about sound: how far each face's lips are from the voice.

What offset is suspicious is decided later, by a query on the values written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from haetae.engine import Row
from haetae.voice.activity import Region, SpeechDetector, overlap_s
from haetae.voice.level import RATE_HZ
from haetae.voice.sync import SyncMeasure, av_offset


@dataclass
class MeasureSync:
    """Step: a clip row with its track rows under `tracks` → rows of the `cues` table.

    Each track gets `av_offset` (s, positive: the sound comes later than the lips) and `av_confidence` (1), if
    it is seen for `min_track_s` with `min_speech_s` of speech; other tracks get nothing.

    `max_lag_s`: largest offset looked for, s.
    """

    lake_root: str
    max_lag_s: float = 0.6
    min_track_s: float = 2.0
    min_speech_s: float = 1.0
    timeout_s: float = 300.0
    stage: ClassVar[str] = "cues"
    key: ClassVar[str] = "clip_id"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0
    _detector: SpeechDetector | None = field(init=False, default=None, repr=False, compare=False)
    _lake: Any = field(init=False, default=None, repr=False, compare=False)

    def setup(self) -> None:
        """Load the speech detector."""
        from haetae.lake import Lake

        self._lake = Lake(self.lake_root)
        self._detector = SpeechDetector()
        self._detector.setup()

    def __call__(self, row: Row) -> Sequence[Row]:
        """Measure the tracks of one clip. Raises: what reading the clip or a mesh raises."""
        fps = float(row["fps"] or 25.0)
        tracks = [track for track in row["tracks"] if _seconds(track, fps) >= self.min_track_s]
        if not row["has_audio"] or not tracks:
            return []
        if self._detector is None:
            self.setup()
        from haetae.media.audio import read_audio

        assert self._detector is not None
        audio = read_audio(self._lake.open_local(row["blob_id"]))
        speech = self._detector.regions(audio)
        rows: list[Row] = []
        for track in tracks:
            span = (track["first_frame"] / fps, (track["last_frame"] + 1) / fps)
            if sum(overlap_s(span, region) for region in speech) >= self.min_speech_s:
                measure = self._measure(audio, track, span, fps)
                rows.extend(_rows(row, track, measure) if measure else [])
        return rows

    def _measure(
        self, audio: NDArray[np.float32], track: Row, span: Region, fps: float
    ) -> SyncMeasure | None:
        mouth = mouth_of(self._lake.open_local(track["mesh_blob"]))
        first, last = (round(edge * RATE_HZ) for edge in span)
        return av_offset(mouth, audio[first:last], fps, max_lag_s=self.max_lag_s)


def mouth_of(mesh_path: Path) -> NDArray[np.float32]:
    """Mouth openness over the frames of a track: float32 [T], NaN where the mesh was not found."""
    from haetae.faces.regions import mouth_openness
    from haetae.faces.tracks import load_mesh

    mesh, found = load_mesh(mesh_path)
    return np.where(found, mouth_openness(mesh), np.float32(np.nan)).astype(np.float32)


def _seconds(track: Row, fps: float) -> float:
    return float(track["last_frame"] - track["first_frame"] + 1) / fps


def _rows(clip: Row, track: Row, measure: SyncMeasure) -> list[Row]:
    values = (("av_offset", measure.offset_s, "s"), ("av_confidence", measure.confidence, "1"))
    return [
        {
            "sample_id": clip["clip_id"],
            "batch": clip["batch"],
            "cue": cue,
            "value": round(value, 4),
            "unit": unit,
            "track_id": track["track_id"],
        }
        for cue, value, unit in values
    ]
