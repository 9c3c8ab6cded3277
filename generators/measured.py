"""What is measured of every fake as it is made: its quality, and whether its face is still found.

The figures are told by `haetae.quality.fakes`; nothing is judged here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from generators.protocol import ClipView, Face, FakeRequest, FakeResult
from haetae.quality.fakes import (
    FakeQuality,
    Seen,
    likeness,
    picture_quality,
    sound_quality,
    sync_quality,
    together,
)

if TYPE_CHECKING:
    from haetae.faces.embed import FaceEmbedder
    from haetae.quality.intelligibility import Listener


@dataclass(frozen=True)
class Measured:
    """quality: columns of the `fakes` table. face_found_again: share of changed frames with a face in the target in
    which one is found there in the fake; None where no face was changed."""

    quality: FakeQuality
    face_found_again: float | None


@dataclass
class Measurer:
    """Measures fakes; keeps its models between them.

    recogniser: file and SHA-256 of the weights that tell people apart (see `haetae.faces.embed`), or None; listener:
    folder and SHA-256 of the weights that understand speech (see `haetae.quality.intelligibility`), or None.
    """

    recogniser: tuple[str, str] | None = None
    listener: tuple[str, str] | None = None
    _tracker: Any = field(init=False, default=None, repr=False, compare=False)
    _embedder: FaceEmbedder | None = field(init=False, default=None, repr=False, compare=False)
    _listener: Listener | None = field(init=False, default=None, repr=False, compare=False)

    def measure(self, request: FakeRequest, result: FakeResult) -> Measured:
        """Measure one fake against its target and donor. Raises: UsageError for weights that do not fit."""
        target = request.target
        face = next((f for f in target.faces if f.track_id == result.track_id), None)
        shown = self._followed(result, face) if face is not None and result.frames is not None else None
        parts = []
        if target.frames is not None and result.frames is not None and result.masks is not None:
            parts.append(picture_quality(target.frames, result.frames, result.masks))
        if shown is not None and face is not None:
            parts.append(self._likeness(request, result, face, shown))
        parts += _sync(target, result, face, shown)
        if target.audio is not None and result.audio is not None:
            spans = [(s.start_s, s.end_s) for s in result.segments if s.modality == "audio"]
            parts.append(sound_quality(target.audio, result.audio, spans))
        parts += self._understood(request, result)
        found_again = None if shown is None or face is None else _found_again(result, face, shown)
        return Measured(together(*parts), found_again)

    def _followed(self, result: FakeResult, face: Face) -> Seen:
        """The changed face, followed in the fake where it was in the target."""
        if self._tracker is None:
            from haetae.faces.mesh import MeshTracker

            self._tracker = MeshTracker()
        assert result.frames is not None
        frames = result.frames[_span(face)]
        boxes = np.concatenate([face.mesh[:, :, :2].min(axis=1), face.mesh[:, :, :2].max(axis=1)], axis=1)
        mesh, found = self._tracker.track(frames, boxes)
        return Seen(frames, mesh, found)

    def _likeness(self, request: FakeRequest, result: FakeResult, face: Face, shown: Seen) -> FakeQuality:
        """Compared where the picture was changed: a fake of one second in ten looks like its target elsewhere."""
        assert result.masks is not None
        changed = result.masks[_span(face)].any(axis=(1, 2))
        target = _seen(request.target, face)
        assert target is not None
        fake = Seen(shown.frames, shown.mesh, shown.found & changed)
        donor = request.donor
        lent = _seen(donor, donor.faces[0]) if donor is not None and donor.faces else None
        return likeness(target, fake, lent, self._recogniser())

    def _understood(self, request: FakeRequest, result: FakeResult) -> list[FakeQuality]:
        """How much of what a made voice says is understood."""
        if self.listener is None or result.audio is None or not result.text:
            return []
        from haetae.quality.intelligibility import Listener, intelligibility

        if self._listener is None:
            self._listener = Listener(*self.listener)
        heard = self._listener.hear(result.audio, request.language)
        return [FakeQuality(intelligibility=intelligibility(result.text, heard))]

    def _recogniser(self) -> FaceEmbedder | None:
        if self.recogniser is not None and self._embedder is None:
            from haetae.faces.embed import FaceEmbedder

            self._embedder = FaceEmbedder(*self.recogniser)
        return self._embedder


def _span(face: Face) -> slice:
    return slice(face.first_frame, face.first_frame + len(face.mesh))


def _seen(clip: ClipView, face: Face) -> Seen | None:
    return None if clip.frames is None else Seen(clip.frames[_span(face)], face.mesh, face.found)


def _sync(target: ClipView, result: FakeResult, face: Face | None, shown: Seen | None) -> list[FakeQuality]:
    """Of the changed face, or of the largest one of a clip whose sound alone was changed."""
    audio = target.audio if result.audio is None else result.audio
    face = face or (target.faces[0] if target.faces else None)
    if audio is None or face is None or (shown or _seen(target, face)) is None:
        return []
    seen = shown or _seen(target, face)
    assert seen is not None
    return [sync_quality(seen, face.first_frame, audio)]


def _found_again(result: FakeResult, face: Face, shown: Seen) -> float | None:
    assert result.masks is not None
    asked = face.found & result.masks[_span(face)].any(axis=(1, 2))
    return round(float(shown.found[asked].mean()), 6) if asked.any() else None
