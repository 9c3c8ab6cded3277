"""Following faces beside MTCNN on every frame: the same clips, in one run, both on one thread.

MTCNN is facenet-pytorch's as it comes, with its own thresholds and the same smallest face; its frames are
decoded the quickest way. Ours is the whole `tracks` step: decoding, searching, the mesh of every face in
every frame, measures and the mesh file. Media: the folder named by HAETAE_DEV_MEDIA, else the development
media beside the repository, else the embedded sample. Two-face films are made of two clips, whose people
cross, so that who is where is known.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.crossings import against_truth, cross, head_of
from haetae.engine import Row
from haetae.errors import Rejected
from haetae.faces.regions import iou
from haetae.faces.tracks import FollowFaces, load_mesh
from haetae.lake import Lake
from haetae.media.cut import CutAndNormalise
from haetae.media.encode import write_video
from haetae.media.probe import probe
from haetae.params import Params
from haetae.provenance.ids import file_sha256
from haetae.sample.render import render_sample

SAME_IOU = 0.5
SURE = 0.9
CROSSING_PX = (8, 12, 16)
Boxes = NDArray[np.float32]


@dataclass
class Clip:
    """What both ways found in one clip, and how long they took."""

    name: str
    row: Row
    seconds: dict[str, tuple[float, float]] = field(default_factory=dict)
    found: list[list[tuple[Boxes, float]]] = field(default_factory=list)
    tracks: list[Row] = field(default_factory=list)

    def at(self, frame: int) -> dict[str, Boxes]:
        """Our boxes on one frame, by track."""
        return {
            t["track_id"]: np.asarray(t["boxes"][frame - t["first_frame"]], np.float32)
            for t in self.tracks
            if t["first_frame"] <= frame <= t["last_frame"]
        }


def main() -> None:
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        clips = [Clip(name, row) for name, row in _clips(where)]
        step = FollowFaces(lake_root=str(where / "lake"), **Params().tracks.model_dump())
        plain = _plain(Lake(where / "lake"))
        step.setup()
        _measure(clips, step, plain)
        _report(clips)
        _crossings(where, clips, step)


def _measure(clips: Sequence[Clip], step: FollowFaces, plain: Callable[[Row], Any]) -> None:
    """Both ways on each clip, one right after the other, so that they share whatever else the machine does."""
    warm = clips[0].row
    followed = _followed(step)
    plain(warm)
    followed(warm)
    for clip in clips:
        clip.found, clip.seconds["mtcnn"] = _timed(plain, clip.row)
        clip.tracks, clip.seconds["ours"] = _timed(followed, clip.row)


def _timed(run: Callable[[Row], Any], row: Row) -> tuple[Any, tuple[float, float]]:
    """What it returns; seconds of wall clock and of processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run(row)
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def _followed(step: FollowFaces) -> Callable[[Row], list[Row]]:
    """Our way: the whole step, in this process."""

    def run(row: Row) -> list[Row]:
        try:
            return list(step(row))
        except Rejected:
            return []

    return run


def _plain(lake: Lake) -> Callable[[Row], list[list[tuple[Boxes, float]]]]:
    """The plain way: MTCNN on every frame."""
    from facenet_pytorch import MTCNN

    mtcnn = MTCNN(keep_all=True, min_face_size=Params().tracks.min_face_px, device="cpu").eval()

    def run(row: Row) -> list[list[tuple[Boxes, float]]]:
        found = []
        for frame in _decoded(lake.open_local(row["blob_id"])):
            boxes, scores, _ = mtcnn.detect(frame, landmarks=True)
            found.append([] if boxes is None else list(zip(boxes, scores.tolist(), strict=True)))
        return found

    return run


