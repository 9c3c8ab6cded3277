"""`dubbed_retrieval`: new speech in the sound track, and the clip's own mouths put in the order that it asks for.

The speech is made by `espeak_tts`, the mouths are found by `mouth_retrieval`; here they get one sentence and one clock.
"""

from __future__ import annotations

from generators.combination.together import seen_and_heard
from generators.lip_sync.mouth_retrieval import rewrite
from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.speech.espeak_tts import revoice


class DubbedRetrieval:
    """Replaced speech with lips from the speaker's own frames; no weights."""

    card = Card(
        name="dubbed_retrieval",
        version="1",
        family="combination",
        modalities=("video", "audio"),
        languages=("ko", "en-SG", "ms", "ta"),
        needs=("face", "mouth", "speech", "sentence"),
        params={"min_rate_wpm": 110, "max_rate_wpm": 240, "fade_ms": 10, "strength": 1.0, "bend": 0.6},
        description=(
            "Replaces a stretch of the clip's speech by a sentence spoken with espeak-ng, and pastes mouths from"
            " other frames of the same clip that fit the very sounds that were made, so sound and picture agree."
        ),
        intended_use="Training and testing detectors where lips and sound are in sync and both are made.",
        paper="Bregler, Covell & Slaney, Video Rewrite: Driving Visual Speech with Audio, SIGGRAPH 1997",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Make the first face say `request.sentence`, to be heard as well.

        Raises: Rejected with the reasons of `revoice` and of `rewrite`.
        """
        s = settings(self.card, request)
        heard = revoice(request, s)
        seen = rewrite(request.target, heard.phonemes, 0.0, float(s["strength"]), float(s["bend"]))
        return seen_and_heard(seen, heard, request.sentence)
