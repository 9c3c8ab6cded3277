"""Media that stand in a cell of a Parquet file: struct{bytes, path} as data-set hubs write them, or plain bytes.

What the other columns say is for importers.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from haetae.errors import Rejected
from haetae.media.members import ArchiveLimits

COLUMNS = ("audio", "image", "video")
ROWS_AT_ONCE = 16
STRING_BYTES, CONTAINER_ITEMS = 64 << 20, 2_000_000
"""Bounds of the footer, which is read into memory whole."""


def read_cell(file: BinaryIO, row: int, limits: ArchiveLimits) -> tuple[bytes, str]:
    """The media in one row, counted from 0, of the first column named audio, image or video.

    Returns: its bytes, and the name stated beside them ("" where none is).
    Raises: Rejected `damaged_archive`, `no_such_member`, `not_embedded`, `too_large`.
    """
    try:
        return _read(file, row, limits)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise Rejected("damaged_archive", f"the Parquet file cannot be read: {str(error)[:200]}") from error


def _read(file: BinaryIO, row: int, limits: ArchiveLimits) -> tuple[bytes, str]:
    table = pq.ParquetFile(
        file,
        thrift_string_size_limit=STRING_BYTES,
        thrift_container_size_limit=CONTAINER_ITEMS,
    )
    column = _column(table.schema_arrow)
    group, rest = _locate(table.metadata, row)
    packed = [
        chunk
        for chunk in (table.metadata.row_group(group).column(i) for i in range(table.metadata.num_columns))
        if chunk.path_in_schema.split(".")[0] == column
    ]
    size = sum(max(chunk.total_uncompressed_size, chunk.total_compressed_size) for chunk in packed)
    if size > limits.max_member_bytes:
        raise Rejected("too_large", f"its row group holds {size} bytes; at most {limits.max_member_bytes}")
    batches = table.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=[column], use_threads=False)
    for batch in batches:
        if rest < batch.num_rows:
            return _content(batch.column(0)[rest].as_py(), row, limits)
        rest -= batch.num_rows
    raise Rejected("damaged_archive", f"row {row} is stated and not there")


def _column(schema: pa.Schema) -> str:
    for name in COLUMNS:
        if name not in schema.names:
            continue
        kind = schema.field(name).type
        is_struct = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        if is_struct or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return name
    told = ", ".join(f"{field.name}: {field.type}" for field in schema)[:200]
    raise Rejected("no_such_member", f"no column audio, image or video with bytes in it; it has {told}")


def _locate(metadata: pq.FileMetaData, row: int) -> tuple[int, int]:
    """Row group of a row, and the row's place in it."""
    rest = row
    for group in range(metadata.num_row_groups):
        n = metadata.row_group(group).num_rows
        if rest < n:
            return group, rest
        rest -= n
    raise Rejected("no_such_member", f"row {row}; the file has {metadata.num_rows} rows, counted from 0")


def _content(cell: object, row: int, limits: ArchiveLimits) -> tuple[bytes, str]:
    content, name = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, "")
    if not isinstance(content, bytes) or not content:
        detail = f"row {row} holds no bytes, only {name!r}" if name else f"row {row} holds no bytes"
        raise Rejected("not_embedded", detail)
    if len(content) > limits.max_member_bytes:
        raise Rejected("too_large", f"{len(content)} bytes; at most {limits.max_member_bytes}")
    return content, Path(name).name if isinstance(name, str) else ""
