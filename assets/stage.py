"""What every stage does alike: run a step over rows with a journal, commit with lineage, tell a person.

What a stage is about is told in its own module.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from assets.recipes import RECIPES, Recipe, lineage
from haetae.engine import Engine, Failed, Row, Step, split_results
from haetae.lake import Lake
from haetae.lake.journal import Journal
from haetae.lake.lake import Edge
from haetae.lake.schema import TABLES
from haetae.params import Params
from haetae.provenance.ids import digest

OWNERS = ["team:haetae-data"]
_SHOWN = ("string", "double", "float", "int32", "int64", "bool")


@dataclass
class Stage:
    """One asset partition being computed. Create it first: it fixes the fingerprint of the inputs."""

    context: dg.AssetExecutionContext
    lake: Lake
    params: Params
    engine: Engine | None = None
    recipe: Recipe = field(init=False)
    partition: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.recipe = RECIPES[self.context.asset_key.to_user_string()]
        self.partition = partition_of(self.context)
        self._lineage = lineage(self.lake, self.params, self.recipe, self.partition, self.context.run_id)

    def map(self, step: Step, rows: Iterable[Row], part: str = "") -> tuple[list[Row], list[Failed]]:
        """Run a step over rows, skipping those that a killed run already finished.

        part: tells the passes of a stage apart that goes over the same rows more than once.
        """
        assert self.engine is not None
        journal = self._journal(digest(self._lineage.fingerprint, part))
        return split_results(journal.map_rows(self.engine, step, rows))

    def _journal(self, fingerprint: str) -> Journal:
        return Journal(self.lake, self.recipe.asset, self.partition, fingerprint)

    def commit(
        self,
        rows: Sequence[Mapping[str, Any]],
        edges: Iterable[Edge] = (),
        failed: Sequence[Failed] = (),
        metadata: Mapping[str, Any] | None = None,
        preview: bytes | None = None,
    ) -> dg.MaterializeResult:
        """Write the partition with its edges and refusals, and describe it for the graph's page."""
        table = self.recipe.table
        self.lake.write(table, self.partition or None, rows, self._lineage, edges, failed)
        self._journal("").forget()
        told: dict[str, Any] = {
            "dagster/row_count": len(rows),
            "dagster/column_schema": column_schema(table),
            "first rows": dg.MarkdownMetadataValue(head_table(table, rows)),
            "quarantined": len(failed),
        }
        if failed:
            told["why quarantined"] = dg.MarkdownMetadataValue(reason_table(failed))
        if preview:
            told["preview"] = dg.MarkdownMetadataValue(image(preview))
        told.update(metadata or {})
        content = self.lake.digest(table, self.partition or None) or ""
        return dg.MaterializeResult(metadata=told, data_version=dg.DataVersion(content[:32]))


def partition_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[str, ...]:
    """The partition as a tuple of keys: () | (batch,) | (batch, generator) | (snapshot,)."""
    if not context.has_partition_key:
        return ()
    key = context.partition_key
    if isinstance(key, dg.MultiPartitionKey):
        return (key.keys_by_dimension["batch"], key.keys_by_dimension["generator"])
    return (key,)


def column_schema(table: str) -> dg.TableSchema:
    """The columns of a table with their documentation, for the graph's page."""
    return dg.TableSchema(
        columns=[dg.TableColumn(c.name, str(c.type)[:60], c.doc) for c in TABLES[table].columns]
    )


def head_table(table: str, rows: Sequence[Mapping[str, Any]], n: int = 8) -> str:
    """The first rows as a Markdown table of their plain columns."""
    names = [c.name for c in TABLES[table].columns if str(c.type) in _SHOWN][:9]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row[name]) for name in names)} |" for row in rows[:n]]
    return "\n".join(lines)


def reason_table(failed: Sequence[Failed]) -> str:
    """How many rows were refused for which reason, and one example of each."""
    counts = Counter((one.stage, one.reason) for one in failed)
    example = {(one.stage, one.reason): one for one in reversed(failed)}
    lines = ["| stage | reason | rows | for example |", "|---|---|---|---|"]
    for key, count in counts.most_common():
        one = example[key]
        lines.append(f"| {key[0]} | {key[1]} | {count} | {_cell(one.item_id)}: {_cell(one.detail)} |")
    return "\n".join(lines)


def image(picture: bytes) -> str:
    """A PNG or JPEG as Markdown that carries it."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"![preview](data:image/{kind};base64,{base64.b64encode(picture).decode()})"


def _cell(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    text = text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
    return text if len(text) <= 60 else f"{text[:57]}…"
