"""What a locale file holds, part by part, and what must be true of each part.

Where the files lie and how they are read is not known here; the files themselves say for a native speaker what
each part is for.
"""

from __future__ import annotations

import string
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

USE_CASES = ("social_media", "news", "voice_biometrics")

CaptionKind = Literal[
    "real",
    "real_picture",
    "real_sound",
    "video",
    "audio",
    "voice",
    "both",
    "sync",
    "region",
    "text",
    "unsure",
]
PLACEHOLDERS: dict[str, set[str]] = {
    "real": set(),
    "real_picture": set(),
    "real_sound": set(),
    "video": {"family", "start_s", "end_s"},
    "audio": {"family", "start_s", "end_s"},
    "voice": {"family", "start_s", "end_s"},
    "both": {"family", "start_s", "end_s"},
    "sync": {"start_s", "end_s"},
    "region": {"family", "start_s", "end_s"},
    "text": {"start_s", "end_s"},
    "unsure": {"start_s", "end_s"},
}
FAMILIES = ("face_swap", "lip_sync", "speech", "diffusion", "text", "combination")

Sentence = Annotated[str, Field(min_length=8, max_length=200)]
Sentences = Annotated[tuple[Sentence, ...], Field(min_length=24)]
Text = Annotated[str, Field(min_length=1, max_length=80)]
Texts = tuple[Text, ...]
Pair = tuple[Text, Text]
Currency = Literal["KRW", "SGD", "MYR", "INR", "USD"]
Group = Annotated[tuple[Text, ...], Field(min_length=2)]
"""Words that may stand for one another."""


class Strict(BaseModel):
    """A part of a locale: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings(Strict):
    """How espeak speaks the language: words a minute, pitch 0 to 100, and the variants to draw from."""

    rate_wpm: tuple[Annotated[int, Field(ge=80, le=450)], Annotated[int, Field(ge=80, le=450)]]
    pitch: tuple[Annotated[int, Field(ge=0, le=100)], Annotated[int, Field(ge=0, le=100)]]
    variants: Annotated[tuple[str, ...], Field(min_length=2)]

    @field_validator("rate_wpm", "pitch")
    @classmethod
    def _low_then_high(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError("give the lower number first")
        return value


class UseCases(Strict):
    """Sentences by use case of the source."""

    social_media: Sentences
    news: Sentences
    voice_biometrics: Sentences

    @model_validator(mode="after")
    def _no_sentence_stands_twice(self) -> UseCases:
        every = [sentence for name in USE_CASES for sentence in getattr(self, name)]
        if twice := sorted({one for one in every if every.count(one) > 1}):
            raise ValueError(f"stands twice: {twice[0]!r}")
        return self


class Templates(Strict):
    """One caption per kind of finding; placeholders in braces.

    real_picture, real_sound: nothing was found, and the picture or the sound alone was judged; voice: the sound is
    fake and no picture was judged; unsure: fake by all scores together, by none of them alone.
    """

    real: str
    real_picture: str
    real_sound: str
    video: str
    audio: str
    voice: str
    both: str
    sync: str
    region: str
    text: str
    unsure: str

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> Templates:
        for kind, wanted in PLACEHOLDERS.items():
            parts = string.Formatter().parse(getattr(self, kind))
            found = {name for _, name, _, _ in parts if name is not None}
            if found != wanted:
                raise ValueError(f"{kind}: has placeholders {sorted(found)}, needs {sorted(wanted)}")
        return self


class Families(Strict):
    """What a generator family is called in a sentence."""

    face_swap: str
    lip_sync: str
    speech: str
    diffusion: str
    text: str
    combination: str


class Names(Strict):
    """Common names of nobody in particular. A given name is exchanged for another of its own list only."""

    family: Annotated[Texts, Field(min_length=5)]
    female: Annotated[Texts, Field(min_length=8)]
    male: Annotated[Texts, Field(min_length=8)]
    honorifics: Texts = ()
    """Titles and polite words beside a name."""


class Numbers(Strict):
    """Number words that may be exchanged.

    groups: each list holds words of one form, any of which suits where another stands;
    digits: the words for 0 to 9 in a number that is read digit by digit;
    counted: what is counted: a word that may be something else is a number only before one of these;
    measured: the same for units that take another kind of number word (Sino-Korean ones);
    singular: pairs of a unit and its plural, where one and more of it differ.
    """

    groups: tuple[Group, ...]
    digits: Annotated[Texts, Field(min_length=10, max_length=11)]
    counted: Texts = ()
    measured: Texts = ()
    singular: tuple[Pair, ...] = ()


class Negation(Strict):
    """How a statement becomes its opposite.

    pairs: a word or words, and their negative; either may replace the other wherever it stands;
    opposites: as pairs, but only the first may become the second;
    verbs, adjectives: words before which the language's negative may stand (see the comments in the file).
    """

    pairs: tuple[Pair, ...] = ()
    opposites: tuple[Pair, ...] = ()
    verbs: Texts = ()
    adjectives: Texts = ()


class Money(Strict):
    """What a currency is called: one and many of it, one and many of its hundredth."""

    one: Text
    many: Text
    one_cent: Text
    many_cents: Text


class Reading(Strict):
    """How what is not written in letters is read aloud. Keys of `currency` are ISO 4217 codes."""

    point: Text
    minus: Text
    percent: Text
    plus: Text
    ampersand: Text
    months: Annotated[Texts, Field(min_length=12, max_length=12)]
    currency: dict[Currency, Money]
    titles: dict[str, Text]
    units: dict[str, Text]

    @field_validator("currency")
    @classmethod
    def _every_currency_has_a_name(cls, value: dict[str, Money]) -> dict[str, Money]:
        if missing := {"KRW", "SGD", "MYR", "INR", "USD"} - value.keys():
            raise ValueError(f"missing: {', '.join(sorted(missing))}")
        return value


class Particle(Strict):
    """A discourse particle or sentence ending: its melody, how much longer it is than an ordinary syllable,
    and what it adds."""

    word: Text
    contour: Literal["fall", "rise", "level", "rise_fall"]
    stretch: Annotated[float, Field(ge=0.5, le=3.0)]
    says: Annotated[str, Field(min_length=3, max_length=200)]


class Prosody(Strict):
    """Hints for who makes speech: what keeps the beat, how much a clause's last syllable is lengthened."""

    rhythm: Literal["syllable", "stress"]
    final_stretch: Annotated[float, Field(ge=1.0, le=2.5)]
    particles: tuple[Particle, ...] = ()


