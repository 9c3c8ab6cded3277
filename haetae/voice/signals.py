"""The `signals` stage: levels, silence, noise, traces of earlier codecs and the spoken language of a clip.

What value is too much is decided later, by a query on what is written here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from haetae.engine import Row
from haetae.voice.activity import Region
from haetae.voice.loudness import (
    clipped_fraction,
    loudness_lufs,
    peak_dbfs,
    silent_edges_s,
    snr_db,
    speech_fraction,
)
from haetae.voice.spoken import LanguageJudge, Spoken

if TYPE_CHECKING:
    from haetae.media.traces import Blocks, Spectrum

MOTION_WIDTH_PX = 160
"""Pictures are compared at this width: noise of the coding does not count as motion."""
OWN_LOW_PASS_HZ = 10_000.0
"""Codecs cut what is above it at ordinary bit rates, so from there on a cut may be the stated codec's own."""
SMALL_TRANSFORMS = frozenset({"h264", "hevc", "vp8", "vp9", "av1"})
"""Codecs that also have blocks of 4 px: a grid at 4 may be their own, and motion carries it to other places."""
CARRIED = 1.25
"""By how much stronger a grid must be in their pictures."""
LOSSLESS_SOUND = frozenset({"flac", "alac", "wavpack", "tta", "ape"})
SOUND = ("loudness_lufs", "peak_dbfs", "snr_db", "leading_silence_s", "trailing_silence_s", "speech_fraction",
         "clipped_fraction", "audio_bandwidth_hz")  # fmt: skip
PICTURE = ("blockiness", "bits_per_pixel", "motion")


@dataclass
class MeasureSignals:
    """Step: a clip row with its media row under `media` and its utterances under `utterances` → one row of
    the `signals` table.

    Level, noise and silence are measured on the clip, motion too; clipping, bandwidth, blocks and bits on the
    same stretch of the original file.

    `silence_dbfs`: level below which there is silence, dB full scale. `grid_strength`: edge strength on a grid
    off the original's own from which on an earlier block codec is noted, relative to that beside it.
    """

    lake_root: str
    silence_dbfs: float = -60.0
    grid_strength: float = 1.4
    timeout_s: float = 300.0
    stage: ClassVar[str] = "signals"
    key: ClassVar[str] = "clip_id"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0
    _judge: LanguageJudge | None = field(init=False, default=None, repr=False, compare=False)
    _lake: Any = field(init=False, default=None, repr=False, compare=False)

    def setup(self) -> None:
        """Load the language models."""
        from haetae.lake import Lake

        self._lake = Lake(self.lake_root)
        self._judge = LanguageJudge()
        self._judge.setup()

    def __call__(self, row: Row) -> Sequence[Row]:
        """Measure one clip. Raises: what reading the clip or its media file raises."""
        if self._judge is None:
            self.setup()
        assert self._judge is not None
        clip = self._lake.open_local(row["blob_id"])
        original = self._lake.open_local(row["media"]["blob_id"])
        measured: Row = dict.fromkeys((*SOUND, *PICTURE))
        spectrum = blocks = None
        if row["has_audio"]:
            sound, spectrum = self._sound(clip, original, row)
            measured |= sound
        if row["has_video"]:
            pictures, blocks = self._pictures(clip, original, row)
            measured |= pictures
        spoken = spoken_in_clip(self._judge, row["utterances"])
        rounded = {name: None if value is None else round(value, 4) for name, value in measured.items()}
        return [
            {"clip_id": row["clip_id"], "batch": row["batch"]}
            | rounded
            | {
                "codec_history": codec_history(row["media"], spectrum, blocks, self.grid_strength),
                "spoken_language": spoken.language if spoken else None,
                "spoken_confidence": spoken.confidence if spoken else None,
                "singlish_score": spoken.singlish_score if spoken else None,
            }
        ]

    def _sound(self, clip: Path, original: Path, row: Row) -> tuple[Row, Spectrum | None]:
        from haetae.media.audio import read_audio
        from haetae.media.stretch import read_sound
        from haetae.media.traces import find_bandwidth

        audio = read_audio(clip)
        speech: list[Region] = [(one["start_s"], one["end_s"]) for one in row["utterances"]]
        leading_s, trailing_s = silent_edges_s(audio, self.silence_dbfs)
        sound = read_sound(original, row["start_s"], row["end_s"])
        spectrum = find_bandwidth(sound.samples, sound.rate_hz) if sound else None
        measures = {
            "loudness_lufs": loudness_lufs(audio),
            "peak_dbfs": peak_dbfs(audio),
            "snr_db": snr_db(audio, speech),
            "leading_silence_s": leading_s,
            "trailing_silence_s": trailing_s,
            "speech_fraction": speech_fraction(audio, speech),
            "clipped_fraction": clipped_fraction(sound.samples) if sound else None,
            "audio_bandwidth_hz": spectrum.bandwidth_hz if spectrum else None,
        }
        return measures, spectrum

    def _pictures(self, clip: Path, original: Path, row: Row) -> tuple[Row, Blocks | None]:
        from haetae.media.stretch import read_pictures
        from haetae.media.traces import find_blocks

        pictures = read_pictures(original, row["start_s"], row["end_s"])
        blocks = find_blocks(pictures.lumas) if pictures else None
        measures = {
            "blockiness": blocks.blockiness if blocks else None,
            "bits_per_pixel": pictures.bits_per_pixel if pictures else None,
            "motion": motion(clip),
        }
        return measures, blocks


