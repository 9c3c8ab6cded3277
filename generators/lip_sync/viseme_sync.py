"""`viseme_sync`: the mouth of the target speaks a sentence that its sound track does not say.

The curves come from `visemes`, the pixels from `mouth`; making the sound fit as well is `dubbed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.followed import Followed, follow, shifted, smoothed_in_time, window
from generators.lip_sync.mouth import (
    Inside,
    axes,
    collared_triangles,
    find_inside,
    moved_mask,
    painted_inside,
    reshaped,
    rest_share,
    with_collar,
)
from generators.lip_sync.timing import EASE_FRAMES, eased, frames_within, spoken, starts_at
from generators.lip_sync.visemes import VisemeTrack, viseme_track
from generators.protocol import Card, ClipView, FakeRequest, FakeResult, Segment, settings
from generators.segments import FPS, changed_frames, video_segments
from haetae.errors import Rejected
from haetae.voice.espeak import Phoneme

Image = NDArray[np.uint8]


class VisemeSync:
    """Lip re-animation by visemes and mesh warping; no weights."""

    card = Card(
        name="viseme_sync",
        version="1",
        family="lip_sync",
        modalities=("video",),
        languages=("ko", "en-SG", "ms", "ta"),
        needs=("face", "sentence"),
        params={"rate_wpm": 150, "strength": 1.0},
        description=(
            "Moves lips and jaw of the target through the visemes of a new sentence, with coarticulation, and"
            " fills the opened mouth from the clip's own frames; the sound stays, so lips and sound disagree."
        ),
        intended_use="Training and testing detectors of lip manipulation and of broken audio-visual sync.",
        paper="Cohen & Massaro, Modeling Coarticulation in Synthetic Visual Speech, 1993",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Make the first face say `request.sentence`, starting where the clip's speech starts.

        Raises: Rejected no_sentence, no_face, face_lost, face_too_small, sentence_does_not_fit.
        """
        if not request.sentence:
            raise Rejected("no_sentence", f"{self.card.key} needs a sentence")
        s = settings(self.card, request)
        n_frames = 0 if request.target.frames is None else len(request.target.frames)
        phonemes = spoken(request.sentence, request.language, int(s["rate_wpm"]), n_frames / FPS)
        start_s = starts_at(request.target, phonemes[-1].end_s)
        made = animate(request.target, phonemes, start_s, float(s["strength"]))
        return FakeResult(
            segments=made.segments,
            frames=made.frames,
            masks=made.masks,
            track_id=made.track_id,
            metrics=made.metrics,
        )


@dataclass(frozen=True)
class Animated:
    """A clip whose mouth was moved: what a result needs, and the curves that drove it."""

    frames: Image
    masks: NDArray[np.bool_]
    segments: tuple[Segment, ...]
    track_id: str
    curves: VisemeTrack
    metrics: dict[str, float]


def animate(
    clip: ClipView,
    phonemes: Sequence[Phoneme],
    start_s: float,
    strength: float = 1.0,
    within_s: tuple[float, float] | None = None,
) -> Animated:
    """Drive the mouth of the clip's first face by phonemes that start at `start_s`.

    Only while the speech lasts; a few frames before and after ease from and to the person's own mouth. Frames
    without a usable face stay as they are. within_s: a span, in seconds of the clip, beyond which at most two
    frames on either side are changed, however long the speech lasts.
    Raises: Rejected no_face, face_lost (also: nowhere while the speech lasts), face_too_small.
    """
    face = follow(clip)
    curves = viseme_track(phonemes, len(face.frames), start_s)
    if within_s is not None:
        curves = replace(curves, active=curves.active & frames_within(within_s, len(face.frames)))
    if not curves.active.any():
        raise Rejected("face_lost", "no frame is shown while the speech lasts")
    plan = _Plan.of(face, curves, strength, EASE_FRAMES if within_s is None else 2)
    frames, masks = face.frames.copy(), np.zeros(face.frames.shape[:3], np.bool_)
    for t in np.flatnonzero(plan.weight > 0):
        plan.draw(int(t), frames, masks)
    changed = changed_frames(face.frames, frames)
    if not changed.any():
        raise Rejected("face_lost", "the face is not followed while the sentence lasts")
    masks[~changed] = False
    used = plan.weight >= 1
    asked = float(plan.openness[used].mean()) if used.any() else 0.0
    metrics = {"mean_openness": round(asked, 6), "own_inside": float(plan.inside.frame is not None)}
    return Animated(frames, masks, video_segments(changed), face.track_id, curves, metrics)


