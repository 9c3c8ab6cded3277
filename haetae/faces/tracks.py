"""The `tracks` stage: every face of a clip, followed from its first to its last frame, with its mesh file.

How a face is found (`detect`), meshed (`mesh`) and measured (`regions`) lives next door; which tracks are
good enough to make fakes of is decided later, by a query on the columns written here.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.engine import Row
from haetae.errors import Rejected
from haetae.faces import regions
from haetae.faces.embed import MAX_CROPS, FaceEmbedder, check_weights, face_crop
from haetae.faces.follow import Follower, Track
from haetae.faces.warp import align_crop
from haetae.media.frames import displayed_rgb
from haetae.media.opening import open_media, orientation, pixel_aspect, video_stream
from haetae.provenance.ids import content_id

MESH_STEP_PX = 1 / 64
"""Meshes are kept to this fraction of a pixel: far below their noise, and the files pack twice as well."""
BLUR_CROP_PX = 128
DOMINANT_RATIO = 1.5
_MAX_MESH_BYTES = 1 << 28
_STAMP = (1980, 1, 1, 0, 0, 0)


@dataclass
class FollowFaces:
    """Step: a clip row → its rows of the `tracks` table, largest face first; meshes go to the lake as blobs.

        A clip without pictures has no tracks. A clip with pictures in which no face is followed for at least
        `min_track_s` is refused: Rejected("no_face"); the clip itself stays in its table, faceless.

        `detections_per_s`: how often the whole frame is searched, 1/s. `min_face_px`: smallest face searched for.
    `min_track_s`: shortest track kept; in a picture, a clip of one frame, every face is kept. `max_gap_s`:
    longest loss that a track survives. `min_found_fraction`: least share of its frames with a mesh.
    `max_faces`: faces followed at once, the largest. `embedding_weights`, `embedding_sha256`: file of a face
    recogniser (`embed.FaceEmbedder`) and its hash, both or neither; without them no track has an embedding.

    Raises: UsageError, when it is made, for weights that are missing or are not those of the hash.
    """

    lake_root: str
    detections_per_s: float = 2.5
    min_face_px: int = 40
    min_track_s: float = 0.6
    max_gap_s: float = 0.5
    min_found_fraction: float = 0.5
    max_faces: int = 8
    embedding_weights: str | None = None
    embedding_sha256: str | None = None
    timeout_s: float = 600.0
    stage: ClassVar[str] = "tracks"
    key: ClassVar[str] = "clip_id"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0
    _follower: Follower | None = field(init=False, default=None, repr=False, compare=False)
    _embedder: FaceEmbedder | None = field(init=False, default=None, repr=False, compare=False)
    _lake: Any = field(init=False, default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_weights(self.embedding_weights, self.embedding_sha256)

    def setup(self) -> None:
        """Load the detector; the meshes' models load as faces appear and stay."""
        import torch

        from haetae.lake import Lake

        torch.set_num_threads(1)
        self._lake = Lake(self.lake_root)
        self._follower = Follower(min_face_px=self.min_face_px, max_faces=self.max_faces)
        self._follower.load()
        if self.embedding_weights is not None and self.embedding_sha256 is not None:
            self._embedder = FaceEmbedder(self.embedding_weights, self.embedding_sha256)
            self._embedder.load()

    def __call__(self, row: Row) -> Sequence[Row]:
        """Follow the faces of one clip. Raises: Rejected("no_face"), and what reading the clip raises."""
        if not row["has_video"]:
            return []
        if self._follower is None:
            self.setup()
        assert self._follower is not None
        fps = float(row["fps"] or 25.0)
        frames = _quick_frames(self._lake.open_local(row["blob_id"]))
        tracks = self._follower.follow(
            frames,
            every=max(1, round(fps / self.detections_per_s)),
            max_gap=max(1, int(self.max_gap_s * fps)),
            measure=partial(_measured, with_crop=self._embedder is not None),
        )
        is_picture = row.get("kind") == "image" or row.get("n_frames") == 1
        kept = [t for t in tracks if is_picture or self._is_kept(t, fps)]
        if not kept:
            raise Rejected("no_face", self._why_none(tracks))
        kept.sort(key=lambda t: (-_size_px(t), t.first_frame, float(t.boxes[0, 0])))
        identities = name_tracks(row.get("identities") or [], [t.boxes for t in kept])
        return [self._row(row, index, kept[index], identities[index]) for index in range(len(kept))]

    def _is_kept(self, track: Track, fps: float) -> bool:
        long_enough = len(track.mesh) >= self.min_track_s * fps
        return long_enough and float(track.found.mean()) >= self.min_found_fraction

    def _why_none(self, tracks: list[Track]) -> str:
        if not tracks:
            return f"no face of at least {self.min_face_px} px was found in any searched frame"
        longest = max(len(t.mesh) for t in tracks)
        return f"{len(tracks)} faces, but none for {self.min_track_s:g} s; the longest for {longest} frames"

    def _row(self, clip: Row, index: int, track: Track, identity: str | None) -> Row:
        mesh = quantised(track.mesh)
        boxes = regions.face_box(mesh)
        seen = mesh[track.found]
        yaw, pitch, roll = regions.head_pose(seen)
        still, wide = np.percentile(regions.mouth_openness(seen), [5, 95])
        first_box = [round(float(v)) for v in boxes[0]]
        return {
            "track_id": content_id("track", clip["clip_id"], track.first_frame, first_box),
            "clip_id": clip["clip_id"],
            "batch": clip["batch"],
            "index": index,
            "first_frame": track.first_frame,
            "last_frame": track.first_frame + len(mesh) - 1,
            "boxes": [[float(v) for v in box] for box in boxes],
            "mesh_blob": self._lake.put_blob(mesh_bytes(mesh, track.found), "npz"),
            "identity": identity,
            "size_px": float(np.median(boxes[:, 3] - boxes[:, 1])),
            "found_fraction": float(track.found.mean()),
            "yaw_deg": float(np.median(yaw)),
            "pitch_deg": float(np.median(pitch)),
            "roll_deg": float(np.median(roll)),
            "mouth_open": float(wide),
            "mouth_travel": float(wide - still),
            "blur": float(np.median([m.blur for m in track.measures])),
            "exposure": float(np.median([m.exposure for m in track.measures])),
            "points": [[float(v) for v in five.ravel()] for five in regions.five_points(mesh)],
            "embedding": self._embedding(track),
        }

    def _embedding(self, track: Track) -> list[float] | None:
        """Of the best few of the measured frames; None without weights."""
        if self._embedder is None:
            return None
        best = sorted(track.measures, key=lambda m: -m.quality)[:MAX_CROPS]
        return [float(v) for v in self._embedder.embed([m.crop for m in best])]


