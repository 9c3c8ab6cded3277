"""Both engines keep the same contract: results in order, errors as values, the batch goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from pebble.common import launch_process

from haetae.engine import Done, Engine, Failed, InlineEngine, PoolEngine, Progress, Row, split_results
from haetae.errors import Rejected


@dataclass
class Halve:
    """Halves even numbers; odd ones are refused, and some rows do worse."""

    stage: ClassVar[str] = "halve"
    key: ClassVar[str] = "name"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0
    timeout_s: float = 20.0
    setups: int = field(default=0, compare=False)

    def setup(self) -> None:
        self.setups += 1

    def __call__(self, row: Row) -> list[Row]:
        value = row["value"]
        if value == "crash":
            raise ZeroDivisionError("a bug")
        if value == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if value == "hang":
            time.sleep(600)
        if value == "grow":
            value = len(bytearray(2 << 30)) & 1
        if value % 2:
            raise Rejected("odd", f"{value} has no half")
        return [{"half": value // 2, "setups": self.setups, "pid": os.getpid()}]


@dataclass
class BrokenSetup(Halve):
    def setup(self) -> None:
        raise OSError("no weights")


@pytest.fixture(params=["inline", "pool"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = InlineEngine() if request.param == "inline" else PoolEngine(2)
    yield made
    made.close()


def _rows(*values: object) -> list[Row]:
    return [{"name": f"row{i}", "value": value} for i, value in enumerate(values)]


def test_results_come_in_the_order_of_the_rows_and_errors_are_values(engine: Engine) -> None:
    results = list(engine.map_rows(Halve(), _rows(4, 3, "crash", 8)))
    assert [r.item_id for r in results] == ["row0", "row1", "row2", "row3"]
    assert isinstance(results[0], Done)
    assert results[0].rows[0]["half"] == 2
    assert results[1] == Failed("row1", "halve", "odd", "3 has no half")
    assert isinstance(results[2], Failed)
    assert results[2].reason == "error"
    assert "ZeroDivisionError: a bug" in results[2].detail
    assert isinstance(results[3], Done)
    assert results[3].rows[0]["half"] == 4


def test_setup_runs_once_in_each_worker(engine: Engine) -> None:
    rows, failed = split_results(engine.map_rows(Halve(), _rows(*[2] * 12)))
    assert not failed
    assert {row["setups"] for row in rows} == {1}


def test_a_worker_that_dies_takes_only_its_row_with_it() -> None:
    engine = PoolEngine(2)
    rows, failed = split_results(engine.map_rows(Halve(), _rows(2, "die", 4, 6, 8)))
    engine.close()
    assert sorted(row["half"] for row in rows) == [1, 2, 3, 4]
    assert [(f.item_id, f.reason) for f in failed] == [("row1", "worker_died")]


def test_a_row_beyond_its_time_limit_is_ended_and_the_batch_goes_on() -> None:
    engine = PoolEngine(1)
    # The first row pays for the start of the worker, so that the limit is about the row alone.
    list(engine.map_rows(Halve(), _rows(2)))
    started = time.monotonic()
    rows, failed = split_results(engine.map_rows(Halve(timeout_s=1.5), _rows(2, "hang", 4)))
    engine.close()
    assert [row["half"] for row in rows] == [1, 2]
    assert [(f.item_id, f.reason) for f in failed] == [("row1", "timeout")]
    assert time.monotonic() - started < 30


def test_a_row_that_takes_too_much_memory_fails_alone() -> None:
    engine = PoolEngine(1, memory_bytes=1 << 30)
    try:
        results = list(engine.map_rows(Halve(), _rows(2, "grow", 4)))
    finally:
        engine.close()
    assert [type(r) for r in results] == [Done, Failed, Done]
    assert isinstance(results[1], Failed)
    assert results[1].reason == "out_of_memory"


def test_workers_stay_between_calls() -> None:
    engine = PoolEngine(1)
    first, _ = split_results(engine.map_rows(Halve(), _rows(2)))
    second, _ = split_results(engine.map_rows(Halve(), _rows(2)))
    engine.close()
    assert first[0]["pid"] == second[0]["pid"] != os.getpid()


def test_ctrl_c_while_workers_start_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def launch(*args: Any) -> Any:
        started.append(launch_process(*args))
        os.kill(os.getpid(), signal.SIGINT)
        return started[-1]

    monkeypatch.setattr("pebble.pool.process.launch_process", launch)
    engine = PoolEngine(2)
    with pytest.raises(KeyboardInterrupt):
        list(engine.map_rows(Halve(), _rows(2)))
    engine.close()
    assert len(started) == 2
    assert not any(process.is_alive() for process in started)


def test_a_step_that_cannot_be_set_up_fails_its_rows_with_the_reason() -> None:
    engine = PoolEngine(1)
    _, failed = split_results(engine.map_rows(BrokenSetup(), _rows(2, 4)))
    engine.close()
    assert [f.reason for f in failed] == ["setup_failed", "setup_failed"]
    assert "no weights" in failed[0].detail


def test_progress_tells_stage_count_failures_and_rate() -> None:
    seen: list[Progress] = []
    list(InlineEngine(seen.append).map_rows(Halve(), _rows(2, 3, 4)))
    assert [(p.stage, p.done, p.total, p.failed) for p in seen] == [
        ("halve", 1, 3, 0),
        ("halve", 2, 3, 1),
        ("halve", 3, 3, 1),
    ]
    assert Progress("halve", 10, 10, 0, 4.0).rows_per_s == 2.5
