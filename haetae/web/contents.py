"""What the report says: rows of the lake as plain values, chosen and ordered.

Pictures, drawings and HTML are not made here, and nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haetae.evaluation.scorecard import PROTOCOLS, roc_of
from haetae.lake import Lake
from haetae.lake.schema import TABLES

CAPTION_LANGUAGES = ("en", "ko", "ms", "ta")
MODALITIES = ("video", "audio", "sync", "text")
VERDICTS = ("fake", "real", "unknown")

# C0 and C1 controls have no glyph and can confuse a reader; tab and line feed stay.
_CONTROLS = {c: "\ufffd" for c in (*range(32), *range(127, 160)) if c not in (9, 10)}


@dataclass(frozen=True)
class TableCount:
    name: str
    rows: int
    doc: str


@dataclass(frozen=True)
class Decision:
    """One decision of the promotion gate."""

    model_id: str
    snapshot_id: str
    promoted: bool
    previous_model_id: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    model_id: str
    snapshot_id: str
    threshold: float | None
    version: str | None


@dataclass(frozen=True)
class Standing:
    """Which model the page is about: the champion, or the newest candidate where there is none."""

    model: Model | None
    is_champion: bool
    scored_on: str | None
    """The newest snapshot on whose test split the model was scored."""
    decision: Decision | None
    snapshot_id: str | None
    snapshot_n: int | None


@dataclass(frozen=True)
class Interval:
    """A metric with its 95 % interval; None: undefined on the slice."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class ScoreRow:
    """All metrics of the shown model on one slice under one protocol."""

    protocol: str
    slice: str
    n: int
    metrics: Mapping[str, Interval]


@dataclass(frozen=True)
class Curve:
    """ROC of one protocol. fpr, tpr: float64 [K], rising from 0 to 1; auc: as in the scorecard.

    fakes, reals: how many samples of either class it rests on.
    """

    protocol: str
    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    auc: Interval | None
    fakes: int
    reals: int


@dataclass(frozen=True)
class LabelRow:
    """Samples of one language and family, by modality and verdict."""

    language: str
    family: str
    samples: int
    counts: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Refusals:
    """The quarantine: totals by stage and reason, and the first rows of each."""

    total: int
    by_reason: tuple[tuple[str, str, int], ...]
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Lineage:
    total: int
    relations: tuple[Mapping[str, Any], ...]


