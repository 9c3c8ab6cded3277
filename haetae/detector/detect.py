"""What a detector says of one file: verdict, scores, faces with boxes, segments, and captions.

The scores come from `predict`. A file is cut, normalised and followed by the same steps as the media of
the lake, in a scratch folder that is gone afterwards.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.dataset.items import FPS, GRID, MODALITIES, Item
from haetae.dataset.prepare import Face, Recipe, make_items
from haetae.detector.predict import Detector, Evidence, Scores, runs, times_of
from haetae.engine import InlineEngine, split_results
from haetae.errors import Rejected, UsageError
from haetae.lake import Lake
from haetae.locales import caption
from haetae.locales.load import CaptionKind
from haetae.params import Ingest, Params, Tracks

Row = dict[str, Any]
CAPTION_LANGUAGES = ("ko", "en", "ms", "ta")
MIN_SEGMENT_S = 0.12
MERGE_GAP_S = 0.25
MOUTH_ROWS = slice(round(GRID * 0.58), round(GRID * 0.9))
"""Where the mouth is in an aligned crop, as rows of cells."""


@dataclass(frozen=True)
class Segment:
    """A stretch that speaks for fake, seconds from the start of the file; score 0 to 1."""

    modality: str
    start_s: float
    end_s: float
    score: float


@dataclass(frozen=True)
class TrackFinding:
    """One face: its score, and where in the picture it looks changed. boxes[i] is xyxy px in frame frames[i]."""

    track_id: str
    score: float
    frames: tuple[int, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    mouth_only: bool = False


@dataclass(frozen=True)
class Detection:
    """Everything said of one clip or file."""

    verdict: str
    scores: Scores
    tracks: tuple[TrackFinding, ...] = ()
    segments: tuple[Segment, ...] = ()
    captions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Row:
        """The object that `haetae detect --json` prints. Text is not looked at yet: its score is null."""
        return {
            "verdict": self.verdict,
            "score": self.scores.score,
            "modalities": {
                "video": self.scores.video,
                "audio": self.scores.audio,
                "sync": self.scores.sync,
                "text": None,
            },
            "tracks": [
                {
                    "track_id": t.track_id,
                    "score": t.score,
                    "frames": list(t.frames),
                    "boxes": [list(box) for box in t.boxes],
                }
                for t in self.tracks
            ],
            "segments": [
                {"modality": s.modality, "start_s": s.start_s, "end_s": s.end_s, "score": s.score}
                for s in self.segments
            ],
            "captions": dict(self.captions),
        }


def detect(
    detector: Detector,
    frames: NDArray[np.uint8] | None,
    audio: NDArray[np.float32] | None,
    faces: Sequence[Face],
) -> Detection:
    """What a detector says of one clip.

    frames: uint8 [T, H, W, 3] RGB at 25 fps, or None; audio: float32 [N], 16 kHz, or None; faces: those
    followed through the frames, the main one first. Raises: Rejected `nothing_to_learn` without face and sound.
    """
    knobs = detector.config.model
    recipe = Recipe(knobs.n_frames, knobs.crop_px, knobs.crop_scale)
    items = make_items("clip", "test", frames, audio, faces, {}, recipe)
    scores = detector.score_sample(items)
    is_fake = scores.score is not None and scores.score >= detector.threshold
    guilty = _guilty(scores) if is_fake else frozenset()
    evidence = [(item, detector.evidence(item)) for item in items]
    size = (frames.shape[2], frames.shape[1]) if frames is not None else (0, 0)
    found = [_segments(item, seen, guilty) for item, seen in evidence]
    tracks = tuple(_track(item, seen, "video" in guilty, size) for item, seen in evidence if item.track_id)
    verdict = "fake" if is_fake else "real"
    segments = merged([one for part in found for one in part])
    return Detection(verdict, scores, tracks, segments, captions(verdict, scores, segments, tracks))


def detect_file(lake: Lake, path: Path, params: Params) -> Row:
    """What the lake's champion says of one media file, as `haetae detect --json` prints it.

    Raises: UsageError for a file that is not readable media, or while there is no champion.
    """
    from haetae.detector.tracking import champion_folder

    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    detector = Detector.load(champion_folder(lake))
    return inspect_file(detector, path, params).to_json()


def inspect_file(detector: Detector, path: Path, params: Params | None = None) -> Detection:
    """What a detector says of one media file: clip by clip, joined.

    The most suspicious clip gives the score; frames and seconds are those of the file at 25 fps.
    Raises: UsageError for a file in which there is nothing to look at or to hear.
    """
    params = params or Params()
    with tempfile.TemporaryDirectory(prefix="haetae-detect-") as scratch:
        lake = Lake(scratch)
        try:
            clips = _clips_of(lake, path, params.ingest)
            findings = [
                (clip["start_s"], _inspect_clip(detector, lake, clip, params.tracks)) for clip in clips
            ]
        except Rejected as no:
            raise UsageError(f"{path.name} cannot be judged: {no.reason}: {no.detail}") from no
    return _joined([(start_s, found) for start_s, found in findings if found is not None], path.name)


def merged(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Segments of one modality that overlap or nearly touch become one, with the higher score; in order of time."""
    kept: list[Segment] = []
    for one in sorted(segments, key=lambda s: (MODALITIES.index(s.modality), s.start_s, s.end_s)):
        last = kept[-1] if kept else None
        if last and last.modality == one.modality and one.start_s - last.end_s <= MERGE_GAP_S:
            end_s, score = max(last.end_s, one.end_s), max(last.score, one.score)
            kept[-1] = replace(last, end_s=end_s, score=score)
        else:
            kept.append(one)
    return tuple(kept)


