"""From a sample's media to prepared items: even crops of each face, log-mel, mouth and envelope, labels.

What an item is, and its bytes, is in `items`; packing into shards in `shards`. A file without labels
goes through the same `make_items`, so that what is detected is cut like what was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.dataset.items import FPS, GRID, Item, Segments, encode_crop, in_segments
from haetae.dataset.shards import pack
from haetae.errors import Rejected
from haetae.lake import Lake
from haetae.media.encode import write_video

Row = dict[str, Any]
Frames = NDArray[np.uint8]
RATE_HZ = 16_000
HEARD = 0.05
"""A speech envelope that stays below this (about -52 dBFS) has nothing that a mouth could agree with."""


@dataclass(frozen=True)
class Face:
    """One followed face: mesh float32 [T, 478, 3] px (NaN rows where lost) and boxes float32 [T, 4] xyxy px,
    for the frames from `first_frame` on."""

    track_id: str
    first_frame: int
    mesh: NDArray[np.float32]
    boxes: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class Recipe:
    """How items are cut; what changes the bytes of a snapshot."""

    n_frames: int = 16
    crop_px: int = 128
    crop_scale: float = 1.3


@dataclass(frozen=True)
class Truth:
    """What is known of one modality of one face or sound.

    segments: seconds; None where the changed stretches are unknown. boxes: per frame, px; None as above.
    """

    verdict: str | None
    segments: Segments | None = None
    boxes: Mapping[int, Sequence[float]] | None = None


UNKNOWN = Truth("unknown")


@dataclass
class PrepareSample:
    """samples row with `tracks` and `labels` → one row {sample_id, features_blob, n_items}.

    The row is a row of the samples table plus `tracks`: the tracks rows of its clip (for a fake: of the
    target clip), and `labels`: its labels rows that hold (one for each modality and face).
    The features blob is a tar of items: `<sample_id>.0` is the changed or largest face with the
    sound; every other face makes an item without sound.
    """

    lake_root: str
    n_frames: int = 16
    crop_px: int = 128
    crop_scale: float = 1.3
    crf: int = 18
    timeout_s: float = 300.0
    stage: ClassVar[str] = "snapshot"
    key: ClassVar[str] = "sample_id"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0
    _lake: Any = field(init=False, default=None, repr=False, compare=False)
    _mesher: Any = field(init=False, default=None, repr=False, compare=False)

    def setup(self) -> None:
        from haetae.faces.mesh import MeshTracker

        cv2.setNumThreads(1)
        self._lake = Lake(self.lake_root)
        self._mesher = MeshTracker()

    def __call__(self, row: Row) -> list[Row]:
        """Raises: Rejected `nothing_to_learn` for a sample with neither a face nor sound."""
        path = self._lake.open_local(row["blob_id"])
        frames, audio = read_media(path, row["modality"])
        faces = [] if frames is None else [self._face(track) for track in row["tracks"]]
        if row["kind"] == "clip":
            frames, audio = self._encoded_again(frames, audio)
        truths = truths_of(row["labels"])
        changed = {t for (m, t), truth in truths.items() if m == "video" and t and truth.verdict == "fake"}
        faces = [f for f in faces if f.track_id in changed] + [f for f in faces if f.track_id not in changed]
        if frames is not None:
            faces = [measured_again(self._mesher, frames, face) for face in faces]
        recipe = Recipe(self.n_frames, self.crop_px, self.crop_scale)
        items = make_items(row["sample_id"], row["split"], frames, audio, faces, truths, recipe)
        blob = self._lake.put_blob(pack(items), "tar")
        return [{"sample_id": row["sample_id"], "features_blob": blob, "n_items": len(items)}]

    def _face(self, track: Mapping[str, Any]) -> Face:
        from haetae.faces.tracks import load_mesh

        mesh, _ = load_mesh(self._lake.open_local(track["mesh_blob"]))
        boxes = np.asarray(track["boxes"], dtype=np.float32).reshape(-1, 4)
        return Face(track["track_id"], int(track["first_frame"]), mesh, boxes)

    def _encoded_again(
        self, frames: Frames | None, audio: NDArray[np.float32] | None
    ) -> tuple[Frames | None, NDArray[np.float32] | None]:
        """An untouched clip after one more encoding, as every fake has had one: that tells nothing any more."""
        if frames is None:
            return frames, audio
        with self._lake.tmp_dir() as folder:
            path = folder / "again.mp4"
            write_video(path, frames, audio, fps=FPS, crf=self.crf)
            return read_media(path, "video" if audio is None else "av")


def measured_again(mesher: Any, frames: Frames, face: Face) -> Face:
    """The face with its mesh measured on these very frames, by one pass of the tracker (`faces.mesh.MeshTracker`).

    A generator may move the mouth, so what a face does must be measured on the fake itself; and untouched
    faces must be measured in the same way, or the way of measuring would tell them apart.
    """
    last = min(len(frames), face.first_frame + len(face))
    boxes = face.boxes[: last - face.first_frame]
    mesh, found = mesher.track(frames[face.first_frame : last], boxes)
    mesh = np.where(found[:, None, None], mesh, face.mesh[: len(mesh)])
    return Face(face.track_id, face.first_frame, mesh, boxes)


def streams_of(clip: Mapping[str, Any]) -> str:
    """What a clip has, as `read_media` and the `modality` column of samples want it: av | video | audio."""
    if not clip["has_video"]:
        return "audio"
    return "av" if clip["has_audio"] else "video"


def read_media(path: Path, modality: str) -> tuple[Frames | None, NDArray[np.float32] | None]:
    """Frames (uint8 [T, H, W, 3] RGB) and sound (float32 [N], 16 kHz) of a clip; modality: av | video | audio.

    Raises: Rejected, as the readers do.
    """
    from haetae.media.audio import read_audio
    from haetae.media.frames import read_frames

    frames = read_frames(path) if modality in ("av", "video") else None
    audio = read_audio(path) if modality in ("av", "audio") else None
    return frames, audio


def make_items(
    sample_id: str,
    split: str,
    frames: Frames | None,
    audio: NDArray[np.float32] | None,
    faces: Sequence[Face],
    truths: Mapping[tuple[str, str | None], Truth],
    recipe: Recipe,
) -> list[Item]:
    """The items of one file. faces: the main one first; truths: as `truths_of`, empty where nothing is known.

    Raises: Rejected `nothing_to_learn` where there is neither a face nor sound.
    """
    faces = [face for face in faces if frames is not None and len(face) and face.first_frame < len(frames)]
    heard = audio is not None and len(audio) >= RATE_HZ // 5
    if not faces and not heard:
        raise Rejected("nothing_to_learn", "no followed face and no sound")
    items = []
    for index, face in enumerate(faces or [None]):
        fields: dict[str, Any] = {"item_id": f"{sample_id}.{index}", "sample_id": sample_id, "split": split}
        verdicts: dict[str, str | None] = {"video": None, "audio": None, "sync": None}
        if frames is not None and face is not None:
            truth = truths.get(("video", face.track_id), truths.get(("video", None), UNKNOWN))
            fields |= _pictures(frames, face, truth, recipe)
            verdicts["video"] = truth.verdict
        if audio is not None and heard and index == 0:
            truth = truths.get(("audio", None), UNKNOWN)
            fields |= _sound(audio, truth)
            verdicts["audio"] = truth.verdict
            if face is not None:
                truth = truths.get(("sync", face.track_id), truths.get(("sync", None), UNKNOWN))
                moved = _movement(audio, face, truth)
                fields |= moved
                verdicts["sync"] = truth.verdict if moved else None
        items.append(Item(verdicts=verdicts, **fields))
    return items


def truths_of(labels: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str | None], Truth]:
    """What labels rows say, by modality and track (None: the whole modality).

    A fake without segments was changed at times that nobody knows; the same holds for boxes.
    """
    truths = {}
    for label in labels:
        verdict = label["verdict"]
        segments: Segments | None = ()
        boxes: dict[int, Sequence[float]] | None = {}
        if verdict != "real":
            segments = (
                tuple((float(s["start_s"]), float(s["end_s"])) for s in label["segments"] or ()) or None
            )
            boxes = _boxes_by_frame(label) or None
        truths[label["modality"], label["track_id"]] = Truth(verdict, segments, boxes)
    return truths


def even_frames(first: int, n: int, wanted: int) -> NDArray[np.intp]:
    """`wanted` frame numbers spread evenly over the n frames from `first`, both ends included."""
    return np.round(np.linspace(first, first + n - 1, wanted)).astype(np.intp)


def _boxes_by_frame(label: Mapping[str, Any]) -> dict[int, Sequence[float]]:
    found: dict[int, Sequence[float]] = {}
    for region in label["boxes"] or ():
        if label["track_id"] is None or region["track_id"] in (None, label["track_id"]):
            found |= {
                region["first_frame"] + i: box for i, box in enumerate(region["boxes"]) if len(box) == 4
            }
    return found


def _pictures(frames: Frames, face: Face, truth: Truth, recipe: Recipe) -> Row:
    n = min(len(face), len(frames) - face.first_frame)
    index = even_frames(face.first_frame, n, recipe.n_frames)
    crops, maps = [], []
    for t in index:
        crop, to_crop = _crop(frames[t], face, int(t) - face.first_frame, recipe)
        crops.append(encode_crop(crop))
        maps.append(to_crop)
    to_crops = np.stack(maps)
    flags = None
    if truth.verdict in ("real", "fake") and truth.segments is not None:
        # A frame stands for the stretch that it is shown.
        flags = tuple(in_segments((index + 0.5) / FPS, truth.segments).tolist())
    return {
        "track_id": face.track_id,
        "first_frame": face.first_frame,
        "n_clip_frames": len(frames),
        "frame_index": tuple(index.tolist()),
        "frames": tuple(crops),
        "to_crop": to_crops,
        "frame_fake": flags,
        "regions": _regions(index, to_crops, truth, flags, recipe.crop_px),
    }


def _crop(frame: Frames, face: Face, t: int, recipe: Recipe) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    from haetae.faces.warp import align_crop

    mesh = face.mesh[t] if t < len(face.mesh) else None
    if mesh is not None and np.isfinite(mesh).all():
        return align_crop(frame, mesh, recipe.crop_px, recipe.crop_scale)
    x1, y1, x2, y2 = (float(v) for v in face.boxes[t])
    factor = recipe.crop_px / (max(x2 - x1, y2 - y1, 1.0) * recipe.crop_scale)
    middle = (recipe.crop_px - 1) / 2
    to_crop = np.array(
        [[factor, 0, middle - factor * (x1 + x2) / 2], [0, factor, middle - factor * (y1 + y2) / 2]]
    )
    source = frame if factor > 0.67 else cv2.GaussianBlur(frame, (0, 0), 0.4 / factor)
    size = (recipe.crop_px, recipe.crop_px)
    crop = cv2.warpAffine(source, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, dtype=np.uint8), to_crop


def _regions(
    index: NDArray[np.intp],
    to_crop: NDArray[np.float64],
    truth: Truth,
    flags: Sequence[bool] | None,
    crop_px: int,
) -> NDArray[np.uint8] | None:
    """Changed boxes on the grid of each crop: uint8 [n, GRID, GRID]; None where they are unknown."""
    if truth.verdict not in ("real", "fake") or truth.boxes is None or flags is None:
        return None
    grids = np.zeros((len(index), GRID, GRID), dtype=np.uint8)
    for i, (t, matrix) in enumerate(zip(index.tolist(), to_crop, strict=True)):
        box = truth.boxes.get(t)
        if not flags[i] or box is None:
            continue
        x1, y1, x2, y2 = box
        corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=np.float64)
        polygon = corners @ matrix[:, :2].T + matrix[:, 2]
        canvas = np.zeros((crop_px, crop_px), dtype=np.uint8)
        cv2.fillConvexPoly(canvas, np.round(polygon).astype(np.int32), 255)
        grids[i] = cv2.resize(canvas, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return grids


def _sound(audio: NDArray[np.float32], truth: Truth) -> Row:
    from haetae.voice.features import HOP, log_mel

    mel = np.asarray(log_mel(audio), dtype=np.float32)
    return {
        "mel": mel.astype(np.float16),
        "mel_step_s": HOP / RATE_HZ,
        "audio_segments": truth.segments if truth.verdict in ("real", "fake") else None,
    }


def _movement(audio: NDArray[np.float32], face: Face, truth: Truth) -> Row:
    """Mouth opening and speech envelope over the frames of the face; nothing where the mouth was hardly seen."""
    from haetae.faces.regions import mouth_openness
    from haetae.voice.envelope import speech_envelope

    seen = np.asarray(np.isfinite(face.mesh).all(axis=(1, 2)), dtype=np.bool_).reshape(-1)
    if seen.sum() < max(FPS, len(seen) // 2):
        return {}
    measured = np.asarray(mouth_openness(face.mesh[seen]), dtype=np.float32)
    at = np.arange(len(seen))
    mouth = np.interp(at, at[seen], measured).astype(np.float32)
    envelope = np.asarray(speech_envelope(audio, fps=FPS), dtype=np.float32)[face.first_frame :]
    n = min(len(mouth), len(envelope))
    if n < FPS or float(envelope[:n].max()) < HEARD:
        return {}
    return {
        "mouth": mouth[:n],
        "envelope": envelope[:n],
        "sync_segments": truth.segments if truth.verdict in ("real", "fake") else None,
    }
