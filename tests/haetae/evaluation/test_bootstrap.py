"""Intervals: every vectorised replicate is the plain metric on that resample; groups stay together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haetae.evaluation.bootstrap import draw_weights, intervals, replicate
from haetae.evaluation.metrics import METRICS


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=25),
    st.integers(0, 2**20),
)
def test_each_replicate_is_the_metric_on_the_drawn_samples(pairs: list[tuple[bool, int]], seed: int) -> None:
    y = np.array([a for a, _ in pairs])
    s = np.array([b / 8 for _, b in pairs])
    weights = np.random.default_rng(seed).integers(0, 3, size=(6, len(y)))
    vectorised = replicate(y, s, weights)
    for row, counts in enumerate(weights):
        for name, metric in METRICS.items():
            plain = metric(np.repeat(y, counts), np.repeat(s, counts))
            if plain is None:
                assert np.isnan(vectorised[name][row])
            else:
                assert vectorised[name][row] == pytest.approx(plain), name


def test_samples_of_a_group_are_drawn_together_and_strata_keep_their_size() -> None:
    y = np.array([1, 0, 1, 1, 0, 0, 1])
    groups = ["a", "a", "b", "b", "c", "d", "e"]
    weights = draw_weights(y, groups, 200, seed=5)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 2] == weights[:, 3]).all()
    assert (weights[:, 0] == 1).all(), "the only group with both classes is always drawn once"
    assert (weights[:, 4] + weights[:, 5] == 2).all(), "two real groups, two draws"
    assert (weights[:, 2] + weights[:, 6] == 2).all(), "two fake groups, two draws"
    assert weights[:, 4].std() > 0


def test_equal_seeds_give_equal_intervals_and_other_seeds_do_not() -> None:
    rng = np.random.default_rng(0)
    y = rng.random(80) < 0.5
    s = rng.normal(size=80) + y
    groups = [f"g{i // 4}" for i in range(80)]
    first = intervals(y, s, groups, n=300, seed=1)
    assert first == intervals(y, s, groups, n=300, seed=1)
    assert first != intervals(y, s, groups, n=300, seed=2)


def test_intervals_of_linked_samples_are_wider_than_of_free_ones() -> None:
    rng = np.random.default_rng(4)
    tone = np.repeat(rng.normal(size=12), 20)
    y = np.tile([0, 1], 120)
    s = y + tone * 2 + rng.normal(size=240) * 0.1
    grouped = intervals(y, s, [f"g{i // 20}" for i in range(240)], n=400, seed=0)["auc"]
    free = intervals(y, s, [f"g{i}" for i in range(240)], n=400, seed=0)["auc"]
    assert grouped is not None and free is not None
    assert grouped.high - grouped.low > 1.2 * (free.high - free.low)


def test_a_95_percent_interval_covers_the_true_auc_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    from scipy.stats import norm

    true_auc = norm.cdf(1 / np.sqrt(2))
    hits = 0
    for trial in range(150):
        y = np.repeat([0, 1], 40)
        s = rng.normal(size=80) + y
        found = intervals(y, s, [str(i) for i in range(80)], n=300, seed=trial)["auc"]
        assert found is not None
        hits += found.low <= true_auc <= found.high
    assert 0.88 <= hits / 150 <= 0.99


def test_one_class_has_no_interval() -> None:
    assert set(intervals([1, 1], [0.1, 0.2], ["a", "b"], n=100).values()) == {None}
    assert set(intervals([], [], [], n=100).values()) == {None}


def test_one_group_alone_has_no_interval_instead_of_a_narrow_one() -> None:
    y, s = [0, 1, 0, 1], [0.1, 0.9, 0.8, 0.7]
    assert set(intervals(y, s, ["a"] * 4, n=100).values()) == {None}
    assert set(intervals(y, s, ["real", "fake", "real", "fake"], n=100).values()) == {None}
    two = intervals(y, s, ["a", "a", "b", "b"], n=100)["auc"]
    assert two is not None and two.high > two.low
