"""An engine for generators that live elsewhere: rows become files, a worker answers them, results become rows.

It keeps the contract of `haetae.engine`: results in the order of the rows, errors as values, the batch goes on.
What Dagster has to do with it is on the assets' floor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from generators.make import MakeFakes, made_twice
from generators.protocol import Card, FakeRequest, Generator
from generators.runtimes.commands import Resources
from generators.runtimes.drive import Drive, Launch
from generators.runtimes.environments import Environment
from generators.runtimes.exchange import Exchange, Exchanged, name_of, write_request
from generators.weights import located
from haetae.engine import Done, Engine, Failed, Progress, Result, Row, Step
from haetae.errors import UsageError
from haetae.lake import Lake

WAVE_BYTES = 6 << 30
"""Most bytes of requests and results on disk at a time; a single row may have more."""
UNKNOWN_ROW_BYTES = 256 << 20


@dataclass
class LeaveRequests(MakeFakes):
    """First pass: one clip decoded and left as a request in the exchange folder; no fake comes of it yet."""

    exchange: str = ""

    def __call__(self, row: Row) -> list[Row]:
        exchange = Exchange(Path(self.exchange))
        request: FakeRequest = self._request(Lake(self.lake_root), row)
        name = name_of(exchange.card(), row["clip_id"], row["seed"])
        write_request(exchange, name, request, twice=made_twice(row["seed"], self.recheck_every))
        return []


@dataclass
class KeepFakes(MakeFakes):
    """Second pass: what the worker left for a clip, checked, encoded and stored as any other fake."""

    exchange: str = ""

    def _generator(self, lake: Lake, key: str, learned: str | None) -> Generator:
        del lake  # what the worker left lies in the exchange
        if learned is not None:
            raise UsageError(f"{key} learns, and so runs in this process only; its card says otherwise")
        if key not in self._loaded:
            self._loaded[key] = Exchanged(Exchange(Path(self.exchange)))
        return self._loaded[key]


@dataclass
class Elsewhere:
    """Runs `MakeFakes` with the generator in its own environment; other steps go to the inner engine as they are.

    inner: decodes, checks and encodes; launch: starts a guarded worker and waits for its end.
    """

    inner: Engine
    card: Card
    environment: Environment
    resources: Resources
    launch: Launch
    wave_bytes: int = WAVE_BYTES
    told: dict[str, int] = field(default_factory=lambda: {"started": 0, "died": 0})

    def map_rows(self, step: Step, rows: Iterable[Row]) -> Iterator[Result]:
        if not isinstance(step, MakeFakes):
            yield from self.inner.map_rows(step, rows)
            return
        rows = list(rows)
        if rows and self.card.weights:
            located(self.card)  # fetched and checked here: a worker may have no network
        for wave in waves(rows, self.wave_bytes):
            yield from self._wave(step, wave)

    def report(self, progress: Progress) -> None:
        self.inner.report(progress)

    def close(self) -> None:
        self.inner.close()

    def _wave(self, step: MakeFakes, rows: list[Row]) -> Iterator[Result]:
        with Lake(step.lake_root).tmp_dir() as folder:
            exchange = Exchange(Path(folder) / "exchange")
            exchange.create(self.card)
            left = list(self.inner.map_rows(_with(LeaveRequests, step, exchange), rows))
            ready = [row for row, result in zip(rows, left, strict=True) if isinstance(result, Done)]
            if ready:
                drive = Drive(exchange, self.card, self.environment, self.resources, self.launch)
                for name, n in drive.run().items():
                    self.told[name] += n
            kept = self.inner.map_rows(_with(KeepFakes, step, exchange), ready)
            for result in left:
                yield result if isinstance(result, Failed) else next(kept)


def waves(rows: list[Row], most_bytes: int) -> Iterator[list[Row]]:
    """The rows in stretches whose requests and results together stay within a number of bytes."""
    wave: list[Row] = []
    taken = 0
    for row in rows:
        n_bytes = _bytes_of(row)
        if wave and taken + n_bytes > most_bytes:
            yield wave
            wave, taken = [], 0
        wave.append(row)
        taken += n_bytes
    if wave:
        yield wave


def _bytes_of(row: Row) -> int:
    """About what a request and its result take: pictures in, and pictures with masks out, twice at most."""
    clips = [clip for clip in (row, row.get("donor")) if clip is not None]
    sizes = [(clip.get("width"), clip.get("height"), clip.get("n_frames")) for clip in clips]
    pixels = [w * h * n if w and h and n else UNKNOWN_ROW_BYTES // 11 for w, h, n in sizes]
    return 3 * sum(pixels) + 8 * pixels[0]


def _with(kind: type[Any], step: MakeFakes, exchange: Exchange) -> Any:
    """The pass of a kind with the settings of a step."""
    settings = {one.name: getattr(step, one.name) for one in fields(step) if one.init}
    return kind(**settings, exchange=str(exchange.folder))
