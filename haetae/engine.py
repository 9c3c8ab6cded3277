"""The one seam through which per-row work runs: `map_rows(step, rows) -> Iterator[Result]`.

A step is a class with `setup()` (once per worker: models) and `__call__(row)` (per row). Errors are
values: whatever goes wrong with a row (a refusal, an exception, a time-out, a dead worker) comes back
as `Failed`, in the order of the rows, and the batch goes on. What a row means is not decided here.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import resource
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from typing import Any, ClassVar, Protocol, runtime_checkable

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from haetae.errors import Rejected

Row = dict[str, Any]
WORKER_MEMORY_BYTES = 8 << 30
"""Data that one worker may hold; the models of the heaviest step take a quarter of it."""
END_S = 3.0
"""How long a worker may take to end when it is told to, seconds."""


@runtime_checkable
class Step(Protocol):
    """Work on one row. Instances are pickled to the workers, so they hold plain parameters only."""

    stage: ClassVar[str]
    """Name of the stage, as it appears in progress and in quarantine rows."""
    key: ClassVar[str]
    """Column that names a row in quarantine, for example `media_id`."""
    num_cpus: ClassVar[float]
    num_gpus: ClassVar[float]
    timeout_s: float
    """Wall-clock limit for one row, in seconds; its worker is killed beyond it."""

    def setup(self) -> None:
        """Load what every row needs; called once in each worker."""

    def __call__(self, row: Row) -> Sequence[Row]:
        """Turn one row into zero or more rows. Raises: `Rejected` for a row that cannot be used."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a step made of one row."""

    item_id: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a step made nothing of one row."""

    item_id: str
    stage: str
    reason: str
    detail: str


Result = Done | Failed


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment in a stage: how many rows are through, how many of them failed, and how fast."""

    stage: str
    done: int
    total: int
    failed: int
    elapsed_s: float

    @property
    def rows_per_s(self) -> float:
        return self.done / self.elapsed_s if self.elapsed_s > 0 else 0.0


OnProgress = Callable[[Progress], None]


class Engine(Protocol):
    """Anything that runs a step over rows and keeps the contract of this module."""

    def map_rows(self, step: Step, rows: Iterable[Row]) -> Iterator[Result]: ...

    def report(self, progress: Progress) -> None:
        """Tell of progress that is not about rows, such as the epochs of a training."""

    def close(self) -> None: ...


def split_results(results: Iterable[Result]) -> tuple[list[Row], list[Failed]]:
    """Drain results into the rows that were made and the failures, both in input order."""
    rows: list[Row] = []
    failed: list[Failed] = []
    for result in results:
        if isinstance(result, Failed):
            failed.append(result)
        else:
            rows.extend(result.rows)
    return rows, failed


def run_one(step: Step, row: Row) -> Result:
    """Run a step that is already set up on one row, turning every exception into `Failed`."""
    item_id = str(row[step.key])
    try:
        return Done(item_id, list(step(row)))
    except Rejected as no:
        return Failed(item_id, step.stage, no.reason, no.detail)
    except MemoryError as error:
        return Failed(item_id, step.stage, "out_of_memory", str(error))
    except Exception as error:
        last = traceback.format_exc(limit=-3)
        return Failed(item_id, step.stage, "error", f"{type(error).__name__}: {error}\n{last}")


class InlineEngine:
    """Runs every row in the calling process: for tests, debuggers and `haetae detect`."""

    def __init__(self, on_progress: OnProgress | None = None) -> None:
        self._on_progress = on_progress

    def map_rows(self, step: Step, rows: Iterable[Row]) -> Iterator[Result]:
        rows = list(rows)
        meter = _Meter(step.stage, len(rows), self._on_progress)
        if rows:
            step.setup()
        for row in rows:
            yield meter.count(run_one(step, row))

    def report(self, progress: Progress) -> None:
        if self._on_progress is not None:
            self._on_progress(progress)

    def close(self) -> None:
        return None