def captions(
    verdict: str, scores: Scores, segments: Sequence[Segment], tracks: Sequence[TrackFinding]
) -> dict[str, str]:
    """One sentence in each language on the strongest evidence.

    The family is what the evidence looks like (a changed mouth alone: lip-sync; sound: speech), not a
    statement on which generator was used.
    """
    if verdict == "real":
        return {language: caption(language, "real") for language in CAPTION_LANGUAGES}
    changed = {s.modality for s in segments} & {"video", "audio"}
    kind: CaptionKind
    family: str | None = None
    if not changed:
        kind = "sync"
    elif len(changed) == 2:
        kind, family = "both", "combination"
    elif "audio" in changed:
        kind, family = ("audio" if scores.video is not None else "both"), "speech"
    else:
        kind = "video" if scores.audio is not None else "region"
        suspects = [track for track in tracks if track.boxes]
        family = "lip_sync" if suspects and all(track.mouth_only for track in suspects) else "face_swap"
    shown = [s for s in segments if not changed or s.modality in changed]
    extent = {
        "start_s": min((s.start_s for s in shown), default=0.0),
        "end_s": max((s.end_s for s in shown), default=0.0),
    }
    return {language: caption(language, kind, family=family, **extent) for language in CAPTION_LANGUAGES}


def _guilty(scores: Scores) -> frozenset[str]:
    """The modalities that a fake verdict rests on: those more likely fake than not, or else the most likely."""
    each = {"video": scores.video, "audio": scores.audio, "sync": scores.sync}
    known = {modality: score for modality, score in each.items() if score is not None}
    likely = {modality for modality, score in known.items() if score >= 0.5}
    return frozenset(likely or {max(known, key=lambda modality: known[modality])})


def _level(chances: NDArray[np.float64]) -> float:
    """From which chance on a piece counts as changed: one half, or less where nothing is that clear."""
    return min(0.5, 0.8 * float(chances.max()))


def _segments(item: Item, seen: Evidence, guilty: frozenset[str]) -> list[Segment]:
    """Stretches of the guilty modalities, seconds from the start of the clip."""
    found: list[Segment] = []
    if "video" in guilty and len(seen.frames):
        times = times_of(item)
        # A crop speaks for the stretch up to the middle between it and its neighbours.
        between = (times[1:] + times[:-1]) / 2
        starts = np.concatenate([[item.frame_index[0] / FPS], between])
        ends = np.concatenate([between, [(item.frame_index[-1] + 1) / FPS]])
        found += _runs_of("video", seen.frames, starts, ends)
    if "audio" in guilty and len(seen.audio):
        starts = np.arange(len(seen.audio)) * seen.audio_step_s
        heard_s = (len(item.mel) - 1) * item.mel_step_s if item.mel is not None else 0.0
        found += _runs_of("audio", seen.audio, starts, np.minimum(starts + seen.audio_step_s, heard_s))
    if "sync" in guilty and len(seen.sync):
        starts = (item.first_frame + np.arange(len(seen.sync))) / FPS
        found += _runs_of("sync", seen.sync, starts, starts + 1 / FPS)
    return found


def _runs_of(
    modality: str, chances: NDArray[np.float64], starts: NDArray[Any], ends: NDArray[Any]
) -> list[Segment]:
    made = []
    for first, last in runs(chances >= _level(chances)):
        start_s, end_s = round(float(starts[first]), 3), round(float(ends[last]), 3)
        made.append(Segment(modality, start_s, end_s, round(float(chances[first : last + 1].max()), 6)))
    long_enough = [one for one in merged(made) if one.end_s - one.start_s >= MIN_SEGMENT_S]
    return long_enough or made


def _track(item: Item, seen: Evidence, guilty: bool, size: tuple[int, int]) -> TrackFinding:
    """One face: its own score, and its changed regions where the picture is called fake and this face is part of it."""
    score = seen.scores.video or 0.0
    name = item.track_id or ""
    if not guilty or (score < 0.5 and item.item_id.rpartition(".")[2] != "0"):
        return TrackFinding(name, score)
    frames, boxes = [], []
    mouth = whole = 0.0
    level = _level(seen.cells)
    assert item.to_crop is not None
    for i in np.flatnonzero(seen.frames >= _level(seen.frames)):
        box = _hottest_box(seen.cells[i], item.to_crop[i], _crop_px(item), level, size)
        if box is not None:
            frames.append(item.frame_index[int(i)])
            boxes.append(box)
        heat = cv2.resize(np.maximum(seen.cells[i] - 0.5, 0), (GRID, GRID), interpolation=cv2.INTER_LINEAR)
        mouth, whole = mouth + float(heat[MOUTH_ROWS].sum()), whole + float(heat.sum())
    return TrackFinding(name, score, tuple(frames), tuple(boxes), whole > 0 and mouth / whole > 0.7)


