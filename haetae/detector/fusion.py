"""From branch logits to probabilities and one score: calibration on the val split, and noisy-or.

A sample is fake when any of its modalities is, so the score is `1 - product(1 - p)` over what is
present. Nothing here can teach a branch: it is fitted after training, on the val split only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from haetae.dataset.items import MODALITIES
from haetae.detector.config import Calibration

Array = NDArray[np.float64]
N = len(MODALITIES)
_SCALE_PRIOR = 2.0
_BIAS_PRIOR = 0.25
"""Strengths of the pull to scale 1 and bias 0, in samples' worth of loss."""


def probabilities(logits: Array, calibration: Calibration) -> Array:
    """Branch logits [N, 3] (NaN where absent) → probabilities of being fake [N, 3], NaN where absent."""
    scale, bias = np.array(calibration.scale), np.array(calibration.bias)
    chances: Array = _sigmoid(logits * scale + bias)
    return chances


def noisy_or(chances: Array) -> Array:
    """Probability that any modality is fake: [N, 3] with NaN where absent → [N]; NaN where all are absent."""
    absent = np.isnan(chances)
    fused: Array = 1.0 - np.where(absent, 1.0, 1.0 - chances).prod(axis=1)
    fused[absent.all(axis=1)] = np.nan
    return fused


def fit(logits: Array, overall: Sequence[int | None], known: Array) -> Calibration:
    """Scale and bias of every branch, by the likelihood of the overall and of the known modality labels.

    logits: [N, 3], NaN where absent; overall: 1 fake, 0 real, None unknown; known: [N, 3], 1 / 0 /
    NaN. Both classes weigh the same. A branch that tells nothing on the val split gets a small scale and a
    low bias, so that it does not drown the others. The threshold is chosen on the fused scores.
    """
    from scipy.optimize import minimize

    from haetae.evaluation.metrics import balanced_threshold

    has = ~np.isnan(logits)
    y = np.array([np.nan if v is None else float(v) for v in overall])
    y[~has.any(axis=1)] = np.nan

    def cost(theta: Array) -> float:
        scale, bias = theta[:N], theta[N:]
        chances = _sigmoid(logits * scale + bias)
        total = _balanced_loss(noisy_or(chances), y)
        for m in range(N):
            total += _balanced_loss(chances[:, m], np.where(has[:, m], known[:, m], np.nan)) / N
        n = max(1, int(np.isfinite(y).sum()))
        pull = _SCALE_PRIOR * ((scale - 1) ** 2).sum() + _BIAS_PRIOR * (bias**2).sum()
        return total + float(pull) / n

    start = np.concatenate([np.ones(N), np.zeros(N)])
    bounds = [(0.02, 4.0)] * N + [(-8.0, 8.0)] * N
    found = minimize(cost, start, method="L-BFGS-B", bounds=bounds).x
    # Rounded, so that the last bits of an optimiser do not decide what a model is called.
    scale, bias = np.round(found[:N], 4).tolist(), np.round(found[N:], 4).tolist()
    fitted = Calibration(scale=tuple(scale), bias=tuple(bias))
    usable = np.isfinite(y)
    scores = noisy_or(probabilities(logits[usable], fitted))
    threshold = balanced_threshold(y[usable].astype(int), scores)
    return fitted.model_copy(update={"threshold": round(min(1.0, max(0.0, threshold)), 6)})


def _balanced_loss(chances: Array, labels: Array) -> float:
    """Mean over the classes of the mean log loss; 0 where no label is known."""
    losses = []
    for label in (0.0, 1.0):
        chosen = chances[labels == label]
        if chosen.size:
            right = chosen if label else 1 - chosen
            losses.append(float(-np.log(np.clip(right, 1e-9, 1)).mean()))
    return float(np.mean(losses)) if losses else 0.0


def _sigmoid(x: Array) -> Array:
    value: Array = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return value