class Prompts(Strict):
    """Fragments of prompts for diffusion models, in English, for that is what their text encoders know."""

    scenes: Annotated[Texts, Field(min_length=8)]
    people: Annotated[Texts, Field(min_length=4)]
    light: Annotated[Texts, Field(min_length=3)]
    avoid: Annotated[Texts, Field(min_length=3)]


class Topics(Strict):
    """Beginnings of words that tell what a sentence is about."""

    weather: Texts
    food: Texts
    transport: Texts
    money: Texts
    school: Texts
    nature: Texts
    sport: Texts
    home: Texts


class Locale(Strict):
    """One language. `script` is the Unicode name prefix of its letters, such as HANGUL."""

    language: str
    name: str
    script: Literal["HANGUL", "LATIN", "TAMIL"]
    caption_language: Literal["ko", "en", "ms", "ta"]
    voice: Settings
    prosody: Prosody
    sentences: UseCases
    names: Names
    places: Annotated[tuple[Group, ...], Field(min_length=1)]
    swaps: Annotated[tuple[Group, ...], Field(min_length=8)]
    numbers: Numbers
    negation: Negation
    reading: Reading
    code_switching: dict[str, Text]
    """A word of another language as it is used and written here, and the plain word for it."""
    prompts: Prompts
    topics: Topics
    captions: Templates
    families: Families

    @model_validator(mode="after")
    def _no_word_is_in_two_groups(self) -> Locale:
        groups = (self.names.female, self.names.male, *self.places, *self.swaps)
        seen: set[str] = set()
        for group in groups:
            if twice := sorted(w for w in group if w.casefold() in seen or group.count(w) > 1):
                raise ValueError(f"{twice[0]!r} stands in two groups of names, places or swaps")
            seen.update(word.casefold() for word in group)
        return self

    def sentences_for(self, use_case: str) -> tuple[str, ...]:
        """Sentences of a use case; any other use case than `USE_CASES` gets all of them, in file order."""
        if use_case in USE_CASES:
            return tuple(getattr(self.sentences, use_case))
        return tuple(s for name in USE_CASES for s in getattr(self.sentences, name))

    def topics_of(self, text: str) -> frozenset[str]:
        """What a text is about, by the beginnings of its words; empty where no known word is in it."""
        words = [word.strip(string.punctuation).casefold() for word in text.split()]
        return frozenset(
            topic
            for topic in Topics.model_fields
            if any(word.startswith(stem.casefold()) for stem in getattr(self.topics, topic) for word in words)
        )


def editor_schema() -> dict[str, Any]:
    """The JSON Schema of a locale file, for editors that check and complete YAML while it is typed."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Locale.model_json_schema()}
