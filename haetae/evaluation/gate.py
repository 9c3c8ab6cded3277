"""The promotion gate: whether a candidate may take the champion's place, and why.

It reads two scorecards and the rules of `params.promote`. Moving the alias and writing the ledger
are done by whoever asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from haetae.params import Promote

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Rule:
    """One rule as it came out: `text` tells what was measured and what was required."""

    name: str
    passed: bool
    text: str


@dataclass(frozen=True)
class Decision:
    """The gate's answer. `reasons` holds one line for every rule, also those that passed."""

    promoted: bool
    rules: tuple[Rule, ...]

    @property
    def reasons(self) -> list[str]:
        return [f"{'pass' if rule.passed else 'FAIL'}: {rule.text}" for rule in self.rules]


def decide(candidate: Rows, champion: Rows | None, rules: Promote | None = None) -> Decision:
    """Apply every rule to the candidate's scorecard, and compare it with the champion's.

    candidate, champion: evaluations rows of one model each, both on the same snapshot: score the
    champion again on the candidate's snapshot first (`detector.predict.score_snapshot`), so that
    both are measured on equal data. champion: None where there is none yet.

    The candidate must reach `min_auc` and stay within `max_eer` overall, have scored every test
    sample, be no worse overall than the champion, and on no slice of `min_slice_n` samples or more
    lose over `max_slice_drop` of AUC while the champion's figure is above the candidate's interval (a slice
    of one group has no interval: there the loss alone decides).

    Raises: ValueError for an empty scorecard, one of several models, or two different snapshots.
    """
    rules = rules or Promote()
    snapshot_id = _snapshot_of(candidate, "candidate")
    if champion is not None and _snapshot_of(champion, "champion") != snapshot_id:
        raise ValueError(
            f"the champion's scorecard is not on {snapshot_id}: score it there first, on the same test split"
        )
    outcome = [*_floor(candidate, rules)]
    if champion is None:
        outcome.append(Rule("champion", True, "no champion yet: nothing to compare with"))
    else:
        outcome += _against(candidate, champion, rules)
    return Decision(all(rule.passed for rule in outcome), tuple(outcome))


def _floor(candidate: Rows, rules: Promote) -> Iterator[Rule]:
    auc, eer = _find(candidate, "all", "auc"), _find(candidate, "all", "eer")
    n = auc["n"] if auc else 0
    value = _value(auc)
    passed = value is not None and value >= rules.min_auc
    yield Rule(
        "min_auc",
        passed,
        f"overall AUC {_show(auc)} on {n} samples; at least {rules.min_auc:.3f} is required",
    )
    error = _value(eer)
    passed = error is not None and error <= rules.max_eer
    yield Rule("max_eer", passed, f"overall EER {_show(eer)}; at most {rules.max_eer:.3f} is required")
    coverage = _value(_find(candidate, "all", "coverage"))
    shown = "is not recorded" if coverage is None else f"is {coverage:.1%}"
    yield Rule(
        "coverage",
        coverage == 1.0,
        f"the share of test samples that got a score {shown}; 100.0% is required",
    )


def _against(candidate: Rows, champion: Rows, rules: Promote) -> Iterator[Rule]:
    mine, theirs = _find(candidate, "all", "auc"), _find(champion, "all", "auc")
    new, old = _value(mine), _value(theirs)
    equal_n = (mine or {}).get("n") == (theirs or {}).get("n")
    yield Rule(
        "equal_data",
        equal_n,
        f"the candidate was scored on {(mine or {}).get('n', 0)} samples, the champion on "
        f"{(theirs or {}).get('n', 0)}; the same test split is required",
    )
    yield Rule(
        "not_worse",
        old is None or (new is not None and new >= old - 1e-9),
        f"overall AUC {_show(mine)} against the champion's {_show(theirs)}; no less is required",
    )
    compared, worst = 0, []
    for row in champion:
        if row["metric"] != "auc" or row["protocol"] != "sample" or row["slice"] == "all":
            continue
        if row["n"] < rules.min_slice_n or row["value"] is None:
            continue
        compared += 1
        own = _find(candidate, row["slice"], "auc")
        worst += _slice_drop(row, own, rules)
    yield from worst
    if not worst:
        yield Rule(
            "max_slice_drop",
            True,
            f"{compared} slices of {rules.min_slice_n} or more samples compared with the champion's: none "
            f"lost more than {rules.max_slice_drop:.3f} AUC beyond its interval, which is required",
        )


def _slice_drop(theirs: Mapping[str, Any], mine: Mapping[str, Any] | None, rules: Promote) -> list[Rule]:
    """The rule that failed on this slice, if it did."""
    name, old, new = theirs["slice"], float(theirs["value"]), _value(mine)
    required = f"a loss of at most {rules.max_slice_drop:.3f}, or a champion's figure within the interval, is required"
    if mine is None or new is None:
        text = f"slice {name}: no AUC, against the champion's {old:.3f} on {theirs['n']} samples; {required}"
        return [Rule("max_slice_drop", False, text)]
    high = mine["ci_high"] if mine["ci_high"] is not None else new
    if old - new <= rules.max_slice_drop + 1e-9 or old <= high:
        return []
    text = (
        f"slice {name}: AUC {_show(mine)} against the champion's {old:.3f} on {mine['n']} samples, "
        f"a loss of {old - new:.3f}; {required}"
    )
    return [Rule("max_slice_drop", False, text)]


def _find(rows: Rows, part: str, metric: str) -> Mapping[str, Any] | None:
    for row in rows:
        if row["protocol"] == "sample" and row["slice"] == part and row["metric"] == metric:
            return row
    return None


def _value(row: Mapping[str, Any] | None) -> float | None:
    return None if row is None or row["value"] is None else float(row["value"])


def _show(row: Mapping[str, Any] | None) -> str:
    value = _value(row)
    if row is None or value is None:
        return "undefined"
    if row["ci_low"] is None or row["ci_high"] is None:
        return f"{value:.3f}"
    return f"{value:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"


def _snapshot_of(rows: Rows, whose: str) -> str:
    ids = {(row["model_id"], row["snapshot_id"]) for row in rows}
    if len(ids) != 1:
        raise ValueError(f"the {whose}'s scorecard must hold one model on one snapshot, not {len(ids)}")
    return str(ids.pop()[1])
