"""`copy_synthesis`: the clip's own speech, taken apart and put together again by a vocoder.

Words, voice, pitch and timing stay: what is left is the trace of the vocoder alone. Another's voice is
`world_voice`.
"""

from __future__ import annotations

from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.segments import audio_segments
from generators.speech.stretches import put_back, sound_of, take_apart


class CopySynthesis:
    """WORLD analysis and synthesis of the clip's own speech; no weights."""

    card = Card(
        name="copy_synthesis",
        version="1",
        family="speech",
        modalities=("audio",),
        needs=("speech",),
        params={"fade_ms": 10.0},
        description=(
            "Analyses every stretch of speech with the WORLD vocoder and synthesises it again, unchanged in"
            " words, voice and level; what lies between the stretches stays."
        ),
        intended_use=(
            "Training and testing detectors on what a vocoder leaves behind, apart from any change of voice or words."
        ),
        paper="Morise et al., WORLD: A Vocoder-Based High-Quality Speech Synthesis System, 2016",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Pass the speech of the target through the vocoder. Raises: Rejected no_audio, no_speech."""
        s = settings(self.card, request)
        old = sound_of(request.target)
        stretches = take_apart(request.target)
        audio, mended_db = put_back(old, stretches, [x.frames for x in stretches], float(s["fade_ms"]))
        return FakeResult(
            segments=audio_segments(old, audio),
            audio=audio,
            words=request.target.words,
            metrics={"level_mended_db": round(mended_db, 3)},
        )
