"""Opening batches: which files and addresses at the declared sources were not seen before.

Nothing is downloaded here.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haetae.lake import Lake, Lineage
from haetae.media.addresses import same_item
from haetae.media.archives import INSIDE
from haetae.media.hosts import Manners, state_folder
from haetae.media.listing import Found, discover
from haetae.media.partial import sweep
from haetae.params import Crawl
from haetae.provenance.ids import content_id, digest
from haetae.provenance.sources import Source, redact

Row = dict[str, Any]
PASSING = frozenset({"rate_limited", "timeout", "download_failed", "robots_disallowed", "worker_died"})
"""Reasons of the web that may be gone at the next look."""
MAX_TRIES = 3
AFTER_PROBLEM_H = 0.25
"""How soon a source is tried again that could not be listed."""


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


def open_batches(
    lake: Lake,
    sources: Sequence[Source],
    limits: Crawl,
    run_id: str,
    *,
    only_due: bool = False,
    manners: Manners | None = None,
) -> Opened:
    """Look for unseen items at the sources and write them as new batches.

    An item is known by its source, its name there (of the web: extractor and id, or the address without
    its signature; of the disk: the path below the source, so that a folder may move) and, for local files,
    its content. One of the web that failed in passing is put into a new batch, twice at most. Full
    addresses, which may carry secrets, are kept out of the tables in a file that only its owner may read.
    only_due: pass over sources whose `every_h` has not gone by since the last look.
    manners: see `hosts`; None: the usual ones.
    """
    manners = manners or Manners(state_folder(lake))
    sweep(lake)
    items = lake.rows("items")
    known = {row["item_id"]: row for row in items}
    looks = _Looks(known, to_retry(lake, items, limits.allow_hosts))
    for source in sources:
        if only_due and not is_due(source, lake.rows("visits", source.id)):
            continue
        found = discover(
            source,
            limit=limits.max_items_per_source,
            max_bytes=limits.max_bytes,
            allow_hosts=limits.allow_hosts,
            allowed_extractors=limits.allowed_extractors,
            manners=manners,
        )
        visit = looks.take(source, found)
        if not source.is_local or source.every_h is not None:
            # A look at a folder costs nobody anything and is told by its items.
            lake.write("visits", source.id, [visit], Lineage("visits", run_id, "1"))
    _renew_addresses(lake, known, looks.again)
    looks.fresh.sort(key=lambda pair: pair[0]["item_id"])
    groups = [looks.fresh[i : i + limits.batch_size] for i in range(0, len(looks.fresh), limits.batch_size)]
    opened = [open_batch(lake, group, looks.tries, run_id) for group in groups]
    return Opened(tuple(opened), tuple(looks.problems))


def to_retry(lake: Lake, items: Sequence[Row], allow_hosts: Sequence[str]) -> dict[str, int]:
    """Items to fetch again, with how often they were tried: those that wait in no batch and failed in passing, if not
    too often, or were refused for a host that is allowed now."""
    batches: dict[str, set[str]] = {}
    for row in items:
        batches.setdefault(row["item_id"], set()).add(row["batch"])
    written = set(lake.partitions("media"))
    there = set(lake.read("media")["item_id"].to_pylist())
    refusals: dict[str, list[Row]] = {}
    for row in lake.read("quarantine").select(["item_id", "stage", "reason", "detail"]).to_pylist():
        if row["stage"] == "media" and row["item_id"] in batches:
            refusals.setdefault(row["item_id"], []).append(row)
    return {
        item_id: len(batches[item_id])
        for item_id, refused in refusals.items()
        if item_id not in there
        and batches[item_id] <= written
        and len(batches[item_id]) < MAX_TRIES
        and (
            any(row["reason"] in PASSING for row in refused)
            or all(_is_allowed_now(row, allow_hosts) for row in refused)
        )
    }


def _is_allowed_now(refusal: Row, allow_hosts: Sequence[str]) -> bool:
    """Whether it was for a host that has been allowed since."""
    told = any(f"{host} is not public" in refusal["detail"] for host in allow_hosts)
    return refusal["reason"] == "egress_refused" and told


def is_due(source: Source, visits: Sequence[Row], now: dt.datetime | None = None) -> bool:
    """Whether a source is to be looked at again; one that could not be listed is tried sooner.

    visits: its rows of the table; without a row, or without `every_h`, it is due.
    """
    if source.every_h is None or not visits:
        return True
    last = visits[0]
    wait_h = min(source.every_h, AFTER_PROBLEM_H) if last["problem"] else source.every_h
    gone = (now or dt.datetime.now(dt.UTC)) - last["looked_at"]
    return bool(gone >= dt.timedelta(hours=wait_h) or gone < dt.timedelta(0))


@dataclass
class _Looks:
    """What was found at the sources that were looked at."""

    known: Mapping[str, Row]
    tries: Mapping[str, int]
    fresh: list[tuple[Row, str]] = field(default_factory=list)
    again: dict[str, str] = field(default_factory=dict)
    """Known items of the web with the address that they have today."""
    problems: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def take(self, source: Source, found: Sequence[Found]) -> Row:
        """Sort what one source has into fresh, known and not to be listed; its row of `visits`."""
        before, problem = len(self.fresh), None
        for one in found:
            if one.error and not source.is_local:
                problem = one.error
                self.problems.append(f"source {source.id}: {redact(one.uri)}: {one.error}")
                continue
            self._take_one(source, one)
        return {
            "source_id": source.id,
            "looked_at": dt.datetime.now(dt.UTC),
            "n_found": len(found) if source.is_local else sum(not one.error for one in found),
            "n_fresh": len(self.fresh) - before,
            "problem": problem,
        }

    def _take_one(self, source: Source, one: Found) -> None:
        item_id = item_id_of(source, one)
        is_known = item_id in self.known and (source.is_local or item_id not in self.tries)
        if is_known and not source.is_local:
            self.again[item_id] = one.uri
        if is_known or item_id in self._seen:
            return
        self._seen.add(item_id)
        row = {
            "item_id": item_id,
            "source_id": source.id,
            "uri": redact(one.uri),
            "sha256": one.sha256,
            "size_bytes": one.size_bytes,
        }
        self.fresh.append((row, one.uri))


def item_id_of(source: Source, found: Found) -> str:
    """The id of an item: the same for every address that leads to it."""
    if not source.is_local:
        return content_id("item", source.id, found.name or same_item(found.uri), None)
    container, inside, member = found.uri.partition(INSIDE)
    name = Path(os.path.relpath(container, source.uri)).as_posix() + inside + member
    return content_id("item", source.id, name, found.sha256 or found.container_sha256)


def open_batch(lake: Lake, fresh: list[tuple[Row, str]], tries: Mapping[str, int], run_id: str) -> str:
    """Write fresh items, each with its full address, as one batch; returns its key. tries: of items tried before."""
    ids = [row["item_id"] for row, _ in fresh]
    again = [tries[item_id] for item_id in ids if item_id in tries]
    key = content_id("b", *ids, *again)[:12]
    secret = {row["item_id"]: address for row, address in fresh if address != row["uri"]}
    if secret:
        _write_addresses(lake.local_path(f"intake/{key}.json"), secret)
    rows = [{**row, "batch": key} for row, _ in fresh]
    lake.write("items", key, rows, Lineage("items", run_id, "1", key))
    return key


def _renew_addresses(lake: Lake, known: Mapping[str, Row], again: Mapping[str, str]) -> None:
    """Keep today's address of items that wait to be fetched: the one they were found by may have expired."""
    if not lake.files.is_local:
        return
    written = set(lake.partitions("media"))
    for batch in {known[item_id]["batch"] for item_id in again} - written:
        path = lake.local_path(f"intake/{batch}.json")
        secret = json.loads(path.read_text()) if path.exists() else {}
        renewed = {item_id: address for item_id, address in again.items() if item_id in secret}
        if renewed.items() - secret.items():
            _write_addresses(path, secret | renewed)


def _write_addresses(path: Path, secret: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(secret, file)
    os.replace(new, path)


DECLARED = (
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


def fetch_rows(lake: Lake, batch: str) -> list[Row]:
    """The items of a batch with what their sources declare and their full address: input of `Fetch`.

    known: the media row of an item that was fetched before, so that its bytes are not fetched again.
    """
    declared = {row["source_id"]: row for row in lake.rows("sources")}
    known = {row["item_id"]: row for row in lake.rows("media", batch)}
    path = Path(lake.files.path(f"intake/{batch}.json")) if lake.files.is_local else None
    secret: dict[str, str] = json.loads(path.read_text()) if path and path.exists() else {}
    return [
        {
            **item,
            **{name: declared[item["source_id"]][name] for name in DECLARED},
            "address": secret.get(item["item_id"], item["uri"]),
            "known": known.get(item["item_id"]),
        }
        for item in lake.rows("items", batch)
    ]
