"""The worker of a generator that lives elsewhere: reads requests, makes fakes, leaves results; or tells its cards.

    python -m generators.runtimes.worker describe
    python -m generators.runtimes.worker run FOLDER KEY [--device cpu]

It needs numpy, pydantic and the plug-in; and dagster-pipes where Dagster started it, to which it then reports.
Limits are kept by whoever started it (`guard`), and what it leaves is checked by whoever reads it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from generators.protocol import FakeRequest, Generator
from generators.registry import find_here, installed_here
from generators.runtimes.exchange import Exchange, read_request, write_no, write_result
from generators.runtimes.memory import free_memory, generate_within_memory
from haetae.errors import Rejected

PIPES = "DAGSTER_PIPES_CONTEXT"
_ORPHAN_CHECK_S = 1.0


class Report(Protocol):
    """Where a worker tells how far it is."""

    def __call__(self, told: dict[str, Any]) -> None: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m generators.runtimes.worker")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("describe", help="print the cards of the generators installed here, as JSON")
    run = commands.add_parser("run", help="answer the requests of an exchange folder")
    run.add_argument("folder", type=Path)
    run.add_argument("key", help="name@version")
    run.add_argument("--device", default="cpu")
    given = parser.parse_args(arguments)
    if given.command == "describe":
        print(json.dumps(description()))
        return 0
    _end_with_parent()
    with _report() as report:
        answer(Exchange(given.folder), given.key, given.device, report)
    return 0


def description() -> dict[str, Any]:
    """What is installed in this environment: `python`, `cards`, `problems` (entry point, package, message).

    `python` stays first: by it the line is known among whatever plug-ins print when they are imported.
    """
    classes, problems = installed_here()
    return {
        "python": platform.python_version(),
        "cards": [found.card.model_dump(mode="json") for found in classes.values()],
        "problems": [[p.entry_point, p.package, p.message] for p in problems],
    }


def answer(exchange: Exchange, key: str, device: str, report: Report) -> None:
    """Load the generator and answer the planned requests one after the other."""
    generator = find_here(key)()
    began = time.monotonic()
    generator.load(device)
    report({"loaded": key, "seconds": round(time.monotonic() - began, 3)})
    for n, request_id in enumerate(exchange.planned()):
        exchange.started(request_id).touch()
        began = time.monotonic()
        status = _answer_one(exchange, generator, request_id, alone=n == 0)
        report({"request": request_id, "status": status, "seconds": round(time.monotonic() - began, 3)})
        if status == "out_of_memory":
            return  # a fresh process may have enough; what this one holds is not known


def _answer_one(exchange: Exchange, generator: Generator, request_id: str, *, alone: bool) -> str:
    """Make one fake and leave it, or why not; returns a word for the report.

    Out of memory after other requests leaves no answer: it is asked for again in a process of its own.
    """
    try:
        request, twice = read_request(exchange, request_id)
        result = generate_within_memory(generator, request)
        if twice:
            _make_again(exchange, generator, request, request_id)
        write_result(exchange, request_id, result)
    except Rejected as no:
        write_no(exchange.results, request_id, "rejected", no.reason, no.detail)
        return no.reason
    except MemoryError as error:
        free_memory()
        if alone:
            write_no(exchange.results, request_id, "failed", "out_of_memory", str(error))
        return "out_of_memory"
    except Exception as error:
        last = traceback.format_exc(limit=-3)
        detail = f"{type(error).__name__}: {error}\n{last}"
        write_no(exchange.results, request_id, "failed", "error", detail)
        return "error"
    return "done"


def _make_again(exchange: Exchange, generator: Generator, request: FakeRequest, request_id: str) -> None:
    write_result(exchange, f"{request_id}.again", generate_within_memory(generator, request))


@contextlib.contextmanager
def _report() -> Iterator[Report]:
    """Report to Dagster, where Dagster started this process; else to nobody."""
    if PIPES not in os.environ:
        yield lambda _told: None
        return
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes() as pipes:

        def report(told: dict[str, Any]) -> None:
            pipes.report_custom_message(told)
            pipes.log.info(" ".join(f"{name}={value}" for name, value in told.items()))

        yield report


def _end_with_parent() -> None:
    """End when the process that started this one is gone, so that nobody is left working for nobody."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_ORPHAN_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
