"""What a person sees while a command works: progress bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from haetae.engine import Progress as Moment

ANY_WIDTH = 100_000
"""Of what is as wide as it is."""


def out_console() -> Console:
    """For results: standard output. What goes to a file or another program is as wide as it is."""
    for_person = sys.stdout.isatty()
    width = None if for_person or "COLUMNS" in os.environ else ANY_WIDTH
    return Console(file=sys.stdout, soft_wrap=not for_person, width=width)


def error_console() -> Console:
    """For progress and faults: standard error."""
    return Console(file=sys.stderr, soft_wrap=not sys.stderr.isatty())


def quiet_libraries() -> None:
    """Keep libraries from talking to the terminal or the network about themselves."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    for name in ("alembic", "mlflow", "great_expectations", "dvc", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)


class Show:
    """Progress of a command: one bar for each stage of the work in hand."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            transient=False,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    @contextmanager
    def showing(self) -> Iterator[Show]:
        with self._bars:
            yield self

    def begin(self, title: str, assets: Sequence[str]) -> None:
        """A new piece of work: older bars are finished and stay as they are."""
        for task in self._tasks.values():
            self._bars.stop_task(task)
        self._tasks = {}
        self._console.print(f"[bold]{title}[/bold]: {', '.join(assets)}", highlight=False)

    def moment(self, moment: Moment) -> None:
        """How far a stage is."""
        refused = f", {moment.failed} refused" if moment.failed else ""
        note = f"{moment.rows_per_s:.1f}/s{refused}"
        if moment.stage not in self._tasks:
            self._tasks[moment.stage] = self._bars.add_task(
                f"  {moment.stage}", total=moment.total, note=note
            )
        self._bars.update(self._tasks[moment.stage], completed=moment.done, total=moment.total, note=note)
        if not self._console.is_terminal and moment.done == moment.total:
            self._console.print(
                f"  {moment.stage}: {moment.done} of {moment.total} in {moment.elapsed_s:.1f} s ({note})",
                highlight=False,
            )
