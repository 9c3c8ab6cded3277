"""Tables of detectors and decisions, of what was refused, and of lineage.

What they are about is in the other catalogues.
"""

from __future__ import annotations

from haetae.lake.columns import BOOL, F64, I32, I64, TEXT, TEXTS, TIME, Table
from haetae.lake.columns import column as c
from haetae.lake.columns import volatile as v

MODELS = Table(
    "models",
    "snapshot",
    "Trained candidates.",
    (
        c("model_id", TEXT, "h(snapshot_id, weights)"),
        c("snapshot_id", TEXT, "what it was trained on"),
        c("weights_sha256", TEXT, "hash of the safetensors file"),
        c("uri", TEXT, "MLflow model URI"),
        v("mlflow_run_id", TEXT, "MLflow run"),
        c("version", TEXT, "version in the MLflow registry"),
        c("config", TEXT, "architecture and training parameters as canonical JSON"),
        c("threshold", F64, "verdict threshold on the score, fixed on the val split"),
        c("best_epoch", I32, "epoch kept, chosen on the val split"),
        c("val_auc", F64, "AUC on the val split; null: one class only"),
        v("trained_at", TIME, "when training ended"),
    ),
    key=("model_id",),
)

EVALUATIONS = Table(
    "evaluations",
    "snapshot",
    "Metrics by slice with bootstrap intervals.",
    (
        c("model_id", TEXT, "the model"),
        c("snapshot_id", TEXT, "the snapshot whose test split it was scored on"),
        c("protocol", TEXT, "how scores were made and pooled"),
        c("slice", TEXT, "all, or column=value joined by &"),
        c("metric", TEXT, "auc | eer | ..."),
        c("value", F64, "null: undefined on the slice (one class only)"),
        c("ci_low", F64, "lower end of the 95 % bootstrap interval; null: undefined"),
        c("ci_high", F64, "upper end; null: undefined"),
        c("n", I64, "samples in the slice"),
    ),
    key=("model_id", "protocol", "slice", "metric"),
)

PREDICTIONS = Table(
    "predictions",
    "snapshot",
    "Scores of a model on the test split of a snapshot.",
    (
        c("model_id", TEXT, "the model"),
        c("snapshot_id", TEXT, "the snapshot"),
        c("sample_id", TEXT, "the sample"),
        c("split", TEXT, "split of the sample"),
        c("score", F64, "fake score, 0 to 1"),
        c("video_score", F64, "null: no face or no video"),
        c("audio_score", F64, "null: no audio"),
        c("sync_score", F64, "null: no face or no audio"),
    ),
    key=("model_id", "sample_id"),
)

PROMOTIONS = Table(
    "promotions",
    "snapshot",
    "Decisions of the promotion gate.",
    (
        c("promotion_id", TEXT, "h(model_id, verdict, champion it was compared with)"),
        c("model_id", TEXT, "the candidate"),
        c("snapshot_id", TEXT, "the snapshot it was scored on"),
        c("promoted", BOOL, "true: the champion alias moved to it"),
        c("previous_model_id", TEXT, "champion before the decision; null: none"),
        c("reasons", TEXTS, "each rule with what was measured and what was required"),
        c("ledger_id", TEXT, "entry of the decision in the ledger"),
    ),
    key=("promotion_id",),
)

QUARANTINE = Table(
    "quarantine",
    "batch",
    "Where a failing row goes; the batch goes on.",
    (
        c("item_id", TEXT, "the row that failed"),
        c("batch", TEXT, "ingest batch; null: not part of one"),
        c("stage", TEXT, "stage that refused it"),
        c("reason", TEXT, "stable snake_case word"),
        c("detail", TEXT, "for a person: what was wrong"),
        v("run_id", TEXT, "run that refused it"),
    ),
    key=("item_id", "stage", "reason"),
)

CHECKS = Table(
    "checks",
    "asset × its partition",
    "What the blocking check of an asset partition came to; what failed is not read downstream.",
    (
        c("asset", TEXT, "the checked asset"),
        c("partition", TEXT, "its partition, parts joined by ~; all: not partitioned"),
        c("digest", TEXT, "content digest of the partition that was checked"),
        c("knobs", TEXT, "hash of the thresholds it was checked with"),
        c("passed", BOOL, "true: every expectation held"),
        c("n", I64, "rows checked"),
        c("findings", TEXTS, "each broken expectation with its column, number of rows and examples"),
    ),
    key=("asset", "partition"),
)

EDGES = Table(
    "edges",
    "as its asset",
    "Lineage: written by the lake with every table write.",
    (
        c("parent_id", TEXT, "what the child was made from"),
        c("child_id", TEXT, "the row"),
        c("relation", TEXT, "crawled_from | cut_from | tracked_in | target_of | made_by | ..."),
        c("asset", TEXT, "asset that wrote it"),
        v("run_id", TEXT, "run that wrote it"),
        c("code_version", TEXT, "code version of the asset"),
    ),
    key=("parent_id", "child_id", "relation"),
)

TABLES = (MODELS, EVALUATIONS, PREDICTIONS, PROMOTIONS, QUARANTINE, CHECKS, EDGES)
