"""Named selections of the graph that a person starts by hand in the Dagster UI."""

from __future__ import annotations

import dagster as dg

from assets.partitions import batch, batch_by_generator, snapshot

ingest_batch = dg.define_asset_job(
    "ingest_batch",
    selection=dg.AssetSelection.assets(
        "media",
        "clips",
        "tracks",
        "utterances",
        "cues",
        "signals",
        "fingerprints",
        "duplicates",
        "groups",
        "original_labels",
    ),
    partitions_def=batch,
    description="Fetch one batch and measure it: from media to the labels of untouched clips.",
)

refresh_generator = dg.define_asset_job(
    "refresh_generator",
    selection=dg.AssetSelection.assets("fakes", "labels"),
    partitions_def=batch_by_generator,
    description="Let one generator work on one batch and label what it made.",
)

retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.assets("snapshot", "candidate", "scorecard", "champion"),
    partitions_def=snapshot,
    description="Freeze a snapshot, train on it, score the candidate, and let the gate decide.",
)

jobs = [ingest_batch, refresh_generator, retrain]
