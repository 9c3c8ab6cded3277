"""SQL views over the tables: the stored columns, the derived ones, and the label that wins.

How the tables are stored is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb

from haetae.lake.schema import TABLES

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

EVIDENCE_ORDER = ("predicted", "construction", "imported", "reviewed")
"""From the weakest evidence to the strongest; among equals the latest wins."""

_CURRENT_LABELS = f"""
CREATE VIEW current_labels AS
SELECT * EXCLUDE (rank) FROM (
    SELECT *, row_number() OVER (
        PARTITION BY sample_id, modality, track_id
        ORDER BY list_position({list(EVIDENCE_ORDER)!r}, evidence) DESC, labelled_at DESC, author
    ) AS rank FROM labels
) WHERE rank = 1
"""


_OF_ALL = re.compile(r"\b(show|pragma|query|query_table|information_schema|duckdb_\w+|sqlite_master)\b")
"""What tells of tables that a query does not name."""


def mentioned(query: str) -> set[str]:
    """The tables that a query can read: those whose names stand in it, and those that these are derived from.

    All of them, where a query names none or asks which there are.
    """
    text = query.lower()
    found = {name for name in TABLES if name in text}
    if not found or _OF_ALL.search(text):
        return set(TABLES)
    derived = " ".join(sql for name in found for _, sql in TABLES[name].derived)
    return found | {name for name in TABLES if name in derived}


def create_views(connection: duckdb.DuckDBPyConnection, datasets: Mapping[str, Dataset]) -> None:
    """Register tables under their names, and `current_labels`: the strongest and latest labels, where these are."""
    # Those that derive nothing first: the others may read them.
    for name, dataset in sorted(datasets.items(), key=lambda one: bool(TABLES[one[0]].derived)):
        derived = [f"{sql} AS {column.name}" for column, sql in TABLES[name].derived]
        stored = connection.from_arrow(dataset).set_alias("self")
        stored.project(", ".join(["self.*", *derived])).create_view(name)
    if "labels" in datasets:
        connection.execute(_CURRENT_LABELS)
