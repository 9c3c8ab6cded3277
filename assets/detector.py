"""The detector: trained on a snapshot (`candidate`) and measured on its test split (`scorecard`)."""

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.partitions import snapshot as snapshot_partitions
from assets.partitions import when_parents_are_complete
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from haetae.detector.candidate import train_candidate
from haetae.detector.predict import ScoreSample, rows_to_score
from haetae.engine import Engine, Failed, Progress, Row
from haetae.lake import Lake, Lineage
from haetae.params import Params
from haetae.provenance.ids import content_id

if TYPE_CHECKING:
    from haetae.detector.train import Epoch


@dg.asset(
    partitions_def=snapshot_partitions,
    deps=["snapshot"],
    group_name="detector",
    owners=OWNERS,
    kinds={"pytorch", "mlflow"},
    code_version=RECIPES["candidate"].code_version,
    automation_condition=when_parents_are_complete,
    pool="gpu",
)
def candidate(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Train the audio-visual detector on the shards; log it to MLflow (chosen on val, test never opened)."""
    stage = Stage(context, lake, params, engine)
    key = stage.partition[0]
    began = time.monotonic()
    epochs = 0

    def on_epoch(epoch: "Epoch") -> None:
        nonlocal epochs
        epochs = epoch.epoch
        engine.report(Progress("candidate", epoch.epoch, epoch.of, 0, time.monotonic() - began))

    row = train_candidate(lake, key, params, trained_at=dt.datetime.now(dt.UTC), on_epoch=on_epoch)
    # Training may end before its last epoch, and then that was all there is to do.
    engine.report(Progress("candidate", epochs, epochs, 0, time.monotonic() - began))
    edges = [(key, row["model_id"], "trained_on")]
    shown = ("model_id", "uri", "version", "threshold", "best_epoch", "val_auc")
    return stage.commit([row], edges, metadata={name: row[name] for name in shown})


@dg.asset(
    partitions_def=snapshot_partitions,
    deps=["snapshot"],
    group_name="detector",
    owners=OWNERS,
    kinds={"scikitlearn", "parquet"},
    code_version=RECIPES["scorecard"].code_version,
    automation_condition=when_parents_are_complete,
)
def scorecard(
    context: dg.AssetExecutionContext,
    candidate: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Score the test split with the candidate, and with the champion to compare: metrics by slice, with intervals."""
    from haetae.detector import tracking

    stage = Stage(context, lake, params, engine)
    key = stage.partition[0]
    model_id = candidate.to_pylist()[0]["model_id"]
    champion = tracking.champion(lake)
    folders = {model_id: tracking.model_folder(lake, model_id)}
    if champion is not None and champion.model_id != model_id:
        folders[champion.model_id] = tracking.fetched(lake, champion)
    predictions: list[Row] = []
    failed: list[Failed] = []
    rows: list[Row] = []
    snapshot_folder = lake.local_path(f"snapshots/{key}")
    tested = rows_to_score(snapshot_folder)
    for one, folder in folders.items():
        step = ScoreSample(str(folder), str(snapshot_folder), one, key)
        scored, refused = stage.map(step, tested, part=one)
        predictions += scored
        failed += refused
        rows += _measure(tested, params, scored)
    _write_predictions(lake, stage, key, predictions)
    edges = [(one, scorecard_id(one, key), "scored") for one in folders]
    edges += [(key, scorecard_id(model_id, key), "tested_on")]
    return stage.commit(rows, edges, failed, _told(rows, model_id))


def scorecard_id(model_id: str, snapshot_id: str) -> str:
    """Name of a model's scorecard on a snapshot in the lineage."""
    return content_id("scorecard", model_id, snapshot_id)


def _measure(samples: list[Row], params: Params, predictions: list[Row]) -> list[Row]:
    from haetae.evaluation.scorecard import score_slices

    if not predictions:
        return []
    knobs = params.evaluate
    return score_slices(predictions, samples, n_boot=knobs.bootstrap_n, min_n=knobs.min_slice_n)


def _write_predictions(lake: Lake, stage: Stage, key: str, predictions: list[Row]) -> None:
    lineage = Lineage("predictions", stage.context.run_id, stage.recipe.code_version)
    lake.write("predictions", key, predictions, lineage)


def _told(rows: list[Row], model_id: str) -> dict[str, Any]:
    lines = ["| protocol | slice | metric | value | 95 % interval | n |", "|---|---|---|---|---|---|"]
    told: dict[str, Any] = {}
    for row in rows:
        if row["model_id"] != model_id or row["value"] is None:
            continue
        interval = "–" if row["ci_low"] is None else f"{row['ci_low']:.3f} to {row['ci_high']:.3f}"
        lines.append(
            f"| {row['protocol']} | {row['slice']} | {row['metric']} | {row['value']:.3f} | {interval} | {row['n']} |"
        )
        if row["slice"] == "all" and row["protocol"] == "sample":
            told[row["metric"]] = row["value"]
    return {**told, "scorecard": dg.MarkdownMetadataValue("\n".join(lines))}
