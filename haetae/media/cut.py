"""`CutAndNormalise`: one media file in, its clips out: one shot each, 25 fps, 16 kHz mono.

Where the cuts fall is decided in `shots`; how a clip is encoded is shared with `encode`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import cv2
import ffmpeg
import numpy as np

from haetae.errors import Rejected, UsageError
from haetae.lake import Lake
from haetae.media.audio import RATE_HZ, audio_stream, level_db
from haetae.media.encode import AUDIO_BITRATE, CRF, FPS, PRESET, aac, h264, mp4, to_bt709
from haetae.media.ffmpeg import local, run
from haetae.media.frames import iter_frames
from haetae.media.opening import open_media, video_stream
from haetae.media.probe import MediaInfo, probe
from haetae.media.shots import HOP_S, Span, find_shots, is_motionless, plan_clips
from haetae.provenance.ids import content_id

Row = dict[str, Any]
LEAST_SIDE_PX = 16
INDEXED = frozenset({"mov", "matroska", "webm", "avi", "gif"})
"""Containers in which ffmpeg finds the key frame before a given time."""
EXACT = frozenset({"mov"})
"""Containers in which the key frame at a given time is found, and not the one before it."""
AFTER_S = 0.003
"""How far after the start of a clip its key frame is sought, so that rounding cannot miss it, seconds."""
EARLY_S = 1.0
EARLY_UNINDEXED_S = 12.0
CLOCK_S = 0.002
"""How far the clocks of containers may round a picture before its time, seconds."""
LATE_S = 1.0
"""How long a last picture or sound may be held to fill a clip whose streams end a little apart."""
COPIED = (
    "media_id",
    "batch",
    "source_id",
    "language",
    "use_case",
    "identities",
    "declared_verdict",
    "declared_generator",
    "captions_blob",
    "captions_kind",
)


@dataclass
class CutAndNormalise:
    """Media row (see the `media` table) to rows of the `clips` table.

    min_clip_s, max_clip_s: length of a clip, seconds; max must be at least twice min. min_media_s: shortest
    file that is kept whole although it is below min_clip_s. max_side_px: longer side of a clip, even; never
    enlarged. shot_threshold: see `shots.find_shots`. Shots below min_clip_s of a longer file are left out.
    max_static_s: longest video without any motion. A picture becomes a clip of one frame, a PNG; a file without
    pictures becomes WAV clips.
    Raises, per row: Rejected `too_small`, `too_short`, `no_usable_shot`, `no_motion`, `decode_failed`,
    `too_large`, `timeout`.
    """

    lake_root: str
    min_clip_s: float = 3.0
    max_clip_s: float = 10.0
    min_media_s: float = 1.0
    max_side_px: int = 960
    crf: int = CRF
    preset: str = PRESET
    shot_threshold: float = 15.0
    max_static_s: float = 60.0
    timeout_s: float = 600.0

    stage: ClassVar[str] = "clips"
    key: ClassVar[str] = "media_id"
    num_cpus: ClassVar[float] = 1
    num_gpus: ClassVar[float] = 0

    _lake: Lake | None = field(init=False, default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.max_clip_s < 2 * self.min_clip_s:
            raise UsageError("ingest.max_clip_s must be at least twice ingest.min_clip_s")

    @property
    def profile(self) -> str:
        """Name of how clips are made: it is part of their ids, so another profile makes other clips."""
        picture = f"h264-{FPS}fps-{self.max_side_px}px-crf{self.crf}-{self.preset}"
        return f"{picture}_aac-{AUDIO_BITRATE}-{RATE_HZ}hz_1"

    def setup(self) -> None:
        self._lake = Lake(self.lake_root)

    def __call__(self, row: Row) -> Sequence[Row]:
        assert self._lake is not None, "setup() was not called"
        deadline = time.monotonic() + self.timeout_s
        path = self._lake.open_local(row["blob_id"])
        if not row["has_video"] and not row["has_audio"]:
            return [self._picture(path, row)]
        if row["has_video"] and row["duration_s"] > self.max_static_s and is_motionless(path):
            detail = f"{row['title']}: {row['duration_s']:.0f} s of one unmoving picture"
            raise Rejected("no_motion", f"{detail}; ingest.max_static_s is {self.max_static_s:g}")
        spans = self._plan(path, row)
        return [self._make(path, row, span, deadline) for span in spans]

    def _plan(self, path: Path, row: Row) -> list[Span]:
        level = None
        if row["has_video"]:
            shots = find_shots(path, self.shot_threshold)
            if row["has_audio"] and any(shot.length_s > self.max_clip_s for shot in shots):
                level = level_db(path, HOP_S)
        else:
            level = level_db(path, HOP_S)
            shots = [Span(0.0, min(len(level) * HOP_S, row["duration_s"]))]
        return plan_clips(
            shots, level, min_s=self.min_clip_s, max_s=self.max_clip_s, min_media_s=self.min_media_s
        )

    def _make(self, path: Path, row: Row, span: Span, deadline: float) -> Row:
        assert self._lake is not None
        # Down to the millisecond before the first picture of the shot, so that it is not lost to rounding.
        start_ms = int(span.start_s * 1000 + 1e-3)
        n = int((span.end_s - start_ms / 1000) * FPS + 1e-3)
        end_ms = start_ms + n * 1000 // FPS
        with self._lake.tmp_dir() as folder:
            made = folder / ("clip.mp4" if row["has_video"] else "clip.wav")
            size = fitted_size(row["width"], row["height"], self.max_side_px) if row["has_video"] else None
            job = self._job(path, made, row, start_ms / 1000, n, size)
            run(job, timeout_s=max(1.0, deadline - time.monotonic()))
            info = probe(made)
            _check(info, n, bool(row["has_video"]), bool(row["has_audio"]))
            blob_id = self._lake.put_blob(made, made.suffix)
        return self._row(row, "video" if row["has_video"] else "audio", (start_ms, end_ms), n, size, blob_id)

    def _picture(self, path: Path, row: Row) -> Row:
        """A still image as a clip of one frame: upright, at most max_side_px, without loss."""
        assert self._lake is not None
        size = fitted_size(row["width"], row["height"], self.max_side_px)
        with closing(iter_frames(path)) as frames:
            picture = next(frames, None)
        if picture is None:
            raise Rejected("decode_failed", f"{row['title']}: no picture in it can be decoded")
        if picture.shape[1::-1] != size:
            larger = max(picture.shape[:2]) > self.max_side_px
            picture = (
                cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
                if larger
                else (picture[: size[1], : size[0]])
            )
        done, png = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
        if not done:
            raise Rejected("decode_failed", f"{row['title']}: it could not be written as a PNG")
        blob_id = self._lake.put_blob(png.tobytes(), "png")
        return self._row(row, "image", (0, 1000 // FPS), 1, size, blob_id)

    def _row(
        self,
        row: Row,
        kind: str,
        span_ms: tuple[int, int],
        n: int,
        size: tuple[int, int] | None,
        blob_id: str,
    ) -> Row:
        return {
            **{name: row[name] for name in COPIED},
            "clip_id": content_id("clip", row["media_id"], *span_ms, self.profile),
            "kind": kind,
            "start_s": span_ms[0] / 1000,
            "end_s": span_ms[1] / 1000,
            "duration_s": n / FPS,
            "blob_id": blob_id,
            "fps": float(FPS) if size else None,
            "n_frames": n if size else 0,
            "width": size[0] if size else None,
            "height": size[1] if size else None,
            "has_video": size is not None,
            "has_audio": row["has_audio"],
        }

    def _job(
        self, path: Path, made: Path, row: Row, start_s: float, n: int, size: tuple[int, int] | None
    ) -> Any:
        """One ffmpeg job: n frames from start_s, and the sound beside them."""
        video, audio = _indices(path)
        if size is None:
            source = ffmpeg.input(local(path), format=row["container"])
            return ffmpeg.output(_sound(source[str(audio)], start_s, n), local(made), **wav())
        # A decoder's first sound after a seek is wrong (Opus needs 80 ms), so it starts early, and the filters cut
        # to the exact place.
        early_s = EARLY_S if row["container"] in INDEXED else EARLY_UNINDEXED_S
        seek_s = max(0.0, round(start_s - early_s, 3))
        skip_s = start_s - seek_s
        source = _from(path, row, seek_s, t=f"{skip_s + n / FPS + LATE_S:.3f}")
        seen, ahead_s = source, skip_s
        if row["container"] in EXACT and seek_s > 0:
            # A second early may be the whole shot before. Without accurate_seek nothing is cut at the place itself.
            seen, ahead_s = _from(path, row, start_s + AFTER_S, noaccurate_seek=None), -AFTER_S
        pictures = seen[str(video)].filter("settb", "AVTB").filter("setpts", f"PTS-({ahead_s:.6f})/TB")
        pictures = pictures.filter("trim", start=-CLOCK_S, end=n / FPS).filter("fps", FPS, start_time=0)
        pictures = to_bt709(_sized(pictures, (row["width"], row["height"]), size))
        pictures = pictures.filter("tpad", stop_mode="clone", stop_duration=LATE_S)
        pictures = pictures.filter("trim", end_frame=n)
        options = h264(self.crf, self.preset, FPS) | mp4()
        if not row["has_audio"]:
            return ffmpeg.output(pictures, local(made), **options)
        sound = _sound(source[str(audio)], skip_s, n)
        return ffmpeg.output(pictures, sound, local(made), **options, **aac())


def _from(path: Path, row: Row, seek_s: float, **options: Any) -> Any:
    """The file as an input whose time 0 is seek_s."""
    seek = {"ss": f"{seek_s:.3f}"} if seek_s > 0 else {}
    return ffmpeg.input(local(path), format=row["container"], threads=1, **seek, **options)


def wav() -> dict[str, Any]:
    """Output options of a clip without pictures."""
    return {
        "format": "wav", "acodec": "pcm_s16le", "ar": RATE_HZ, "ac": 1, "fflags": "+bitexact",
        "flags:a": "+bitexact", "map_metadata": -1,
    }  # fmt: skip


def fitted_size(width: int, height: int, max_side_px: int) -> tuple[int, int]:
    """Even size of a clip whose longer side is at most max_side_px; never larger than what was given.

    Raises: Rejected `too_small` where a side is below 16 pixels.
    """
    scale = min(1.0, max_side_px / max(width, height))
    size = (int(width * scale + 1e-6) // 2 * 2, int(height * scale + 1e-6) // 2 * 2)
    if min(size) < LEAST_SIDE_PX:
        raise Rejected("too_small", f"{width}x{height} pixels; at least {LEAST_SIDE_PX} on each side")
    return size


def _sized(pictures: Any, displayed: tuple[int, int], size: tuple[int, int]) -> Any:
    """Square pixels; larger pictures are scaled down, of others an odd last row or column is cut off."""
    if max(a - b for a, b in zip(displayed, size, strict=True)) > 1:
        return pictures.filter("scale", *size, flags="bicubic")
    # Does nothing where pixels are square already.
    pictures = pictures.filter("scale", *displayed, flags="bicubic")
    return pictures.filter("crop", *size, 0, 0) if displayed != size else pictures


def _sound(sound: Any, skip_s: float, n_frames: int) -> Any:
    """Mono at 16 kHz from skip_s on, cut or filled with silence to the length of the frames."""
    samples = n_frames * RATE_HZ // FPS
    sound = sound.filter("aresample", RATE_HZ, **{"async": 1}, first_pts=0)
    sound = sound.filter("aformat", sample_rates=RATE_HZ, channel_layouts="mono")
    sound = sound.filter("atrim", start=f"{skip_s:.6f}").filter("asetpts", "PTS-STARTPTS")
    return sound.filter("apad", whole_len=samples).filter("atrim", end_sample=samples)


def _indices(path: Path) -> tuple[int | None, int | None]:
    """Indices of the pictures and the sound: the streams that were probed, whatever ffmpeg would choose."""
    with open_media(path) as container:
        video, audio = video_stream(container), audio_stream(container)
        return (video.index if video else None, audio.index if audio else None)


def _check(info: MediaInfo, n: int, has_video: bool, has_audio: bool) -> None:
    """A clip that is not what its row will say is refused here, not found later."""
    wrong_length = has_video and info.n_frames != n
    if wrong_length or info.has_video != has_video or info.has_audio != has_audio:
        got = f"{info.n_frames} frames, sound: {info.has_audio}"
        raise Rejected("decode_failed", f"the cut gave {got} instead of {n} frames, sound: {has_audio}")
