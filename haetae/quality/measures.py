"""What is measured of the rows of a table before its suite looks at them, in plain columns.

Whether a measured value is good enough is not decided here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from haetae.lake import Lake
from haetae.provenance.policy import may_use, purpose_of

Row = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

SLACK_S = 0.041
"""Segments may end one frame beyond the measured duration."""


def measure(lake: Lake, table: str, partition: tuple[str, ...]) -> list[Row]:
    """The measured rows of one partition of clips, fakes, labels or samples."""
    rows = lake.rows(table, partition or None)
    if table == "clips":
        return [_clip(lake, row) for row in rows]
    if table == "fakes":
        targets = {row["clip_id"]: row for row in lake.rows("clips", partition[0])}
        return [_fake(lake, row, targets[row["clip_id"]]) for row in rows]
    if table == "labels":
        return _labels(lake, rows, partition)
    return _samples(lake, rows)


def _clip(lake: Lake, row: Row) -> Row:
    sides = [row["width"] or 0, row["height"] or 0]
    return {
        "clip_id": row["clip_id"],
        "blob_id": row["blob_id"],
        "blob_exists": lake.files.exists(lake.blob_path(row["blob_id"])),
        # A picture has no length of its own.
        "duration_s": None if row["kind"] == "image" else row["duration_s"],
        "fps": row["fps"],
        "side_px": max(sides),
        "odd_px": sum(side % 2 for side in sides),
        "language": row["language"],
        "has_a_stream": row["has_video"] or row["has_audio"],
    }


def _fake(lake: Lake, row: Row, target: Row) -> Row:
    return {
        "fake_id": row["fake_id"],
        "blob_exists": lake.files.exists(lake.blob_path(row["blob_id"])),
        "pair_id": row["pair_id"],
        "licence": row["licence"],
        "longer_than_target_s": row["duration_s"] - target["duration_s"],
        "n_segments": len(row["segments"]),
        "segments_inside": _inside(row["segments"], row["duration_s"]),
        "segments_match_modalities": {s["modality"] for s in row["segments"]} == set(row["modalities"]),
        "regions_match_modalities": bool(row["regions"]) == ("video" in row["modalities"]),
        "face_found_again": json.loads(row["metrics"]).get("face_found_again"),
    }


def _labels(lake: Lake, rows: Rows, partition: tuple[str, ...]) -> list[Row]:
    samples = lake.rows("fakes", partition) if len(partition) == 2 else lake.rows("clips", partition[0])
    key = "fake_id" if len(partition) == 2 else "clip_id"
    duration_s = {row[key]: row["duration_s"] for row in samples}
    return [
        {
            "label": f"{row['sample_id']}/{row['modality']}/{row['track_id']}",
            "verdict": row["verdict"],
            "modality": row["modality"],
            "evidence": row["evidence"],
            "confidence": row["confidence"],
            "sample_exists": row["sample_id"] in duration_s,
            "segments_inside": _inside(row["segments"], duration_s.get(row["sample_id"], 0.0)),
            "fake_has_extent": row["verdict"] != "fake"
            or row["evidence"] != "construction"
            or bool(row["segments"]),
            "real_has_no_extent": row["verdict"] != "real" or not (row["segments"] or row["boxes"]),
            "captions_complete": row["captions"] is None or all(row["captions"].values()),
        }
        for row in rows
    ]


def _samples(lake: Lake, rows: Rows) -> list[Row]:
    sources = {row["source_id"]: row for row in lake.rows("sources")}
    by_group: dict[str, set[str]] = defaultdict(set)
    by_identity: dict[str, set[str]] = defaultdict(set)
    split_of = {row["sample_id"]: row["split"] for row in rows}
    for row in rows:
        by_group[row["group_id"]].add(row["split"])
        by_identity[row["identity"] or row["sample_id"]].add(row["split"])
    return [
        {
            "sample_id": row["sample_id"],
            "split": row["split"],
            "verdict": row["verdict"],
            "splits_of_group": len(by_group[row["group_id"]]),
            "splits_of_identity": len(by_identity[row["identity"] or row["sample_id"]]),
            "pair_in_same_split": split_of.get(row["pair_id"], row["split"]) == row["split"],
            "may_be_used": may_use(sources[row["source_id"]], purpose_of(row["split"])).allowed,
        }
        for row in rows
    ]


def _inside(segments: Rows, duration_s: float) -> bool:
    return all(-1e-9 <= s["start_s"] < s["end_s"] <= duration_s + SLACK_S for s in segments)
