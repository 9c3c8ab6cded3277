"""Promotion: whether the candidate takes the champion's place, by the gate alone (`champion`)."""

import dagster as dg
import pyarrow as pa

from assets.detector import scorecard_id
from assets.partitions import snapshot as snapshot_partitions
from assets.partitions import when_parents_are_complete
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from haetae.engine import Row
from haetae.lake import Lake
from haetae.params import Params
from haetae.provenance.ids import content_id
from haetae.provenance.ledger import Ledger


@dg.asset(
    partitions_def=snapshot_partitions,
    group_name="registry",
    owners=OWNERS,
    kinds={"mlflow", "parquet"},
    code_version=RECIPES["champion"].code_version,
    automation_condition=when_parents_are_complete,
)
def champion(
    context: dg.AssetExecutionContext,
    scorecard: pa.Table,
    candidate: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
) -> dg.MaterializeResult:
    """Let the gate of params.yaml decide; move the MLflow alias only if it opens; enter the decision in the ledger."""
    from haetae.detector import tracking
    from haetae.evaluation.gate import decide

    stage = Stage(context, lake, params)
    key = stage.partition[0]
    model_id = candidate.to_pylist()[0]["model_id"]
    now = tracking.champion(lake)
    previous = now.model_id if now and now.model_id != model_id else None
    rows = scorecard.to_pylist()
    mine = _of(rows, model_id)
    decision = decide(mine, _of(rows, previous) or None if previous else None, params.promote)
    detail = {"snapshot": key, "previous": previous, "reasons": decision.reasons}
    word = "promoted" if decision.promoted else "refused"
    entry = Ledger(lake.local_path("ledger.jsonl")).record("promotion", model_id, word, detail)
    if decision.promoted:
        tracking.move_champion(lake, model_id, previous)
    row = {
        "promotion_id": content_id("promotion", model_id, key, decision.promoted, previous),
        "model_id": model_id,
        "snapshot_id": key,
        "promoted": decision.promoted,
        "previous_model_id": previous,
        "reasons": decision.reasons,
        "ledger_id": entry.entry_id,
    }
    edges = [
        (scorecard_id(model_id, key), row["promotion_id"], "decided"),
        (model_id, row["promotion_id"], word),
    ]
    told = {
        "promoted": decision.promoted,
        "reasons": dg.MarkdownMetadataValue("\n".join(f"- {r}" for r in decision.reasons)),
    }
    return stage.commit([row], edges, metadata=told)


def _of(rows: list[Row], model_id: str | None) -> list[Row]:
    return [row for row in rows if row["model_id"] == model_id]
