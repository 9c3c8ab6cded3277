"""Word lists beside the locales: what tells Singlish from English, and languages in Latin letters apart.

How a text is judged by them is not known here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from haetae.errors import UsageError

FOLDER = Path(__file__).resolve().parent / "lexicon"


def _lower_case_words(value: Any) -> Any:
    """Accept a list, or one text of words between spaces; refuse upper case, which would never be met."""
    words = value.split() if isinstance(value, str) else value
    wrong = [word for word in words if not isinstance(word, str) or word != word.lower()]
    if wrong:
        raise ValueError(f"not a word in lower case: {wrong[0]!r}")
    return words


Words = Annotated[frozenset[str], BeforeValidator(_lower_case_words)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SinglishWords(_Strict):
    """Evidence for Singlish in English text; see the file for what each list holds."""

    particles: Words
    final_particles: Words
    strong: Words
    phrases: Words
    weak: Words
    be_or_have: Words
    before_a_noun: Words
    bare_verbs: Words
    said_twice: Words


class FunctionWords(_Strict):
    """Common words of languages in Latin letters. `malay` and `indonesian` tell those two apart."""

    english: Words
    malayic: Words
    malay: Words
    indonesian: Words
    tamil: Words


Lexicon = TypeVar("Lexicon", bound=_Strict)


@cache
def singlish_words() -> SinglishWords:
    """The Singlish lexicon. Raises: UsageError with the file and the key at fault."""
    return read(FOLDER / "singlish.yaml", SinglishWords)


@cache
def function_words() -> FunctionWords:
    """Function words by language. Raises: UsageError with the file and the key at fault."""
    return read(FOLDER / "function_words.yaml", FunctionWords)


def read(path: Path, model: type[Lexicon]) -> Lexicon:
    """Read and check one lexicon file. Raises: UsageError with the file and the key at fault."""
    try:
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise UsageError(f"{path.name}: not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(top level)"
        raise UsageError(f"{path.name}: {key}: {first['msg']}") from error
