"""Opening batches: which files and addresses at the declared sources were not seen before.

Nothing is downloaded here.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haetae.lake import Lake, Lineage
from haetae.media.listing import discover
from haetae.params import Crawl
from haetae.provenance.ids import content_id, digest
from haetae.provenance.sources import Source, redact

Row = dict[str, Any]


@dataclass(frozen=True)
class SourcesFiles:
    """Which sources files are read: those given, or those that the lake's sources came from."""

    given: tuple[Path, ...] = ()

    def paths(self, lake: Lake) -> list[Path]:
        if self.given:
            return [path.resolve() for path in self.given]
        known = {Path(row["declared_by"]) for row in lake.rows("sources")}
        return sorted(path for path in known if path.is_file())


def sources_changed(lake: Lake, sources: Sequence[Source]) -> bool:
    """Whether these declarations differ from what the lake holds."""
    return _merged(lake, sources, "")[1] or not lake.partitions("sources")


def declare_sources(lake: Lake, sources: Sequence[Source], declared_by: str, run_id: str) -> bool:
    """Add or update declarations; sources that are not mentioned stay. Returns whether any row changed."""
    rows, changed = _merged(lake, sources, declared_by)
    if changed or not lake.partitions("sources"):
        fingerprint = digest([_content(row) for row in rows])
        lake.write("sources", None, rows, Lineage("sources", run_id, "1", fingerprint))
    return changed


def _merged(lake: Lake, sources: Sequence[Source], declared_by: str) -> tuple[list[Row], bool]:
    now = dt.datetime.now(dt.UTC)
    known = {row["source_id"]: row for row in lake.rows("sources")}
    changed = False
    for source in sources:
        row = source.row(declared_by, now)
        old = known.get(source.id)
        if old is not None:
            row["status"] = old["status"]
        if old is None or _content(old) != _content(row):
            known[source.id] = row
            changed = True
    return list(known.values()), changed


def _content(row: Row) -> Row:
    return {k: v for k, v in row.items() if k not in ("declared_at", "declared_by")}


@dataclass(frozen=True)
class Opened:
    """Keys of the new batches, and what could not be listed: the next look tries it again."""

    batches: tuple[str, ...]
    problems: tuple[str, ...]


def open_batches(lake: Lake, sources: Sequence[Source], limits: Crawl, run_id: str) -> Opened:
    """Look for unseen items at the sources and write them as new batches.

    An item is known by its source, its address there (a local file: its path below the source, so that a
    folder may move) and, for local files, its content. Full addresses,
    which may carry secrets, are kept out of the tables in a file that only its owner may read.
    """
    seen = set(lake.read("items")["item_id"].to_pylist())
    fresh: list[tuple[Row, str]] = []
    problems: list[str] = []
    for source in sources:
        for found in discover(source, limit=limits.max_items_per_source, allow_hosts=limits.allow_hosts):
            uri = redact(found.uri)
            if found.error and not source.is_local:
                problems.append(f"source {source.id}: {uri}: {found.error}")
                continue
            item_id = content_id("item", source.id, _name_in(source, found.uri), found.sha256)
            if item_id in seen:
                continue
            seen.add(item_id)
            row = {
                "item_id": item_id,
                "source_id": source.id,
                "uri": uri,
                "sha256": found.sha256,
                "size_bytes": found.size_bytes,
            }
            fresh.append((row, found.uri))
    fresh.sort(key=lambda pair: pair[0]["item_id"])
    size = limits.batch_size
    opened = [_open(lake, fresh[i : i + size], run_id) for i in range(0, len(fresh), size)]
    return Opened(tuple(opened), tuple(problems))


def _name_in(source: Source, uri: str) -> str:
    if not source.is_local:
        return redact(uri)
    return Path(os.path.relpath(uri, source.uri)).as_posix()


def _open(lake: Lake, fresh: list[tuple[Row, str]], run_id: str) -> str:
    key = content_id("b", *[row["item_id"] for row, _ in fresh])[:12]
    secret = {row["item_id"]: address for row, address in fresh if address != row["uri"]}
    if secret:
        path = lake.local_path(f"intake/{key}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(secret, file)
    rows = [{**row, "batch": key} for row, _ in fresh]
    lake.write("items", key, rows, Lineage("items", run_id, "1", key))
    return key


def fetch_rows(lake: Lake, batch: str) -> list[Row]:
    """The items of a batch with what their sources declare and their full address: input of `Fetch`."""
    declared = {row["source_id"]: row for row in lake.rows("sources")}
    path = Path(lake.files.path(f"intake/{batch}.json")) if lake.files.is_local else None
    secret: dict[str, str] = json.loads(path.read_text()) if path and path.exists() else {}
    kept = (
        "kind",
        "language",
        "country",
        "use_case",
        "licence",
        "purposes",
        "verdict",
        "generator",
        "identities",
    )
    rows = []
    for item in lake.rows("items", batch):
        source = declared[item["source_id"]]
        rows.append(
            {
                **item,
                **{name: source[name] for name in kept},
                "address": secret.get(item["item_id"], item["uri"]),
            }
        )
    return rows
