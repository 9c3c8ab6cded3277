"""Metrics against their definitions worked out by brute force, on perfect, tied and arbitrary scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from haetae.evaluation import metrics
from haetae.evaluation.metrics import METRICS

PAIRS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12).map(lambda k: k / 12)), min_size=2, max_size=40
).filter(lambda pairs: len({y for y, _ in pairs}) == 2)


def _split(pairs: list[tuple[bool, float]]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    return np.array([y for y, _ in pairs]), np.array([s for _, s in pairs])


@given(PAIRS)
def test_auc_is_the_chance_that_a_fake_outscores_a_real_one(pairs: list[tuple[bool, float]]) -> None:
    y, s = _split(pairs)
    won = [1.0 if f > r else 0.5 if f == r else 0.0 for f in s[y] for r in s[~y]]
    assert metrics.auc(y, s) == pytest.approx(np.mean(won))


@given(PAIRS)
def test_average_precision_is_precision_summed_over_recall_gained(pairs: list[tuple[bool, float]]) -> None:
    y, s = _split(pairs)
    total, recall = 0.0, 0.0
    for threshold in sorted(set(s.tolist()), reverse=True):
        called = s >= threshold
        now = float((called & y).sum() / y.sum())
        total += (now - recall) * float((called & y).sum() / called.sum())
        recall = now
    assert metrics.average_precision(y, s) == pytest.approx(total)


@given(PAIRS)
def test_eer_of_asvspoof_is_the_mean_of_the_two_errors_where_they_are_closest(
    pairs: list[tuple[bool, float]],
) -> None:
    y, s = _split(pairs)
    points = []
    for threshold in [*sorted(set(s.tolist())), math.inf]:
        frr, far = float((s[y] < threshold).mean()), float((s[~y] >= threshold).mean())
        points.append((round(abs(frr - far), 12), (frr + far) / 2))
    closest = min(points, key=lambda point: point[0])
    assert metrics.eer_asvspoof(y, s) == pytest.approx(closest[1])


def test_eer_of_asvspoof_is_that_of_the_published_code_where_scores_differ() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        y = rng.random(30) < 0.4
        if len(set(y.tolist())) < 2:
            continue
        s = rng.permutation(30) / 30 + 0.21 * y
        assert len(set(s.tolist())) == 30
        order = np.argsort(s, kind="mergesort")
        sums = np.cumsum(y[order])
        false_accepts = (~y).sum() - (np.arange(1, 31) - sums)
        frr = np.concatenate([[0], sums / y.sum()])
        far = np.concatenate([[1], false_accepts / (~y).sum()])
        best = np.argmin(np.round(np.abs(frr - far), 12))
        assert metrics.eer_asvspoof(y, s) == pytest.approx((frr[best] + far[best]) / 2)


@given(PAIRS)
def test_eer_of_deepfakebench_is_its_formula(pairs: list[tuple[bool, float]]) -> None:
    from sklearn.metrics import roc_curve

    y, s = _split(pairs)
    assume(len(set(s.tolist())) > 1)
    fpr, tpr, _ = roc_curve(y, s, pos_label=1)
    fnr = 1 - tpr
    assert metrics.eer(y, s) == pytest.approx(fpr[np.nanargmin(np.absolute(fnr - fpr))])


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_a_perfect_detector_is_perfect_at_any_size(n: int) -> None:
    y = np.array([0] * n + [1] * n)
    s = np.where(y == 1, 0.9, 0.1) + np.linspace(0, 0.05, 2 * n)
    assert metrics.auc(y, s) == 1.0
    assert metrics.average_precision(y, s) == 1.0
    assert metrics.eer(y, s) == 0.0
    assert metrics.eer_asvspoof(y, s) == 0.0


def test_a_detector_that_says_the_same_of_everything_is_at_chance() -> None:
    y, s = [0, 0, 1, 1], [0.3] * 4
    assert metrics.auc(y, s) == 0.5
    assert metrics.average_precision(y, s) == 0.5
    assert metrics.eer(y, s) == 0.5
    assert metrics.eer_asvspoof(y, s) == 0.5


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_undefined_without_both_classes(name: str) -> None:
    assert METRICS[name]([1, 1], [0.2, 0.3]) is None
    assert METRICS[name]([0], [0.2]) is None
    assert METRICS[name]([], []) is None


@given(PAIRS, st.randoms())
def test_order_and_monotone_rescaling_change_nothing(pairs: list[tuple[bool, float]], rng) -> None:
    shuffled = list(pairs)
    rng.shuffle(shuffled)
    for metric in METRICS.values():
        value = metric(*_split(pairs))
        assert metric(*_split(shuffled)) == pytest.approx(value)
        y, s = _split(pairs)
        assert metric(y, np.exp(3 * s) - 7) == pytest.approx(value)


@given(PAIRS)
def test_swapping_the_classes_mirrors_auc(pairs: list[tuple[bool, float]]) -> None:
    y, s = _split(pairs)
    assert metrics.auc(~y, -s) == pytest.approx(metrics.auc(y, s))
    assert metrics.auc(y, -s) == pytest.approx(1 - metrics.auc(y, s))


@given(PAIRS)
def test_no_threshold_has_better_balanced_recall_than_the_chosen_one(
    pairs: list[tuple[bool, float]],
) -> None:
    y, s = _split(pairs)

    def balance(threshold: float) -> float:
        called = s >= threshold
        return float((called & y).sum() / y.sum() + (~called & ~y).sum() / (~y).sum())

    chosen = balance(metrics.balanced_threshold(y, s))
    assume(len(set(s.tolist())) > 1)
    middles = np.convolve(np.unique(s), [0.5, 0.5], "valid")
    assert chosen >= max(balance(t) for t in middles) - 1e-9


def test_bad_input_is_an_error_and_not_a_figure() -> None:
    with pytest.raises(ValueError, match="finite"):
        metrics.auc([0, 1], [0.1, math.nan])
    with pytest.raises(ValueError, match="0 \\(real\\) or 1"):
        metrics.auc([0, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match="one length"):
        metrics.auc([0, 1, 1], [0.1, 0.2])
