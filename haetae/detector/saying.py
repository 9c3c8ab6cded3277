"""What a person is told of a finding: one sentence in each caption language, no surer than the scores are.

Where the evidence lies is found in `detect`; what the sentences say is in `locales`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from haetae.detector.predict import Scores
from haetae.locales import caption
from haetae.locales.load import CaptionKind

CAPTION_LANGUAGES = ("ko", "en", "ms", "ta")
LIKELY = 0.5
"""From this score on a modality is more likely fake than not."""


class Stretch(Protocol):
    """A stretch that speaks for fake: `video`, `audio` or `sync`, seconds."""

    @property
    def modality(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


def likely(scores: Scores) -> frozenset[str]:
    """The modalities that are more likely fake than not, each by itself."""
    each = {"video": scores.video, "audio": scores.audio, "sync": scores.sync}
    return frozenset(name for name, score in each.items() if score is not None and score >= LIKELY)


def captions(
    verdict: str, scores: Scores, segments: Collection[Stretch], *, mouth_only: bool = False
) -> dict[str, str]:
    """One sentence in each language on the strongest evidence: it names what the segments show, and nothing else.

    scores: of the clip that the sentence is about; mouth_only: all that looks changed in the picture are mouths. The
    family is what the evidence looks like (a changed mouth alone: lip-sync; sound: speech), not a statement on which
    generator was used.
    """
    if verdict == "real":
        nothing = _nothing_found(scores)
        return {language: caption(language, nothing) for language in CAPTION_LANGUAGES}
    changed = {s.modality for s in segments} & {"video", "audio"}
    shown = [s for s in segments if not changed or s.modality in changed]
    start_s = min((s.start_s for s in shown), default=0.0)
    end_s = max((s.end_s for s in shown), default=0.0)
    kind: CaptionKind
    family: str | None = None
    if not likely(scores):
        kind = "unsure"
    elif not changed:
        kind = "sync"
    elif len(changed) == 2:
        kind, family = "both", "combination"
    elif "audio" in changed:
        kind, family = "audio" if scores.video is not None else "voice", "speech"
    else:
        kind = "video" if scores.audio is not None else "region"
        family = "lip_sync" if mouth_only else "face_swap"
    return {
        language: caption(language, kind, family=family, start_s=start_s, end_s=end_s)
        for language in CAPTION_LANGUAGES
    }


def _nothing_found(scores: Scores) -> CaptionKind:
    """The sentence that names what was judged, and no picture or sound that is not there."""
    if scores.audio is None and scores.video is not None:
        return "real_picture"
    if scores.video is None and scores.audio is not None:
        return "real_sound"
    return "real"
