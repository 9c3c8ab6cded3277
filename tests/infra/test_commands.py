"""The Makefile, .ci/run and the scripts behind them: what a person types works, and says what to do if not.

That a fresh clone installs is not tried here (it takes 7.5 GB); CI does it at every change.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

TARGETS = ["setup", "demo", "test", "check", "dev", "bench", "lock"]
SCRIPTS = [
    ".ci/run",
    "infra/setup.sh",
    "infra/uv.sh",
    "infra/find-python.sh",
    "infra/install-test-packages.sh",
]


def _make(repository: Path, *arguments: str) -> str:
    ran = subprocess.run(["make", *arguments], cwd=repository, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _bash(script: Path, *arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path, "HOME": os.environ.get("HOME", "/")}
    bash = shutil.which("bash")
    assert bash is not None
    return subprocess.run([bash, script, *arguments], env=environment, capture_output=True, text=True)


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with the standard tools that our scripts use, and no Python, uv, browser or database."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("awk", "bash", "cat", "dirname", "id"):
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    return str(folder)


def test_typing_make_alone_lists_every_target_with_what_it_does(repository: Path) -> None:
    shown = _make(repository)
    for target in TARGETS:
        assert re.search(rf"^  make {target} +\S.*", shown, re.MULTILINE), target


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_can_be_planned(repository: Path, target: str) -> None:
    assert _make(repository, "--dry-run", target).strip()


def test_the_demo_runs_the_embedded_sample_on_its_own_lake(repository: Path) -> None:
    plan = _make(repository, "--dry-run", "demo")
    assert ".venv/bin/haetae --lake data/demo run\n" in plan
    assert "--sources" not in plan


def test_the_slow_tests_are_run_too(repository: Path) -> None:
    assert '-m ""' in _make(repository, "--dry-run", "test")


def test_the_user_interface_is_reached_from_this_machine_only(repository: Path) -> None:
    plan = _make(repository, "--dry-run", "dev", "LAKE=data/other", "PORT=3333")
    assert "-h 127.0.0.1 -p 3333" in plan
    assert f"DAGSTER_HOME={repository}/data/other/dagster" in plan
    assert f"HAETAE_LAKE={repository}/data/other" in plan


def test_modules_and_scripts_that_make_starts_exist(repository: Path) -> None:
    text = (repository / "Makefile").read_text()
    modules = set(re.findall(r"-m ([a-z_][a-z_.]*)", text))
    assert {"pytest", "benchmarks", "dagster_project.definitions"} <= modules
    assert [name for name in sorted(modules) if find_spec(name) is None] == []
    scripts = set(re.findall(r"bash (\S+\.sh)", text))
    assert scripts
    assert [name for name in sorted(scripts) if not (repository / name).is_file()] == []
    tools = set(re.findall(r"\$\(BIN\)/([a-z-]+)", text))
    assert [tool for tool in sorted(tools) if not (Path(sys.executable).parent / tool).exists()] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_sound_stop_at_the_first_error_and_may_be_executed(repository: Path, script: str) -> None:
    subprocess.run(["bash", "-n", repository / script], check=True)
    text = (repository / script).read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert os.access(repository / script, os.X_OK)


def test_ci_types_what_a_person_types_and_ends_with_the_tests(repository: Path) -> None:
    lines = (repository / ".ci" / "run").read_text().splitlines()
    assert lines[-2:] == ["make check", "make test"]
    assert "bash infra/install-test-packages.sh" in lines


def test_without_a_python_the_setup_says_what_to_install(repository: Path, bare_path: str) -> None:
    ran = _bash(repository / "infra" / "find-python.sh", path=bare_path)
    assert ran.returncode == 1
    assert "no Python 3.11 or 3.12" in ran.stderr
    assert "make setup PYTHON=" in ran.stderr


def test_the_python_that_is_found_is_one_that_the_project_supports(repository: Path) -> None:
    ran = _bash(
        repository / "infra" / "find-python.sh", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    )
    assert ran.returncode == 0, ran.stderr
    version = subprocess.run(
        [ran.stdout.strip(), "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True
    ).stdout.strip()
    assert version in {"(3, 11)", "(3, 12)"}
    wanted = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted == ">=3.11,<3.13"


def test_a_report_of_missing_test_packages_installs_nothing(repository: Path, bare_path: str) -> None:
    ran = _bash(repository / "infra" / "install-test-packages.sh", "--report", path=bare_path)
    assert ran.returncode == 0, ran.stderr
    assert "will be skipped: the browser tests" in ran.stderr
    assert re.search(r"apt-get install chromium", ran.stderr)


def test_the_lock_has_a_hash_for_every_package_and_no_path_of_a_machine(repository: Path) -> None:
    text = (repository / "requirements.lock").read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert len(blocks) > 100
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "make lock" in text.partition("\n\n")[0].splitlines()[1]
    assert not re.search(r"https?://|file:|--index-url|--find-links|-o /", text)


def test_typed_packages_say_so_and_the_licence_is_whole(repository: Path) -> None:
    assert (repository / "haetae" / "py.typed").is_file()
    assert (repository / "generators" / "py.typed").is_file()
    licence = (repository / "LICENSE").read_text()
    assert "Apache License" in licence
    assert all(f"\n   {number}. " in licence for number in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in licence
