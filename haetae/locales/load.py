"""Reading and checking the locale files beside this module.

The sentences themselves live in the YAML files.
"""

from __future__ import annotations

import string
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from haetae.errors import UsageError

FOLDER = Path(__file__).resolve().parent
USE_CASES = ("social_media", "news", "voice_biometrics")
CAPTION_LANGUAGES = {"ko": "ko", "en": "en-SG", "ms": "ms", "ta": "ta"}
"""Caption language to the locale file that holds it."""

CaptionKind = Literal["real", "video", "audio", "both", "sync", "region"]
PLACEHOLDERS: dict[str, set[str]] = {
    "real": set(),
    "video": {"family", "start_s", "end_s"},
    "audio": {"family", "start_s", "end_s"},
    "both": {"family", "start_s", "end_s"},
    "sync": {"start_s", "end_s"},
    "region": {"family", "start_s", "end_s"},
}
FAMILIES = ("face_swap", "lip_sync", "speech", "diffusion", "text", "combination")

Sentence = Annotated[str, Field(min_length=8, max_length=200)]
Sentences = Annotated[tuple[Sentence, ...], Field(min_length=12)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings(_Strict):
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


class UseCases(_Strict):
    """Sentences by use case of the source."""

    social_media: Sentences
    news: Sentences
    voice_biometrics: Sentences


class Templates(_Strict):
    """One caption per kind of finding; placeholders in braces."""

    real: str
    video: str
    audio: str
    both: str
    sync: str
    region: str

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> Templates:
        for kind, wanted in PLACEHOLDERS.items():
            parts = string.Formatter().parse(getattr(self, kind))
            found = {name for _, name, _, _ in parts if name is not None}
            if found != wanted:
                raise ValueError(f"{kind}: has placeholders {sorted(found)}, needs {sorted(wanted)}")
        return self


class Families(_Strict):
    """What a generator family is called in a sentence."""

    face_swap: str
    lip_sync: str
    speech: str
    diffusion: str
    text: str
    combination: str


class Locale(_Strict):
    """One language. `script` is the Unicode name prefix of its letters, such as HANGUL."""

    language: str
    name: str
    script: Literal["HANGUL", "LATIN", "TAMIL"]
    caption_language: Literal["ko", "en", "ms", "ta"]
    voice: Settings
    sentences: UseCases
    captions: Templates
    families: Families

    def sentences_for(self, use_case: str) -> tuple[str, ...]:
        """Sentences of a use case; any other use case than `USE_CASES` gets all of them, in file order."""
        if use_case in USE_CASES:
            return tuple(getattr(self.sentences, use_case))
        return tuple(s for name in USE_CASES for s in getattr(self.sentences, name))


def languages() -> tuple[str, ...]:
    """Languages that have a locale file, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def load(language: str) -> Locale:
    """The locale of a language. Raises: UsageError naming the allowed languages, or the bad file and key."""
    if language not in languages():
        raise UsageError(f"no locale for language {language!r}; there are {', '.join(languages())}")
    return read(FOLDER / f"{language}.yaml")


def read(path: Path) -> Locale:
    """Read and check one locale file. Raises: UsageError with the file and the key at fault."""
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        locale = Locale.model_validate(raw)
    except yaml.YAMLError as error:
        raise UsageError(f"{path.name}: not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(top level)"
        raise UsageError(f"{path.name}: {key}: {first['msg']}") from error
    if locale.language != path.stem:
        raise UsageError(f"{path.name}: language: is {locale.language!r}, the file name says {path.stem!r}")
    return locale


def caption(
    caption_language: str,
    kind: CaptionKind,
    *,
    family: str | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
) -> str:
    """One sentence on what was found: times in seconds with one decimal, family by its name in the language.

    Raises: UsageError for an unknown caption language or family, or when the kind needs a value not given.
    """
    if caption_language not in CAPTION_LANGUAGES:
        allowed = ", ".join(CAPTION_LANGUAGES)
        raise UsageError(f"no captions in language {caption_language!r}; there are {allowed}")
    locale = load(CAPTION_LANGUAGES[caption_language])
    values: dict[str, str] = {}
    if family is not None:
        if family not in FAMILIES:
            raise UsageError(f"no caption for generator family {family!r}; there are {', '.join(FAMILIES)}")
        values["family"] = getattr(locale.families, family)
    for name, seconds in (("start_s", start_s), ("end_s", end_s)):
        if seconds is not None:
            values[name] = f"{seconds:.1f}"
    missing = PLACEHOLDERS[kind] - values.keys()
    if missing:
        raise UsageError(f"caption {kind!r} needs {', '.join(sorted(missing))}")
    template: str = getattr(locale.captions, kind)
    return template.format(**values)
