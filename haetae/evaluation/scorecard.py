"""The scorecard: every metric on every slice of a snapshot's test split, with bootstrap intervals.

Scores are made in `haetae.detector.predict`; whether a scorecard is good enough is decided in `gate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from haetae.evaluation.bootstrap import intervals
from haetae.evaluation.metrics import METRICS
from haetae.provenance.ids import seed_of

Row = dict[str, Any]

PROTOCOLS: Mapping[str, tuple[str, str]] = {
    "sample": ("score", "verdict"),
    "video": ("video_score", "video_verdict"),
    "audio": ("audio_score", "audio_verdict"),
    "sync": ("sync_score", "sync_verdict"),
}
"""What is compared: the score column of a prediction with the verdict column of its sample."""

PLAIN_COLUMNS = ("language", "modality", "compression", "use_case")
FAKE_COLUMNS = ("family", "generator")
"""Columns that only fakes have: their slices take in the untouched samples of the same languages."""


@dataclass(frozen=True)
class Slice:
    """A named part of the samples: `all`, or `column=value` joined by `&`."""

    name: str
    members: tuple[Row, ...]


def score_slices(
    predictions: Sequence[Mapping[str, Any]],
    samples: Sequence[Mapping[str, Any]],
    *,
    n_boot: int = 1000,
    min_n: int = 2,
) -> list[Row]:
    """The evaluations rows of one model on one snapshot's test split.

    predictions: rows of the predictions table, of one model and one snapshot; samples: rows of the
    samples table, of which the test split counts. Slices are all, language, modality, compression,
    use_case, family, generator, and family × language. A metric is null where a slice has one
    class only or fewer than `min_n` samples. `coverage` on `all` is the share of test samples that
    have a score, so that a model cannot shine by leaving samples out.

    Raises: ValueError for predictions of several models, for training samples, or for unknown ones.
    """
    tested = {row["sample_id"]: row for row in samples if row["split"] == "test"}
    model_id, snapshot_id = _one_model(predictions)
    _check_members(predictions, tested)
    by_id = {row["sample_id"]: row for row in predictions}
    joined = [{**tested[i], **_scores(by_id[i])} for i in sorted(by_id)]
    rows = []
    for protocol, (score, verdict) in PROTOCOLS.items():
        usable = [r for r in joined if r[score] is not None and r[verdict] in ("real", "fake")]
        for part in slices_of(usable):
            seed = seed_of("bootstrap", snapshot_id, protocol, part.name) % 2**32
            measured = _measure(part, score, verdict, n_boot=n_boot, min_n=min_n, seed=seed)
            rows += [_evaluation(model_id, snapshot_id, protocol, part, *m) for m in measured]
    covered = len(joined) / len(tested) if tested else None
    whole = Slice("all", tuple(dict(row) for row in tested.values()))
    rows.append(_evaluation(model_id, snapshot_id, "sample", whole, "coverage", covered, None, None))
    return rows


def slices_of(rows: Sequence[Row]) -> Iterator[Slice]:
    """The slices of these rows, in a fixed order; a slice that nothing is in does not exist."""
    if rows:
        yield Slice("all", tuple(rows))
    for column in PLAIN_COLUMNS:
        for value in _values(rows, column):
            yield Slice(f"{column}={value}", tuple(r for r in rows if r[column] == value))
    for column in FAKE_COLUMNS:
        for value in _values(rows, column):
            part = _with_untouched([r for r in rows if r[column] == value], rows)
            yield Slice(f"{column}={value}", part)
            if column != "family":
                continue
            for language in _values(part, "language"):
                name = f"family={value}&language={language}"
                yield Slice(name, tuple(r for r in part if r["language"] == language))


def roc_of(
    predictions: Sequence[Mapping[str, Any]],
    samples: Sequence[Mapping[str, Any]],
    protocol: str = "sample",
) -> list[Row]:
    """The ROC points of a protocol on the test split, for the report: fpr, tpr, threshold (null: none passes)."""
    from haetae.evaluation.metrics import roc_points

    score, verdict = PROTOCOLS[protocol]
    tested = {row["sample_id"]: row for row in samples if row["split"] == "test"}
    pairs = [
        (tested[p["sample_id"]][verdict] == "fake", p[score])
        for p in predictions
        if p["sample_id"] in tested
        and p[score] is not None
        and tested[p["sample_id"]][verdict] in ("real", "fake")
    ]
    roc = roc_points([y for y, _ in pairs], [s for _, s in pairs]) if pairs else None
    if roc is None:
        return []
    points = zip(roc.fpr.tolist(), roc.tpr.tolist(), roc.thresholds.tolist(), strict=True)
    return [{"fpr": f, "tpr": t, "threshold": c if np.isfinite(c) else None} for f, t, c in points]


def _measure(
    part: Slice, score: str, verdict: str, *, n_boot: int, min_n: int, seed: int
) -> list[tuple[str, float | None, float | None, float | None]]:
    """(metric, value, ci_low, ci_high) on one slice."""
    labels = [row[verdict] == "fake" for row in part.members]
    scores = [row[score] for row in part.members]
    if len(labels) < min_n or len(set(labels)) < 2:
        return [(name, None, None, None) for name in METRICS]
    groups = [row["group_id"] for row in part.members]
    spread = intervals(labels, scores, groups, n=n_boot, seed=seed)
    made = []
    for name, metric in METRICS.items():
        interval = spread[name]
        low, high = (interval.low, interval.high) if interval else (None, None)
        made.append((name, metric(labels, scores), low, high))
    return made


def _evaluation(
    model_id: str,
    snapshot_id: str,
    protocol: str,
    part: Slice,
    metric: str,
    value: float | None,
    ci_low: float | None,
    ci_high: float | None,
) -> Row:
    return {
        "model_id": model_id,
        "snapshot_id": snapshot_id,
        "protocol": protocol,
        "slice": part.name,
        "metric": metric,
        "value": value,
        "ci_low": ci_low,
        "ci_high": ci_high,
        "n": len(part.members),
    }


def _one_model(predictions: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    ids = {(row["model_id"], row["snapshot_id"]) for row in predictions}
    if len(ids) != 1:
        raise ValueError(f"a scorecard takes the predictions of one model on one snapshot, not of {len(ids)}")
    return ids.pop()


def _check_members(predictions: Sequence[Mapping[str, Any]], tested: Mapping[str, Mapping[str, Any]]) -> None:
    ids = [row["sample_id"] for row in predictions]
    if len(set(ids)) != len(ids):
        raise ValueError("a sample is predicted twice")
    strangers = sorted(set(ids) - set(tested))
    if strangers:
        raise ValueError(f"not in the test split: {', '.join(strangers[:5])} ({len(strangers)} in all)")


def _scores(prediction: Mapping[str, Any]) -> Row:
    return {score: prediction[score] for score, _ in PROTOCOLS.values()}


def _values(rows: Sequence[Row], column: str) -> list[str]:
    return sorted({row[column] for row in rows if row[column] is not None})


def _with_untouched(fakes: Sequence[Row], rows: Sequence[Row]) -> tuple[Row, ...]:
    spoken = {row["language"] for row in fakes}
    untouched = [row for row in rows if row["verdict"] == "real" and row["language"] in spoken]
    return (*fakes, *untouched)
