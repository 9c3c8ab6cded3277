"""`voice_clone_*`: another sentence in the sound track, spoken by a network in the voice of the person who is heard.

The voice is told by `speaker`, spoken by `speecht5`; where the sentence goes is `placing`, and how it gets there
`laying`. Which files the networks consist of stands in `generators/pinned/voice_clone.yaml`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from generators.pins import Part, Pin, pins, pins_file, require_pinned
from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.speech.hifigan import HifiGan
from generators.speech.laying import Rates, lay, what_is_said
from generators.speech.networks import strictest, tensor_file
from generators.speech.placing import trimmed
from generators.speech.speaker import Speaker, Vector, wanted_files
from generators.speech.speecht5 import SpeechT5
from haetae.errors import Rejected, UsageError
from haetae.provenance.ids import seed_of
from haetae.voice.espeak import Speech
from haetae.voice.pitch import median_f0_hz

PINS = "voice_clone"
"""Name of the file of pins."""
SHARED = ("vocoder", "speaker")
NAMES = {"ko": "Korean", "en-SG": "English", "ms": "Malay", "ta": "Tamil"}


class VoiceClone:
    """Replaces speech by that of a SpeechT5 network in the clip's own voice; one language for each subclass."""

    card: Card

    def __init__(self) -> None:
        self._ready: tuple[SpeechT5, Speaker] | None = None

    @classmethod
    def weight_parts(cls) -> tuple[Part, ...]:
        """What loading wants. Raises: UsageError for a file of pins that cannot be read, or lacks a part."""
        parts = _parts(cls.card.languages[0])
        wanted = {
            "speech": (*_model_files(parts["speech"]), "tokenizer_config.json", "spm_char.model"),
            "vocoder": _model_files(parts["vocoder"]),
            "speaker": wanted_files(parts["speaker"].files),
        }
        return tuple(Part(PINS, name, pin, wanted[name]) for name, pin in parts.items())

    def load(self, device: str) -> None:
        """Read the networks. Raises: UsageError for files that are not pinned, missing, altered or unfitting."""
        language = self.card.languages[0]
        # Told for every part before the first is looked for.
        require_pinned(self.card, self.weight_parts())
        parts = _parts(language)
        vocoder = HifiGan.load(self._folder(parts["vocoder"]), device)
        voice = SpeechT5.load(self._folder(parts["speech"]), vocoder, language, device)
        speaker = Speaker.load(self._folder(parts["speaker"]), device)
        if speaker.size != voice.vector_size:
            raise UsageError(
                f"{self.card.key}: the speaker encoder gives {speaker.size} values, the speech network takes"
                f" {voice.vector_size}; pin the encoder that the network was trained with in {pins_file(PINS)}"
            )
        self._ready = voice, speaker

    def _folder(self, pin: Pin) -> Path:
        """Where the files of one part lie: parts have files of equal names, so each is looked for alone."""
        from generators.weights import located

        return located(self.card.model_copy(update={"weights": pin.weights}))

    def generate(self, request: FakeRequest) -> FakeResult:
        """Replace speech by `request.sentence` in the voice of the target's own speech.

        Raises: Rejected as `lay`, as `SpeechT5.speak` and as `Speaker.vector`, no_voice for another language;
        RuntimeError before `load`.
        """
        if self._ready is None:
            raise RuntimeError(f"{self.card.key} is not loaded")
        voice, speaker = self._ready
        s = settings(self.card, request)
        said = what_is_said(request)
        if request.language not in self.card.languages:
            raise Rejected("no_voice", f"{self.card.key} does not speak {request.language}")
        own = speaker.vector(said)
        spoken = voice.speak(str(request.sentence), own, seed_of("voice_clone", request.seed))
        sounded: dict[int, Speech] = {}

        def say(percent: int) -> Speech:
            if percent not in sounded:
                sounded[percent] = trimmed(voice.sound(spoken, percent / 100))
            return sounded[percent]

        rates = Rates(int(s["min_rate_percent"]), 100, int(s["max_rate_percent"]))
        made = lay(request, say, rates, float(s["fade_ms"]))
        return FakeResult(
            segments=made.segments,
            audio=made.audio,
            text=str(request.sentence),
            words=made.words,
            metrics={**made.metrics, **_likeness(speaker, own, say(100))},
        )


def _likeness(speaker: Speaker, own: Vector, speech: Speech) -> dict[str, float]:
    """How near the voice came: the cosine of the two vectors, and the pitch, where they can be told."""
    measured: dict[str, float] = {}
    f0_hz = median_f0_hz(speech.audio)
    if f0_hz is not None:
        measured["voice_f0_hz"] = round(f0_hz, 3)
    with suppress(Rejected):  # too short to tell
        measured["speaker_similarity"] = round(float(np.dot(own, speaker.vector(speech.audio))), 4)
    return measured


def _model_files(pin: Pin) -> tuple[str, ...]:
    return "config.json", tensor_file(pin.files)


def _parts(language: str) -> dict[str, Pin]:
    """The pins of `speech`, `vocoder` and `speaker` for a language. Raises: UsageError where one is not there."""
    known = pins(PINS)
    names = {"speech": language, **{part: f"{language}/{part}" for part in SHARED}}
    names = {part: name if name in known or part == "speech" else part for part, name in names.items()}
    if lacking := [name for name in names.values() if name not in known]:
        raise UsageError(
            f"{pins_file(PINS)} has no {', '.join(lacking)}; it has: {', '.join(known) or 'none'}"
        )
    return {part: known[name] for part, name in names.items()}


def card_of(language: str) -> Card:
    """The card of one language. Raises: UsageError for a file of pins that cannot be read, or lacks a part."""
    parts = _parts(language)
    return Card(
        name=f"voice_clone_{language.partition('-')[0]}",
        version="1",
        family="speech",
        modalities=("audio",),
        languages=(language,),
        needs=("speech", "sentence"),
        profile="full",
        licence=strictest(pin.licence for pin in parts.values()),
        weights=tuple(one for pin in parts.values() for one in pin.weights),
        params={"min_rate_percent": 75, "max_rate_percent": 140, "fade_ms": 10},
        description=(
            f"Speaks a sentence in {NAMES.get(language, language)} with a SpeechT5 network in the voice of the"
            " person who is heard (an x-vector of the clip's own speech), and lays it over a stretch of that"
            " speech, at its level and with its room tone."
        ),
        intended_use="Training and testing detectors of cloned voices.",
        paper="Ao et al., SpeechT5, ACL 2022",
    )


class VoiceCloneEn(VoiceClone):
    """English, for Singlish sentences."""

    card = card_of("en-SG")
