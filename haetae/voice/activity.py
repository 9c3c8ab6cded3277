"""Where somebody speaks: silero-vad with its bundled model, on audio brought to one level first.

Who speaks and what is said is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haetae.voice.level import FLOOR_DBFS, RATE_HZ, loud_dbfs, with_gain

LEVEL_DBFS = -20.0
MAX_GAIN_DB = 60.0
"""Beyond it there is only quantisation noise of 16-bit audio to make louder."""

Region = tuple[float, float]
"""(start_s, end_s), seconds from the start of the audio."""


@dataclass
class SpeechDetector:
    """Speech regions of 16 kHz audio. Call `setup` once per process; it loads torch and the model."""

    threshold: float = 0.35
    min_speech_s: float = 0.25
    merge_gap_s: float = 0.3
    pad_s: float = 0.03
    _model: Any = field(init=False, default=None, repr=False, compare=False)

    def setup(self) -> None:
        """Load the model that silero-vad carries."""
        if self._model is None:
            import torch
            from silero_vad import load_silero_vad

            torch.set_num_threads(1)
            self._model = load_silero_vad()

    def regions(self, audio: NDArray[np.float32]) -> list[Region]:
        """Where audio float32 [N] holds speech, in order, not overlapping, within the audio.

        Pauses shorter than `merge_gap_s` belong to the speech around them; regions shorter than
        `min_speech_s` are dropped. The level is brought to -20 dBFS first, so that very quiet speech is
        found as well.
        """
        level = loud_dbfs(audio)
        if level <= FLOOR_DBFS:
            return []
        import torch
        from silero_vad import get_speech_timestamps

        self.setup()
        levelled = with_gain(audio, min(LEVEL_DBFS - level, MAX_GAIN_DB))
        with torch.jit.optimized_execution(False):
            found = get_speech_timestamps(
                torch.from_numpy(levelled),
                self._model,
                threshold=self.threshold,
                min_speech_duration_ms=round(1000 * self.min_speech_s),
                min_silence_duration_ms=round(1000 * self.merge_gap_s),
                speech_pad_ms=round(1000 * self.pad_s),
            )
        bounds = ((r["start"] / RATE_HZ, min(len(audio), r["end"]) / RATE_HZ) for r in found)
        return [(start_s, end_s) for start_s, end_s in bounds if end_s - start_s >= self.min_speech_s]


@cache
def _default() -> SpeechDetector:
    return SpeechDetector()


def speech_regions(audio: NDArray[np.float32]) -> list[Region]:
    """Speech regions of 16 kHz audio with the default settings; see `SpeechDetector`."""
    return _default().regions(audio)


def overlap_s(one: Region, other: Region) -> float:
    """Seconds that two regions share."""
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
