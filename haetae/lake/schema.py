"""Every table of the lake by name: its columns, their types, units and null meaning, and its partitions.

This is the one catalogue: storage, checks, documentation and SQL views are derived from it. What is
in a table at a given moment is not known here.
"""

from __future__ import annotations

from haetae.lake.catalogue import arrival, judged, made, measured
from haetae.lake.columns import Column, Table

__all__ = ["TABLES", "Column", "Table"]

TABLES: dict[str, Table] = {
    table.name: table for catalogue in (arrival, measured, made, judged) for table in catalogue.TABLES
}
"""All tables by name."""
