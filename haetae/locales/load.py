"""Reading and checking the locale files beside this module, and the captions that they hold.

What a file must hold is told in `schema`; the sentences themselves live in the YAML files.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from haetae.errors import UsageError
from haetae.locales.schema import (
    FAMILIES,
    PLACEHOLDERS,
    USE_CASES,
    CaptionKind,
    Families,
    Locale,
    Settings,
    Templates,
    UseCases,
)

__all__ = [
    "CAPTION_LANGUAGES",
    "FAMILIES",
    "FOLDER",
    "PLACEHOLDERS",
    "USE_CASES",
    "CaptionKind",
    "Families",
    "Locale",
    "Settings",
    "Templates",
    "UseCases",
    "caption",
    "languages",
    "load",
    "read",
]

FOLDER = Path(__file__).resolve().parent
MAX_BYTES = 1_000_000
CAPTION_LANGUAGES = {"ko": "ko", "en": "en-SG", "ms": "ms", "ta": "ta"}
"""Caption language to the locale file that holds it."""


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
    if (size := path.stat().st_size) > MAX_BYTES:
        raise UsageError(f"{path.name}: {size} bytes, at most {MAX_BYTES} are read")
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
