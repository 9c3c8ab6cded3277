"""The gate: each rule can close it, says what was measured and required, and a first model meets no champion."""

from __future__ import annotations

from typing import Any

import pytest

from haetae.evaluation.gate import decide
from haetae.params import Promote

RULES = Promote(min_auc=0.7, max_eer=0.4, max_slice_drop=0.05, min_slice_n=20)


def card(
    model: str = "new", snapshot: str = "s-1", n: int = 100, coverage: float = 1.0, **aucs: float | None
) -> list[dict[str, Any]]:
    """A scorecard; slices are given as `language_ko=0.9`, always with an interval of ±0.03."""

    def row(part: str, metric: str, value: float | None, size: int) -> dict[str, Any]:
        low, high = (None, None) if value is None else (value - 0.03, value + 0.03)
        return {
            "model_id": model,
            "snapshot_id": snapshot,
            "protocol": "sample",
            "slice": part,
            "metric": metric,
            "value": value,
            "ci_low": low,
            "ci_high": high,
            "n": size,
        }

    overall = aucs.pop("overall", 0.9)
    rows = [row("all", "auc", overall, n), row("all", "eer", None if overall is None else 1 - overall, n)]
    rows.append({**row("all", "coverage", coverage, n), "ci_low": None, "ci_high": None})
    sizes = {"language_ta": 10}
    return rows + [row(k.replace("_", "=", 1), "auc", v, sizes.get(k, 40)) for k, v in aucs.items()]


def failed(candidate: list[dict[str, Any]], champion: list[dict[str, Any]] | None) -> set[str]:
    decision = decide(candidate, champion, RULES)
    broken = {rule.name for rule in decision.rules if not rule.passed}
    assert decision.promoted == (not broken)
    assert len(decision.reasons) == len(decision.rules)
    assert sum(reason.startswith("FAIL: ") for reason in decision.reasons) == len(decision.rules) - sum(
        rule.passed for rule in decision.rules
    )
    return broken


def test_the_first_good_candidate_is_promoted_without_a_champion() -> None:
    assert failed(card(), None) == set()
    assert any("no champion yet" in reason for reason in decide(card(), None, RULES).reasons)


def test_the_first_candidate_still_has_to_reach_the_floor() -> None:
    assert failed(card(overall=0.65), None) == {"min_auc"}
    assert failed(card(overall=0.55), None) == {"min_auc", "max_eer"}
    assert failed(card(overall=None), None) == {"min_auc", "max_eer"}
    assert failed(card(coverage=0.98), None) == {"coverage"}


def test_a_candidate_may_be_equal_but_not_worse() -> None:
    assert failed(card(overall=0.9), card("old", overall=0.9)) == set()
    assert failed(card(overall=0.91), card("old", overall=0.9)) == set()
    assert failed(card(overall=0.899), card("old", overall=0.9)) == {"not_worse"}


def test_a_slice_may_not_drop_beyond_the_rule_and_the_interval() -> None:
    old = card("old", overall=0.85, language_ko=0.9)
    assert failed(card(language_ko=0.86), old) == set(), "a drop of 0.04 is allowed"
    assert failed(card(language_ko=0.84), old) == {"max_slice_drop"}, "0.06, beyond an interval of 0.03"
    wide = [
        {**row, "ci_high": 0.95} if row["slice"] == "language=ko" else row for row in card(language_ko=0.84)
    ]
    assert failed(wide, old) == set(), "the champion's figure lies within the candidate's interval"


def test_on_a_slice_without_an_interval_the_loss_alone_decides() -> None:
    old = card("old", overall=0.85, language_ko=0.9)

    def single(value: float) -> list[dict[str, Any]]:
        rows = card(language_ko=value)
        return [{**r, "ci_low": None, "ci_high": None} if r["slice"] == "language=ko" else r for r in rows]

    assert failed(single(0.86), old) == set()
    assert failed(single(0.84), old) == {"max_slice_drop"}


def test_a_small_slice_decides_nothing_and_a_missing_one_does() -> None:
    old = card("old", overall=0.85, language_ta=0.9, language_ko=0.9)
    assert failed(card(language_ta=0.2, language_ko=0.9), old) == set()
    assert failed(card(language_ta=0.9), old) == {"max_slice_drop"}
    assert failed(card(language_ta=0.9, language_ko=None), old) == {"max_slice_drop"}


def test_reasons_tell_what_was_measured_and_what_is_required() -> None:
    reasons = decide(
        card(overall=0.65, language_ko=0.7), card("old", overall=0.9, language_ko=0.9), RULES
    ).reasons
    text = "\n".join(reasons)
    assert "overall AUC 0.650 [0.620, 0.680] on 100 samples; at least 0.700 is required" in text
    assert "slice language=ko" in text and "a loss of 0.200" in text and "at most 0.050" in text
    assert "against the champion's 0.900" in text


def test_scorecards_of_other_data_are_not_compared() -> None:
    with pytest.raises(ValueError, match="score it there first"):
        decide(card(), card("old", snapshot="s-0"), RULES)
    assert failed(card(n=100), card("old", overall=0.8, n=90)) == {"equal_data"}
    with pytest.raises(ValueError, match="one model"):
        decide([], None, RULES)
    with pytest.raises(ValueError, match="one model"):
        decide(card("a") + card("b"), None, RULES)
