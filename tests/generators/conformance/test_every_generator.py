"""Every generator of the project keeps the rules of the bench; those with published weights, on tiny ones."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest

from generators.conformance import check, runner
from generators.conformance.clips import TWO_FACES, film, read, talkers
from generators.protocol import Generator
from generators.registry import GROUP
from generators.text.llm_rewrite import _TASK
from haetae.locales import load
from tests.conftest import REPOSITORY
from tests.forks import Forked, Server
from tests.generators.conformance.conftest import SPOKEN, TINY_ONCE
from tests.generators.conformance.tiny_checkpoints import write

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_clips")]

SIZE = replace(TINY_ONCE, limit_s=60.0)
SIZES = dict.fromkeys(("caption_edit", "word_edit", "dubbed_word"), SPOKEN)
"""Who is asked on longer clips: in the short ones a word or two are said, and none of them can be exchanged."""
DRAWN = (
    "face_diffusion",
    "faceid_swap",
    "latentsync",
    "region_inpaint",
    "sd_img2img",
    "sd_inpaint",
    "simswap",
)
CLIPS = dict.fromkeys((*DRAWN, "dubbed_word", "wav2lip"), 2)
"""Who is asked on two clips, and not on one of each language: networks that draw are slow and draw alike in all of
them, and no others of the short clips have voice enough for `wav2lip` and `latentsync`."""
TINY_WEIGHTS = "tests.generators.conformance.tiny_weights"
OTHER_WORDS = {"ko": "체육관", "en-SG": "That coffee", "ms": "Tak", "ta": "வாழைப்பழம்"}
"""What the language model says in place of what is said in a clip."""


def _points() -> list[EntryPoint]:
    """The entry points of this project, as they are installed."""
    return sorted(
        (point for point in entry_points(group=GROUP) if point.value.startswith("generators.")),
        key=lambda point: point.name,
    )


@pytest.fixture(scope="module")
def said(shared_clips: None) -> dict[str, str]:
    """What is said in a clip of each language. All clips are filmed here at once, which is quicker than one by one."""
    film([*talkers(list(OTHER_WORDS), len(OTHER_WORDS)), TWO_FACES], SPOKEN)
    filmed = film([*talkers(list(OTHER_WORDS), 2 * len(OTHER_WORDS)), TWO_FACES], SIZE)
    first = {one.language: one.path for one in reversed(filmed.values())}
    return {
        language: " ".join(word.word for word in read(Path(first[language])).words)
        for language in OTHER_WORDS
    }


@pytest.fixture(scope="module")
def tiny(
    tmp_path_factory: pytest.TempPathFactory, said: dict[str, str]
) -> Iterator[dict[type[Generator], type[Generator]]]:
    """Tiny checkpoints, found by the environment; the classes that load them, by those whose place they take."""
    with pytest.MonkeyPatch.context() as patch:
        write(tmp_path_factory.mktemp("tiny"), _rewritten(said)).use(patch)
        patch.delenv("HAETAE_DOWNLOAD", raising=False)
        module = importlib.import_module(TINY_WEIGHTS)
        yield {made.__base__: made for made in vars(module).values() if isinstance(made, type)}


def _rewritten(said: dict[str, str]) -> dict[str, str]:
    """Answers of the language model, by its prompts."""
    return {
        f"{_TASK.format(name=load(language).name)}\n{words}\n": f'{{"text": "{OTHER_WORDS[language]}"}}'
        for language, words in said.items()
    }


@pytest.fixture(scope="module", autouse=True)
def forked(forks: Server) -> Iterator[None]:
    """Children are forked where the libraries are loaded already; starts from nothing are tried elsewhere here."""

    def start(words: Sequence[str], *rest: Any) -> Forked:
        return forks.start(f"{runner.CHILD}:main", [runner.CHILD, *words], *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "start_child", start)
        yield


@pytest.fixture
def maker(point: EntryPoint, tiny: dict[type[Generator], type[Generator]]) -> type[Generator]:
    """The class of an entry point, or the one that stands in for it with tiny weights."""
    found: type[Generator] = point.load()
    return tiny.get(found, found)


@pytest.mark.parametrize("point", _points(), ids=lambda point: point.name)
def test_it_keeps_the_rules(point: EntryPoint, maker: type[Generator]) -> None:
    clips = CLIPS.get(point.name, len({*maker.card.languages} & {*OTHER_WORDS}))
    check(maker, size=SIZES.get(point.name, SIZE), clips=clips).raise_if_broken()


def test_no_generator_of_the_project_is_left_out() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    declared = project["project"]["entry-points"][GROUP]
    assert {point.name: point.value for point in _points()} == declared, (
        "install the project again: pip install -e ."
    )
