"""Scorecards: which samples are in which slice, what is compared with what, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from haetae.evaluation.scorecard import roc_of, score_slices
from haetae.lake.schema import TABLES

Row = dict[str, Any]


def sample(name: str, family: str | None = None, language: str = "ko", **more: Any) -> Row:
    verdict = "fake" if family else "real"
    return {
        **dict.fromkeys(TABLES["samples"].schema.names),
        "sample_id": name,
        "kind": "fake" if family else "clip",
        "split": "test",
        "group_id": name.split("-")[0],
        "language": language,
        "family": family,
        "generator": f"{family}@1" if family else None,
        "compression": "h264-crf18",
        "use_case": "news",
        "modality": "av",
        "verdict": verdict,
        "video_verdict": "real" if family == "speech" else verdict,
        "audio_verdict": "fake" if family == "speech" else "real",
        "sync_verdict": "unknown",
        **more,
    }


def prediction(name: str, score: float | None, video: float | None = None, audio: float | None = None) -> Row:
    return {
        "model_id": "m",
        "snapshot_id": "s",
        "sample_id": name,
        "split": "test",
        "score": score,
        "video_score": video,
        "audio_score": audio,
        "sync_score": 0.5,
    }


SAMPLES = [
    sample("a-real"),
    sample("b-real"),
    sample("c-real", language="ta"),
    sample("a-swap", "face_swap"),
    sample("b-talk", "speech"),
    sample("c-talk", "speech", language="ta"),
    sample("d-train", "face_swap", split="train"),
]
PREDICTIONS = [
    prediction("a-real", 0.1, 0.1, 0.2),
    prediction("b-real", 0.6, 0.2, 0.1),
    prediction("c-real", 0.2, 0.1, 0.3),
    prediction("a-swap", 0.9, 0.9, 0.4),
    prediction("b-talk", 0.5, 0.3, 0.8),
    prediction("c-talk", 0.1, 0.1, 0.2),
]


def rows_of(**where: str) -> list[Row]:
    made = score_slices(PREDICTIONS, SAMPLES, n_boot=100)
    return [row for row in made if all(row[k] == v for k, v in where.items())]


def test_rows_are_rows_of_the_evaluations_table() -> None:
    for row in score_slices(PREDICTIONS, SAMPLES, n_boot=100):
        assert set(row) == set(TABLES["evaluations"].schema.names)
        if row["ci_low"] is None:
            assert row["ci_high"] is None
        else:
            assert 0 <= row["ci_low"] <= row["ci_high"] <= 1
    (whole,) = rows_of(slice="all", metric="auc", protocol="sample")
    assert whole["ci_low"] < whole["ci_high"]


def test_a_slice_of_one_group_has_a_figure_and_no_interval() -> None:
    (tamil,) = rows_of(slice="language=ta", metric="auc", protocol="sample")
    assert tamil["value"] == 0.0 and tamil["ci_low"] is None and tamil["ci_high"] is None


def test_the_overall_figure_is_that_of_all_test_samples() -> None:
    (row,) = rows_of(slice="all", metric="auc", protocol="sample")
    assert row["n"] == 6
    assert row["value"] == pytest.approx((3 + 2 + 0.5) / 9)


def test_a_family_is_compared_with_the_untouched_samples_of_its_languages() -> None:
    (swap,) = rows_of(slice="family=face_swap", metric="auc", protocol="sample")
    assert swap["n"] == 3, "one swap against the two Korean clips, not against the Tamil one"
    assert swap["value"] == 1.0
    (talk,) = rows_of(slice="family=speech", metric="auc", protocol="sample")
    assert talk["n"] == 5 and talk["value"] == pytest.approx((2 + 0.5) / 6)
    (cell,) = rows_of(slice="family=speech&language=ta", metric="auc", protocol="sample")
    assert cell["n"] == 2 and cell["value"] == 0.0
    (generator,) = rows_of(slice="generator=speech@1", metric="auc", protocol="sample")
    assert generator["value"] == talk["value"]


def test_a_modality_is_judged_by_its_own_label() -> None:
    (video,) = rows_of(slice="all", metric="auc", protocol="video")
    assert video["n"] == 6 and video["value"] == 1.0, "fake speech is no fake picture"
    (audio,) = rows_of(slice="all", metric="auc", protocol="audio")
    assert audio["value"] == pytest.approx((4 + 1 + 0.5) / 8)
    assert rows_of(protocol="sync") == [], "nobody knows the sync verdicts"


def test_a_slice_with_one_class_is_null_and_not_a_figure() -> None:
    only = [row for row in SAMPLES if row["language"] == "ko" or row["verdict"] == "real"]
    kept = {row["sample_id"] for row in only}
    made = score_slices([p for p in PREDICTIONS if p["sample_id"] in kept], only, n_boot=100)
    (row,) = [r for r in made if (r["slice"], r["metric"], r["protocol"]) == ("language=ta", "auc", "sample")]
    assert (row["value"], row["ci_low"], row["ci_high"], row["n"]) == (None, None, None, 1)


def test_leaving_samples_out_shows_in_the_coverage() -> None:
    (whole,) = rows_of(metric="coverage")
    assert whole["value"] == 1.0
    fewer = score_slices(PREDICTIONS[:-1], SAMPLES, n_boot=100)
    (row,) = [r for r in fewer if r["metric"] == "coverage"]
    assert row["value"] == pytest.approx(5 / 6) and row["n"] == 6


def test_order_changes_nothing() -> None:
    made = score_slices(PREDICTIONS, SAMPLES, n_boot=100)
    assert score_slices(PREDICTIONS[::-1], SAMPLES[::-1], n_boot=100) == made


def test_training_samples_strangers_and_mixed_models_are_refused() -> None:
    with pytest.raises(ValueError, match="not in the test split: d-train"):
        score_slices([*PREDICTIONS, prediction("d-train", 0.5)], SAMPLES)
    with pytest.raises(ValueError, match="predicted twice"):
        score_slices([*PREDICTIONS, PREDICTIONS[0]], SAMPLES)
    with pytest.raises(ValueError, match="one model"):
        score_slices([*PREDICTIONS[:-1], {**PREDICTIONS[-1], "model_id": "other"}], SAMPLES)


def test_roc_points_run_from_nothing_called_fake_to_everything() -> None:
    points = roc_of(PREDICTIONS, SAMPLES)
    assert (points[0]["fpr"], points[0]["tpr"], points[0]["threshold"]) == (0.0, 0.0, None)
    assert (points[-1]["fpr"], points[-1]["tpr"]) == (1.0, 1.0)
    assert roc_of(PREDICTIONS, SAMPLES, "sync") == []
