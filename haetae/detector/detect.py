"""What a detector says of one file: verdict, scores, faces with boxes, segments, and captions.

The scores come from `predict`, the sentences from `saying`. A file is cut, normalised and followed by the same
steps as the media of the lake, in a scratch folder that is gone afterwards.
"""

from __future__ import annotations

import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.dataset.items import FPS, GRID, MODALITIES, Item
from haetae.dataset.prepare import Face, Recipe, make_items
from haetae.detector.predict import Detector, Evidence, Scores, runs, times_of
from haetae.detector.saying import captions, likely
from haetae.engine import InlineEngine, OnProgress, Progress, split_results
from haetae.errors import Rejected, UsageError
from haetae.lake import Lake
from haetae.params import Ingest, Params, Tracks

Row = dict[str, Any]
T = TypeVar("T")
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
    """Everything said of one clip or file. threshold: the verdict is fake from this score on."""

    verdict: str
    scores: Scores
    tracks: tuple[TrackFinding, ...] = ()
    segments: tuple[Segment, ...] = ()
    captions: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None

    def to_json(self) -> Row:
        """The finding as `haetae detect --json` prints it. Text is not looked at yet: its score is null."""
        return {
            "verdict": self.verdict,
            "score": self.scores.score,
            "threshold": self.threshold,
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
    said = captions(verdict, scores, segments, mouth_only=_mouth_only(tracks))
    return Detection(verdict, scores, tracks, segments, said, detector.threshold)


def check_file(path: Path) -> None:
    """Raises: UsageError for a path that is no file, telling what it is."""
    if path.is_dir():
        raise UsageError(
            f"{path} is a folder, and one file is judged at a time; name one in it, or judge each of them: "
            f'for file in {shlex.quote(str(path))}/*; do haetae detect "$file"; done'
        )
    if not path.exists():
        raise UsageError(f"{path}: no such file")
    if not path.is_file():
        raise UsageError(f"{path} is not a regular file; copy what is to be judged into one")


def detect_file(lake: Lake, path: Path, params: Params, on_progress: OnProgress | None = None) -> Row:
    """What the lake's champion says of one media file, and how far that reaches, as `haetae detect --json` prints it.

    on_progress: is told of the stages `load`, `cut` and `look`, the last one clip by clip.
    Raises: UsageError for a file that is not readable media, or while there is no champion.
    """
    from haetae.detector.reach import caveat
    from haetae.detector.tracking import champion_folder

    check_file(path)
    with _told("load", on_progress):
        detector = Detector.load(champion_folder(lake))
    found = inspect_file(detector, path, params, on_progress).to_json()
    return found | {"caveat": caveat(lake)}


def inspect_file(
    detector: Detector, path: Path, params: Params | None = None, on_progress: OnProgress | None = None
) -> Detection:
    """What a detector says of one media file: clip by clip, joined.

    The most suspicious clip gives the score; frames and seconds are those of the file at 25 fps.
    Raises: UsageError for a file in which there is nothing to look at or to hear.
    """
    params = params or Params()
    with tempfile.TemporaryDirectory(prefix="haetae-detect-") as scratch:
        lake = Lake(scratch)
        try:
            with _told("cut", on_progress):
                clips = _clips_of(lake, path, params.ingest)
            findings = [
                (clip["start_s"], _inspect_clip(detector, lake, clip, params.tracks))
                for clip in _counted("look", clips, on_progress)
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


def _guilty(scores: Scores) -> frozenset[str]:
    """The modalities that a fake verdict rests on: those more likely fake than not, or else the most likely."""
    each = {"video": scores.video, "audio": scores.audio, "sync": scores.sync}
    known = {modality: score for modality, score in each.items() if score is not None}
    return likely(scores) or frozenset({max(known, key=lambda modality: known[modality])})


def _mouth_only(tracks: Sequence[TrackFinding]) -> bool:
    suspects = [track for track in tracks if track.boxes]
    return bool(suspects) and all(track.mouth_only for track in suspects)


@contextmanager
def _told(stage: str, on_progress: OnProgress | None) -> Iterator[None]:
    """Tell of a stage of one piece when it begins and when it ends."""
    piece = _counted(stage, [None], on_progress)
    next(piece)
    yield
    next(piece, None)


def _counted(stage: str, things: Sequence[T], on_progress: OnProgress | None) -> Iterator[T]:
    """The same things; how many are done with is told before the first and after each."""
    began = time.monotonic()
    for n in range(len(things) + 1):
        if on_progress is not None:
            on_progress(Progress(stage, n, len(things), 0, time.monotonic() - began))
        yield from things[n : n + 1]


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
    worst = max((found for _, found in findings), key=_suspicion)
    alike = [(start_s, found) for start_s, found in findings if found.verdict == worst.verdict]
    # Beside a clip that is fake by one modality alone, the faint signs of the others say nothing.
    clear = [(start_s, found) for start_s, found in alike if likely(found.scores)]
    told = clear if clear and worst.verdict == "fake" else alike
    tracks, segments = [], []
    for start_s, found in findings:
        shift = round(start_s * FPS)
        tracks += [replace(t, frames=tuple(f + shift for f in t.frames)) for t in found.tracks]
    for start_s, found in told:
        segments += [
            replace(s, start_s=round(s.start_s + start_s, 3), end_s=round(s.end_s + start_s, 3))
            for s in found.segments
        ]
    joined = merged(segments)
    about = max((found for _, found in told), key=_suspicion)
    suspects = [track for _, found in told for track in found.tracks]
    said = captions(worst.verdict, about.scores, joined, mouth_only=_mouth_only(suspects))
    return Detection(worst.verdict, worst.scores, tuple(tracks), joined, said, worst.threshold)


def _suspicion(found: Detection) -> float:
    return found.scores.score or 0.0
