"""From the queue of reports to batches: what was reported and is in no batch yet becomes one.

Taking reports is in `reports`; what batches are for is in `intake`.
"""

from __future__ import annotations

from collections.abc import Sequence

from haetae.lake import Lake
from haetae.media.intake import declare_sources, open_batch, to_retry
from haetae.media.reports import pending, report_source

DECLARED_BY = "reports"
ITEM = ("item_id", "source_id", "uri", "sha256", "size_bytes")


def open_reported(
    lake: Lake, batch_size: int, run_id: str, allow_hosts: Sequence[str] = ()
) -> tuple[str, ...]:
    """Open batches for all waiting reports; returns their keys. Their sources allow review and nothing else.

    Reports that failed in passing, or for a host among allow_hosts, are tried again.
    """
    again = to_retry(lake, lake.rows("items"), allow_hosts)
    waiting = pending(lake, again)
    if not waiting:
        return ()
    sources = {source.id: source for source in map(report_source, waiting)}
    declare_sources(lake, list(sources.values()), DECLARED_BY, run_id)
    rows = [({name: row[name] for name in ITEM}, row["address"]) for row in waiting]
    groups = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return tuple(open_batch(lake, group, again, run_id) for group in groups)
