"""The dataset: groups and splits, prepared items, shards and frozen snapshots. What is in a clip is not decided here."""
