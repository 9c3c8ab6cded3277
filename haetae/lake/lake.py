"""The lake: write a table partition with its lineage, read tables, run SQL over all of them, keep blobs.

What the rows mean, and when they are made, is not known here.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from haetae.engine import Failed
from haetae.errors import UsageError
from haetae.lake.files import Files
from haetae.lake.schema import TABLES, Table
from haetae.lake.views import create_views, mentioned

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

Row = dict[str, Any]
Edge = tuple[str, str, str]
"""(parent_id, child_id, relation)"""

UNPARTITIONED = "all"
_KEY = re.compile(r"^[A-Za-z0-9._@-]+$")
_BLOB = re.compile(r"^[0-9a-f]{64}\.[a-z0-9]{1,12}$")


class SchemaMismatch(ValueError):
    """Rows that do not fit the declared schema; nothing was written."""


@dataclass(frozen=True)
class Lineage:
    """Who writes: every row of a write can be traced to it."""

    asset: str
    run_id: str
    code_version: str
    fingerprint: str = ""
    """Hash of everything the partition was computed from; equal fingerprints need no recomputation."""


class Lake:
    """Tables and blobs below one root: a local folder or any fsspec URL."""

    def __init__(self, root: str | Path) -> None:
        self.files = Files(root)
        self.root = self.files.base if self.files.is_local else str(root)

    def put_blob(self, source: Path | bytes, ext: str) -> str:
        """Keep content under its SHA-256; returns the blob id `<sha256>.<ext>`.

        A file in the lake's own scratch (`tmp_dir`) or `partial` folders is moved, any other is copied and left
        as it is: what people declare is never taken from them.
        """
        ext = ext.lstrip(".").lower()
        sha = hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else _sha256(source)
        blob_id = f"{sha}.{ext}"
        where = self.blob_path(blob_id)
        if self.files.exists(where):
            if isinstance(source, Path) and self.files.owns(source):
                source.unlink(missing_ok=True)
            return blob_id
        if isinstance(source, bytes):
            self.files.write(where, source)
        else:
            self.files.adopt(source, where)
        return blob_id

    def blob_path(self, blob_id: str) -> str:
        """Path of a blob below the root. Raises: ValueError for anything that is not a blob id."""
        if not _BLOB.match(blob_id):
            raise ValueError(f"not a blob id: {blob_id!r}")
        return f"media/{blob_id[:2]}/{blob_id}"

    def open_local(self, blob_id: str) -> Path:
        """A local path to read a blob from."""
        return self.files.local(self.blob_path(blob_id))

    def local_path(self, relative: str) -> Path:
        """A local path below the root, for what is not a table or a blob. Raises: UsageError if remote."""
        if not self.files.is_local:
            raise UsageError(f"{relative} needs a lake on a local disk, and this one is {self.root}")
        return Path(self.files.path(relative))

    def tmp_dir(self) -> AbstractContextManager[Path]:
        """A scratch folder on the lake's disk, removed when the block ends."""
        return self.files.scratch()

    def write(
        self,
        table: str,
        partition: str | Sequence[str] | None,
        rows: Iterable[Mapping[str, Any]],
        lineage: Lineage,
        edges: Iterable[Edge] = (),
        failed: Iterable[Failed] = (),
    ) -> pa.Table:
        """Replace one partition of a table, with the edges and refusals that belong to it.

        Edges and quarantine are in place before the table's own file, whose rename is the commit: a
        partition that exists has its lineage. Raises: SchemaMismatch before a byte is written.
        """
        spec = _table(table)
        key = partition_key(partition)
        batch = key.split("~")[0] if partition is not None else None
        data = to_arrow(spec, rows)
        edge_rows = to_arrow(TABLES["edges"], _edge_rows(edges, lineage))
        failed_rows = to_arrow(TABLES["quarantine"], _quarantine_rows(failed, batch, lineage))
        side = f"{lineage.asset}~{key}"
        self._put("edges", side, edge_rows, lineage)
        self._put("quarantine", side, failed_rows, lineage)
        self._put(table, key, data, lineage)
        return data

    def read(self, table: str, partition: str | Sequence[str] | None = None) -> pa.Table:
        """All rows of a table, or of one partition; stored columns only. A missing partition is empty."""
        spec = _table(table)
        if partition is None:
            return self.dataset(table).to_table()
        import pyarrow.dataset as ds

        where = f"tables/{table}/{partition_key(partition)}.parquet"
        if not self.files.exists(where):
            return spec.schema.empty_table()
        return ds.dataset(self.files.path(where), schema=spec.schema, filesystem=self.files.arrow).to_table()

    def rows(self, table: str, partition: str | Sequence[str] | None = None) -> list[Row]:
        """As `read`, as a list of dicts."""
        rows: list[Row] = self.read(table, partition).to_pylist()
        return rows

    def dataset(self, table: str) -> Dataset:
        """All partitions of a table as one pyarrow data set."""
        # It imports pandas, which those who only load the definitions need not wait for.
        import pyarrow.dataset as ds

        spec = _table(table)
        paths = [self.files.path(p) for p in self.files.list(f"tables/{table}", ".parquet")]
        return ds.dataset(paths, schema=spec.schema, filesystem=self.files.arrow, format="parquet")

    def partitions(self, table: str) -> list[str]:
        """Keys of the partitions that exist, sorted; parts of a key are joined by `~`."""
        _table(table)
        return [
            p.rsplit("/", 1)[-1][: -len(".parquet")] for p in self.files.list(f"tables/{table}", ".parquet")
        ]

    def digest(self, table: str, partition: str | Sequence[str] | None = None) -> str | None:
        """Content digest of a partition without its volatile columns; None where there is none."""
        return self._meta(table, partition).get("haetae.digest")

    def fingerprint(self, table: str, partition: str | Sequence[str] | None = None) -> str | None:
        """The fingerprint that the partition was written with; None where there is none."""
        return self._meta(table, partition).get("haetae.fingerprint")

    def sql(self, query: str, parameters: Sequence[Any] | None = None) -> pa.Table:
        """Run a read-only query over all tables. Raises: UsageError with DuckDB's message."""
        names = mentioned(query)
        try:
            try:
                return self._answer(query, parameters, names)
            except duckdb.CatalogException:
                if names == set(TABLES):
                    raise
                return self._answer(query, parameters, set(TABLES))  # its message names what there is
        except duckdb.Error as error:
            raise UsageError(f"the query failed: {error}") from error

    def _answer(self, query: str, parameters: Sequence[Any] | None, names: Collection[str]) -> pa.Table:
        connection = duckdb.connect(":memory:", config={"enable_external_access": False})
        try:
            create_views(connection, {name: self.dataset(name) for name in TABLES if name in names})
            connection.execute("SET lock_configuration = true")
            found = connection.sql(query, params=list(parameters or []))
            return pa.table({}) if found is None else found.to_arrow_table()
        finally:
            connection.close()

    def _put(self, table: str, key: str, data: pa.Table, lineage: Lineage) -> None:
        meta = {
            "haetae.digest": content_digest(_table(table), data),
            "haetae.fingerprint": lineage.fingerprint,
            "haetae.asset": lineage.asset,
            "haetae.code_version": lineage.code_version,
        }
        buffer = io.BytesIO()
        known = data.schema.metadata or {}
        pq.write_table(data.replace_schema_metadata({**known, **meta}), buffer, compression="zstd")
        self.files.write(f"tables/{table}/{key}.parquet", buffer.getvalue())

    def _meta(self, table: str, partition: str | Sequence[str] | None) -> dict[str, str]:
        where = f"tables/{_table(table).name}/{partition_key(partition)}.parquet"
        if not self.files.exists(where):
            return {}
        schema = pq.read_schema(self.files.path(where), filesystem=self.files.arrow)
        return {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}


