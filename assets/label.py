"""Labels: what sources declare of untouched clips, and what construction tells of fakes."""

import datetime as dt
from collections import Counter, defaultdict

import dagster as dg
import pyarrow as pa

from assets.partitions import batch, batch_by_generator, when_parents_are_complete
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from haetae.engine import Engine, Row
from haetae.labels.construct import label_fake, label_original
from haetae.labels.imported import label_imported
from haetae.labels.masks import BoxesOfMasks
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
    media: pa.Table,
    clips: pa.Table,
    utterances: pa.Table,
    imports: pa.Table,
    sources: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Label clips as their sources and public data sets state; what is not stated stays unknown."""
    stage = Stage(context, lake, params, engine)
    declared = {row["source_id"]: row for row in sources.to_pylist()}
    media_of = {row["media_id"]: row for row in media.to_pylist()}
    stated = {row["item_id"]: row for row in imports.to_pylist()}
    masked = [
        {**clip, "masks_blob": file["masks_blob"], "media_fps": file["fps"]}
        for clip in clips.to_pylist()
        if (file := media_of[clip["media_id"]])["masks_blob"] and clip["has_video"]
    ]
    found, failed = stage.map(BoxesOfMasks(lake_root=lake.root), masked)
    boxes = {row["clip_id"]: row["boxes"] for row in found}
    now = dt.datetime.now(dt.UTC)
    subtitled = _subtitled(utterances)
    rows: list[Row] = []
    for clip in clips.to_pylist():
        statement = stated.get(media_of[clip["media_id"]]["item_id"])
        if statement is None:
            told = {**clip, "has_text": clip["clip_id"] in subtitled}
            rows += label_original(told, declared[clip["source_id"]], now)
        else:
            rows += label_imported(clip, statement, now, boxes.get(clip["clip_id"], ()))
    return stage.commit(rows, _edges(rows), failed, _told(rows))


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
    utterances: pa.Table,
    original_labels: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
) -> dg.MaterializeResult:
    """Label fakes by construction: verdict, segments and regions per modality and face; other faces stay real."""
    stage = Stage(context, lake, params)
    subtitled = _subtitled(utterances)
    clip_of = {row["clip_id"]: {**row, "has_text": row["clip_id"] in subtitled} for row in clips.to_pylist()}
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


def _subtitled(utterances: pa.Table) -> set[str]:
    """Clips of which it is known what is said in them, and when."""
    return {row["clip_id"] for row in utterances.to_pylist() if row["words"]}


def _edges(rows: list[Row]) -> list[tuple[str, str, str]]:
    return [(row["sample_id"], f"label:{row['sample_id']}:{row['modality']}", "labelled_as") for row in rows]


def _told(rows: list[Row]) -> dict[str, int]:
    return dict(Counter(f"{row['modality']} {row['verdict']}" for row in rows if row["track_id"] is None))
