"""The ledger: an append-only, hash-chained record of every decision.

Which decisions are taken is not known here.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haetae.errors import UsageError
from haetae.provenance.ids import canonical_json, content_id, digest

GENESIS = "0" * 64


@dataclass(frozen=True)
class Entry:
    """One decision. `hash` covers everything above it, `previous` is the hash of the entry before."""

    entry_id: str
    kind: str
    subject: str
    decision: str
    detail: Mapping[str, Any]
    at: str
    previous: str
    hash: str


class Ledger:
    """`ledger.jsonl` at the root of a local lake; safe for several writing processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, kind: str, subject: str, decision: str, detail: Mapping[str, Any]) -> Entry:
        """Append a decision; the same decision on the same subject and detail is recorded once."""
        entry_id = content_id("entry", kind, subject, decision, detail)
        with self._locked() as file:
            last = GENESIS
            for entry in self._parse(file.read()):
                if entry.entry_id == entry_id:
                    return entry
                last = entry.hash
            at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            body: dict[str, Any] = {
                "entry_id": entry_id,
                "kind": kind,
                "subject": subject,
                "decision": decision,
                "detail": dict(detail),
                "at": at,
                "previous": last,
            }
            entry = Entry(**body, hash=digest(body))
            file.seek(0, os.SEEK_END)
            file.write(canonical_json({**body, "hash": entry.hash}) + "\n")
            file.flush()
            os.fsync(file.fileno())
            return entry

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        if not self._path.exists():
            return []
        return list(self._parse(self._path.read_text(encoding="utf-8")))

    def verify(self) -> list[str]:
        """Faults in the chain, one line each; none: every entry is as it was written."""
        faults, last = [], GENESIS
        for number, entry in enumerate(self.entries(), 1):
            body = {k: v for k, v in vars(entry).items() if k != "hash"}
            if digest(body) != entry.hash:
                faults.append(f"entry {number} ({entry.entry_id}) was changed after it was written")
            if entry.previous != last:
                faults.append(f"entry {number} ({entry.entry_id}) does not follow the entry before it")
            last = entry.hash
        return faults

    @contextmanager
    def _locked(self) -> Iterator[Any]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            text = file.read()
            if text and not text.endswith("\n"):
                # A writer was killed within its line: nothing was promised about it yet.
                file.truncate(len(text[: text.rfind("\n") + 1].encode()))
            file.seek(0)
            yield file

    def _parse(self, text: str) -> Iterator[Entry]:
        for number, line in enumerate(text.splitlines(), 1):
            try:
                yield Entry(**json.loads(line))
            except (ValueError, TypeError) as error:
                if number == len(text.splitlines()) and not text.endswith("\n"):
                    return
                raise UsageError(f"{self._path}:{number}: not a ledger entry: {error}") from error
