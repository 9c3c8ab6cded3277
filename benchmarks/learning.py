"""What generators learn from faces of real films, and whether it shows in clips that they did not see.

SimSwap is trained on the first part of each film for a share of its full lesson (HAETAE_BENCH_EFFORT, 0.2 unless set),
on a GPU where there is one. Then the last part of each film, which it did not see, is given the face of the next
person, and a judge, an identity encoder that was taught from another seed and took no part in the lesson, tells whom
the faces are like before and after. Media: the folder named by HAETAE_DEV_MEDIA, else the development media beside the
repository; every film in `video` that its SOURCES.csv calls real. HAETAE_BENCH_SHEET=FILE.png: a picture of the swaps.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.crops import cut
from generators.face_swap.simswap.generator import SimSwap
from generators.followed import follow
from generators.protocol import ClipView, Face, FaceSet, FakeRequest, FakeResult, Lesson
from haetae.errors import Rejected
from haetae.faces.mesh import MeshTracker
from haetae.faces.warp import align_crop
from haetae.media.frames import read_frames
from haetae.quality.fakes import picture_quality

CROPS, CROP_PX = 24, 128
LEARNED_SHARE = 0.7
GAP_FRAMES, CLIP_FRAMES, MAX_FRAMES = 5, 12, 75
SHEET_PX, HEIGHT_PX = 160, 480


@dataclass(frozen=True)
class Person:
    """One film: crops to learn from, and a clip that comes later in it."""

    name: str
    crops: NDArray[np.uint8]
    meshes: NDArray[np.float32]
    frame: NDArray[np.int64]
    later: ClipView


def main() -> None:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    effort = float(os.environ.get("HAETAE_BENCH_EFFORT", "0.2"))
    people = [found for path in _films() if (found := _person(path)) is not None]
    if len(people) < 2:
        sys.exit("two films with a face in every frame are needed")
    faces = face_set(people)
    print(f"{len(people)} people, {len(faces.crops)} crops, effort {effort:g}, on {device}")
    started, used = time.perf_counter(), time.process_time()
    generator = SimSwap()
    learned = generator.learn(faces, Lesson(seed=1, effort=effort, device=device))
    print(
        f"  learned in {time.perf_counter() - started:.0f} s ({time.process_time() - used:.0f} s of processor),"
        f" {len(learned.weights) / 2**20:.1f} MiB"
    )
    _tell_losses(learned.curve)
    print("  held-back crops of the same people:")
    for name, value in learned.metrics.items():
        print(f"    {name} {value:.3f}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simswap.safetensors"
        path.write_bytes(learned.weights)
        generator.use(path)
        generator.load(device)
        _later_clips(generator, people, faces, device)


def face_set(people: Sequence[Person]) -> FaceSet:
    """The crops of all people, as the pipeline gathers them: one track for each."""
    counts = [len(one.crops) for one in people]
    who = np.repeat(np.arange(len(people)), counts).astype(np.int64)
    return FaceSet(
        np.concatenate([one.crops for one in people]),
        np.concatenate([one.meshes for one in people]),
        who,
        who,
        np.concatenate([one.frame for one in people]),
    )


def _films() -> list[Path]:
    given = os.environ.get("HAETAE_DEV_MEDIA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "media" / "dev"
    try:
        with (folder / "SOURCES.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        sys.exit(f"no SOURCES.csv in {folder}; set HAETAE_DEV_MEDIA to the folder of the media")
    return [
        folder / row["file"]
        for row in rows
        if row["kind"] == "video" and row["label"] == "real" and "_multi_" not in row["file"]
    ]


def _person(path: Path) -> Person | None:
    """Crops from the first part of a film and a clip from the last; None for one that is too short."""
    frames = _smaller(read_frames(path, last=MAX_FRAMES - 1))
    mesh, found = MeshTracker().track(frames)
    split = int(len(frames) * LEARNED_SHARE)
    seen = np.flatnonzero(found[:split])
    later = slice(split + GAP_FRAMES, split + GAP_FRAMES + CLIP_FRAMES)
    if len(seen) < CROPS or not found[later].all() or len(frames[later]) < 10:
        return None
    at = seen[np.linspace(0, len(seen) - 1, CROPS).round().astype(int)]
    cuts = [align_crop(frames[t], mesh[t], CROP_PX) for t in at]
    meshes = [
        mesh[t, :, :2] @ matrix[:, :2].T + matrix[:, 2] for t, (_, matrix) in zip(at, cuts, strict=True)
    ]
    face = Face(f"track-{path.stem}", 0, mesh[later].copy(), found[later].copy())
    clip = ClipView(path.stem, "other", frames[later].copy(), None, (face,))
    crops = np.stack([crop for crop, _ in cuts])
    return Person(path.stem, crops, np.stack(meshes).astype(np.float32), at.astype(np.int64), clip)


def _smaller(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At most 480 px on the shorter side, which is what the networks here can use."""
    scale = HEIGHT_PX / min(frames.shape[1:3])
    if scale >= 1:
        return frames
    size = round(frames.shape[2] * scale), round(frames.shape[1] * scale)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def _tell_losses(curve: Sequence[Mapping[str, float]]) -> None:
    """Each loss in the first and the last tenth of the stretch in which it was noted."""
    names = dict.fromkeys(name for point in curve for name in point if name != "step")
    for name in names:
        values = [point[name] for point in curve if name in point]
        n = max(1, len(values) // 10)
        print(f"    loss {name}: {np.mean(values[:n]):.3f} -> {np.mean(values[-n:]):.3f}")


def _later_clips(generator: SimSwap, people: Sequence[Person], faces: FaceSet, device: str) -> None:
    from generators.face_swap.simswap.evidence import Judge

    judge = Judge.taught(faces, device, seed=99)
    rows, strips, seconds, n_frames = [], [], 0.0, 0
    for k, target in enumerate(people):
        donor = (k + 1) % len(people)
        request = FakeRequest(target.later, 1, "other", donor=people[donor].later)
        started = time.process_time()
        try:
            result = generator.generate(request)
        except Rejected as refusal:
            print(f"    {target.name} with {people[donor].name}: refused, {refusal.reason}")
            continue
        seconds, n_frames = seconds + time.process_time() - started, n_frames + CLIP_FRAMES
        before, after = (judge.likeness(follow(clip)) for clip in (target.later, shown(target.later, result)))
        rows.append(
            {
                "cosine to the donor, untouched": before[donor],
                "cosine to the donor, swapped": after[donor],
                "cosine to the target, untouched": before[k],
                "cosine to the target, swapped": after[k],
                "flicker added": _flicker(target.later, result),
                "face found again": _found_again(result),
            }
        )
        strips.append(_strip(target.later, people[donor].later, result))
    if not rows:
        sys.exit("every clip was refused: teach for longer")
    _tell_clips(rows)
    print(f"    {n_frames / seconds:.1f} frames/s of processor, pasting included")
    if sheet := os.environ.get("HAETAE_BENCH_SHEET"):
        cv2.imwrite(sheet, cv2.cvtColor(np.concatenate(strips), cv2.COLOR_RGB2BGR))
        print(f"    swaps: {sheet} (target, donor, four frames of the fake)")


def _tell_clips(rows: Sequence[Mapping[str, float]]) -> None:
    table = np.array([list(row.values()) for row in rows])
    print(f"  clips of up to {CLIP_FRAMES} frames from later in the films, {len(rows)} pairs of people:")
    for name, values in zip(rows[0], table.T, strict=True):
        print(f"    {name}: mean {values.mean():.3f}, {values.min():.3f} to {values.max():.3f}")
    closer, farther = table[:, 1] > table[:, 0], table[:, 3] < table[:, 2]
    print(f"    nearer to the donor: {closer.sum()}, farther from the target: {farther.sum()} of {len(rows)}")


def shown(clip: ClipView, result: FakeResult) -> ClipView:
    """The fake as a clip, with the target's mesh."""
    return replace(clip, frames=result.frames)


def _flicker(clip: ClipView, result: FakeResult) -> float:
    assert clip.frames is not None
    assert result.frames is not None
    assert result.masks is not None
    return picture_quality(clip.frames, result.frames, result.masks).flicker or 0.0


def _found_again(result: FakeResult) -> float:
    assert result.frames is not None
    return float(MeshTracker().track(result.frames)[1].mean())


def _strip(target: ClipView, donor: ClipView, result: FakeResult) -> NDArray[np.uint8]:
    """Target, donor, and four frames of the fake: uint8 [S, 6 S, 3]."""
    was, lent, became = follow(target), follow(donor, "donor"), follow(shown(target, result))
    at = np.linspace(0, len(was.frames) - 1, 4).round().astype(int)
    first = [cut(was, 0, SHEET_PX).crop, cut(lent, 0, SHEET_PX).crop]
    return np.concatenate([*first, *(cut(became, int(t), SHEET_PX).crop for t in at)], axis=1)
