"""The clips on which generators are tried: people of the embedded sample, filmed small, kept as arrays.

Real media are not needed: faces move, speak one of four languages and are followed as in the pipeline, and
when which word is said is known exactly. What is asked of a generator on them is told in `trials`.
"""

from __future__ import annotations

import atexit
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from generators.protocol import ClipView, Face, Word
from generators.segments import FPS, RATE_HZ
from haetae.engine import Engine, Failed, PoolEngine, Row

if TYPE_CHECKING:
    from generators.conformance.trials import Shown

CLIP_LANGUAGES = ("ko", "en-SG", "ms", "ta")
TWO_FACES = "daniel+priya"
CLIPS_VARIABLE = "HAETAE_CONFORMANCE_CLIPS"
"""Folder in which filmed clips are kept between processes; without it each process films its own."""


@dataclass(frozen=True)
class Size:
    """How much is filmed and asked.

    clip_s: length of a clip; height_px: of its frames; large_px: height of the one large picture;
    long_clips: whether one clip is tried several times as long; limit_s: longest time for one fake;
    effort: share of its usual steps that one that learns is taught for; two_processes: whether fakes are made
    again in a second process, and compared.
    """

    name: str
    clip_s: float
    height_px: int
    large_px: int
    long_clips: bool
    limit_s: float
    effort: float
    two_processes: bool = True


QUICK = Size("quick", 2.4, 192, 288, long_clips=False, limit_s=120.0, effort=0.02)
"""For the tests of a plug-in."""
FULL = Size("full", 4.0, 320, 720, long_clips=True, limit_s=900.0, effort=0.1)
"""For the command, and for figures that are reported."""


@dataclass(frozen=True)
class Filmed:
    """A clip that was filmed: where its arrays lie, and what a request is planned by; times in seconds."""

    name: str
    path: str
    language: str
    use_case: str
    duration_s: float
    speech: tuple[tuple[float, float], ...]
    words: tuple[str, ...] = ()


def talkers(languages: Sequence[str], n: int) -> list[str]:
    """Names of the first n people who speak these languages, one of each language in turn."""
    from haetae.sample.cast import cast

    by_language = [[look.identity for look in cast() if look.language == one] for one in languages]
    rounds = [
        people[k] for k in range(max(map(len, by_language))) for people in by_language if k < len(people)
    ]
    return rounds[:n]


def film(names: Sequence[str], size: Size, engine: Engine | None = None) -> dict[str, Filmed]:
    """The named clips, by name, in this order; those that were filmed before are taken as they are.

    engine: films them; None: a worker process of its own. Raises: RuntimeError when one cannot be filmed.
    """
    from haetae.sample.plan import EDITION

    folder = _folder() / f"edition{EDITION}-{size.clip_s:g}s-{size.height_px}px"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if not (folder / f"{name}.npz").exists()]
    if missing:
        own = engine is None
        engine = engine or PoolEngine(workers=min(2, len(missing)) if size.long_clips else 1)
        try:
            step = FilmClip(str(folder), size.clip_s, size.height_px)
            for result in engine.map_rows(step, [{"name": name} for name in missing]):
                if isinstance(result, Failed):
                    raise RuntimeError(f"the clip of {result.item_id} was not filmed: {result.detail}")
        finally:
            if own:
                engine.close()
    return {name: _filmed(name, folder / f"{name}.npz") for name in names}


@dataclass
class FilmClip:
    """Step: render one clip of the sample, follow its faces, keep both as arrays. Row: name of the clip."""

    stage: ClassVar[str] = "filming"
    key: ClassVar[str] = "name"
    num_cpus: ClassVar[float] = 1
    num_gpus: ClassVar[float] = 0

    folder: str
    clip_s: float
    height_px: int
    timeout_s: float = 300.0

    def setup(self) -> None:
        """The people are drawn from one portrait, which is prepared with the first of them."""

    def __call__(self, row: Row) -> Sequence[Row]:
        from haetae.media.audio import read_audio
        from haetae.media.frames import read_frames
        from haetae.sample.plan import plan
        from haetae.sample.render import RenderActor

        name = str(row["name"])
        (spec,) = [one for one in plan() if "+".join(one.identities) == name and one.kind in _KINDS]
        spec = replace(spec, kind="two_faces" if len(spec.identities) == 2 else "talk")
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            RenderActor(scratch, clip_s=self.clip_s, size_px=self.height_px)(spec.row())
            path = Path(scratch) / spec.file
            told = json.loads(path.with_suffix(".words.json").read_text(encoding="utf-8"))
            frames, audio = read_frames(path), read_audio(path)
            view = ClipView(
                clip_id=f"clip-{name}",
                language=spec.language,
                frames=frames,
                audio=audio,
                faces=_faces(name, frames, len(spec.identities)),
                speech=tuple((line["start_s"], line["end_s"]) for line in told["lines"]),
                words=tuple(Word(**word) for word in told["words"]),
            )
            kept = Path(scratch) / "clip.npz"
            save(kept, view, spec.use_case)
            os.replace(kept, Path(self.folder) / f"{name}.npz")
        return [{"name": name}]


_KINDS = ("talk", "two_shots", "two_faces")


def _faces(name: str, frames: NDArray[np.uint8], n: int) -> tuple[Face, ...]:
    """The faces of a clip, side by side, largest first; each is followed in its own part of the frame."""
    from haetae.faces.mesh import MeshTracker

    width = frames.shape[2] // n
    found = []
    for k in range(n):
        mesh, seen = MeshTracker().track(np.ascontiguousarray(frames[:, :, k * width : (k + 1) * width]))
        mesh[..., 0] += k * width
        found.append(Face(f"track-{name}-{k}", 0, mesh, seen))
    return tuple(sorted(found, key=lambda face: -float(np.nanmedian(np.ptp(face.mesh[:, :468, 1], axis=1)))))


