"""Seeing again: clips that show or sound the same (`duplicates`), and faces of the same person (`identities`)."""

from collections import Counter

import dagster as dg
import pyarrow as pa

from assets.partitions import batch, when_a_parent_has_news, when_parents_are_complete
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from haetae.engine import Engine
from haetae.faces.identities import people
from haetae.fingerprints.duplicates import Limits, find_duplicates
from haetae.fingerprints.fingerprint import Fingerprint
from haetae.lake import Lake
from haetae.params import Params


@dg.asset(
    partitions_def=batch,
    group_name="identify",
    owners=OWNERS,
    kinds={"ffmpeg", "parquet"},
    code_version=RECIPES["fingerprints"].code_version,
    automation_condition=when_parents_are_complete,
)
def fingerprints(
    context: dg.AssetExecutionContext,
    clips: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Hash the pictures and the sound of every clip so that changed copies are found (one clip in, one row out)."""
    stage = Stage(context, lake, params, engine)
    rows, failed = stage.map(Fingerprint(lake_root=lake.root), clips.to_pylist())
    edges = [(row["clip_id"], f"fingerprint:{row['clip_id']}", "measured_on") for row in rows]
    return stage.commit(rows, edges, failed)


@dg.asset(
    partitions_def=batch,
    group_name="identify",
    owners=OWNERS,
    kinds={"numpy", "parquet"},
    code_version=RECIPES["duplicates"].code_version,
    automation_condition=when_parents_are_complete,
)
def duplicates(
    context: dg.AssetExecutionContext,
    fingerprints: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
) -> dg.MaterializeResult:
    """Compare the clips of a batch with one another and with all clips of the lake (N clips in, pairs out)."""
    stage = Stage(context, lake, params)
    # Cuts of one file touch one another, and are no copies.
    media_of = {row["clip_id"]: row["media_id"] for row in lake.rows("clips")}
    fresh = [{**row, "media_id": media_of[row["clip_id"]]} for row in fingerprints.to_pylist()]
    known = [{**row, "media_id": media_of.get(row["clip_id"])} for row in lake.rows("fingerprints")]
    rows = find_duplicates(fresh, known, Limits(**params.duplicates.model_dump()))
    edges = [(row["other_id"], row["clip_id"], "looks_like") for row in rows]
    told = Counter(f"pairs in {row['modality']}" for row in rows)
    return stage.commit(rows, edges, metadata={**told, "compared with": len(known)})


@dg.asset(
    deps=["tracks"],
    group_name="identify",
    owners=OWNERS,
    kinds={"numpy", "parquet"},
    code_version=RECIPES["identities"].code_version,
    automation_condition=when_a_parent_has_news,
)
def identities(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
) -> dg.MaterializeResult:
    """Cluster the faces of all media into people, where a face recogniser's weights are given; empty without."""
    stage = Stage(context, lake, params)
    # People keep their names as the lake grows.
    known = {row["track_id"]: row["person_id"] for row in lake.rows("identities")}
    rows = people(lake.rows("tracks"), **params.identities.model_dump(), known=known)
    edges = [(row["track_id"], row["person_id"], "shows") for row in rows]
    told = {"people": len({row["person_id"] for row in rows}), "tracks without embedding": _without(lake)}
    return stage.commit(rows, edges, metadata=told)


def _without(lake: Lake) -> int:
    return sum(row["embedding"] is None for row in lake.rows("tracks"))
