"""What a table is made of: column types, columns and table declarations.

Which tables there are is told in `catalogue`, and looked up in `schema`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

TEXT = pa.string()
TEXTS = pa.list_(pa.string())
F32 = pa.float32()
F64 = pa.float64()
I32 = pa.int32()
I64 = pa.int64()
BOOL = pa.bool_()
TIME = pa.timestamp("us", tz="UTC")
BOXES = pa.list_(pa.list_(pa.float32()))
SEGMENTS = pa.list_(pa.struct([("start_s", F64), ("end_s", F64)]))
MODAL_SEGMENTS = pa.list_(pa.struct([("modality", TEXT), ("start_s", F64), ("end_s", F64)]))
REGIONS = pa.list_(pa.struct([("track_id", TEXT), ("first_frame", I32), ("boxes", BOXES)]))
WORDS = pa.list_(pa.struct([("word", TEXT), ("start_s", F64), ("end_s", F64), ("score", F64)]))
CAPTIONS = pa.struct([("ko", TEXT), ("en", TEXT), ("ms", TEXT), ("ta", TEXT)])
EMBEDDING = pa.list_(pa.float32())
CONSENT = pa.struct([("basis", TEXT), ("ref", TEXT)])


@dataclass(frozen=True)
class Column:
    """One column; `volatile` columns (times, run ids) are left out of content digests."""

    name: str
    type: pa.DataType
    doc: str
    volatile: bool = False


@dataclass(frozen=True)
class Table:
    """One table; `derived` columns exist in SQL only, computed from other tables when read."""

    name: str
    partition: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    derived: tuple[tuple[Column, str], ...] = field(default=())

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(c.name, c.type, metadata={"doc": c.doc}) for c in self.columns])


def column(name: str, type_: pa.DataType, doc: str) -> Column:
    return Column(name, type_, doc)


def volatile(name: str, type_: pa.DataType, doc: str) -> Column:
    return Column(name, type_, doc, volatile=True)