def save(path: Path, view: ClipView, use_case: str) -> None:
    """Write a clip as arrays and one JSON text; nothing in it is pickled."""
    told = {
        "clip_id": view.clip_id,
        "language": view.language,
        "use_case": use_case,
        "faces": [{"track_id": face.track_id, "first_frame": face.first_frame} for face in view.faces],
        "speech": view.speech,
        "words": [asdict(word) for word in view.words],
    }
    arrays: dict[str, Any] = {"told": np.frombuffer(json.dumps(told).encode(), np.uint8)}
    arrays |= {"frames": view.frames, "audio": view.audio}
    for k, face in enumerate(view.faces):
        arrays |= {f"mesh{k}": face.mesh, f"found{k}": face.found}
    np.savez(path, **arrays)


def read(path: Path) -> ClipView:
    """The clip that `save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        told = json.loads(file["told"].tobytes())
        faces = tuple(
            Face(one["track_id"], one["first_frame"], file[f"mesh{k}"], file[f"found{k}"])
            for k, one in enumerate(told["faces"])
        )
        return ClipView(
            clip_id=told["clip_id"],
            language=told["language"],
            frames=file["frames"],
            audio=file["audio"],
            faces=faces,
            speech=tuple((start_s, end_s) for start_s, end_s in told["speech"]),
            words=tuple(Word(**word) for word in told["words"]),
        )


def _filmed(name: str, path: Path) -> Filmed:
    with np.load(path, allow_pickle=False) as file:
        told = json.loads(file["told"].tobytes())
        duration_s = file["audio"].size / RATE_HZ
    speech = tuple((start_s, end_s) for start_s, end_s in told["speech"])
    words = tuple(word["word"] for word in told["words"])
    return Filmed(name, str(path), told["language"], told["use_case"], duration_s, speech, words)


def as_shown(view: ClipView, how: Shown, language: str) -> ClipView:
    """The clip as a trial shows it; arrays are new, so that nobody's are changed."""
    if how.seconds is not None:
        view = _cut(view, round(how.seconds * FPS))
    if how.times > 1:
        view = _repeated(view, how.times)
    if how.height_px is not None:
        view = _scaled(view, how.height_px)
    frames = None if view.frames is None or "picture" in how.lacks else view.frames.copy()
    audio = None if view.audio is None or "sound" in how.lacks else view.audio.copy()
    if how.loud and audio is not None:
        audio /= np.float32(max(float(np.abs(audio).max()), 1e-6))
    faceless = frames is None or "face" in how.lacks
    mute = audio is None or "speech" in how.lacks
    return replace(
        view,
        language=language,
        frames=frames,
        audio=audio,
        faces=() if faceless else tuple(_seen(face, how.lacks) for face in view.faces),
        speech=() if mute else view.speech,
        words=() if mute or "words" in how.lacks else view.words,
    )


def _seen(face: Face, lacks: Sequence[str]) -> Face:
    mesh, found = face.mesh.copy(), face.found.copy()
    if "sight" in lacks or "half_sight" in lacks:
        lost = slice(0 if "sight" in lacks else len(mesh) // 2, None)
        mesh[lost], found[lost] = np.nan, False
    return replace(face, mesh=mesh, found=found)


def _cut(view: ClipView, n_frames: int) -> ClipView:
    end_s = n_frames / FPS
    return replace(
        view,
        frames=None if view.frames is None else view.frames[:n_frames],
        audio=None if view.audio is None else view.audio[: round(end_s * RATE_HZ)],
        faces=tuple(
            replace(face, mesh=face.mesh[:n_frames], found=face.found[:n_frames]) for face in view.faces
        ),
        speech=tuple((start_s, min(stop_s, end_s)) for start_s, stop_s in view.speech if start_s < end_s),
        words=tuple(word for word in view.words if word.end_s <= end_s),
    )


def _repeated(view: ClipView, times: int) -> ClipView:
    assert view.frames is not None
    assert view.audio is not None
    step_s = len(view.frames) / FPS
    audio = np.resize(view.audio, round(step_s * RATE_HZ))
    shifts = [k * step_s for k in range(times)]
    return replace(
        view,
        frames=np.concatenate([view.frames] * times),
        audio=np.tile(audio, times),
        faces=tuple(
            replace(face, mesh=np.concatenate([face.mesh] * times), found=np.tile(face.found, times))
            for face in view.faces
        ),
        speech=tuple((start_s + by_s, end_s + by_s) for by_s in shifts for start_s, end_s in view.speech),
        words=tuple(word.shifted(by_s) for by_s in shifts for word in view.words),
    )


def _scaled(view: ClipView, height_px: int) -> ClipView:
    import cv2

    assert view.frames is not None
    scale = height_px / view.frames.shape[1]
    width_px = round(view.frames.shape[2] * scale / 2) * 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    frames = np.stack([cv2.resize(frame, (width_px, height_px), interpolation=how) for frame in view.frames])
    faces = tuple(replace(face, mesh=face.mesh * np.float32(scale)) for face in view.faces)
    return replace(view, frames=frames, faces=faces)


@cache
def _folder() -> Path:
    given = os.environ.get(CLIPS_VARIABLE)
    if given:
        return Path(given)
    scratch = tempfile.TemporaryDirectory(prefix="haetae-conformance-")
    atexit.register(scratch.cleanup)
    return Path(scratch.name)