def name_tracks(identities: Sequence[str], boxes: Sequence[NDArray[np.float32]]) -> list[str | None]:
    """Which declared person each track shows; None where the declaration does not say.

    identities: as declared for the clip; boxes: per track float32 [T, 4] xyxy px.
    One declared person: the only face, or else the dominant one (half as large again as every other).
    As many people as tracks: the declared order is the order from left to right (of the median box
    centres). Anything else is not guessed at.
    """
    none: list[str | None] = [None] * len(boxes)
    if not boxes or not identities:
        return none
    if len(identities) == len(boxes):
        centres = [float(np.median(b[:, 0] + b[:, 2])) for b in boxes]
        for person, k in zip(identities, np.argsort(centres, kind="stable"), strict=True):
            none[int(k)] = person
    elif len(identities) == 1:
        sizes = np.array([float(np.median(b[:, 3] - b[:, 1])) for b in boxes])
        largest = int(sizes.argmax())
        if (np.delete(sizes, largest) * DOMINANT_RATIO <= sizes[largest]).all():
            none[largest] = identities[0]
    return none


def quantised(mesh: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mesh rounded to 1/64 px, as it is stored."""
    return np.asarray(np.round(mesh / MESH_STEP_PX) * MESH_STEP_PX, np.float32)


def mesh_bytes(mesh: NDArray[np.float32], found: NDArray[np.bool_]) -> bytes:
    """The content of mesh.npz: mesh float32 [T, 478, 3] px and found bool [T]; equal input, equal bytes."""
    if mesh.ndim != 3 or mesh.shape[1:] != (478, 3) or found.shape != mesh.shape[:1]:
        raise ValueError(f"not a mesh and its flags: shapes {mesh.shape} and {found.shape}")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in (("mesh", mesh.astype("<f4")), ("found", found.astype(np.bool_))):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _STAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # The archive's own level is not used for entries that are given as such. More than 1 packs 3 % better
            # and takes six times as long.
            archive.writestr(entry, content.getvalue(), compresslevel=1)
    return out.getvalue()


def save_mesh(path: Path, mesh: NDArray[np.float32], found: NDArray[np.bool_]) -> None:
    """Write mesh.npz to a path; see `mesh_bytes`."""
    path.write_bytes(mesh_bytes(mesh, found))


def load_mesh(path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read mesh.npz: mesh float32 [T, 478, 3] px and found bool [T].

    Raises: Rejected("bad_mesh") for anything else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_MESH_BYTES:
                raise Rejected("bad_mesh", f"{path.name}: more than {_MAX_MESH_BYTES} bytes unpacked")
        with np.load(path, allow_pickle=False) as file:
            mesh, found = file["mesh"], file["found"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise Rejected("bad_mesh", f"{path.name}: {error}") from error
    if mesh.ndim != 3 or mesh.shape[1:] != (478, 3) or found.shape != mesh.shape[:1]:
        raise Rejected("bad_mesh", f"{path.name}: shapes {mesh.shape} and {found.shape}")
    return mesh.astype(np.float32), found.astype(np.bool_)


def _size_px(track: Track) -> float:
    return float(np.median(track.boxes[:, 3] - track.boxes[:, 1]))


def _quick_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames of a clip, RGB, a level darker or so than they are: exact colours take as long as the mesh.

    Raises: Rejected `no_video`, `decode_failed`.
    """
    try:
        with open_media(path) as container:
            stream = video_stream(container)
            if stream is None:
                raise Rejected("no_video", f"{path.name} has no video stream")
            aspect, way = pixel_aspect(stream), None
            for frame in container.decode(stream):
                way = way or orientation(frame)
                yield displayed_rgb(frame, aspect, way, width=max(1, round(frame.width * aspect)))
    except av.error.FFmpegError as error:
        raise Rejected("decode_failed", f"{path.name}: {error.strerror}") from error


@dataclass(frozen=True, eq=False)
class _Measured:
    """What is measured on one frame of a track: see the columns `blur` and `exposure`.

    `quality` orders the frames of a track: large, sharp and frontal ones first. `crop`: for the recogniser.
    """

    blur: float
    exposure: float
    quality: float
    crop: NDArray[np.uint8] | None


def _measured(frame: NDArray[np.uint8], mesh: NDArray[np.float32], with_crop: bool) -> _Measured:
    """Blur: variance of the Laplacian of a face crop of fixed size, after Pech-Pacheco et al., ICPR 2000.

    Exposure: median luma (BT.601) of the face inside its outline, 0 to 1.
    """
    low = np.floor(mesh[: regions.N_SKIN, :2].min(0)).astype(int)
    high = np.ceil(mesh[: regions.N_SKIN, :2].max(0)).astype(int)
    # Only what is around the face: the crop is blurred before it is shrunk, which takes its time.
    pad = int(max(high - low)) // 2 + 8
    x, y = (low - pad).clip(0, None)
    near = frame[y : high[1] + pad, x : high[0] + pad]
    here = mesh - np.array([x, y, 0], np.float32)
    crop, matrix = align_crop(near, here, BLUR_CROP_PX, scale=1.0)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    outline = cv2.transform(here[None, regions.FACE_OVAL, :2].astype(np.float64), matrix)[0]
    inside = cv2.fillPoly(np.zeros_like(grey), [np.round(outline).astype(np.int32)], 1) > 0
    blur = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    yaw, pitch, _ = (abs(float(angle)) for angle in regions.head_pose(mesh))
    return _Measured(
        blur,
        float(np.median(grey[inside] if inside.any() else grey)) / 255,
        float(np.log1p(blur) + np.log(max(high - low)) - (yaw + pitch) / 30),
        face_crop(near, here) if with_crop else None,
    )