@dataclass(frozen=True)
class _Plan:
    """What the mouth does in each frame; all arrays have T entries.

    weight: 0 own mouth, 1 the speech's; openness, width, protrusion: as asked of `reshaped`;
    foreshortening: 0 to 1; fill: how much of the inside of the mouth is filled in, 0 to 1.
    """

    face: Followed
    rest: float
    inside: Inside
    weight: NDArray[np.float64]
    openness: NDArray[np.float64]
    width: NDArray[np.float64]
    protrusion: NDArray[np.float64]
    foreshortening: NDArray[np.float64]
    fill: NDArray[np.float64]

    @classmethod
    def of(cls, face: Followed, curves: VisemeTrack, strength: float, ease_frames: int) -> _Plan:
        from haetae.faces.regions import mouth_openness, rotation

        n, rest = len(face.mesh), rest_share(face)
        own_open, own_width, short = (np.full(n, np.nan) for _ in range(3))
        mesh = face.mesh[face.usable]
        share = np.linalg.norm(mesh[:, 61, :2] - mesh[:, 291, :2], axis=1)
        share /= np.maximum(np.linalg.norm(mesh[:, 33, :2] - mesh[:, 263, :2], axis=1), 1e-6)
        own_width[face.usable] = share / rest
        own_open[face.usable] = mouth_openness(mesh) * share / rest
        short[face.usable] = np.clip(np.linalg.norm(rotation(mesh)[:, :2, 1], axis=1), 0.5, 1)
        weight = np.where(face.usable, eased(curves.active, ease_frames), 0.0)
        asked = np.asarray(curves.openness, np.float64) * strength
        openness = weight * asked + (1 - weight) * np.nan_to_num(own_open)
        width = weight * curves.width + (1 - weight) * np.nan_to_num(own_width, nan=1.0)
        # The own inside of the mouth is stretched a little; beyond that another frame's is shown.
        lack = 1 - np.nan_to_num(own_open) / np.maximum(openness, 0.03)
        fill = np.clip(smoothed_in_time(np.clip((lack - 0.2) / 0.3, 0, 1), 1.0), 0, 1)
        inside = find_inside(face, own_open, float(np.percentile(asked[curves.active], 85)))
        return cls(face, rest, inside, weight, openness, width, weight * curves.protrusion, short, fill)

    def draw(self, t: int, frames: Image, masks: NDArray[np.bool_]) -> None:
        """Move the mouth of frame t in place."""
        from haetae.faces import blend, regions
        from haetae.faces.warp import warp_mesh

        outline = self.face.mesh[t][[*regions.FACE_OVAL, 152]]
        where = window(outline, self.face.size, 0.25)
        if where is None:
            return
        mesh, img = shifted(self.face.mesh[t], where), self.face.frames[t][where]
        size = img.shape[:2]
        frame = axes(mesh, self.rest)
        shaped = reshaped(
            mesh, frame, self.openness[t], self.width[t], self.protrusion[t], self.foreshortening[t]
        )
        source, target = with_collar(mesh), with_collar(mesh, shaped)
        warped, covered = warp_mesh(img, source, target, size, collared_triangles(), cv2.INTER_CUBIC)
        soft = moved_mask(source, target, size) * covered
        out = blend.alpha_blend(warped, img, soft)
        if self.fill[t] > 0.02:
            filling, opening = painted_inside(self.inside, self.face, shaped, frame, size)
            opening = opening * np.float32(self.fill[t])
            opening[opening < 1 / 255] = 0
            out = blend.alpha_blend(filling, out, opening)
            soft = np.maximum(soft, opening)
        frames[t][where] = out
        masks[t][where] = soft > 0
