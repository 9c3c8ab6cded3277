"""SQL views over the tables: the stored columns, the derived ones, and the label that wins.

How the tables are stored is not known here.
"""

from __future__ import annotations

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


def create_views(connection: duckdb.DuckDBPyConnection, datasets: Mapping[str, Dataset]) -> None:
    """Register every table under its name, and `current_labels`: the strongest and latest labels."""
    # Those that derive nothing first: the others may read them.
    for name, dataset in sorted(datasets.items(), key=lambda one: bool(TABLES[one[0]].derived)):
        derived = [f"{sql} AS {column.name}" for column, sql in TABLES[name].derived]
        stored = connection.from_arrow(dataset).set_alias("self")
        stored.project(", ".join(["self.*", *derived])).create_view(name)
    connection.execute(_CURRENT_LABELS)