def motion(clip: Path) -> float | None:
    """Mean absolute change from one picture to the next, 0 to 255, at 160 px wide; None for one picture."""
    from haetae.media.frames import iter_frames

    changes: list[float] = []
    before: NDArray[np.int16] | None = None
    with closing(iter_frames(clip)) as frames:
        for frame in frames:
            now = _small(frame)
            if before is not None:
                changes.append(float(np.abs(now - before).mean()))
            before = now
    return float(np.mean(changes)) if changes else None


def _small(frame: NDArray[np.uint8]) -> NDArray[np.int16]:
    import cv2

    height = max(1, round(frame.shape[0] * MOTION_WIDTH_PX / frame.shape[1]))
    size = (MOTION_WIDTH_PX, height)
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.int16)


def spoken_in_clip(judge: LanguageJudge, utterances: Sequence[Row]) -> Spoken | None:
    """The language of most speech with text, by seconds; None where no utterance has enough text.

    Plain English and Singlish are one language here, and Singlish if the English of the clip together gives
    evidence enough: not every sentence has a particle. confidence: of the judgement times the share of seconds.
    """
    seconds: dict[str, float] = defaultdict(float)
    texts: dict[str, list[str]] = defaultdict(list)
    for one in sorted(utterances, key=lambda one: float(one["start_s"])):
        spoken = judge.spoken(one["text"]) if one["text"] else None
        if spoken is not None:
            seconds[spoken.detail] += one["end_s"] - one["start_s"]
            texts[spoken.detail].append(one["text"])
    if not seconds:
        joined = " ".join(one["text"] for one in utterances if one["text"])
        return judge.spoken(joined) if joined else None
    most = max(sorted(seconds), key=lambda code: seconds[code])
    whole = judge.spoken("\n".join(texts[most]))
    if whole is None:
        return None
    share = seconds[most] / sum(seconds.values())
    return Spoken(whole.language, round(whole.confidence * share, 2), whole.singlish_score, whole.detail)


def codec_history(
    media: Row, spectrum: Spectrum | None, blocks: Blocks | None, grid_strength: float
) -> list[str]:
    """Codecs a media file has been through, oldest first: what was measured, then what the file states.

    `measured:audio:lowpass_7900hz`: its sound ends at a cliff that its stated codec does not explain.
    `measured:video:grid_8px_3_5`: blocks of 8 px whose corner is at (3, 5), so not those of its stated codec.
    `stated:video:h264`, `stated:audio:aac`, `stated:container:mov`, `stated:encoder:...`: by its own tags.
    """
    history: list[str] = []
    if spectrum is not None and spectrum.is_cut and _is_older(spectrum, media["audio_codec"]):
        history.append(f"measured:audio:lowpass_{round(spectrum.bandwidth_hz, -2):.0f}hz")
    if blocks is not None and _is_foreign(blocks, media["video_codec"], grid_strength):
        history.append("measured:video:grid_8px_{}_{}".format(*blocks.corner))
    stated = (
        ("video", media["video_codec"]),
        ("audio", media["audio_codec"]),
        ("container", media["container"]),
        ("encoder", media.get("encoder")),
    )
    return [*history, *(f"stated:{what}:{name}" for what, name in stated if name)]


def _is_foreign(blocks: Blocks, video_codec: str | None, grid_strength: float) -> bool:
    """Whether a grid is there that cannot be the stated codec's own."""
    if video_codec in SMALL_TRANSFORMS:
        return blocks.strength >= CARRIED * grid_strength and not set(blocks.corner) <= {0, 4}
    return blocks.strength >= grid_strength and blocks.corner != (0, 0)


def _is_older(spectrum: Spectrum, audio_codec: str | None) -> bool:
    """Whether a cut is not the stated codec's own: uncompressed sound has none, others cut high."""
    plain = audio_codec is None or audio_codec.startswith("pcm_") or audio_codec in LOSSLESS_SOUND
    return plain or spectrum.bandwidth_hz < OWN_LOW_PASS_HZ
