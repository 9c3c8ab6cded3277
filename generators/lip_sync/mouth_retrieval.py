"""`mouth_retrieval`: the clip's own mouths, put in another order, speak a sentence that its sound does not say.

Which mouth goes where is found in `retrieval`, its pixels are laid in `mouth_paste`; making the sound fit as well is
`dubbed_retrieval`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.followed import follow
from generators.lip_sync.mouth_paste import Pasting, lenders
from generators.lip_sync.retrieval import cheapest_path, join_cost, measure, target_cost, within_reach
from generators.lip_sync.timing import EASE_FRAMES, eased, spoken, starts_at
from generators.lip_sync.visemes import VisemeTrack, viseme_track
from generators.protocol import Card, ClipView, FakeRequest, FakeResult, Segment, settings
from generators.segments import FPS, changed_frames, video_segments
from haetae.errors import Rejected
from haetae.voice.espeak import Phoneme


class MouthRetrieval:
    """Lip re-animation from the speaker's own frames; no weights."""

    card = Card(
        name="mouth_retrieval",
        version="1",
        family="lip_sync",
        modalities=("video",),
        languages=("ko", "en-SG", "ms", "ta"),
        needs=("face", "mouth", "sentence"),
        params={"rate_wpm": 150, "strength": 1.0, "bend": 0.6},
        description=(
            "Finds, for each moment of a new sentence, a frame of the same clip whose mouth has the shape that the"
            " sounds ask for, by dynamic programming over shape, sounds, pose and light, and pastes that mouth with"
            " its real teeth and tongue; the sound stays, so lips and sound disagree."
        ),
        intended_use="Training and testing detectors of lip manipulation made of a person's own pictures.",
        paper="Bregler, Covell & Slaney, Video Rewrite: Driving Visual Speech with Audio, SIGGRAPH 1997",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Make the first face say `request.sentence`, starting where the clip's speech starts.

        Raises: Rejected no_sentence, sentence_does_not_fit, and the reasons of `rewrite`.
        """
        if not request.sentence:
            raise Rejected("no_sentence", f"{self.card.key} needs a sentence")
        s = settings(self.card, request)
        n_frames = 0 if request.target.frames is None else len(request.target.frames)
        phonemes = spoken(request.sentence, request.language, int(s["rate_wpm"]), n_frames / FPS)
        start_s = starts_at(request.target, phonemes[-1].end_s)
        made = rewrite(request.target, phonemes, start_s, float(s["strength"]), float(s["bend"]))
        return FakeResult(
            segments=made.segments,
            frames=made.frames,
            masks=made.masks,
            track_id=made.track_id,
            metrics=made.metrics,
        )


@dataclass(frozen=True)
class Rewritten:
    """A clip whose mouth speaks with its own earlier and later pictures: what a result needs, the curves that drove
    it, and the frame that each moment's mouth comes from (-1: it is the frame's own), int64 [T]."""

    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    segments: tuple[Segment, ...]
    track_id: str
    curves: VisemeTrack
    source: NDArray[np.int64]
    metrics: dict[str, float]


def rewrite(
    clip: ClipView, phonemes: Sequence[Phoneme], start_s: float, strength: float = 1.0, bend: float = 0.6
) -> Rewritten:
    """Let the mouth of the clip's first face speak phonemes that start at `start_s`, from its own frames.

    Only while the speech lasts and a few frames before and after, which ease from and to the person's own mouth.
    strength: scales how far the mouth opens; bend: how far a retrieved lip gap is moved towards the wanted one, 0 to 1.
    Raises: Rejected no_face, face_lost (also: nowhere while the speech lasts), face_too_small, too_few_mouths,
    mouth_too_still.
    """
    face = follow(clip)
    mouths = measure(face, clip.words, clip.language)
    curves = viseme_track(phonemes, len(face.frames), start_s)
    weight = np.where(face.usable, eased(curves.active, EASE_FRAMES), 0.0)
    if not (weight > 0).any():
        raise Rejected("face_lost", "the face is not followed while the speech lasts")
    wanted = within_reach(curves, mouths, weight > 0, strength)
    path = cheapest_path(target_cost(mouths, wanted), join_cost(mouths))
    pasting = Pasting(
        face=face,
        moments=wanted.frame,
        weight=weight[wanted.frame],
        lent=lenders(path, wanted.frame, face.usable, mouths.openness),
        openness=wanted.openness,
        bend=bend,
    )
    frames, masks = face.frames.copy(), np.zeros(face.frames.shape[:3], np.bool_)
    for k, shape in enumerate(pasting.shapes()):
        pasting.draw(k, shape, frames, masks)
    changed = changed_frames(face.frames, frames)
    if not changed.any():
        raise Rejected("face_lost", "the face is outside the picture while the speech lasts")
    masks[~changed] = False
    source = np.full(len(face.frames), -1, np.int64)
    source[wanted.frame] = path
    joins = int(np.count_nonzero(np.diff(path) != 1))
    error = float(np.abs(mouths.openness[path] - wanted.openness).mean())
    metrics = {"joins_per_s": round(FPS * joins / len(path), 6), "openness_error": round(error, 6)}
    return Rewritten(frames, masks, video_segments(changed), face.track_id, curves, source, metrics)