class PoolEngine:
    """A pool of resident worker processes on one machine; models stay loaded between calls.

    A worker that outlives `step.timeout_s` is killed and replaced, as is one that dies of its row. A row that
    takes more than `memory_bytes` of its worker fails as `out_of_memory`.
    """

    def __init__(
        self,
        workers: int | None = None,
        on_progress: OnProgress | None = None,
        memory_bytes: int = WORKER_MEMORY_BYTES,
    ) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._memory_bytes = memory_bytes
        self._on_progress = on_progress
        self._pool: ProcessPool | None = None

    def map_rows(self, step: Step, rows: Iterable[Row]) -> Iterator[Result]:
        rows = list(rows)
        meter = _Meter(step.stage, len(rows), self._on_progress)
        frozen = pickle.dumps(step)
        waiting = deque(rows)
        running: deque[tuple[Row, ProcessFuture[Any]]] = deque()
        try:
            while waiting or running:
                while waiting and len(running) < 2 * self._workers:
                    row = waiting.popleft()
                    running.append((row, self._schedule(frozen, row, step.timeout_s)))
                row, future = running.popleft()
                yield meter.count(_outcome(step, row, future))
        except (Exception, GeneratorExit):
            for _, future in running:
                future.cancel()  # type: ignore[no-untyped-call]
            raise
        except (
            BaseException
        ):  # somebody stops the whole command; a worker for the next rows would only be in the way
            self.close()
            raise

    def _schedule(self, frozen: bytes, row: Row, timeout_s: float) -> ProcessFuture[Any]:
        with _no_ctrl_c():
            if self._pool is None or not self._pool.active:
                self._pool = ProcessPool(
                    max_workers=self._workers,
                    context=multiprocessing.get_context("spawn"),
                    initializer=_start_worker,
                    initargs=(self._memory_bytes,),
                )
            return self._pool.schedule(_work, args=[frozen, row], timeout=timeout_s)

    def report(self, progress: Progress) -> None:
        if self._on_progress is not None:
            self._on_progress(progress)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            _end_workers(self._pool)
            self._pool.join()
            self._pool = None


@contextlib.contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Put Ctrl-C off until the pool knows the workers that it starts: one that it does not know is never ended.

    They inherit the mask, so that a worker does not hear Ctrl-C before it can tell what to do with it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    resource_tracker.ensure_running()  # it would take the mask away
    usual = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, usual)
        if heard:
            signal.raise_signal(signal.SIGINT)


def _end_workers(pool: ProcessPool) -> None:
    """End all workers at once, before the pool takes from under a starting one what it is to be given."""
    known = pool._pool_manager.worker_manager.workers
    workers = list(known.values())
    for worker in workers:
        worker.terminate()
    until = time.monotonic() + END_S
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
        if worker.is_alive():
            worker.kill()
            worker.join()


@dataclass
class _Meter:
    stage: str
    total: int
    report: OnProgress | None
    done: int = 0
    failed: int = 0
    started: float = field(default_factory=time.monotonic)

    def count(self, result: Result) -> Result:
        self.done += 1
        self.failed += isinstance(result, Failed)
        if self.report is not None:
            elapsed_s = time.monotonic() - self.started
            self.report(Progress(self.stage, self.done, self.total, self.failed, elapsed_s))
        return result


def _outcome(step: Step, row: Row, future: ProcessFuture[Any]) -> Result:
    item_id = str(row[step.key])
    try:
        result: Result = future.result()
        return result
    except FutureTimeout:
        detail = f"took longer than {step.timeout_s:g} s; its worker was ended"
        return Failed(item_id, step.stage, "timeout", detail)
    except ProcessExpired as death:
        return Failed(item_id, step.stage, "worker_died", f"exit code {death.exitcode}")
    except CancelledError:
        return Failed(item_id, step.stage, "cancelled", "the engine was closed")
    except Exception as error:
        return Failed(item_id, step.stage, "error", f"{type(error).__name__}: {error}")


_steps: dict[bytes, Step] = {}


def _start_worker(memory_bytes: int) -> None:
    """Leave Ctrl-C to the parent and the other cores to the other workers; take no more than one's memory."""
    with contextlib.suppress(ValueError, OSError):  # only Linux bounds it in this way
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _work(frozen: bytes, row: Row) -> Result:
    step = _steps.get(frozen)
    if step is None:
        step = pickle.loads(frozen)  # noqa: S301 - it comes from our own parent process
        try:
            step.setup()
        except Exception as error:
            detail = f"setup: {type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}"
            return Failed(str(row[step.key]), step.stage, "setup_failed", detail)
        _steps[frozen] = step
    return run_one(step, row)
