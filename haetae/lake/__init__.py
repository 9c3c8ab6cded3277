"""The store: plain Parquet and immutable blobs below one root, with DuckDB on top."""

from haetae.lake.lake import Lake, Lineage, SchemaMismatch

__all__ = ["Lake", "Lineage", "SchemaMismatch"]
