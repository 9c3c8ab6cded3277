"""`neural_vocoder`: the clip's own speech, turned into mel spectrograms and sounded again by a HiFi-GAN.

The classical counterpart is `copy_synthesis`. Which files the vocoder consists of stands in
`generators/pinned/neural_vocoder.yaml`.
"""

from __future__ import annotations

import numpy as np

from generators.pins import Part, Pin, pins, require_pinned
from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.segments import audio_segments
from generators.speech.hifigan import HifiGan, MelSettings
from generators.speech.networks import strictest, tensor_file
from generators.speech.stretches import put_in, sound_of, spans_of

PINS = "neural_vocoder"
"""Name of the file of pins."""
MEL_FILE = "preprocessor_config.json"


def _parts() -> dict[str, Pin]:
    return pins(PINS, "vocoder", "mel")


def _card() -> Card:
    known = _parts()
    return Card(
        name="neural_vocoder",
        version="1",
        family="speech",
        modalities=("audio",),
        needs=("speech",),
        profile="full",
        licence=strictest(pin.licence for pin in known.values()),
        weights=tuple(one for pin in known.values() for one in pin.weights),
        params={"fade_ms": 10.0},
        description=(
            "Turns every stretch of speech into a mel spectrogram and sounds it again with a HiFi-GAN, unchanged"
            " in words, voice and level; what lies between the stretches stays."
        ),
        intended_use=(
            "Training and testing detectors on what a neural vocoder leaves behind, apart from any change of"
            " voice or words: nearly all neural speech goes through one."
        ),
        paper="Kong et al., HiFi-GAN, NeurIPS 2020",
    )


class NeuralVocoder:
    """Copy synthesis by a SpeechT5HifiGan."""

    card = _card()

    def __init__(self) -> None:
        self._ready: tuple[HifiGan, MelSettings] | None = None

    @classmethod
    def weight_parts(cls) -> tuple[Part, ...]:
        """What loading wants. Raises: UsageError for a file of pins that cannot be read, or lacks a part."""
        known = _parts()
        vocoder, mel = known["vocoder"], known["mel"]
        return (
            Part(PINS, "vocoder", vocoder, ("config.json", tensor_file(vocoder.files))),
            Part(PINS, "mel", mel, (MEL_FILE,)),
        )

    def load(self, device: str) -> None:
        """Read the vocoder. Raises: UsageError for files that are not pinned, missing, altered or unfitting."""
        from generators.weights import located

        require_pinned(self.card, self.weight_parts())
        folder = located(self.card)
        vocoder = HifiGan.load(folder, device)
        self._ready = vocoder, MelSettings.load(folder, vocoder)

    def generate(self, request: FakeRequest) -> FakeResult:
        """Pass the speech of the target through the vocoder.

        Raises: Rejected no_audio, no_speech, speech_unusable; RuntimeError before `load`.
        """
        if self._ready is None:
            raise RuntimeError(f"{self.card.key} is not loaded")
        vocoder, mels = self._ready
        s = settings(self.card, request)
        old = sound_of(request.target)
        spans = spans_of(request.target)
        made = []
        for span in spans:
            wave = vocoder.sound(mels.mel(old[span.low : span.high]))
            made.append(np.ascontiguousarray(wave[span.first - span.low : span.last - span.low]))
        audio, mended_db = put_in(old, spans, made, float(s["fade_ms"]))
        return FakeResult(
            segments=audio_segments(old, audio),
            audio=audio,
            words=request.target.words,
            metrics={"level_mended_db": round(mended_db, 3)},
        )
