"""The data set: groups and splits, prepared items, shards and frozen snapshots.

What was changed in a clip is not decided here.
"""
