"""The first stage: what is declared (`sources`) and what was fetched of it (`media`).

Which items a batch holds is decided by `haetae.media.intake` before the graph runs.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.partitions import batch, when_parents_are_complete
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage, column_schema, head_table
from haetae.engine import Engine, Failed
from haetae.lake import Lake
from haetae.media.crawl import Fetch
from haetae.media.imported import with_statements
from haetae.media.intake import SourcesFiles, declare_sources, fetch_rows
from haetae.params import Params
from haetae.provenance.sources import load_sources

items = dg.AssetSpec(
    "items",
    description="What each batch was asked to fetch; written when a batch is opened.",
    partitions_def=batch,
    group_name="crawl",
    owners=OWNERS,
    kinds={"parquet"},
    metadata={"dagster/column_schema": column_schema("items")},
)

imports = dg.AssetSpec(
    "imports",
    description="What public data sets state of the items of a batch; empty for batches that were crawled.",
    partitions_def=batch,
    group_name="crawl",
    owners=OWNERS,
    kinds={"parquet"},
    metadata={"dagster/column_schema": column_schema("imports")},
)


@dg.asset(
    group_name="crawl",
    owners=OWNERS,
    kinds={"yaml", "parquet"},
    code_version="1",
    automation_condition=dg.AutomationCondition.on_missing().with_label("when nothing is declared yet"),
)
def sources(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    sources_files: dg.ResourceParam[SourcesFiles],
) -> dg.MaterializeResult:
    """Declared places media come from, with licence, consent and purposes; read from sources.yaml."""
    for path in sources_files.paths(lake):
        declare_sources(lake, load_sources(path), str(path), context.run_id)
    rows = lake.rows("sources")
    metadata: dict[str, Any] = {
        "dagster/row_count": len(rows),
        "dagster/column_schema": column_schema("sources"),
        "first rows": dg.MarkdownMetadataValue(head_table("sources", rows, 20)),
    }
    return dg.MaterializeResult(
        metadata=metadata, data_version=dg.DataVersion((lake.digest("sources") or "")[:32])
    )


@dg.asset(
    partitions_def=batch,
    deps=[sources],
    group_name="crawl",
    owners=OWNERS,
    kinds={"ytdlp", "parquet"},
    code_version=RECIPES["media"].code_version,
    automation_condition=when_parents_are_complete,
    pool="crawl",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL),
)
def media(
    context: dg.AssetExecutionContext,
    items: pa.Table,
    imports: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Fetch every item of the batch: yt-dlp for http(s), copies for files (one item in, one file out)."""
    stage = Stage(context, lake, params, engine)
    step = Fetch(lake_root=lake.root, **fetch_limits(params))
    root_of = {row["source_id"]: row["uri"] for row in lake.rows("sources")}
    wanted = with_statements(fetch_rows(lake, stage.partition[0]), imports.to_pylist(), root_of)
    with not_again_when_stopped():
        rows, failed = stage.map(step, wanted)
    rows, twice = _first_of_each(lake, rows, stage.partition[0])
    edges = [(row["source_id"], row["media_id"], "crawled_from") for row in rows]
    by_source = Counter(f"from {row['source_id']}" for row in rows)
    return stage.commit(rows, edges, [*failed, *twice], {"items": items.num_rows, **by_source})


@contextlib.contextmanager
def not_again_when_stopped() -> Iterator[None]:
    """Keep Dagster from retrying what a person stopped: a retry policy counts that as a failure too."""
    try:
        yield
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError) as stop:
        raise dg.Failure("stopped; what was fetched is kept for the next run", allow_retries=False) from stop


def fetch_limits(params: Params) -> dict[str, Any]:
    """The limits that a fetch runs under, as arguments of `Fetch`."""
    crawl = params.crawl
    return {
        "max_bytes": crawl.max_bytes,
        "max_duration_s": crawl.max_duration_s,
        "allow_hosts": crawl.allow_hosts,
        "allowed_extractors": crawl.allowed_extractors,
        "timeout_s": crawl.timeout_s,
        "requests_per_s": crawl.requests_per_s,
        "per_host": crawl.per_host,
        "retries": crawl.retries,
        "max_wait_s": crawl.max_wait_s,
    }


def _first_of_each(
    lake: Lake, rows: list[dict[str, Any]], batch_key: str
) -> tuple[list[dict[str, Any]], list[Failed]]:
    """Keep one row for each file: the same bytes seen again, here or in another batch, are refused."""
    seen = {
        row["media_id"]: row["batch"]
        for row in lake.read("media").select(["media_id", "batch"]).to_pylist()
        if row["batch"] != batch_key
    }
    kept: list[dict[str, Any]] = []
    twice: list[Failed] = []
    for row in rows:
        known = seen.setdefault(row["media_id"], batch_key)
        if known != batch_key or any(one["media_id"] == row["media_id"] for one in kept):
            detail = f"{row['origin_url']} has the same bytes as media {row['media_id']} of batch {known}"
            twice.append(Failed(row["item_id"], "media", "duplicate", detail))
        else:
            kept.append(row)
    return kept, twice
