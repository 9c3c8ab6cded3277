"""Labels: what sources declare of untouched clips, and what construction tells of fakes."""

import datetime as dt
from collections import Counter, defaultdict

import dagster as dg
import pyarrow as pa

from assets.partitions import batch, batch_by_generator, when_parents_are_complete
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from haetae.engine import Row
from haetae.labels.construct import label_fake, label_original
from haetae.lake import Lake
from haetae.params import Params


@dg.asset(
    partitions_def=batch,
    group_name="label",
    owners=OWNERS,
    kinds={"parquet"},
    code_version=RECIPES["original_labels"].code_version,
    automation_condition=when_parents_are_complete,
)
def original_labels(
    context: dg.AssetExecutionContext,
    clips: pa.Table,
    sources: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
) -> dg.MaterializeResult:
    """Label untouched clips as their sources declare them; what is not declared stays unknown."""
    stage = Stage(context, lake, params)
    declared = {row["source_id"]: row for row in sources.to_pylist()}
    now = dt.datetime.now(dt.UTC)
    rows = [
        row for clip in clips.to_pylist() for row in label_original(clip, declared[clip["source_id"]], now)
    ]
    return stage.commit(rows, _edges(rows), metadata=_told(rows))


@dg.asset(
    partitions_def=batch_by_generator,
    group_name="label",
    owners=OWNERS,
    kinds={"parquet"},
    code_version=RECIPES["labels"].code_version,
    automation_condition=when_parents_are_complete,
)
def labels(
    context: dg.AssetExecutionContext,
    fakes: pa.Table,
    clips: pa.Table,
    tracks: pa.Table,
    original_labels: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
) -> dg.MaterializeResult:
    """Label fakes by construction: verdict, segments and regions per modality and face; other faces stay real."""
    stage = Stage(context, lake, params)
    clip_of = {row["clip_id"]: row for row in clips.to_pylist()}
    faces: dict[str, list[Row]] = defaultdict(list)
    for track in tracks.to_pylist():
        faces[track["clip_id"]].append(track)
    now = dt.datetime.now(dt.UTC)
    rows = [
        row
        for fake in fakes.to_pylist()
        for row in label_fake(fake, clip_of[fake["clip_id"]], faces[fake["clip_id"]], now)
    ]
    told = {**_told(rows), "labels of untouched clips in the batch": original_labels.num_rows}
    return stage.commit(rows, _edges(rows), metadata=told)


def _edges(rows: list[Row]) -> list[tuple[str, str, str]]:
    return [(row["sample_id"], f"label:{row['sample_id']}:{row['modality']}", "labelled_as") for row in rows]


def _told(rows: list[Row]) -> dict[str, int]:
    return dict(Counter(f"{row['modality']} {row['verdict']}" for row in rows if row["track_id"] is None))
