"""The small diffusion models, taught on real faces and tried on people that they were not shown.

Media: the folder named by HAETAE_DEV_MEDIA, else the development media beside the repository, else the embedded sample.
The last third of the people make the clips for the fakes; nothing is learned from them. HAETAE_EFFORT (1) shortens the
lessons. Everything runs on one thread; on a GPU as well where there is one.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from generators.diffusion.face_diffusion import FaceDiffusion
from generators.diffusion.region_inpaint import RegionInpaint
from generators.learning import Material, face_set
from generators.protocol import ClipView, Face, FaceSet, FakeRequest, FakeResult, Lesson
from generators.verify import verify
from haetae.errors import Rejected
from haetae.media.frames import read_frames
from haetae.quality.fakes import picture_quality
from haetae.sample.render import render_sample

N_FRAMES, HEIGHT_PX = 100, 320
MAX_PEOPLE = 16
TRIED = 2
LOOKED_AT = 8
"""Frames of each fake in which a face is looked for."""
Learned = FaceDiffusion | RegionInpaint


def main() -> None:
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    effort = float(os.environ.get("HAETAE_EFFORT", "1"))
    with tempfile.TemporaryDirectory() as folder:
        clips = _clips(Path(folder))
        first_tried = len(clips) - max(1, len(clips) // 3)
        faces = face_set(clips[:first_tried], Material())
        tried = clips[first_tried:][:TRIED]
        print(
            f"{len(faces.crops)} crops of {first_tried} people; fakes of {len(tried)} others; effort {effort:g}"
        )
        for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
            for generator in (FaceDiffusion(), RegionInpaint()):
                _measure(generator, faces, tried, Lesson(1, effort, device), Path(folder))


def _measure(
    generator: Learned, faces: FaceSet, tried: Sequence[ClipView], lesson: Lesson, folder: Path
) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    learned = generator.learn(faces, lesson)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    path = folder / f"{generator.card.name}-{lesson.device}.safetensors"
    path.write_bytes(learned.weights)
    generator.use(path)
    generator.load(lesson.device)
    m = learned.metrics
    print(f"{generator.card.key} on {lesson.device}: lesson {wall:.0f} s ({cpu:.0f} s of processor)")
    print(
        f"  loss of faces held back {m['held_loss_before']:.4f} before, {m['held_loss_after']:.4f} after; face found in"
        f" {m['found_face']:.0%} of crops made anew ({m['found_face_before']:.0%} before)"
    )
    print(
        f"  distance to its input {m['distance_to_input']:.1f}, to the nearest crop learned from"
        f" {m['distance_to_nearest']:.1f} (input's own {m['distance_to_nearest_before']:.1f}); RMS of 255"
    )
    shared = [_fake(generator, clip) for clip in tried]
    apart = [_fake(generator, clip, shared_noise=False) for clip in tried]
    raw = [_fake(generator, clip, shared_noise=False, steady_frames=0.0) for clip in tried]
    seconds = statistics.median(one[1] for one in shared)
    found = statistics.mean(_found(result, clip) for (result, _), clip in zip(shared, tried, strict=True))
    print(
        f"  {60 / seconds:.1f} fakes of 4 s per minute per core ({seconds:.2f} s); face found in {found:.0%} of frames"
    )
    flickers = [_flicker(tried, results) for results in (shared, apart, raw)]
    print(
        f"  flicker: shared noise {flickers[0]:.2f}, a noise for each frame {flickers[1]:.2f}, and nothing smoothed"
        f" {flickers[2]:.2f}; luma of 255"
    )


def _fake(generator: Learned, clip: ClipView, **params: Any) -> tuple[FakeResult, float]:
    """A fake that keeps the contract, and the seconds of processor that it took."""
    request = FakeRequest(clip, 1, clip.language, params=params)
    began = time.process_time()
    result = generator.generate(request)
    took = time.process_time() - began
    verify(generator.card, request, result)
    return result, took


def _flicker(clips: Sequence[ClipView], results: Sequence[tuple[FakeResult, float]]) -> float:
    values = []
    for clip, (result, _) in zip(clips, results, strict=True):
        assert clip.frames is not None
        assert result.frames is not None
        assert result.masks is not None
        values.append(picture_quality(clip.frames, result.frames, result.masks).flicker or 0.0)
    return statistics.mean(values)


def _found(result: FakeResult, clip: ClipView) -> float:
    """Share of frames in which the detector finds a face where the target's is."""
    from haetae.faces.detect import FaceDetector
    from haetae.faces.regions import face_box, iou

    assert result.frames is not None
    detector, face = FaceDetector(), clip.faces[0]
    at = np.flatnonzero(face.found)[np.linspace(0, int(face.found.sum()) - 1, LOOKED_AT).astype(int)]
    hits = [
        any(iou(one.box, face_box(face.mesh[t])) > 0.4 for one in detector.detect_one(result.frames[t]))
        for t in at
    ]
    return float(np.mean(hits))


def _clips(folder: Path) -> list[ClipView]:
    """The first four seconds of each film with one followed face, 320 px high."""
    from generators.followed import follow
    from haetae.faces.mesh import MeshTracker

    clips = []
    for path in _films(folder)[:MAX_PEOPLE]:
        frames = read_frames(path, first=0, last=N_FRAMES - 1, max_frames=N_FRAMES + 1)
        width = round(frames.shape[2] * HEIGHT_PX / frames.shape[1] / 2) * 2
        small = [cv2.resize(one, (width, HEIGHT_PX), interpolation=cv2.INTER_AREA) for one in frames]
        mesh, found = MeshTracker().track(np.stack(small))
        clip = ClipView(path.stem, "other", np.stack(small), None, (Face(path.stem, 0, mesh, found),))
        try:
            follow(clip)
        except Rejected:
            continue
        clips.append(clip)
    return clips


def _films(folder: Path) -> list[Path]:
    given = os.environ.get("HAETAE_DEV_MEDIA")
    media = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "media" / "dev"
    films = sorted((media / "video").glob("real_lp_*.mp4"))
    if films:
        print(f"media: {len(films)} films of {media}")
        return films
    if given:
        sys.exit(
            f"no films in {media / 'video'}; set HAETAE_DEV_MEDIA to the folder of the media, or unset it"
        )
    print("media: the embedded sample")
    report = render_sample(folder / "sample")
    return [report.folder / file for file in report.files if not file.endswith("daniel__3.mp4")]
