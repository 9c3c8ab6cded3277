"""The command as a person runs it: in its own process (see `tests.forks`), on lakes of its own, with small settings."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from haetae.lake import Lake
from tests.conftest import REPOSITORY, once
from tests.forks import Forked, Server
from tests.generators.mean_face import mean_face

MAIN = "dagster_project.cli:main"
PEOPLE = ("ko", "en-SG")
CLIP_S = 3.2
FIRST = "self_blend,espeak_tts"
"""The generators of the calm lake."""
QUICK: dict[str, Any] = {
    "detector": {"epochs": 2, "min_steps": 4, "max_minutes": 2.0},
    "evaluate": {"bootstrap_n": 200},
    "promote": {"min_auc": 0.0, "max_eer": 1.0},
    # A short lesson, of which faces come that are found again in nearly all frames; one fake of each language by
    # each generator.
    "generate": {"learn": {"effort": 0.2}, "budget": {"*": {"*": 1}}},
    "quality": {"min_face_found_again": 0.8},
    # Every worker imports the models' libraries anew, which costs more than the few rows of a small lake.
    "engine": {"workers": 1},
}
TWO_AT_A_TIME = {**QUICK, "engine": {"workers": 2}}
# Some of every family, of whatever is made of pictures, sound and text.
# `mean_face` is the one that learns. All of the project's own are tried in `tests/generators/conformance`.
SOME_GENERATORS = (
    *("self_blend", "mesh_swap", "viseme_sync", "mean_face", "espeak_tts", "word_edit", "dubbed"),
    *("caption_edit", "subtitle_swap"),
)
ONE_OF_EACH = {**QUICK, "generate": {**QUICK["generate"], "generators": list(SOME_GENERATORS)}}


class Haetae:
    """One lake and the command on it."""

    def __init__(self, forks: Server, lake: Path, params: Path, **env: str) -> None:
        self.lake = lake
        self._forks = forks
        self._env = {**os.environ, "HAETAE_PARAMS": str(params), "COLUMNS": "200", **env}

    def __call__(self, *words: object, exits: int = 0) -> subprocess.CompletedProcess[str]:
        done = self._forks.run(MAIN, self._argv(words), self._env)
        assert done.returncode == exits, (
            f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done

    def start(self, *words: object) -> Forked:
        with (self.lake.parent / f"{self.lake.name}.log").open("ab") as log:
            return self._forks.start(MAIN, self._argv(words), self._env, log, log)

    def in_a_program_of_its_own(self, *words: object) -> str:
        """Run it as the installed program, which loads everything itself; what it wrote to standard output."""
        program = Path(sys.executable).with_name("haetae")
        command = [program, *self._argv(words)[1:]]
        return subprocess.run(
            command, env=self._env, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True, timeout=900
        ).stdout

    def _argv(self, words: Iterable[object]) -> list[str]:
        return ["haetae", "--lake", str(self.lake), *map(str, words)]

    def sql(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = Lake(self.lake).sql(query).to_pylist()
        return rows

    def files(self, *parts: str) -> dict[str, str]:
        """Hash of every file below these folders of the lake."""
        paths = (p for part in parts for p in sorted((self.lake / part).rglob("*")) if p.is_file())
        return {str(p.relative_to(self.lake)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def _command(forks: Server, folder: Path, knobs: dict[str, Any], **env: str) -> Callable[[Path], Haetae]:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(knobs))
    return lambda lake: Haetae(forks, lake, path, **env)


@pytest.fixture(scope="session")
def haetae(forks: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Haetae]:
    """The command on a lake, with one worker."""
    return _command(forks, tmp_path_factory.mktemp("params"), QUICK)


@pytest.fixture(scope="session")
def haetae_in_parallel(forks: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Haetae]:
    """The command on a lake, with two workers."""
    return _command(forks, tmp_path_factory.mktemp("params"), TWO_AT_A_TIME)


@pytest.fixture(scope="session")
def haetae_with_few_fakes(
    forks: Server, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Haetae]:
    """The command on a lake, with one worker, some generators, and one fake of each language by each.

    One of them, `mean_face`, is a package of its own, installed where the command and its workers find it.
    """
    site = tmp_path_factory.mktemp("site")
    info = site / "mean_package-1.0.dist-info"
    info.mkdir()
    (site / "mean_package.py").write_text(mean_face())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mean_package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[haetae.generators]\nmean_face = mean_package:MeanFace\n")
    return _command(forks, tmp_path_factory.mktemp("params"), ONE_OF_EACH, PYTHONPATH=str(site))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The embedded sample, small."""
    from haetae.sample.render import render_sample

    def render(folder: Path) -> None:
        render_sample(folder, clip_s=CLIP_S, size_px=192)

    return once(tmp_path_factory, worker_id, "embedded-sample", render)


@pytest.fixture(scope="session")
def some_people(sample: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A sources file over the six single-person files of two languages of the sample; leaves the rest out."""

    def pick(folder: Path) -> None:
        entries = [e for e in yaml.safe_load((sample / "sources.yaml").read_text()) if e["uri"] in PEOPLE]
        for name in PEOPLE:
            shutil.copytree(sample / name, folder / name)
        (folder / "sources.yaml").write_text(yaml.safe_dump(entries, allow_unicode=True))

    return once(tmp_path_factory, worker_id, "people", pick) / "sources.yaml"


@pytest.fixture(scope="session")
def calm(
    some_people: Path,
    tmp_path_factory: pytest.TempPathFactory,
    worker_id: str,
    haetae: Callable[[Path], Haetae],
) -> Haetae:
    """A lake of these people that was run without trouble, with two generators, one thing after the other."""

    def run(folder: Path) -> None:
        folder.mkdir()
        haetae(folder / "lake")("run", "--sources", some_people, "--generators", FIRST)

    return haetae(once(tmp_path_factory, worker_id, "calm", run) / "lake")


def copied(lake: Haetae, to: Path, haetae: Callable[[Path], Haetae]) -> Haetae:
    """A copy of a lake, to go on with."""
    shutil.copytree(lake.lake, to, symlinks=True)
    return haetae(to)
