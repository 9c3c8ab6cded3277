"""What clips, fakes, labels and samples must satisfy, as Great Expectations suites over data frames.

A suite looks at measured columns only; measuring them is `haetae.quality.measures`, running is `check`.
"""

from __future__ import annotations

from typing import Any

from haetae.params import Params


def expectations_for(table: str, params: Params) -> list[Any]:
    """The expectations on the measured frame of a table. Raises: KeyError for a table without a suite."""
    return {"clips": _clips, "fakes": _fakes, "labels": _labels, "samples": _samples}[table](params)


def _clips(params: Params) -> list[Any]:
    from great_expectations import expectations as gxe

    quality, ingest = params.quality, params.ingest
    frame_s = 1 / 25
    return [
        gxe.ExpectColumnValuesToBeUnique(column="clip_id"),
        gxe.ExpectColumnValuesToNotBeNull(column="blob_id"),
        _true("blob_exists"),
        gxe.ExpectColumnValuesToBeBetween(
            column="duration_s",
            min_value=ingest.min_media_s - frame_s,
            max_value=ingest.max_clip_s + 2 * frame_s,
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="fps", min_value=quality.min_clip_fps, max_value=quality.max_clip_fps
        ),
        gxe.ExpectColumnValuesToBeBetween(column="side_px", max_value=ingest.max_side_px),
        gxe.ExpectColumnValuesToBeInSet(column="odd_px", value_set=[0]),
        gxe.ExpectColumnValuesToBeInSet(column="language", value_set=["ko", "en-SG", "ms", "ta", "other"]),
        _true("has_a_stream"),
    ]


def _fakes(params: Params) -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectColumnValuesToBeUnique(column="fake_id"),
        _true("blob_exists"),
        gxe.ExpectColumnValuesToNotBeNull(column="pair_id"),
        gxe.ExpectColumnValuesToNotBeNull(column="licence"),
        gxe.ExpectColumnValuesToBeBetween(column="longer_than_target_s", min_value=-0.0401, max_value=0.0401),
        gxe.ExpectColumnValuesToBeBetween(column="n_segments", min_value=1),
        _true("segments_inside"),
        _true("segments_match_modalities"),
        _true("regions_match_modalities"),
        gxe.ExpectColumnValuesToBeBetween(
            column="face_found_again", min_value=params.quality.min_face_found_again, mostly=0.9
        ),
    ]


def _labels(_: Params) -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectColumnValuesToBeInSet(column="verdict", value_set=["real", "fake", "unknown"]),
        gxe.ExpectColumnValuesToBeInSet(column="modality", value_set=["video", "audio", "sync", "text"]),
        gxe.ExpectColumnValuesToBeInSet(
            column="evidence", value_set=["construction", "imported", "reviewed", "predicted"]
        ),
        gxe.ExpectColumnValuesToBeBetween(column="confidence", min_value=0, max_value=1),
        _true("sample_exists"),
        _true("segments_inside"),
        _true("fake_has_extent"),
        _true("real_has_no_extent"),
        _true("captions_complete"),
    ]


def _samples(_: Params) -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectColumnValuesToBeUnique(column="sample_id"),
        gxe.ExpectColumnValuesToBeInSet(column="split", value_set=["train", "val", "test"]),
        gxe.ExpectColumnValuesToBeInSet(column="verdict", value_set=["real", "fake"]),
        gxe.ExpectColumnValuesToBeInSet(column="splits_of_group", value_set=[1]),
        gxe.ExpectColumnValuesToBeInSet(column="splits_of_identity", value_set=[1]),
        _true("pair_in_same_split"),
        _true("may_be_used"),
        gxe.ExpectColumnDistinctValuesToContainSet(column="verdict", value_set=["real", "fake"]),
        gxe.ExpectColumnDistinctValuesToContainSet(column="split", value_set=["train", "val", "test"]),
    ]


def _true(column: str) -> Any:
    from great_expectations import expectations as gxe

    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[True])
