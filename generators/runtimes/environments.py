"""Environments that generators live in: interpreters and images that a person declared, and the cards they offer.

    HAETAE_ENV_<NAME>=/path/to/environment      a virtual environment, or its Python, with the plug-in
    HAETAE_IMAGE_<NAME>=registry/name@sha256:…  an image with the plug-in, numpy, pydantic and dagster-pipes

A name is that of the generator, or any other: an environment may offer several. How a worker in them is started
is in `commands`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from generators.protocol import Card
from generators.runtimes.guard import kept_environment
from haetae.errors import UsageError

if TYPE_CHECKING:
    from generators.runtimes.commands import Command

INTERPRETER = "HAETAE_ENV_"
IMAGE = "HAETAE_IMAGE_"
ENGINE = "HAETAE_CONTAINER_ENGINE"
"""docker or podman; the first that is found unless set."""
DESCRIBE_TIMEOUT_S = 120.0
MAX_DESCRIPTION_BYTES = 4 << 20
END_S = 5.0
_FIRST_OF_DESCRIPTION = b'{"python"'
Fault = tuple[str, str, str]
"""Entry point, package and what is wrong with it."""


@dataclass(frozen=True)
class Environment:
    """One declared environment. where: the interpreter's path, or the image's reference."""

    name: str
    kind: Literal["interpreter", "image"]
    where: str

    @property
    def label(self) -> str:
        """For messages: the variable and its value."""
        return f"{(INTERPRETER if self.kind == 'interpreter' else IMAGE) + self.name.upper()}={self.where}"


def declared() -> list[Environment]:
    """The environments that variables declare, sorted by name."""
    found = []
    for variable, where in sorted(os.environ.items()):
        for prefix, kind in ((INTERPRETER, "interpreter"), (IMAGE, "image")):
            if variable.startswith(prefix) and where and len(variable) > len(prefix):
                name = variable.removeprefix(prefix).lower()
                if prefix == INTERPRETER and os.path.isdir(where):
                    where = os.path.join(where, "bin", "python")
                found.append(Environment(name, kind, where))  # type: ignore[arg-type]
    return found


def environment_of(card: Card) -> Environment:
    """Where a generator lives: the environment of its own name, or the one that offers its key.

    Raises: UsageError with the variable to set.
    """
    kind = "image" if card.runtime == "container" else "interpreter"
    fitting = [one for one in declared() if one.kind == kind]
    for one in fitting:
        if one.name == card.name:
            return one
    for one in fitting:
        if card.key in {other.key for other in offer(one)[0]}:
            return one
    prefix, what = (IMAGE, "image") if kind == "image" else (INTERPRETER, "interpreter")
    raise UsageError(
        f"{card.key} runs in an {what} of its own, and none is declared: set {prefix}{card.name.upper()} to"
        + (" the image's reference" if kind == "image" else " the path of the Python of its environment")
    )


def offer(environment: Environment) -> tuple[tuple[Card, ...], tuple[Fault, ...]]:
    """The cards of an environment, and what is wrong there: a worker in it is asked, once until it changes."""
    return _ask(environment, _state(environment))


@lru_cache(maxsize=64)
def _ask(environment: Environment, _as_of: tuple[object, ...]) -> tuple[tuple[Card, ...], tuple[Fault, ...]]:
    from generators.runtimes.commands import describe_command

    whole = f"environment {environment.name}"
    with tempfile.TemporaryDirectory(prefix="haetae-describe-") as scratch:
        try:
            status, said = _run(describe_command(environment, Path(scratch)))
        except (OSError, UsageError) as error:
            return (), ((environment.name, whole, f"cannot be asked for its cards: {error}"),)
    lines = [line for line in said.splitlines() if line.startswith(_FIRST_OF_DESCRIPTION)]
    if status != 0 or not lines:
        last = said.decode(errors="replace").strip()[-2000:]
        return (), ((environment.name, whole, f"told no cards and ended with status {status}: {last}"),)
    return _read(environment.name, whole, lines[-1])


def _read(name: str, whole: str, said: bytes) -> tuple[tuple[Card, ...], tuple[Fault, ...]]:
    """Cards and faults of a description."""
    try:
        told: Any = json.loads(said)
        faults = tuple((str(point), str(package), str(what)) for point, package, what in told["problems"])
        cards = tuple(Card.model_validate(card) for card in told["cards"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return (), ((name, whole, f"does not describe its generators: {str(error)[:500]}"),)
    return cards, faults


def _run(command: Command) -> tuple[int, bytes]:
    """Status and the first 4 MiB of what a command says; one that goes on for too long is ended."""
    try:
        with subprocess.Popen(
            command.argv,
            env={**kept_environment(), **command.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            timer = threading.Timer(DESCRIBE_TIMEOUT_S, _kill_session, [process.pid])
            timer.start()
            assert process.stdout is not None
            said = process.stdout.read(MAX_DESCRIPTION_BYTES)
            timer.cancel()
            process.stdout.close()  # whoever still has more to say is told that nobody listens
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
            _kill_session(process.pid)
        return process.returncode, said
    finally:
        if command.clean_up:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(list(command.clean_up), capture_output=True, timeout=60, check=False)


def _kill_session(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _state(environment: Environment) -> tuple[object, ...]:
    """Changes when a package is installed into an interpreter's environment, or images run by another engine."""
    if environment.kind == "image":
        return (os.environ.get(ENGINE),)
    python = Path(environment.where)
    folders = sorted(python.parent.parent.glob("lib*/python3*/site-packages"))
    with_times = [python, *folders]
    return tuple(path.stat().st_mtime_ns for path in with_times if path.exists())
