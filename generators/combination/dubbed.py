"""`dubbed`: new speech in the sound track, and the mouth moved to it: both fake, and in sync.

The speech is made by `espeak_tts`, the mouth by `viseme_sync`; here they get one sentence and one clock.
"""

from __future__ import annotations

from generators.combination.together import seen_and_heard
from generators.lip_sync.viseme_sync import animate
from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.speech.espeak_tts import revoice


class Dubbed:
    """Replaced speech with re-synchronised lips; no weights."""

    card = Card(
        name="dubbed",
        version="1",
        family="combination",
        modalities=("video", "audio"),
        languages=("ko", "en-SG", "ms", "ta"),
        needs=("face", "speech", "sentence"),
        params={"min_rate_wpm": 110, "max_rate_wpm": 200, "fade_ms": 10, "strength": 1.0},
        description=(
            "Replaces a stretch of the clip's speech by a sentence spoken with espeak-ng, and moves lips and"
            " jaw through the visemes of the very sounds that were made, so sound and picture agree."
        ),
        intended_use="Training and testing detectors where lips and sound are in sync and both are made.",
        paper="Cohen & Massaro, Modeling Coarticulation in Synthetic Visual Speech, 1993",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Make the first face say `request.sentence`, to be heard as well.

        Raises: Rejected with the reasons of `revoice` and of `animate`.
        """
        s = settings(self.card, request)
        heard = revoice(request, s)
        seen = animate(request.target, heard.phonemes, 0.0, float(s["strength"]))
        return seen_and_heard(seen, heard, request.sentence)
