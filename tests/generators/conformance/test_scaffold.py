"""A scaffolded generator of every family works as it is written: it keeps the rules and says what it does."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from generators.conformance import check
from generators.protocol import Family, Generator
from generators.registry import find
from generators.scaffold import write_package
from haetae.errors import UsageError
from tests.conftest import REPOSITORY
from tests.generators.conformance.conftest import SPOKEN, TINY

pytestmark = pytest.mark.usefixtures("shared_clips")
FAMILIES = get_args(Family)
TALKS = ("text", "combination")
"""Families whose scaffolds want more speech than the smallest clips have."""


@pytest.fixture
def scaffolded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[..., None]
) -> Callable[[str, str], type[Generator]]:
    """Write a package and install it with the entry points of its own pyproject.toml."""

    def _made(family: str, name: str) -> type[Generator]:
        folder = tmp_path / "package"
        write_package(family, name, folder)
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        monkeypatch.syspath_prepend(str(folder / "src"))
        install(project["name"].replace("-", "_"), **project["entry-points"]["haetae.generators"])
        return find(f"{name}@1")

    return _made


@pytest.mark.parametrize("family", FAMILIES)
def test_a_scaffolded_generator_keeps_every_rule(
    family: str, scaffolded: Callable[[str, str], type[Generator]]
) -> None:
    maker = scaffolded(family, f"quick_{family}")
    assert maker.card.family == family
    report = check(maker, size=SPOKEN if family in TALKS else TINY, clips=2)
    report.raise_if_broken()
    assert report.finding("languages").cases >= 2
    assert report.finding("refusals").cases >= 2


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_of_the_templates_is_left_in_a_package(family: str, tmp_path: Path) -> None:
    written = write_package(family, "my_first_swap", tmp_path / "made")
    assert len(written) == 4
    texts = {path.name: path.read_text(encoding="utf-8") for path in written}
    for name, text in texts.items():
        assert "@@" not in re.sub(r"@@1|`my_first_swap@1`", "", text), name
    assert "class MyFirstSwap:" in texts["__init__.py"]
    project = tomllib.loads(texts["pyproject.toml"])["project"]
    assert project["name"] == "haetae-my-first-swap"
    assert project["dependencies"] == [], (
        "an index would be asked for them, and `haetae` is another project there"
    )
    assert "from haetae_my_first_swap import MyFirstSwap" in texts["test_my_first_swap.py"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_package_is_written_as_the_house_writes(family: str, tmp_path: Path) -> None:
    write_package(family, "another_one", tmp_path / "made")
    for words in (["check", "--no-cache"], ["format", "--no-cache", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "--config", str(REPOSITORY / "pyproject.toml")]
        done = subprocess.run([*command, str(tmp_path / "made" / "src")], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_tests_of_a_package_run_and_pass(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    write_package("text", "swapped_words", folder)
    module = folder / "src" / "haetae_swapped_words" / "__init__.py"
    source = module.read_text(encoding="utf-8")
    module.write_text(
        source.replace('needs=("speech", "words"),', 'needs=("speech", "words"), languages=("ko", "en-SG"),')
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "3 passed, 1 skipped" in done.stdout


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        write_package("speech", "my_voice", tmp_path)
    with pytest.raises(UsageError, match="not empty"):
        write_package("speech", "my_voice", tmp_path / "letter.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    assert (tmp_path / "letter.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["My_Voice", "9lives", "a/b", "../up", "class", "x", "with-dash", "é", "a" * 41, ""]
)
def test_a_name_that_no_module_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        write_package("speech", name, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_an_unknown_family_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="face_swap, lip_sync, speech, diffusion, text, combination"):
        write_package("gan", "my_voice", tmp_path / "made")


def test_every_family_has_a_template_that_can_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for family in FAMILIES:
        write_package(family, f"plain_{family}", tmp_path / family)
        monkeypatch.syspath_prepend(str(tmp_path / family / "src"))
        module = importlib.import_module(f"haetae_plain_{family}")
        maker = getattr(module, "Plain" + "".join(part.capitalize() for part in family.split("_")))
        assert maker.card.key == f"plain_{family}@1"
        assert len(maker.card.intended_use) > 20
