"""The same worker as a task of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from generators.protocol import Card, FakeRequest, FakeResult
from generators.runtimes.commands import Resources
from generators.runtimes.drive import Drive
from generators.runtimes.environments import Environment
from generators.runtimes.exchange import Exchange, Exchanged
from generators.runtimes.ray_tasks import launch_on_ray
from haetae.errors import Rejected

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        object_store_memory=80 << 20,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.getcwd()}},
    )
    yield ray
    ray.shutdown()


def test_a_batch_runs_as_ray_tasks_and_outlives_a_worker_that_dies(
    ray_cluster: Any,
    environment: Environment,
    naughty: Card,
    ask: Callable[..., FakeRequest],
    exchange_of: Callable[..., Exchange],
) -> None:
    requests = [ask(clip_id=f"clip-{n}", sentence=kind) for n, kind in enumerate((None, "die", None))]
    exchange = exchange_of(naughty, *requests)
    limits = Resources(request_s=20, load_s=60, memory_bytes=1 << 30)
    Drive(exchange, naughty, environment, limits, launch_on_ray(limits)).run()
    handed = Exchanged(exchange)
    assert isinstance(handed.generate(requests[0]), FakeResult)
    assert isinstance(handed.generate(requests[2]), FakeResult)
    with pytest.raises(Rejected, match="generator_died: naughty@1: its process was ended by signal 6"):
        handed.generate(requests[1])
