"""Writing what an importer read into the lake: items in batches, and what the data set states of each.

Reading a data set is in the format's module; fetching its files is the `media` stage's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from haetae.importers.base import Entry, Importer
from haetae.lake import Lake, Lineage
from haetae.provenance.ids import content_id, digest
from haetae.provenance.sources import Source

Row = dict[str, Any]
ASSET = "imports"


@dataclass(frozen=True)
class BroughtIn:
    """Batches that were opened, batches in which a statement changed, and how many items were already there."""

    opened: tuple[str, ...]
    changed: tuple[str, ...]
    known: int


def source_of(importer: Importer, root: str, source_id: str, *, accepted: bool, **declared: Any) -> Source:
    """The data set as a source. What a user has not accepted the terms of may be used for nothing.

    declared: fields of `sources.yaml` that the user states, such as country or use_case.
    """
    terms = importer.terms
    return Source(
        id=source_id,
        uri=root,
        kind=f"dataset:{importer.name}",
        licence=terms.licence,
        consent={"basis": terms.consent, "ref": f"terms of {importer.title}"},
        purposes=terms.purposes if accepted else (),
        **{"language": importer.language, **declared},
    )


def bring_in(
    lake: Lake, source: Source, importer: Importer, entries: Sequence[Entry], batch_size: int, run_id: str
) -> BroughtIn:
    """Write `items` and `imports` rows for entries that are new, and new statements of those that are not.

    An entry is known by its source and its key, so a data set may be moved, and a corrected label changes only
    the batch it is in. Entries that are gone stay: what was imported is withdrawn by a takedown, not by a file
    that was deleted.
    """
    rows = {row["item_id"]: row for row in (_row(source, importer, entry) for entry in entries)}
    batch_of = {row["item_id"]: row["batch"] for row in lake.rows("items") if row["source_id"] == source.id}
    changed = _update(lake, [{**rows[i], "batch": batch_of[i]} for i in rows if i in batch_of], run_id)
    fresh = sorted((row for i, row in rows.items() if i not in batch_of), key=lambda row: row["item_key"])
    path_of = {_item_id(source, entry): entry.path for entry in entries}
    opened = [
        _open(lake, fresh[i : i + batch_size], path_of, run_id) for i in range(0, len(fresh), batch_size)
    ]
    return BroughtIn(tuple(opened), tuple(changed), len(rows) - len(fresh))


def _item_id(source: Source, entry: Entry) -> str:
    return content_id("item", source.id, entry.key)


def _row(source: Source, importer: Importer, entry: Entry) -> Row:
    return {
        "item_id": _item_id(source, entry),
        "source_id": source.id,
        "format": importer.name,
        "item_key": entry.key,
        "form": entry.form,
        "video_verdict": entry.video,
        "audio_verdict": entry.audio,
        "sync_verdict": entry.sync,
        "text_verdict": entry.text_verdict,
        "segments": [segment._asdict() for segment in entry.segments],
        "pair_item_id": content_id("item", source.id, entry.pair) if entry.pair else None,
        "mask": entry.mask,
        # Two data sets may both call somebody "id0"; they are different people.
        "identities": [f"{source.id}:{name}" for name in entry.identities],
        "generator": entry.generator,
        "family": entry.family,
        "split": entry.split,
        "language": entry.language,
        "text": entry.text,
        "detail": json.dumps(dict(entry.detail), sort_keys=True, ensure_ascii=False),
    }


def _open(lake: Lake, rows: Sequence[Row], path_of: dict[str, str], run_id: str) -> str:
    key = content_id("b", *[row["item_id"] for row in rows])[:12]
    # `items` is what makes a batch exist, so it comes last: a killed import opens no batch without statements.
    _write(lake, key, [{**row, "batch": key} for row in rows], run_id)
    items = [
        {
            "item_id": row["item_id"],
            "batch": key,
            "source_id": row["source_id"],
            "uri": path_of[row["item_id"]],
            "sha256": None,
            "size_bytes": None,
        }
        for row in rows
    ]
    lake.write("items", key, items, Lineage("items", run_id, "1", key))
    return key


def _update(lake: Lake, rows: Iterable[Row], run_id: str) -> list[str]:
    """Replace statements that changed, batch by batch; the batches in which any did."""
    stated: dict[str, dict[str, Row]] = {}
    for row in rows:
        stated.setdefault(row["batch"], {})[row["item_id"]] = row
    changed = []
    for batch, new in stated.items():
        before = {row["item_id"]: row for row in lake.rows("imports", batch)}
        after = before | new
        if after != before:
            _write(lake, batch, list(after.values()), run_id)
            changed.append(batch)
    return changed


def _write(lake: Lake, batch: str, rows: Sequence[Row], run_id: str) -> None:
    ordered = sorted(rows, key=lambda row: str(row["item_id"]))
    edges = [(row["source_id"], row["item_id"], "stated_by") for row in ordered]
    edges += [(row["pair_item_id"], row["item_id"], "made_from") for row in ordered if row["pair_item_id"]]
    lake.write("imports", batch, ordered, Lineage(ASSET, run_id, "1", digest(ordered)), edges)