def _crop_px(item: Item) -> int:
    from haetae.dataset.items import decode_crop

    return int(decode_crop(item.frames[0]).shape[0])


def _hottest_box(
    cells: NDArray[np.float64],
    to_crop: NDArray[np.float64],
    crop_px: int,
    level: float,
    size: tuple[int, int],
) -> tuple[float, float, float, float] | None:
    """Bounds, in pixels of the frame, of the connected cells around the hottest one; None where none is hot."""
    if cells.max() < level:
        return None
    _, areas = cv2.connectedComponents((cells >= level).astype(np.uint8), connectivity=4)
    rows, columns = np.nonzero(areas == areas[np.unravel_index(int(cells.argmax()), cells.shape)])
    cell_px = crop_px / np.array([cells.shape[1], cells.shape[0]])
    x1, y1 = np.array([columns.min(), rows.min()]) * cell_px
    x2, y2 = np.array([columns.max() + 1, rows.max() + 1]) * cell_px
    back = cv2.invertAffineTransform(to_crop)
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]) @ back[:, :2].T + back[:, 2]
    low, high = corners.min(axis=0), corners.max(axis=0)
    low, high = np.clip(low, 0, size), np.clip(high, 0, size)
    return (*(round(float(v), 1) for v in low), *(round(float(v), 1) for v in high))  # type: ignore[return-value]


def _clips_of(lake: Lake, path: Path, knobs: Ingest) -> list[Row]:
    """The file's clips, cut and normalised as in the lake."""
    from haetae.media.cut import CutAndNormalise
    from haetae.media.probe import probe

    info = probe(path)
    blob_id = lake.put_blob(path.read_bytes(), path.suffix.lstrip(".").lower()[:8] or "bin")
    media = {
        "media_id": blob_id.partition(".")[0],
        "batch": "detect",
        "source_id": "detect",
        "title": path.name,
        "blob_id": blob_id,
        "language": "other",
        "use_case": "other",
        "identities": [],
        "declared_verdict": "unknown",
        "declared_generator": None,
        "captions_blob": None,
        "captions_kind": None,
        **asdict(info),
    }
    step = CutAndNormalise(
        lake_root=lake.root,
        min_clip_s=knobs.min_clip_s,
        max_clip_s=knobs.max_clip_s,
        min_media_s=knobs.min_media_s,
        max_side_px=knobs.max_side_px,
        crf=knobs.crf,
        shot_threshold=knobs.shot_threshold,
        timeout_s=knobs.timeout_s,
    )
    step.setup()
    return list(step(media))


def _inspect_clip(detector: Detector, lake: Lake, clip: Row, knobs: Tracks) -> Detection | None:
    """What the detector says of one clip; None for one with neither a face nor sound."""
    from haetae.dataset.prepare import measured_again, read_media, streams_of
    from haetae.faces.mesh import MeshTracker
    from haetae.faces.tracks import FollowFaces, load_mesh

    follow = FollowFaces(
        lake_root=lake.root,
        detections_per_s=knobs.detections_per_s,
        min_face_px=knobs.min_face_px,
        min_track_s=knobs.min_track_s,
        max_gap_s=knobs.max_gap_s,
        min_found_fraction=knobs.min_found_fraction,
    )
    rows, _ = split_results(InlineEngine().map_rows(follow, [clip]))
    faces = [
        Face(
            row["track_id"],
            row["first_frame"],
            load_mesh(lake.open_local(row["mesh_blob"]))[0],
            np.asarray(row["boxes"], dtype=np.float32),
        )
        for row in rows
    ]
    frames, audio = read_media(lake.open_local(clip["blob_id"]), streams_of(clip))
    if frames is not None and faces:
        mesher = MeshTracker()
        faces = [measured_again(mesher, frames, face) for face in faces]
    try:
        return detect(detector, frames, audio, faces)
    except Rejected as no:
        if no.reason == "nothing_to_learn":
            return None
        raise


def _joined(findings: Sequence[tuple[float, Detection]], name: str) -> Detection:
    """Findings of clips, each with the second it starts at in the file, as one finding on the file."""
    if not findings:
        raise UsageError(f"{name} cannot be judged: no face was followed in it, and it has no sound")
    worst = max((found for _, found in findings), key=lambda found: found.scores.score or 0.0)
    tracks, segments = [], []
    for start_s, found in findings:
        shift = round(start_s * FPS)
        tracks += [replace(t, frames=tuple(f + shift for f in t.frames)) for t in found.tracks]
        if found.verdict == worst.verdict:
            segments += [
                replace(s, start_s=round(s.start_s + start_s, 3), end_s=round(s.end_s + start_s, 3))
                for s in found.segments
            ]
    joined = merged(segments)
    said = captions(worst.verdict, worst.scores, joined, tracks)
    return Detection(worst.verdict, worst.scores, tuple(tracks), joined, said)
