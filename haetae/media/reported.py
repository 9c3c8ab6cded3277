"""From the queue of reports to batches: what was reported and is in no batch yet becomes one.

Taking reports is in `reports`; what batches are for is in `intake`.
"""

from __future__ import annotations

from haetae.lake import Lake
from haetae.media.intake import declare_sources, open_batch
from haetae.media.reports import pending, report_source

DECLARED_BY = "reports"
ITEM = ("item_id", "source_id", "uri", "sha256", "size_bytes")


def open_reported(lake: Lake, batch_size: int, run_id: str) -> tuple[str, ...]:
    """Open batches for all waiting reports; returns their keys. Their sources allow review and nothing else."""
    waiting = pending(lake)
    if not waiting:
        return ()
    sources = {source.id: source for source in map(report_source, waiting)}
    declare_sources(lake, list(sources.values()), DECLARED_BY, run_id)
    rows = [({name: row[name] for name in ITEM}, row["address"]) for row in waiting]
    groups = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return tuple(open_batch(lake, group, {}, run_id) for group in groups)
