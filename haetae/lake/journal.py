"""What a stage already got through when it was killed, so that the next run does only the rest.

One JSON line for each finished row, below `journal/`; the file goes when its partition is committed.
Rows are valid for one fingerprint only: changed inputs or knobs start a new journal.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from haetae.engine import Done, Engine, Failed, Result, Row, Step
from haetae.lake.lake import Lake, partition_key


class Journal:
    """Finished rows of one asset partition under one fingerprint."""

    def __init__(self, lake: Lake, asset: str, partition: tuple[str, ...], fingerprint: str) -> None:
        self._folder = lake.local_path("journal") if lake.files.is_local else None
        self._prefix = f"{asset}~{partition_key(partition or None)}~"
        self._name = f"{self._prefix}{fingerprint[:16]}.jsonl"

    def map_rows(self, engine: Engine, step: Step, rows: Iterable[Row]) -> Iterator[Result]:
        """As `engine.map_rows`, in the order of the rows, without repeating what is in the journal."""
        rows = list(rows)
        known = self._load()
        left = [row for row in rows if str(row[step.key]) not in known]
        fresh = engine.map_rows(step, left)
        for row in rows:
            item_id = str(row[step.key])
            if item_id in known:
                yield known[item_id]
                continue
            result = next(fresh)
            self._append(result)
            yield result

    def forget(self) -> None:
        """Remove the journals of the partition, whatever their fingerprint: it is committed."""
        if self._folder is not None and self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name.startswith(self._prefix):
                    path.unlink()

    def _path(self) -> Path | None:
        return None if self._folder is None else self._folder / self._name

    def _load(self) -> dict[str, Result]:
        path = self._path()
        if path is None or not path.exists():
            return {}
        known: dict[str, Result] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                found = json.loads(line, object_hook=_from_json)
            except ValueError:
                # The line that a killed process was writing: its row is done again.
                continue
            if "rows" in found:
                known[found["item_id"]] = Done(found["item_id"], found["rows"])
            else:
                known[found["item_id"]] = Failed(**found)
        return known

    def _append(self, result: Result) -> None:
        path = self._path()
        if path is None:
            return
        if isinstance(result, Failed):
            if result.reason in ("cancelled", "setup_failed"):
                return
            body: dict[str, Any] = {
                "item_id": result.item_id,
                "stage": result.stage,
                "reason": result.reason,
                "detail": result.detail,
            }
        else:
            body = {"item_id": result.item_id, "rows": list(result.rows)}
        path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(body, default=_to_json, ensure_ascii=False)
        with path.open("ab") as file:
            # A leading newline ends whatever a killed process left unfinished.
            file.write(f"\n{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())


def _to_json(value: object) -> object:
    if isinstance(value, dt.datetime):
        return {"$time": value.isoformat()}
    raise TypeError(f"a step returned {type(value).__name__}, which is no plain value: {value!r}")


def _from_json(found: dict[str, Any]) -> Any:
    return dt.datetime.fromisoformat(found["$time"]) if set(found) == {"$time"} else found
