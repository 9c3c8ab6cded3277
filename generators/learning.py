"""Teaching a generator that learns: gather faces of clips, let it learn, keep what it learned in the lake.

Which clips may be used is decided before; what is learned of them is the generator's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.crops import cut
from generators.followed import Followed, follow
from generators.make import view
from generators.plan import MIN_FOUND_FRACTION
from generators.protocol import Card, ClipView, FaceSet, Generator, Learned, Lesson, as_learner
from haetae.errors import Rejected
from haetae.lake import Lake
from haetae.provenance.ids import canonical_json, content_id, seed_of

Row = dict[str, Any]
Tell = Callable[[int, int, Mapping[str, float]], None]
_LEAST_PER_TRACK = 4


@dataclass(frozen=True)
class Material:
    """How many faces to learn from. crop_px: side of a crop; crops_per_track, max_crops: most of them;
    min_face_px: smallest face."""

    crop_px: int = 128
    crops_per_track: int = 24
    max_crops: int = 8000
    min_face_px: float = 64.0


@dataclass(frozen=True)
class Gathered:
    """Faces, the clips they are of, and the clips that could not be read, with the reason."""

    faces: FaceSet
    clips: tuple[str, ...]
    refused: tuple[tuple[str, Rejected], ...] = ()


def faces_of(
    lake: Lake, clips: Sequence[Row], material: Material, seed: int, tell: Callable[[int, int], None]
) -> Gathered:
    """Aligned faces of clips, evenly over their tracks.

    clips: rows of `clips`, each with "tracks"; tell: called with the clips read and all of them. Where there are more
    tracks than `max_crops` has room for, some are drawn by the seed; the order of the clips does not matter.
    """
    chosen, per_track = _chosen(clips, material, seed)
    people: dict[str, int] = {}
    parts: list[FaceSet] = []
    used: list[str] = []
    refused: list[tuple[str, Rejected]] = []
    for done, (clip, tracks) in enumerate(chosen):
        tell(done, len(chosen))
        before = len(parts)
        try:
            for track, face in _followed(lake, clip, tracks):
                person = people.setdefault(track["identity"] or track["track_id"], len(people))
                parts.append(_cut_evenly(face, per_track, material.crop_px, person, len(parts)))
        except Rejected as error:
            refused.append((clip["clip_id"], error))
        if len(parts) > before:
            used.append(clip["clip_id"])
    tell(len(chosen), len(chosen))
    return Gathered(_joined(parts, material.crop_px), tuple(used), tuple(refused))


def face_set(views: Sequence[ClipView], material: Material) -> FaceSet:
    """Aligned faces of decoded clips, one person each. Raises: Rejected as `follow`."""
    parts = [
        _cut_evenly(follow(view), material.crops_per_track, material.crop_px, n, n)
        for n, view in enumerate(views)
    ]
    return _joined(parts, material.crop_px)


def lesson_row(
    lake: Lake,
    card: Card,
    learned: Learned,
    faces: FaceSet,
    lesson: Lesson,
    *,
    clips: Sequence[str],
    licence: str,
    taught_with: str,
) -> Row:
    """Store what was learned, and describe it as a row of `lessons` (all but its times)."""
    blob = lake.put_blob(learned.weights, "safetensors")
    return {
        "lesson_id": content_id("lesson", card.key, blob),
        "generator": card.key,
        "weights_blob": blob,
        "taught_with": taught_with,
        "effort": lesson.effort,
        "seed": lesson.seed,
        "device": lesson.device,
        "n_faces": len(faces.crops),
        "n_people": len(set(faces.person.tolist())),
        "clips": sorted(clips),
        "licence": licence,
        "curve": canonical_json([dict(step) for step in learned.curve]),
        "metrics": canonical_json(dict(learned.metrics)),
    }


def teach(generator: Generator, faces: FaceSet, lesson: Lesson) -> Learned:
    """Let a generator learn. Raises: UsageError where it cannot, or faces are too few for it."""
    return as_learner(generator).learn(faces, lesson)


def _chosen(clips: Sequence[Row], material: Material, seed: int) -> tuple[list[tuple[Row, list[Row]]], int]:
    """Clips with the tracks to cut of them, in order of their ids, and how many crops each track gives."""
    usable = {
        track["track_id"]: (clip, track)
        for clip in clips
        for track in clip["tracks"]
        if track["size_px"] >= material.min_face_px and track["found_fraction"] >= MIN_FOUND_FRACTION
    }
    room = max(1, material.max_crops // _LEAST_PER_TRACK)
    drawn = sorted(usable, key=lambda track_id: seed_of("lesson", seed, track_id))[:room]
    per_track = min(material.crops_per_track, max(_LEAST_PER_TRACK, material.max_crops // max(1, len(drawn))))
    of_clip: dict[str, tuple[Row, list[Row]]] = {}
    for clip, track in (usable[track_id] for track_id in sorted(drawn)):
        of_clip.setdefault(clip["clip_id"], (clip, []))[1].append(track)
    return [of_clip[clip_id] for clip_id in sorted(of_clip)], per_track


def _followed(lake: Lake, clip: Row, tracks: Sequence[Row]) -> Iterator[tuple[Row, Followed]]:
    """Each track with its face; one that cannot be followed is left out. Raises: Rejected for an unreadable clip."""
    seen = view(lake, clip, tracks, ())
    for track, face in zip(sorted(tracks, key=lambda one: one["index"]), seen.faces, strict=True):
        try:
            yield track, follow(replace(seen, faces=(face,)))
        except Rejected:
            continue


def _cut_evenly(face: Followed, n: int, size_px: int, person: int, track: int) -> FaceSet:
    usable = np.flatnonzero(face.usable)
    at = usable[np.unique(np.linspace(0, len(usable) - 1, min(n, len(usable))).round().astype(int))]
    cuts = [cut(face, int(t), size_px) for t in at]
    return FaceSet(
        crops=np.stack([one.crop for one in cuts]),
        meshes=np.stack([one.mesh for one in cuts]),
        person=np.full(len(at), person, np.int64),
        track=np.full(len(at), track, np.int64),
        frame=at.astype(np.int64),
    )


def _joined(parts: Sequence[FaceSet], size_px: int) -> FaceSet:
    def together(name: str, empty: NDArray[Any]) -> Any:
        return np.concatenate([empty, *(getattr(part, name) for part in parts)])

    none = np.zeros(0, np.int64)
    return FaceSet(
        crops=together("crops", np.zeros((0, size_px, size_px, 3), np.uint8)),
        meshes=together("meshes", np.zeros((0, 478, 2), np.float32)),
        person=together("person", none),
        track=together("track", none),
        frame=together("frame", none),
    )
