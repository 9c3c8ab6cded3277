"""The command in the process of the test, which is quicker than in one of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from dagster_project.cli import main

InProcess = Callable[..., tuple[int, str, str]]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> InProcess:
    """Run `haetae` with these words: exit code, standard output, standard error."""

    def _run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["haetae", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return _run