def rows_of(lake: Lake, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Rows of a query, with control characters in texts replaced so that they show as such."""
    cleaned: list[dict[str, Any]] = _visible(lake.sql(query, parameters).to_pylist())
    return cleaned


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return value.translate(_CONTROLS)
    if isinstance(value, list):
        return [_visible(item) for item in value]
    if isinstance(value, dict):
        return {key: _visible(item) for key, item in value.items()}
    return value


def table_digests(lake: Lake) -> dict[str, dict[str, str | None]]:
    """Content digest of every partition of every table; equal digests give an equal page."""
    return {name: {key: lake.digest(name, key) for key in lake.partitions(name)} for name in TABLES}


def table_counts(lake: Lake) -> tuple[TableCount, ...]:
    """Rows of every table, in the order of the schema."""
    return tuple(
        TableCount(name, lake.dataset(name).count_rows(), table.doc) for name, table in TABLES.items()
    )


def fake_spread(lake: Lake) -> tuple[int, int]:
    """How many generators and how many languages the fakes have."""
    query = "SELECT count(DISTINCT generator) AS generators, count(DISTINCT language) AS languages FROM fakes"
    (found,) = rows_of(lake, query)
    return found["generators"], found["languages"]


def standing(lake: Lake) -> Standing:
    """The champion by the chain of promotions (nobody's predecessor), and the newest decision."""
    decisions = rows_of(
        lake,
        "SELECT p.* FROM promotions p LEFT JOIN snapshots s USING (snapshot_id) "
        "ORDER BY s.created_at NULLS FIRST, p.promotion_id",
    )
    models = rows_of(
        lake,
        "SELECT model_id, snapshot_id, threshold, version FROM models "
        "ORDER BY trained_at NULLS FIRST, model_id",
    )
    snapshots = rows_of(
        lake, "SELECT snapshot_id, n FROM snapshots ORDER BY created_at NULLS FIRST, snapshot_id"
    )
    promoted = [d for d in decisions if d["promoted"]]
    succeeded = {d["previous_model_id"] for d in promoted}
    heads = [d["model_id"] for d in promoted if d["model_id"] not in succeeded]
    # Without a head (a rollback closed the chain to a ring) the newest promotion counts.
    champions = heads or [d["model_id"] for d in promoted]
    champion = champions[-1] if champions else None
    by_id = {m["model_id"]: Model(**m) for m in models}
    newest = by_id[models[-1]["model_id"]] if models else None
    model = by_id.get(champion, newest) if champion else newest
    snapshot = snapshots[-1] if snapshots else {"snapshot_id": None, "n": None}
    return Standing(
        model=model,
        is_champion=model is not None and model.model_id == champion,
        scored_on=_scored_on(lake, model.model_id) if model else None,
        decision=_decision(decisions[-1]) if decisions else None,
        snapshot_id=snapshot["snapshot_id"],
        snapshot_n=snapshot["n"],
    )


def _decision(row: Mapping[str, Any]) -> Decision:
    return Decision(
        row["model_id"],
        row["snapshot_id"],
        bool(row["promoted"]),
        row["previous_model_id"],
        tuple(row["reasons"] or ()),
    )


def _scored_on(lake: Lake, model_id: str) -> str | None:
    # A champion is scored again on each candidate's snapshot, so one model can have several scorecards.
    found = rows_of(
        lake,
        "SELECT e.snapshot_id FROM (SELECT snapshot_id FROM evaluations WHERE model_id = $1 "
        "UNION SELECT snapshot_id FROM predictions WHERE model_id = $1) e "
        "LEFT JOIN snapshots s USING (snapshot_id) "
        "ORDER BY s.created_at DESC NULLS LAST, e.snapshot_id LIMIT 1",
        [model_id],
    )
    return found[0]["snapshot_id"] if found else None


def scorecard(lake: Lake, standing: Standing) -> tuple[ScoreRow, ...]:
    """Every slice of the model's evaluations: protocols in their usual order, `all` first."""
    if standing.model is None:
        return ()
    found = rows_of(
        lake,
        "SELECT * FROM evaluations WHERE model_id = ? AND snapshot_id = ? ORDER BY protocol, slice, metric",
        [standing.model.model_id, standing.scored_on],
    )
    grouped: dict[tuple[str, str], dict[str, Interval]] = {}
    for r in found:
        metrics = grouped.setdefault((r["protocol"], r["slice"]), {})
        metrics[r["metric"]] = Interval(r["value"], r["ci_low"], r["ci_high"], r["n"] or 0)
    rows = [
        ScoreRow(protocol, slice_, metrics["auc"].n if "auc" in metrics else 0, metrics)
        for (protocol, slice_), metrics in grouped.items()
    ]
    order = {name: i for i, name in enumerate(PROTOCOLS)}
    return tuple(
        sorted(rows, key=lambda r: (order.get(r.protocol, len(order)), r.protocol, r.slice != "all", r.slice))
    )


def roc_curves(lake: Lake, standing: Standing, card: Sequence[ScoreRow]) -> tuple[Curve, ...]:
    """One curve per protocol in which the test split has both classes."""
    if standing.model is None:
        return ()
    predictions = rows_of(
        lake,
        "SELECT * FROM predictions WHERE model_id = ? AND snapshot_id = ? ORDER BY sample_id",
        [standing.model.model_id, standing.scored_on],
    )
    samples = rows_of(
        lake,
        "SELECT sample_id, split, verdict, video_verdict, audio_verdict, sync_verdict FROM samples "
        "WHERE split = 'test'",
    )
    overall = {row.protocol: row.metrics.get("auc") for row in card if row.slice == "all"}
    truth = {sample["sample_id"]: sample for sample in samples}
    curves = []
    for protocol, (score, verdict) in PROTOCOLS.items():
        points = roc_of(predictions, samples, protocol)
        if points:
            fpr, tpr = (np.array([p[name] for p in points], dtype=np.float64) for name in ("fpr", "tpr"))
            scored = (p["sample_id"] for p in predictions if p[score] is not None)
            classes = Counter(truth[i][verdict] for i in scored if i in truth)
            curves.append(Curve(protocol, fpr, tpr, overall.get(protocol), classes["fake"], classes["real"]))
    return tuple(curves)


def label_counts(lake: Lake) -> tuple[LabelRow, ...]:
    """Labelled samples by language and generator family; a modality is fake when any of its tracks is."""
    found = rows_of(
        lake,
        """
        WITH one AS (
            SELECT sample_id, modality,
                   CASE WHEN bool_or(verdict = 'fake') THEN 'fake' WHEN bool_or(verdict = 'real') THEN 'real'
                        ELSE 'unknown' END AS verdict
            FROM current_labels GROUP BY ALL),
        what AS (
            SELECT fake_id AS sample_id, language, family FROM fakes
            UNION ALL SELECT clip_id, language, NULL FROM clips),
        labelled AS (
            SELECT sample_id, modality, verdict, coalesce(language, 'unknown') AS language,
                   coalesce(family, 'untouched') AS family
            FROM one JOIN what USING (sample_id))
        SELECT language, family, modality, verdict, count(DISTINCT sample_id) AS n FROM labelled
        GROUP BY GROUPING SETS ((language, family), (language, family, modality, verdict))
        ORDER BY language, family <> 'untouched', family, modality NULLS FIRST, verdict
        """,
    )
    totals = {(r["language"], r["family"]): r["n"] for r in found if r["modality"] is None}
    counts: dict[tuple[str, str], dict[tuple[str, str], int]] = {key: {} for key in totals}
    for r in found:
        if r["modality"] is not None:
            counts[r["language"], r["family"]][r["modality"], r["verdict"]] = r["n"]
    return tuple(LabelRow(*key, samples, counts[key]) for key, samples in totals.items())


def refusals(lake: Lake, max_rows: int = 200) -> Refusals:
    """What is in quarantine; at most `max_rows` rows, spread over the reasons."""
    by_reason = rows_of(
        lake,
        "SELECT stage, reason, count(*) AS n FROM quarantine GROUP BY ALL ORDER BY n DESC, stage, reason",
    )
    rows = rows_of(
        lake,
        """
        SELECT stage, reason, item_id, batch, detail FROM (
            SELECT *, row_number() OVER (PARTITION BY stage, reason ORDER BY item_id) AS turn FROM quarantine
            ORDER BY turn, stage, reason, item_id LIMIT ?)
        ORDER BY stage, reason, item_id
        """,
        [max_rows],
    )
    return Refusals(
        sum(r["n"] for r in by_reason),
        tuple((r["stage"], r["reason"], r["n"]) for r in by_reason),
        tuple(rows),
    )


def lineage(lake: Lake) -> Lineage:
    """Edges by relation, with how many distinct things stand at either end."""
    found = rows_of(
        lake,
        "SELECT relation, count(*) AS n, count(DISTINCT parent_id) AS parents, "
        "count(DISTINCT child_id) AS children, list(DISTINCT asset ORDER BY asset) AS assets "
        "FROM edges GROUP BY relation ORDER BY n DESC, relation",
    )
    return Lineage(sum(r["n"] for r in found), tuple(found))
