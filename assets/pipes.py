"""Generators in environments of their own, run through Dagster Pipes: the orchestrator's side of it.

How requests become files and how a worker answers them is in `generators.runtimes`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import dagster as dg

from generators.protocol import Card
from generators.runtimes.commands import Command, Resources
from generators.runtimes.elsewhere import Elsewhere
from generators.runtimes.environments import environment_of
from haetae.engine import Engine

MESSAGES = "pipes.jsonl"
NVIDIA = "/dev/nvidiactl"
"""There where the driver of an accelerator is."""


def engine_for(
    card: Card, context: dg.AssetExecutionContext, engine: Engine, timeout_s: float, memory_bytes: int
) -> Engine:
    """The engine for the rows of a generator: the given one, or one that runs it where its card says.

    timeout_s: for one fake; memory_bytes: of its worker. Raises: UsageError where no environment is declared.
    """
    if card.runtime == "in_process":
        return engine
    gpus = 1 if card.hardware == "gpu" and os.path.exists(NVIDIA) else 0
    resources = Resources(request_s=timeout_s, memory_bytes=memory_bytes, gpus=gpus)
    return Elsewhere(engine, card, environment_of(card), resources, launch_by_pipes(context))


def launch_by_pipes(context: dg.AssetExecutionContext) -> Callable[[Command], None]:
    """Starts each worker as a Pipes session of this step; what it reports appears in the run's log.

    Context and messages travel by environment and by a file below the folder that a worker writes its results
    to, so that they also reach a container. What became of a request is read from the exchange folder: a worker
    that dies ends its session and not the step.
    """

    def launch(command: Command) -> None:
        client = dg.PipesSubprocessClient(
            context_injector=dg.PipesEnvContextInjector(),
            message_reader=dg.PipesFileMessageReader(os.path.join(command.writable, MESSAGES)),
        )
        client.run(context=context, command=command.argv, env=dict(command.env))

    return launch
