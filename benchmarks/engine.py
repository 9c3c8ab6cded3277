"""What the engine costs: rows per second of `map_rows` beside a plain `multiprocessing.Pool` doing the same work.

The engine adds ordering, time limits, survival of dead workers and errors as values; this tells their price
at two sizes of row. Pools are started and warmed before the clock runs, as they are resident in real runs.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from haetae.engine import PoolEngine, Row, split_results

ROUNDS = 5
SIZES = {"1 ms rows": (0.001, 1000), "50 ms rows": (0.05, 80)}


@dataclass
class Burn:
    """Keeps a core busy for as long as the row says."""

    stage: ClassVar[str] = "burn"
    key: ClassVar[str] = "n"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0
    timeout_s: float = 60.0

    def setup(self) -> None: ...

    def __call__(self, row: Row) -> list[Row]:
        return [burn(row)]


def burn(row: Row) -> Row:
    """Spend `row["s"]` seconds of processor time."""
    end = time.process_time() + row["s"]
    while time.process_time() < end:
        pass
    return row


def main() -> None:
    workers = multiprocessing.cpu_count()
    engine = PoolEngine(workers)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for name, (seconds, n) in SIZES.items():
            rows: list[Row] = [{"n": i, "s": seconds} for i in range(n)]
            ways: dict[str, Callable[[], int]] = {
                "map_rows": lambda rows=rows: len(split_results(engine.map_rows(Burn(), rows))[0]),
                "multiprocessing.Pool.imap": lambda rows=rows: len(list(pool.imap(burn, rows))),
            }
            rates = {way: _rate(run, n) for way, run in ways.items()}
            limit = workers / seconds
            ours, theirs = (statistics.median(rates[way]) for way in ways)
            print(f"{name}, {workers} workers, median of {ROUNDS}: physical limit {limit:.0f} rows/s")
            print(f"  map_rows                  {ours:8.1f} rows/s ({ours / limit:.2f} of the limit)")
            print(f"  multiprocessing.Pool.imap {theirs:8.1f} rows/s ({theirs / limit:.2f} of the limit)")
            print(f"  ratio                     {ours / theirs:8.2f}")
    engine.close()


def _rate(run: Callable[[], int], n: int) -> list[float]:
    rates = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        assert run() == n
        rates.append(n / (time.perf_counter() - began))
    return rates[1:]
