"""A data set as a whole: look at its tree, take the inventory, bring its entries into the lake.

What a layout looks like is told by its importer; who accepts its terms is told by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haetae.errors import UsageError
from haetae.importers.base import Importer
from haetae.importers.bring_in import BroughtIn, bring_in, source_of
from haetae.importers.inventory import Inventory, take
from haetae.importers.registry import find
from haetae.importers.tree import Tree
from haetae.lake import Lake
from haetae.provenance.ledger import Ledger
from haetae.provenance.sources import Source

KIND = "dataset:"
MAPPING_FILE = "mapping.yaml"
"""Read from the root of a data set that wants a mapping and is declared in a sources file."""


@dataclass(frozen=True)
class DataSet:
    """One folder read by one importer."""

    importer: Importer
    root: Path
    inventory: Inventory

    def bring_in(self, lake: Lake, source: Source, batch_size: int, run_id: str) -> BroughtIn:
        """Write the rows of all entries of the inventory; see `bring_in.bring_in`."""
        return bring_in(lake, source, self.importer, self.inventory.entries, batch_size, run_id)

    def source(self, source_id: str, *, accepted: bool, declared: Mapping[str, Any]) -> Source:
        """The data set as a source; see `bring_in.source_of`. Raises: UsageError for a bad declaration."""
        try:
            return source_of(self.importer, str(self.root), source_id, accepted=accepted, **declared)
        except ValueError as error:
            raise UsageError(f"{source_id}: {error}") from error


def look_at(format_name: str, root: Path, mapping: Path | None = None) -> DataSet:
    """Take the inventory of a folder. Raises: UsageError for an unknown format, or a folder of another layout."""
    importer = find(format_name, mapping)
    tree = Tree(root)
    return DataSet(importer, root.resolve(), take(importer, tree))


def look_at_source(source: Source) -> DataSet:
    """The data set of a source of kind `dataset:<format>`; a mapping is read from its `mapping.yaml`."""
    root = Path(source.uri)
    beside = root / MAPPING_FILE
    return look_at(source.kind.removeprefix(KIND), root, beside if beside.is_file() else None)


def is_data_set(source: Source) -> bool:
    return source.kind.startswith(KIND)


def terms_accepted(lake: Lake, source_id: str) -> bool:
    """Whether somebody accepted the terms of a data set before: its source then has purposes."""
    return any(row["source_id"] == source_id and row["purposes"] for row in lake.rows("sources"))


def record_terms(lake: Lake, data_set: DataSet, source_id: str, by: str) -> None:
    """Write to the ledger who accepted which terms."""
    terms = data_set.importer.terms
    detail = {"licence": terms.licence, "access": terms.access, "purposes": list(terms.purposes), "by": by}
    Ledger(lake.local_path("ledger.jsonl")).record("terms", source_id, "accepted", detail)
