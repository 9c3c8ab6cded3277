"""Which frame of the donor lends its face to each frame of the target.

How the face is moved over is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.followed import Followed

ANGLE_DEG = 7.0
"""A turn of the head by this much weighs as much as ..."""
MOUTH = 0.15
"""... this difference in openness of the mouth, or ..."""
EYE_SHARE = 0.35
"""... this difference in openness of the eyes, as a share of each person's own open eyes."""
USUAL_EYES = 0.25
"""Gap over width of ordinary open eyes."""
MAX_EXPRESSION = 2.5
"""Mouth and eyes count no more than this: the target's own can be kept, a turned head cannot."""
JUMP_COST = 1.5
"""Cost of cutting to another moment of the donor, against playing on (or back, or holding still)."""
STEP_COST = 0.02


@dataclass(frozen=True)
class Pose:
    """What a donor frame is chosen by, per frame: degrees, gap over mouth width, share of open eyes."""

    yaw_deg: NDArray[np.float64]
    pitch_deg: NDArray[np.float64]
    mouth: NDArray[np.float64]
    eyes: NDArray[np.float64]


def poses(face: Followed) -> Pose:
    """Pose and expression of a face in every frame; NaN where it cannot be used."""
    from haetae.faces.regions import eye_openness, head_pose, mouth_openness

    out = np.full((4, len(face.mesh)), np.nan)
    mesh = face.mesh[face.usable]
    yaw, pitch, _ = head_pose(mesh)
    eyes = np.asarray(eye_openness(mesh), np.float64)
    # Who looks down for a whole clip has no open eyes to compare with: then the usual opening counts.
    open_eyes = max(float(np.percentile(eyes, 95)), USUAL_EYES)
    out[:, face.usable] = yaw, pitch, mouth_openness(mesh), eyes / open_eyes
    return Pose(out[0], out[1], out[2], out[3])


def choose(target: Pose, donor: Pose) -> NDArray[np.int64]:
    """Donor frame per target frame: int64 [T], -1 where either face is missing.

    The cheapest path through all frames: likeness in pose, mouth and eyes against a price for every cut, so
    the donor plays on as long as it fits and does not flicker between two equally good frames.
    After: Viterbi, 1967; unit selection of Hunt & Black, ICASSP 1996.
    """
    out = np.full(target.yaw_deg.size, -1, np.int64)
    lends = np.flatnonzero(np.isfinite(donor.yaw_deg))
    takes = np.flatnonzero(np.isfinite(target.yaw_deg))
    if lends.size and takes.size:
        out[takes] = lends[_cheapest_path(_unlikeness(target, donor, takes, lends), lends)]
    return out


def _unlikeness(
    target: Pose, donor: Pose, takes: NDArray[np.int64], lends: NDArray[np.int64]
) -> NDArray[np.float64]:
    pairs = (
        (target.yaw_deg, donor.yaw_deg, ANGLE_DEG, np.inf),
        (target.pitch_deg, donor.pitch_deg, ANGLE_DEG, np.inf),
        (target.mouth, donor.mouth, MOUTH, MAX_EXPRESSION),
        (target.eyes, donor.eyes, EYE_SHARE, MAX_EXPRESSION),
    )
    total = np.zeros((takes.size, lends.size))
    for ours, theirs, unit, most in pairs:
        total += np.minimum(((ours[takes][:, None] - theirs[lends][None]) / unit) ** 2, most)
    return total


def _cheapest_path(cost: NDArray[np.float64], lends: NDArray[np.int64]) -> NDArray[np.int64]:
    n, m = cost.shape
    came_from = np.zeros((n, m), np.int64)
    total = cost[0].copy()
    adjacent = np.diff(lends) == 1
    for t in range(1, n):
        best = int(np.argmin(total))
        options = np.full((4, m), np.inf)
        options[0] = total
        options[1, 1:] = np.where(adjacent, total[:-1] + STEP_COST, np.inf)
        options[2, :-1] = np.where(adjacent, total[1:] + STEP_COST, np.inf)
        options[3] = total[best] + JUMP_COST
        pick = np.argmin(options, axis=0)
        here = np.arange(m)
        came_from[t] = np.select([pick == 0, pick == 1, pick == 2], [here, here - 1, here + 1], best)
        total = options[pick, here] + cost[t]
    path = np.empty(n, np.int64)
    path[-1] = int(np.argmin(total))
    for t in range(n - 1, 0, -1):
        path[t - 1] = came_from[t, path[t]]
    return path
