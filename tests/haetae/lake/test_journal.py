"""The journal: what a killed stage finished is not done again, and nothing half-written is believed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from haetae.engine import Done, Failed, InlineEngine, Row
from haetae.errors import Rejected
from haetae.lake import Lake
from haetae.lake.journal import Journal

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)


@dataclass
class Count:
    """Counts its calls in a file, and is killed at a row when told."""

    stage: ClassVar[str] = "count"
    key: ClassVar[str] = "name"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0
    calls: Path
    stop_at: str = ""
    timeout_s: float = 10.0

    def setup(self) -> None: ...

    def __call__(self, row: Row) -> list[Row]:
        if row["name"] == self.stop_at:
            raise KeyboardInterrupt
        with self.calls.open("a") as file:
            file.write(row["name"])
        if row["name"] == "b":
            raise Rejected("no_b", "b is refused")
        return [{"name": row["name"], "at": NOW, "value": 0.1 + 0.2}]


ROWS = [{"name": name} for name in "abcd"]


def test_a_second_run_does_only_what_the_killed_one_did_not(tmp_path: Path) -> None:
    lake, calls = Lake(tmp_path / "lake"), tmp_path / "calls"
    journal = Journal(lake, "count", ("b1",), "f" * 40)
    with pytest.raises(KeyboardInterrupt):
        list(journal.map_rows(InlineEngine(), Count(calls, stop_at="c"), ROWS))
    results = list(Journal(lake, "count", ("b1",), "f" * 40).map_rows(InlineEngine(), Count(calls), ROWS))
    assert calls.read_text() == "abcd"
    assert results[1] == Failed("b", "count", "no_b", "b is refused")
    assert [r.item_id for r in results] == list("abcd")
    assert results[0] == Done("a", [{"name": "a", "at": NOW, "value": 0.1 + 0.2}])


def test_other_inputs_start_afresh_and_a_commit_forgets(tmp_path: Path) -> None:
    lake, calls = Lake(tmp_path / "lake"), tmp_path / "calls"
    list(Journal(lake, "count", ("b1",), "one").map_rows(InlineEngine(), Count(calls), ROWS))
    other = Journal(lake, "count", ("b1",), "two")
    list(other.map_rows(InlineEngine(), Count(calls), ROWS))
    assert calls.read_text() == "abcdabcd"
    other.forget()
    assert not list((tmp_path / "lake" / "journal").iterdir())


def test_a_line_cut_short_is_done_again(tmp_path: Path) -> None:
    lake, calls = Lake(tmp_path / "lake"), tmp_path / "calls"
    list(Journal(lake, "count", ("b1",), "one").map_rows(InlineEngine(), Count(calls), ROWS[:2]))
    file = next((tmp_path / "lake" / "journal").iterdir())
    file.write_text(file.read_text().rstrip("\n")[:-5])
    results = list(Journal(lake, "count", ("b1",), "one").map_rows(InlineEngine(), Count(calls), ROWS))
    assert calls.read_text() == "abbcd"
    assert [r.item_id for r in results] == list("abcd")
    again = list(Journal(lake, "count", ("b1",), "one").map_rows(InlineEngine(), Count(calls), ROWS))
    assert again == results
    assert calls.read_text() == "abbcd"
