"""Workers as tasks of a Ray cluster whose nodes share the lake's folder: the same command under the same guard.

What becomes of a request is read from the exchange folder, so a lost node is a lost worker and no more.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

from generators.runtimes.commands import Command, Resources
from generators.runtimes.drive import Launch


def launch_on_ray(resources: Resources) -> Launch:
    """A launch that runs each guarded command as one Ray task with these resources, and waits for it.

    Ray must be initialised (`ray.init`), and its nodes must have this package, the environment's interpreter
    and the exchange folder at the same paths.
    """
    import ray

    task: Any = ray.remote(
        num_cpus=resources.cpus, num_gpus=resources.gpus, memory=resources.memory_bytes, max_retries=0
    )(run_command)

    def launch(command: Command) -> None:
        gone = (
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.OutOfMemoryError,
        )
        try:
            ray.get(task.remote(list(command.argv), dict(command.env)))
        except gone:
            return  # `drive` finds no end written down, and asks again

    return launch


def run_command(argv: list[str], env: dict[str, str]) -> int:
    """Runs on a node of the cluster; returns the guard's status."""
    # Ray tells a task its accelerators by CUDA_VISIBLE_DEVICES, which the guard hands on.
    done = subprocess.run(argv, env={**os.environ, **env}, stdin=subprocess.DEVNULL, check=False)
    return done.returncode
