"""A moved mouth and a changed sound track as one fake; each is made by the family that knows how."""

from __future__ import annotations

from generators.lip_sync.mouth_retrieval import Rewritten
from generators.lip_sync.viseme_sync import Animated
from generators.protocol import FakeResult
from generators.speech.laying import Laid
from generators.speech.word_edit import Exchanged


def seen_and_heard(seen: Animated | Rewritten, heard: Laid | Exchanged, text: str | None) -> FakeResult:
    """The fake that shows the one and sounds as the other. text: all that it says."""
    return FakeResult(
        segments=(*seen.segments, *heard.segments),
        frames=seen.frames,
        masks=seen.masks,
        audio=heard.audio,
        track_id=seen.track_id,
        text=text,
        words=heard.words,
        metrics={**seen.metrics, **heard.metrics},
    )
