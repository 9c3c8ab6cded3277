"""The data set: what is in it (`samples`) and its frozen, packed form (`snapshot`)."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.partitions import snapshot as snapshot_partitions
from assets.partitions import when_a_parent_has_news, when_parents_are_complete
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from haetae.dataset.assemble import assemble
from haetae.dataset.prepare import PrepareSample
from haetae.dataset.snapshot import freeze, items_of, read_manifest
from haetae.engine import Engine, Row
from haetae.lake import Lake
from haetae.params import Params


@dg.asset(
    deps=["media", "clips", "fakes", "labels", "original_labels", "groups", "tracks", "sources"],
    group_name="dataset",
    owners=OWNERS,
    kinds={"parquet"},
    code_version=RECIPES["samples"].code_version,
    automation_condition=when_a_parent_has_news,
)
def samples(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
) -> dg.MaterializeResult:
    """Everything with a verdict, with its split and slice columns; linked people and files share a split."""
    stage = Stage(context, lake, params)
    rows, left_out = assemble(lake, params, dt.date.today())
    told: dict[str, Any] = dict(Counter(f"{row['split']} {row['verdict']}" for row in rows))
    told |= Counter(f"left out: {one.reason}" for one in left_out)
    told["by slice"] = dg.MarkdownMetadataValue(_slices(rows))
    return stage.commit(rows, failed=left_out, metadata=told)


@dg.asset(
    partitions_def=snapshot_partitions,
    group_name="dataset",
    owners=OWNERS,
    kinds={"dvc", "parquet"},
    code_version=RECIPES["snapshot"].code_version,
    automation_condition=when_parents_are_complete,
)
def snapshot(
    context: dg.AssetExecutionContext,
    samples: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Freeze the samples: cut face crops and sound features, pack them in shards, add the folder to DVC."""
    stage = Stage(context, lake, params, engine)
    knobs = params.dataset
    rows = samples.to_pylist()
    step = PrepareSample(
        lake_root=lake.root,
        n_frames=knobs.frames_per_item,
        crop_px=knobs.crop_px,
        crop_scale=knobs.crop_scale,
        crf=params.generate.crf,
    )
    features, failed = stage.map(step, with_tracks_and_labels(lake, rows))
    key = stage.partition[0]
    row = freeze(
        lake,
        key,
        rows,
        items_of(lake, features),
        knobs.model_dump(mode="json"),
        created_at=dt.datetime.now(dt.UTC),
        code_version=stage.recipe.code_version,
        per_shard=knobs.shard_items,
    )
    frozen = read_manifest(lake.local_path(row["path"]))
    edges = [(one["sample_id"], key, "frozen_in") for one in frozen]
    told = {
        "digest": row["digest"],
        "shards": row["n_shards"],
        "bytes": row["size_bytes"],
        "dvc hash": row["dvc_hash"],
    }
    return stage.commit([row], edges, failed, told)


def with_tracks_and_labels(lake: Lake, rows: list[Row]) -> list[Row]:
    """Samples rows with the faces of their clips and the labels that hold: input of `PrepareSample`."""
    faces = _grouped(lake.rows("tracks"), "clip_id")
    labels = _grouped(lake.sql("SELECT * FROM current_labels ORDER BY ALL").to_pylist(), "sample_id")
    return [{**row, "tracks": faces[row["clip_id"]], "labels": labels[row["sample_id"]]} for row in rows]


def _grouped(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found


def _slices(rows: list[Row]) -> str:
    counts = Counter((row["language"], row["family"] or "untouched", row["split"]) for row in rows)
    lines = ["| language | family | split | samples |", "|---|---|---|---|"]
    lines += [
        f"| {language} | {family} | {split} | {n} |"
        for (language, family, split), n in sorted(counts.items())
    ]
    return "\n".join(lines)
