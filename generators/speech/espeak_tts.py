"""`espeak_tts`: another sentence in the sound track, in a synthetic voice of the same pitch and room.

Where it goes and which voice it gets is decided in `placing`, how it gets there in `laying`; moving the lips to it
is `dubbed`.
"""

from __future__ import annotations

from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.speech.laying import Laid, Rates, lay, what_is_said
from generators.speech.placing import trimmed, voice_near
from haetae.errors import Rejected
from haetae.voice.espeak import VOICES, Speech, speak

MIDDLE_RATE_WPM = 160


class EspeakTts:
    """Replaces speech by espeak speech; no weights."""

    card = Card(
        name="espeak_tts",
        version="1",
        family="speech",
        modalities=("audio",),
        languages=("ko", "en-SG", "ms", "ta"),
        needs=("speech", "sentence"),
        params={"min_rate_wpm": 110, "max_rate_wpm": 230, "fade_ms": 10},
        description=(
            "Speaks a sentence with espeak-ng in the pitch of the clip's voice and lays it over a stretch of"
            " its speech, at its level and with its room tone; what is said after a pause stays."
        ),
        intended_use="Training and testing detectors of partly or wholly synthetic speech in four languages.",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Replace speech by `request.sentence`. Raises: as `revoice`."""
        made = revoice(request, settings(self.card, request))
        return FakeResult(
            segments=made.segments,
            audio=made.audio,
            text=request.sentence,
            words=made.words,
            metrics=made.metrics,
        )


def revoice(request: FakeRequest, s: dict[str, float | int | str | bool]) -> Laid:
    """Lay `request.sentence` over a stretch of the target's speech.

    Raises: Rejected no_audio, no_speech, no_sentence, no_voice (language without one), sentence_does_not_fit.
    """
    said = what_is_said(request)
    sentence = str(request.sentence)
    if request.language not in VOICES:
        raise Rejected("no_voice", f"there is no voice for {request.language}")
    voice = voice_near(said, sentence, request.language, request.seed)

    def say(rate_wpm: int) -> Speech:
        made = speak(sentence, request.language, rate_wpm=rate_wpm, pitch=voice.pitch, variant=voice.variant)
        return trimmed(made)

    slowest, fastest = int(s["min_rate_wpm"]), int(s["max_rate_wpm"])
    rates = Rates(slowest, min(max(MIDDLE_RATE_WPM, slowest), fastest), fastest)
    laid = lay(request, say, rates, float(s["fade_ms"]))
    laid.metrics["voice_f0_hz"] = round(voice.f0_hz, 3)
    return laid
