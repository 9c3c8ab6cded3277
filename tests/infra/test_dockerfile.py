"""infra/Dockerfile, parsed: what it copies exists, what it installs is pinned, what it runs is not root.

It is not built here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest


@dataclass
class Stage:
    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [text for word, text in self.steps if word == instruction]


def parse(text: str) -> list[Stage]:
    """Stages of a Dockerfile: continuation lines joined, comments dropped."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(name, base))
        else:
            assert stages, f"{word} before the first FROM"
            stages[-1].steps.append((word, rest))
    return stages


@pytest.fixture(scope="module")
def stages(repository: Path) -> list[Stage]:
    return parse((repository / "infra" / "Dockerfile").read_text())


def copies(stage: Stage) -> list[tuple[str | None, list[str]]]:
    """(stage copied from, sources) of every COPY."""
    found = []
    for text in stage.all("COPY"):
        words = text.split()
        origin = next((w.removeprefix("--from=") for w in words if w.startswith("--from=")), None)
        found.append((origin, [w for w in words if not w.startswith("--")][:-1]))
    return found


def test_a_build_stage_leaves_its_tools_behind(stages: list[Stage]) -> None:
    build, run = stages
    assert (build.name, run.name) == ("build", "run")
    assert build.base == run.base == "python:3.11-slim-bookworm"
    assert any("uv" in step for step in build.all("RUN"))
    assert not any("uv " in step for step in run.all("RUN"))


def test_packages_come_from_the_lock_with_their_hashes(stages: list[Stage]) -> None:
    installs = [step for step in stages[0].all("RUN") if "uv pip" in step]
    assert any("pip sync" in step and "--require-hashes requirements.lock" in step for step in installs)
    assert all("--no-deps" in step for step in installs if "pip install" in step)


def test_everything_copied_exists_and_is_let_through_to_the_builder(
    repository: Path, stages: list[Stage]
) -> None:
    sources = [
        source for stage in stages for origin, names in copies(stage) if origin is None for source in names
    ]
    assert len(sources) >= 10
    allowed = {
        line[1:]
        for line in (repository / "infra" / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for source in sources:
        assert (repository / source).exists(), f"{source} is copied but is not in the repository"
        assert str(PurePosixPath(source)) in allowed, (
            f"{source} is not let through by Dockerfile.dockerignore"
        )
    assert allowed == {str(PurePosixPath(source)) for source in sources}


def test_all_packages_of_the_project_are_in_the_image(repository: Path, stages: list[Stage]) -> None:
    copied = {source for origin, names in copies(stages[0]) if origin is None for source in names}
    packages = {p.parent.name for p in repository.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages <= copied


def test_stages_are_copied_from_only_where_they_were_named(stages: list[Stage]) -> None:
    names = {stage.name for stage in stages}
    assert {origin for stage in stages for origin, _ in copies(stage) if origin} <= names


def test_nothing_is_fetched_from_an_address_and_nothing_runs_as_root(stages: list[Stage]) -> None:
    assert all(stage.all("ADD") == [] for stage in stages)
    assert not any(
        re.search(r"\b(curl|wget)\b|https?://", step) for stage in stages for step in stage.all("RUN")
    )
    run = stages[-1]
    assert run.all("USER") == ["haetae"]
    assert "useradd --uid 10001" in " ".join(run.all("RUN"))
    order = [word for word, _ in run.steps]
    assert max(i for i, word in enumerate(order) if word == "RUN") < order.index("USER")


def test_signals_reach_dagster_and_its_health_is_asked(stages: list[Stage]) -> None:
    run = stages[-1]
    assert json.loads(run.all("ENTRYPOINT")[0]) == ["tini", "--"]
    (health,) = run.all("HEALTHCHECK")
    asked = json.loads(health.partition("CMD ")[2])
    served = json.loads(run.all("CMD")[0])
    assert asked == ["dagster", "api", "grpc-health-check", "-p", served[served.index("-p") + 1]]
