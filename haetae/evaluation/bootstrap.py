"""Bootstrap intervals of metrics, resampling whole groups so that linked samples stay together.

The metrics themselves, for one set of scores, are in `metrics`; here they are computed for many
resamples at once, on integer weights that count how often each sample was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Weights = NDArray[np.int64]

_CELLS = 4_000_000
"""Resamples are worked in pieces of about this many cells (resample × distinct score), 32 MB an array."""


@dataclass(frozen=True)
class Interval:
    """Percentile interval; `resamples` counts those in which the metric was defined."""

    low: float
    high: float
    resamples: int


def draw_weights(labels: ArrayLike, groups: Sequence[str], n: int, seed: int) -> Weights:
    """How often each sample is drawn in each of n resamples: int64 [n, N].

    Groups are drawn with replacement within strata: groups with real samples only, with fakes only,
    with both, so that a resample does not lose a class. All samples of a group come together.
    """
    y = np.asarray(labels).astype(bool)
    names, group_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    kind = np.zeros(len(names), dtype=np.int64)
    np.bitwise_or.at(kind, group_of, np.where(y, 2, 1))
    rng = np.random.default_rng(seed)
    counts = np.zeros((n, len(names)), dtype=np.int64)
    for stratum in (1, 2, 3):
        inside = np.flatnonzero(kind == stratum)
        if inside.size:
            even = np.full(inside.size, 1 / inside.size)
            counts[:, inside] = rng.multinomial(inside.size, even, size=n)
    return counts[:, group_of]


def intervals(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: Sequence[str],
    *,
    n: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Percentile intervals of auc, ap, eer and eer_asvspoof; None where there is nothing to tell one from.

    That is where no resample has both classes, and where every resample is the same because no stratum has a
    second group: one person's samples say nothing about how another's would score.

    labels: 0/1 [N]; scores: float [N]; groups: the split group of each sample.
    """
    y, s = np.asarray(labels).astype(bool), np.asarray(scores, dtype=np.float64)
    if not y.size:
        return dict.fromkeys(REPLICATES)
    weights = draw_weights(y, groups, n, seed)
    if (weights == 1).all():
        return dict.fromkeys(REPLICATES)
    values = replicate(y, s, weights)
    tail = 50 * (1 - level)
    made: dict[str, Interval | None] = {}
    for name, of_metric in values.items():
        defined = of_metric[~np.isnan(of_metric)]
        if not defined.size:
            made[name] = None
            continue
        low, high = np.percentile(defined, [tail, 100 - tail])
        made[name] = Interval(float(low), float(high), int(defined.size))
    return made


def replicate(
    labels: NDArray[np.bool_], scores: NDArray[np.float64], weights: Weights
) -> dict[str, NDArray[np.float64]]:
    """Every metric on every resample: float64 [n], NaN where a resample lacks a class."""
    distinct, level_of = np.unique(-scores, return_inverse=True)
    step = max(1, _CELLS // max(1, len(distinct)))
    parts = [
        _replicate_piece(labels, level_of, len(distinct), weights[i : i + step])
        for i in range(0, len(weights), step)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in REPLICATES}


def _replicate_piece(
    labels: NDArray[np.bool_], level_of: NDArray[np.intp], n_levels: int, weights: Weights
) -> dict[str, NDArray[np.float64]]:
    fakes = _per_level(weights * labels, level_of, n_levels)
    reals = _per_level(weights * ~labels, level_of, n_levels)
    tp, fp = np.cumsum(fakes, axis=1), np.cumsum(reals, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        made = {
            "auc": _auc(fakes, reals, tp, fp),
            "ap": _average_precision(fakes, tp, fp),
            "eer": _eer(fakes, reals, tp, fp),
            "eer_asvspoof": _eer_asvspoof(tp, fp),
        }
    one_class = (tp[:, -1] == 0) | (fp[:, -1] == 0)
    for values in made.values():
        values[one_class] = np.nan
    return made


def _per_level(weights: Weights, level_of: NDArray[np.intp], n_levels: int) -> Weights:
    """Sum the weights of samples with one score: [n, N] → [n, levels], highest score first."""
    order = np.argsort(level_of, kind="stable")
    starts = np.searchsorted(level_of[order], np.arange(n_levels))
    summed: Weights = np.add.reduceat(weights[:, order], starts, axis=1)
    return summed


def _auc(fakes: Weights, reals: Weights, tp: Weights, fp: Weights) -> NDArray[np.float64]:
    below = fp[:, -1:] - fp
    won = (fakes * (2 * below + reals)).sum(axis=1)
    area: NDArray[np.float64] = won / (2 * tp[:, -1] * fp[:, -1])
    return area


def _average_precision(fakes: Weights, tp: Weights, fp: Weights) -> NDArray[np.float64]:
    precision = tp / np.maximum(tp + fp, 1)
    total: NDArray[np.float64] = (fakes * precision).sum(axis=1) / tp[:, -1]
    return total


def _eer(fakes: Weights, reals: Weights, tp: Weights, fp: Weights) -> NDArray[np.float64]:
    """`metrics.eer` for each row. As there, points inside straight stretches of the curve are left out."""
    rows, levels = fakes.shape
    present = (fakes + reals) > 0
    here = np.where(present, np.arange(levels), levels)
    after = np.full((rows, levels + 1), levels, dtype=np.intp)
    after[:, :levels] = np.minimum.accumulate(here[:, ::-1], axis=1)[:, ::-1]
    following = after[:, 1:]
    inside = following < levels
    at = np.minimum(following, levels - 1)
    same = inside & (np.take_along_axis(fakes, at, 1) == fakes) & (np.take_along_axis(reals, at, 1) == reals)
    # The curve's first and last point always stay.
    first = np.arange(levels)[None, :] == after[:, :1]
    kept = present & (first | ~same)
    fpr, fnr = fp / fp[:, -1:], 1 - tp / tp[:, -1:]
    gap = np.where(kept, np.abs(fnr - fpr), np.inf)
    best = np.argmin(gap, axis=1)[:, None]
    value: NDArray[np.float64] = np.take_along_axis(fpr, best, 1)[:, 0]
    value[np.take_along_axis(gap, best, 1)[:, 0] >= 1] = 0.5
    return value


def _eer_asvspoof(tp: Weights, fp: Weights) -> NDArray[np.float64]:
    """`metrics.eer_asvspoof` for each row; of equal gaps the lowest threshold wins."""
    far, frr = fp / fp[:, -1:], 1 - tp / tp[:, -1:]
    ends = np.ones((len(tp), 1)), np.zeros((len(tp), 1))
    frr, far = np.concatenate([ends[0], frr], axis=1), np.concatenate([ends[1], far], axis=1)
    gap = np.round(np.abs(frr - far), 12)[:, ::-1]
    best = np.argmin(gap, axis=1)
    row = np.arange(len(tp))
    value: NDArray[np.float64] = (frr[:, ::-1][row, best] + far[:, ::-1][row, best]) / 2
    return value


REPLICATES = ("auc", "ap", "eer", "eer_asvspoof")
"""Metrics that have a resampled form; the same names as `metrics.METRICS`."""