def _decoded(path: Path) -> Iterator[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def _report(clips: Sequence[Clip]) -> None:
    n = sum(len(clip.found) for clip in clips)
    print(f"{len(clips)} clips, {n} frames, one thread; MTCNN and ours clip by clip")
    for k, clock in enumerate(("wall clock", "processor")):
        total = {way: n / sum(clip.seconds[way][k] for clip in clips) for way in ("mtcnn", "ours")}
        ratios = sorted(clip.seconds["mtcnn"][k] / clip.seconds["ours"][k] for clip in clips)
        print(f"  {clock}: MTCNN {total['mtcnn']:.1f} frames/s, ours {total['ours']:.1f} frames/s")
        print(
            f"    ratio over all frames {total['ours'] / total['mtcnn']:.2f}; by clip median "
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    for name, least in (("all of its boxes", 0.0), (f"those it gives a score of {SURE} and more", SURE)):
        hits = [hit for clip in clips for hit in _hits(clip, least)]
        by_clip = [statistics.mean(hit) for clip in clips if (hit := _hits(clip, least))]
        print(
            f"  recall of {name}: {statistics.mean(hits):.4f} ({sum(hits)} of {len(hits)}); by clip median "
            f"{statistics.median(by_clip):.3f}, least {min(by_clip):.3f}"
        )
    for clip in (clip for clip in clips if _faces(clip) >= 2):
        print(f"  {clip.name}: {len(clip.tracks)} tracks, {_switches_of_found(clip)} identity switches")


def _hits(clip: Clip, least: float) -> list[bool]:
    """For each box of MTCNN whether one of ours is there."""
    return [
        any(iou(box, mine) >= SAME_IOU for mine in clip.at(k).values())
        for k, faces in enumerate(clip.found)
        for box, score in faces
        if score >= least
    ]


def _faces(clip: Clip) -> int:
    return round(statistics.median(sum(s >= SURE for _, s in faces) for faces in clip.found))


def _switches_of_found(clip: Clip) -> int:
    """How often the track on a face changes, faces being MTCNN's boxes linked from frame to frame."""
    switches, last = 0, list[tuple[Boxes, str | None]]()
    for k, faces in enumerate(clip.found):
        now = list[tuple[Boxes, str | None]]()
        for box, score in faces:
            if score < SURE:
                continue
            mine = _nearest(box, clip.at(k))
            before = max(last, key=lambda old: iou(box, old[0]), default=None)
            was = before[1] if before is not None and iou(box, before[0]) >= SAME_IOU else None
            switches += was is not None and mine is not None and was != mine
            now.append((box, mine or was))
        last = now or last
    return switches


def _nearest(box: Boxes, mine: dict[str, Boxes]) -> str | None:
    best = max(mine, key=lambda track: iou(box, mine[track]), default=None)
    return best if best is not None and iou(box, mine[best]) >= SAME_IOU else None


def _crossings(where: Path, clips: Sequence[Clip], step: FollowFaces) -> None:
    """People of two clips who cross: who is where is known, so switches are counted against the truth."""
    lake = Lake(where / "lake")
    single = [clip for clip in clips if len(clip.tracks) == 1 and _faces(clip) == 1]
    first = {clip.name.rsplit("@", 1)[0]: clip for clip in reversed(single)}
    people = [first[name] for name in sorted(first)]
    pairs = list(pairwise(people))
    print(
        f"  {len(pairs)} pairs of people who cross in a film, one behind the other ({2 * len(pairs)} people):"
    )
    for px in CROSSING_PX:
        switches = broken = longest = 0
        for front, back in pairs:
            frames, middles = cross(_heads(lake, front), _heads(lake, back), px)
            path = where / "crossing.mp4"
            write_video(path, frames, None)
            made = {"clip_id": f"{front.name}-{back.name}-{px}", "blob_id": lake.put_blob(path, "mp4")}
            rows = _followed(step)({**front.row, **made, "n_frames": len(frames)})
            changed, lost = against_truth(rows, middles)
            switches, broken = switches + changed, broken + lost
            longest = max(longest, *(_longest_gap(lake, row) for row in rows))
        print(
            f"    {px:2} px a frame each: {switches} identity switches, {broken} people whose track broke; "
            f"longest loss survived {longest} frames"
        )


def _longest_gap(lake: Lake, track: Row) -> int:
    _, found = load_mesh(lake.open_local(track["mesh_blob"]))
    return max((len(list(run)) for is_found, run in groupby(found) if not is_found), default=0)


def _heads(lake: Lake, clip: Clip) -> NDArray[np.uint8]:
    """The head of the clip's one track, at one size: uint8 [T, 320, 240, 3]."""
    (track,) = clip.tracks
    frames = enumerate(_decoded(lake.open_local(clip.row["blob_id"])))
    boxes = ((frame, clip.at(k).get(track["track_id"])) for k, frame in frames)
    return np.stack([head_of(frame, box) for frame, box in boxes if box is not None])


def _clips(where: Path) -> list[tuple[str, Row]]:
    """Clips of the media, cut and normalised as they always are: name and row."""
    lake = Lake(where / "lake")
    cut = CutAndNormalise(lake_root=str(lake.root), **Params().ingest.model_dump())
    cut.setup()
    clips = []
    for path in _media(where):
        # As bytes: a lake moves a file that it is given, and these are not ours to move.
        blob_id = lake.put_blob(path.read_bytes(), "mp4")
        media = {
            "media_id": file_sha256(path), "batch": "b", "source_id": "benchmark", "title": path.name,
            "blob_id": blob_id, "language": "other", "use_case": "other", "identities": [],
            "declared_verdict": "unknown", "declared_generator": None, "captions_blob": None,
            "captions_kind": None, **asdict(probe(path)),
        }  # fmt: skip
        clips += [(f"{path.stem}@{row['start_s']:g}", row) for row in cut(media)]
    return clips


def _media(where: Path) -> list[Path]:
    given = os.environ.get("HAETAE_DEV_MEDIA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "media" / "dev"
    films = sorted((folder / "video").glob("*.mp4"))
    if films:
        print(f"media: {len(films)} films of {folder}")
        return films
    if given:
        sys.exit(
            f"no films in {folder / 'video'}; set HAETAE_DEV_MEDIA to the folder of the media, or unset it"
        )
    print("media: the embedded sample")
    report = render_sample(where / "sample")
    return [report.folder / file for file in report.files if not file.endswith("daniel__3.mp4")]
