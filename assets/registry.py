"""Promotion: whether the candidate takes the champion's place, by the gate alone (`champion`)."""

import dagster as dg
import pyarrow as pa

from assets.detector import scorecard_id
from assets.partitions import snapshot as snapshot_partitions
from assets.partitions import when_parents_are_complete
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from haetae.detector.tracking import Registered
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
    ledger = Ledger(lake.local_path("ledger.jsonl"))
    previous = _champion_before(tracking.champion(lake), ledger, model_id, key)
    rows = scorecard.to_pylist()
    theirs = _of(rows, previous) if previous else None
    if theirs == []:
        raise ValueError(f"champion {previous} is not in the scorecard of {key}: materialise scorecard again")
    decision = decide(_of(rows, model_id), theirs, params.promote)
    detail = {"snapshot": key, "previous": previous, "reasons": decision.reasons}
    word = "promoted" if decision.promoted else "refused"
    entry = ledger.record("promotion", model_id, word, detail)
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


def _champion_before(now: Registered | None, ledger: Ledger, model_id: str, snapshot_id: str) -> str | None:
    """The champion that the candidate is compared with.

    Where the candidate is the champion already (a run was ended right after it moved the alias), it is the
    one that it took the place of, as the ledger has it.
    """
    if now is None or now.model_id != model_id:
        return now.model_id if now else None
    for entry in reversed(ledger.entries()):
        if (
            entry.kind == "promotion"
            and entry.subject == model_id
            and entry.detail["snapshot"] == snapshot_id
        ):
            before: str | None = entry.detail["previous"]
            return before
    return None


def _of(rows: list[Row], model_id: str | None) -> list[Row]:
    return [row for row in rows if row["model_id"] == model_id]
