"""Getting every request of an exchange folder answered: start a worker, see what it left, start the next one.

How a worker is started is the caller's matter (`Launch`): a plain process, Dagster Pipes, Ray.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from generators.protocol import Card, FakeRequest, FakeResult
from generators.runtimes.commands import Command, Resources, guarded, worker_command
from generators.runtimes.environments import Environment
from generators.runtimes.exchange import (
    Exchange,
    Exchanged,
    name_of,
    read_json,
    write_no,
    write_request,
)
from generators.runtimes.guard import Ended

DIED = "generator_died"
REASONS = {"timeout": "timeout", "memory": "out_of_memory"}
KILLED = 9
Launch = Callable[[Command], None]
"""Runs a guarded command to its end. Raises only what must stop the whole batch."""


def launch_process(command: Command) -> None:
    """The plainest launch: a process of its own, waited for; the guard is let end its worker when this is stopped."""
    env = {**os.environ, **command.env}
    with subprocess.Popen(command.argv, env=env, stdin=subprocess.DEVNULL) as process:
        try:
            process.wait()
        except BaseException:
            process.terminate()
            raise


def answer_one(card: Card, environment: Environment, request: FakeRequest, device: str = "cpu") -> FakeResult:
    """One request, answered by a worker that is started for it alone.

    Raises: Rejected with the generator's reason, or that of a worker that died of it.
    """
    with tempfile.TemporaryDirectory(prefix="haetae-exchange-") as folder:
        exchange = Exchange(Path(folder) / "exchange")
        exchange.create(card)
        write_request(exchange, name_of(card, request.target.clip_id, request.seed), request)
        resources = Resources(gpus=0 if device == "cpu" else 1)
        Drive(exchange, card, environment, resources, launch_process).run()
        return Exchanged(exchange).generate(request)


@dataclass
class Drive:
    """Answers all requests of one exchange folder.

    A worker takes all that is open, one after the other. When it dies of a request, or takes too long, that
    one gets the verdict `generator_died` or `timeout` with the worker's last words, and the next worker takes
    the rest. One that was short of memory, or was killed from outside (as a host does that has none left), is
    asked for once more in a process of its own.
    """

    exchange: Exchange
    card: Card
    environment: Environment
    resources: Resources
    launch: Launch
    starts: int = 0
    _alone: set[str] = field(default_factory=set)
    _lost: bool = False

    def run(self) -> Mapping[str, int]:
        """Go on until nothing is open; returns how many workers were `started` and how many `died`."""
        died = 0
        most = 2 * len(self.exchange.asked()) + 1
        while planned := self._next():
            if self.starts == most:  # a worker takes its own answers back: it would never end
                self._judge_all(planned)
                break
            self.exchange.plan(planned)
            for request_id in planned:
                self.exchange.started(request_id).unlink(missing_ok=True)
            ended = self._start()
            died += not ended.fine
            self._judge(planned, ended)
        return {"started": self.starts, "died": died}

    def _next(self) -> list[str]:
        """What the next worker takes: everything that is open, or else one request that must be alone."""
        left = [one for one in self.exchange.asked() if not self.exchange.answered(one)]
        together = [one for one in left if one not in self._alone]
        return together or left[:1]

    def _start(self) -> Ended:
        command = worker_command(self.environment, self.card, self.exchange, self.resources)
        self.starts += 1
        for path in self.exchange.ends:
            path.unlink(missing_ok=True)
        self.launch(guarded(command, self.exchange, self.resources))
        return _end_of(self.exchange)

    def _judge(self, planned: list[str], ended: Ended) -> None:
        """Give a verdict where the worker cannot answer any more, so that every start brings the batch on."""
        begun = [one for one in planned if os.path.lexists(self.exchange.started(one))]
        open_ = [one for one in planned if not self.exchange.answered(one)]
        culprits = [one for one in open_ if one in begun]
        killed = (ended.how, ended.code) == ("signal", KILLED)
        short = ended.fine or killed or ended.how in ("lost", "memory")
        for one in culprits:
            if short and one not in self._alone:
                self._alone.add(one)
            else:
                self._verdict(one, REASONS.get(ended.how, DIED), ended)
        if not begun and ended.how == "lost" and not self._lost:
            self._lost = True
        elif not begun:
            for one in open_:
                self._verdict(one, "setup_failed", ended)

    def _judge_all(self, planned: list[str]) -> None:
        for one in planned:
            self._verdict(one, DIED, Ended("exit", 0, "its answers did not stay where it left them"))

    def _verdict(self, request_id: str, reason: str, ended: Ended) -> None:
        write_no(self.exchange.verdicts, request_id, "failed", reason, f"{self.card.key}: {ended.told()}")


def _end_of(exchange: Exchange) -> Ended:
    for path in exchange.ends:
        try:
            told = read_json(path)
            return Ended(str(told["how"]), int(told["code"]), str(told["tail"]))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            continue
    return Ended("lost", 0, "")
