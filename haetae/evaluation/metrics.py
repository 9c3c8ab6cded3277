"""Metrics of one set of scores: ROC, AUC, average precision and the two equal error rates.

Intervals are in `bootstrap`, slices in `scorecard`. labels: bool or 0/1 [N], 1 = fake; scores: float
[N], higher = more fake. Every metric is None where it is undefined: no sample, or one class only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Metric = Callable[[ArrayLike, ArrayLike], float | None]


@dataclass(frozen=True)
class Roc:
    """Operating points of a detector: fpr, tpr float64 [K], both rising from 0 to 1; thresholds [K]."""

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    thresholds: NDArray[np.float64]


def roc_points(labels: ArrayLike, scores: ArrayLike, *, every: bool = False) -> Roc | None:
    """The ROC curve, `score >= threshold` meaning fake; the first threshold is infinite.

    every: keep points inside straight stretches too, which scikit-learn leaves out by default.
    """
    from sklearn.metrics import roc_curve

    y, s = _checked(labels, scores)
    if y is None:
        return None
    fpr, tpr, thresholds = roc_curve(y, s, pos_label=1, drop_intermediate=not every)
    return Roc(np.asarray(fpr), np.asarray(tpr), np.asarray(thresholds, dtype=np.float64))


def auc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Area under the ROC curve: the chance that a fake scores above a real one, ties counting half."""
    from sklearn.metrics import roc_auc_score

    y, s = _checked(labels, scores)
    return None if y is None else float(roc_auc_score(y, s))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Sum over thresholds of recall gained times precision, not interpolated; equal scores fall together."""
    from sklearn.metrics import average_precision_score

    y, s = _checked(labels, scores)
    return None if y is None else float(average_precision_score(y, s))


def eer(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Equal error rate as DeepfakeBench defines it: `fpr[argmin |fnr - fpr|]` on scikit-learn's curve.

    One departure: where all scores are equal the formula reads 0.0, the figure of a perfect
    detector; that is chance, so this returns 0.5.
    """
    roc = roc_points(labels, scores)
    if roc is None:
        return None
    gap = np.abs(1 - roc.tpr - roc.fpr)
    return 0.5 if gap.min() >= 1 else float(roc.fpr[np.argmin(gap)])


def eer_asvspoof(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Equal error rate as ASVspoof defines it: `mean(frr, far)` at the threshold where they are closest.

    Equal scores make one operating point here; the published code orders them, fakes first.
    """
    roc = roc_points(labels, scores, every=True)
    if roc is None:
        return None
    # The published curve starts where everything is accepted, so of equal gaps the lowest threshold wins.
    far, frr = roc.fpr[::-1], 1 - roc.tpr[::-1]
    best = int(np.argmin(_rounded(np.abs(frr - far))))
    return float((frr[best] + far[best]) / 2)


METRICS: dict[str, Metric] = {
    "auc": auc,
    "ap": average_precision,
    "eer": eer,
    "eer_asvspoof": eer_asvspoof,
}
"""The metrics of a scorecard, by the name they have in the evaluations table."""

LOWER_IS_BETTER = frozenset({"eer", "eer_asvspoof"})


def balanced_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """The threshold with the best mean of the two recalls, between the scores beside it; 0.5 without two classes.

    Of equal thresholds the one in the widest gap between neighbouring scores is taken: it is the one
    that other data are least likely to cross.
    """
    y, s = _checked(labels, scores)
    if y is None or s is None:
        return 0.5
    distinct = np.unique(s)
    if len(distinct) == 1:
        return float(distinct[0])
    middles = (distinct[1:] + distinct[:-1]) / 2
    above = s[None, :] >= middles[:, None]
    recall = (above & y).sum(axis=1) / y.sum() + (~above & ~y).sum(axis=1) / (~y).sum()
    best = np.flatnonzero(_rounded(recall) == _rounded(recall).max())
    return float(middles[best[np.argmax((distinct[1:] - distinct[:-1])[best])]])


def _checked(
    labels: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.float64]] | tuple[None, None]:
    """Arrays of equal length; (None, None) where there are not both classes. Raises: ValueError on bad scores."""
    y = np.asarray(labels)
    s = np.asarray(scores, dtype=np.float64)
    if y.shape != s.shape or y.ndim != 1:
        raise ValueError(f"labels {y.shape} and scores {s.shape} must be of one length")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("labels must be 0 (real) or 1 (fake)")
    if not np.isfinite(s).all():
        raise ValueError("scores must be finite")
    y = y.astype(bool)
    if y.all() or not y.any():
        return None, None
    return y, s


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates that are equal as fractions must not differ by the last bit of their division."""
    return np.round(values, 12)


def scores_by_class(labels: Sequence[int], scores: Sequence[float]) -> tuple[list[float], list[float]]:
    """Scores of the real and of the fake samples, for histograms."""
    real = [s for y, s in zip(labels, scores, strict=True) if not y]
    fake = [s for y, s in zip(labels, scores, strict=True) if y]
    return real, fake