def partition_key(partition: str | Sequence[str] | None) -> str:
    """File name of a partition: its parts joined by `~`. Raises: ValueError for unsafe parts."""
    if partition is None:
        return UNPARTITIONED
    parts = partition.split("~") if isinstance(partition, str) else list(partition)
    for part in parts:
        if not _KEY.match(part) or part.startswith("."):
            raise ValueError(f"not a partition key: {part!r} (letters, digits, '.', '_', '@', '-')")
    return "~".join(parts)


def to_arrow(spec: Table, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as an Arrow table in key order. Raises: SchemaMismatch naming the table, row and column."""
    rows = [dict(row) for row in rows]
    names = [column.name for column in spec.columns]
    seen: set[str] = set()
    for number, row in enumerate(rows):
        if extra := sorted(set(row) - set(names)):
            raise SchemaMismatch(f"{spec.name} row {number}: no such column: {', '.join(extra)}")
        if missing := sorted(set(names) - set(row)):
            raise SchemaMismatch(f"{spec.name} row {number}: column missing: {', '.join(missing)}")
        key = repr([row[k] for k in spec.key])
        if key in seen:
            raise SchemaMismatch(f"{spec.name} row {number}: duplicate key {key}")
        seen.add(key)
    rows.sort(key=lambda row: [str(row[k]) for k in spec.key])
    try:
        return pa.Table.from_pylist(rows, schema=spec.schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaMismatch(f"{spec.name}: {error}") from error


def content_digest(spec: Table, data: pa.Table) -> str:
    """SHA-256 over the rows in key order, without volatile columns."""
    kept = [column.name for column in spec.columns if not column.volatile]
    sha = hashlib.sha256()
    for row in data.select(kept).to_pylist():
        sha.update(repr(row).encode())
    return sha.hexdigest()


def _table(name: str) -> Table:
    try:
        return TABLES[name]
    except KeyError:
        raise UsageError(f"no table {name!r}; there are: {', '.join(TABLES)}") from None


def _edge_rows(edges: Iterable[Edge], lineage: Lineage) -> list[Row]:
    return [
        {
            "parent_id": parent,
            "child_id": child,
            "relation": relation,
            "asset": lineage.asset,
            "run_id": lineage.run_id,
            "code_version": lineage.code_version,
        }
        for parent, child, relation in sorted(set(edges))
    ]


def _quarantine_rows(failed: Iterable[Failed], batch: str | None, lineage: Lineage) -> list[Row]:
    return [
        {
            "item_id": one.item_id,
            "batch": batch,
            "stage": one.stage,
            "reason": one.reason,
            "detail": one.detail[:2000],
            "run_id": lineage.run_id,
        }
        for one in failed
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
