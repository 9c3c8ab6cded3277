"""`mms_tts_*`: another sentence in the sound track, spoken by an MMS network of its language.

The network is `vits`; where the sentence goes is `placing`, and how it gets there `laying`. Which files the
checkpoints consist of stands in `generators/pinned/mms_tts.yaml`.
"""

from __future__ import annotations

from generators.pins import Part, Pin, pins, pins_file, require_pinned
from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.speech.laying import Rates, lay, what_is_said
from generators.speech.placing import trimmed
from generators.speech.vits import Vits
from haetae.errors import Rejected, UsageError
from haetae.provenance.ids import seed_of
from haetae.voice.espeak import Speech
from haetae.voice.pitch import median_f0_hz

PINS = "mms_tts"
"""Name of the file of pins."""
FILES = ("config.json", "model.safetensors", "tokenizer_config.json", "vocab.json")
NAMES = {"ko": "Korean", "en-SG": "English", "ms": "Malay", "ta": "Tamil"}


class MmsTts:
    """Replaces speech by that of an MMS network; one language for each subclass."""

    card: Card

    def __init__(self) -> None:
        self._voice: Vits | None = None

    @classmethod
    def weight_parts(cls) -> tuple[Part, ...]:
        """What loading wants. Raises: UsageError for a file of pins that cannot be read, or lacks the language."""
        language = cls.card.languages[0]
        return (Part(PINS, language, _pin(language), FILES),)

    def load(self, device: str) -> None:
        """Read the checkpoint. Raises: UsageError for files that are not pinned, missing, altered or unfitting."""
        from generators.weights import located

        require_pinned(self.card, self.weight_parts())
        self._voice = Vits.load(located(self.card), self.card.languages[0], device)

    def generate(self, request: FakeRequest) -> FakeResult:
        """Replace speech by `request.sentence`.

        Raises: Rejected as `lay` and as `Vits.speak`, no_voice for another language; RuntimeError before `load`.
        """
        if self._voice is None:
            raise RuntimeError(f"{self.card.key} is not loaded")
        s = settings(self.card, request)
        what_is_said(request)
        if request.language not in self.card.languages:
            raise Rejected("no_voice", f"{self.card.key} does not speak {request.language}")
        sentence, voice = str(request.sentence), self._voice
        seed = seed_of("mms_tts", request.seed)
        spoken: dict[int, Speech] = {}

        def say(percent: int) -> Speech:
            if percent not in spoken:
                spoken[percent] = trimmed(voice.speak(sentence, seed, percent / 100))
            return spoken[percent]

        rates = Rates(int(s["min_rate_percent"]), 100, int(s["max_rate_percent"]))
        made = lay(request, say, rates, float(s["fade_ms"]))
        f0_hz = median_f0_hz(say(100).audio)
        return FakeResult(
            segments=made.segments,
            audio=made.audio,
            text=sentence,
            words=made.words,
            metrics={**made.metrics, **({} if f0_hz is None else {"voice_f0_hz": round(f0_hz, 3)})},
        )


def _pin(language: str) -> Pin:
    known = pins(PINS)
    if language not in known:
        raise UsageError(
            f"{pins_file(PINS)} has no checkpoint for {language}; it has: {', '.join(known) or 'none'}"
        )
    return known[language]


def card_of(language: str) -> Card:
    """The card of one language. Raises: UsageError for a file of pins that cannot be read, or lacks the language."""
    of = _pin(language)
    return Card(
        name=f"mms_tts_{language.partition('-')[0]}",
        version="1",
        family="speech",
        modalities=("audio",),
        languages=(language,),
        needs=("speech", "sentence"),
        profile="full",
        licence=of.licence,
        weights=of.weights,
        params={"min_rate_percent": 75, "max_rate_percent": 140, "fade_ms": 10},
        description=(
            f"Speaks a sentence in {NAMES.get(language, language)} with the VITS network of Meta's Massively"
            " Multilingual Speech project, and lays it over a stretch of the clip's speech, at its level and"
            " with its room tone; the voice is the network's own."
        ),
        intended_use="Training and testing detectors of neural text-to-speech; not for commercial purposes.",
        paper="Pratap et al., Scaling Speech Technology to 1,000+ Languages, 2023",
    )


class MmsTtsKo(MmsTts):
    """Korean; its network reads romanised text."""

    card = card_of("ko")


class MmsTtsEn(MmsTts):
    """English, for Singlish sentences."""

    card = card_of("en-SG")


class MmsTtsMs(MmsTts):
    """Malay."""

    card = card_of("ms")


class MmsTtsTa(MmsTts):
    """Tamil, in Tamil script."""

    card = card_of("ta")
