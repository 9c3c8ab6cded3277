"""The suites: sound rows pass, and each way of being unsound is found with the row that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from haetae.params import Params
from haetae.quality.check import CheckCrashed, check

Row = dict[str, Any]


def _clip(number: int) -> Row:
    return {
        "clip_id": f"clip-{number}",
        "blob_id": f"{number}.mp4",
        "blob_exists": True,
        "duration_s": 4.0,
        "fps": 25.0,
        "side_px": 512,
        "odd_px": 0,
        "language": "ko",
        "has_a_stream": True,
    }


def _fake(number: int) -> Row:
    return {
        "fake_id": f"fake-{number}",
        "blob_exists": True,
        "pair_id": "clip-1",
        "licence": "CC0-1.0",
        "longer_than_target_s": 0.0,
        "n_segments": 1,
        "segments_inside": True,
        "segments_match_modalities": True,
        "regions_match_modalities": True,
        "face_found_again": 1.0,
    }


def _label(number: int) -> Row:
    return {
        "label": f"fake-{number}/video/None",
        "verdict": "fake",
        "modality": "video",
        "evidence": "construction",
        "confidence": 1.0,
        "sample_exists": True,
        "segments_inside": True,
        "fake_has_extent": True,
        "real_has_no_extent": True,
        "captions_complete": True,
    }


def _sample(number: int) -> Row:
    return {
        "sample_id": f"clip-{number}",
        "split": ("train", "val", "test")[number % 3],
        "verdict": ("real", "fake")[number % 2],
        "splits_of_group": 1,
        "splits_of_identity": 1,
        "pair_in_same_split": True,
        "may_be_used": True,
    }


MAKERS: dict[str, Callable[[int], Row]] = {
    "clips": _clip,
    "fakes": _fake,
    "labels": _label,
    "samples": _sample,
}


@pytest.mark.parametrize("table", MAKERS)
def test_sound_rows_pass_and_no_rows_are_sound(table: str) -> None:
    report = check(table, [MAKERS[table](n) for n in range(6)], Params())
    assert report.passed
    assert report.checked == 6
    assert report.expectations >= 8
    assert check(table, [], Params()).passed


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("clips", {"duration_s": 31.0}),
        ("clips", {"fps": 29.97}),
        ("clips", {"odd_px": 1}),
        ("clips", {"blob_exists": False}),
        ("clips", {"language": "Malay"}),
        ("clips", {"blob_id": None}),
        ("fakes", {"longer_than_target_s": 0.08}),
        ("fakes", {"segments_inside": False}),
        ("fakes", {"segments_match_modalities": False}),
        ("fakes", {"regions_match_modalities": False}),
        ("fakes", {"n_segments": 0}),
        ("fakes", {"licence": None}),
        ("labels", {"verdict": "maybe"}),
        ("labels", {"sample_exists": False}),
        ("labels", {"fake_has_extent": False}),
        ("labels", {"real_has_no_extent": False}),
        ("labels", {"captions_complete": False}),
        ("samples", {"splits_of_group": 2}),
        ("samples", {"pair_in_same_split": False}),
        ("samples", {"may_be_used": False}),
    ],
)
def test_an_unsound_row_is_found_and_named(table: str, change: Row) -> None:
    rows = [MAKERS[table](n) for n in range(6)]
    rows[3] = {**rows[3], **change}
    report = check(table, rows, Params())
    assert not report.passed
    assert {finding.column for finding in report.findings} == set(change)
    key = next(iter(rows[3]))
    assert [finding.rows for finding in report.findings] == [(rows[3][key],)]


def test_a_data_set_of_one_class_is_refused() -> None:
    rows = [{**_sample(n), "verdict": "real"} for n in range(6)]
    (finding,) = check("samples", rows, Params()).findings
    assert finding.column == "verdict"


def test_faces_may_be_lost_in_few_fakes_but_not_in_many() -> None:
    rows = [_fake(n) for n in range(20)]
    assert check("fakes", [*rows, {**_fake(20), "face_found_again": 0.5}], Params()).passed
    lost = [{**row, "face_found_again": 0.5} for row in rows[:5]]
    assert not check("fakes", [*lost, *rows[5:]], Params()).passed


def test_a_crash_of_the_check_is_not_taken_for_bad_data() -> None:
    rows = [{k: v for k, v in _clip(1).items() if k != "fps"}]
    with pytest.raises(CheckCrashed):
        check("clips", rows, Params())
