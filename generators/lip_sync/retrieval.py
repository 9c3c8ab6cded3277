"""Which of a clip's own mouths stands for each moment of other speech: shapes, costs, and the cheapest path.

Pasting the mouths that were found is `mouth_paste`; when and why is `mouth_retrieval`.
After: Bregler, Covell & Slaney, Video Rewrite, SIGGRAPH 1997 (mouths of the same speaker reordered to new sounds);
Hunt & Black, Unit Selection in a Concatenative Speech Synthesis System, ICASSP 1996 (target and join costs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.followed import Followed, shifted, window
from generators.lip_sync.mouth import rest_share
from generators.lip_sync.visemes import FPS, VisemeTrack, viseme_track
from haetae.errors import Rejected
from haetae.voice.espeak import VOICES, Phoneme, speak
from haetae.voice.words import Word

Floats = NDArray[np.float64]

MIN_MOUTHS = 20
MIN_TRAVEL = 0.05
"""Least spread of the openness, 5th to 95th percentile, of a mouth that has shapes to offer."""
CONTEXT = {-2: 0.12, -1: 0.22, 0: 0.32, 1: 0.22, 2: 0.12}
"""How much each neighbouring frame counts when a moment is compared: together as long as three sounds."""
NEAR_FRAMES = 2
"""A mouth of so near a frame is the picture that is there already."""
_OPEN, _WIDE, _SHUT, _SAID = 40.0, 6.0, 60.0, 8.0
_POSE, _LIGHT, _NEAR = 1.0, 0.3, 20.0
_JUMP, _HOLD, _LIPS, _JOIN_POSE, _JOIN_LIGHT = 0.25, 0.35, 30.0, 1.0, 0.5
_POSE_DEG, _LIGHT_L = 12.0, 8.0


@dataclass(frozen=True)
class Mouths:
    """The mouth of one face in every frame of its clip; rows of frames that are not usable are NaN.

    usable: bool [T]; openness: lip gap / width at rest; width: over the width at rest; lips: [T, 80], outline of the
    lips along the face's own axes, in widths at rest; pose_deg: yaw, pitch, roll [T, 3]; light: CIE L* of the skin
    around the mouth, 0 to 100; said: [T, 3], lip curves of the words that are spoken, NaN where they are unknown.
    """

    usable: NDArray[np.bool_]
    openness: Floats
    width: Floats
    lips: Floats
    pose_deg: Floats
    light: Floats
    said: Floats


@dataclass(frozen=True)
class Wanted:
    """What the new speech asks for in N frames: frame int64 [N]; openness, width [N] within this person's reach;
    said: [N, 3], the lip curves before they were fitted to the person."""

    frame: NDArray[np.int64]
    openness: Floats
    width: Floats
    said: Floats


def measure(face: Followed, words: Sequence[Word], language: str) -> Mouths:
    """Measure the mouths of a followed face.

    words: what the clip says, or none; language: that they are in.
    Raises: Rejected too_few_mouths, mouth_too_still.
    """
    from haetae.faces.regions import LIPS_INNER, LIPS_OUTER, head_pose, mouth_openness

    use, n = face.usable, len(face.frames)
    if use.sum() < MIN_MOUTHS:
        raise Rejected("too_few_mouths", f"{int(use.sum())} frames show the face, at least {MIN_MOUTHS} must")
    mesh, rest = face.mesh[use], rest_share(face)
    eyes = np.linalg.norm(mesh[:, 33, :2] - mesh[:, 263, :2], axis=1)
    width = np.linalg.norm(mesh[:, 61, :2] - mesh[:, 291, :2], axis=1) / np.maximum(eyes, 1e-6) / rest
    openness = mouth_openness(mesh) * width
    travel = float(np.subtract(*np.percentile(openness, [95, 5])))
    if travel < MIN_TRAVEL:
        raise Rejected(
            "mouth_too_still", f"the lip gap changes by {travel:.3f} widths, at least {MIN_TRAVEL}"
        )
    outline = _along_axes(mesh, [*LIPS_OUTER, *LIPS_INNER]) / (rest * eyes)[:, None, None]
    light = np.array([_light(face.frames[t], face.mesh[t]) for t in np.flatnonzero(use)])
    return Mouths(
        usable=use,
        openness=_spread(use, openness, n),
        width=_spread(use, width, n),
        lips=_spread(use, outline.reshape(len(mesh), -1), n),
        pose_deg=_spread(use, np.stack(head_pose(mesh), axis=1), n),
        light=_spread(use, light, n),
        said=said_curves(words, language, n),
    )


def _along_axes(mesh: NDArray[np.float32], points: list[int]) -> Floats:
    """Points along each head's own right and down, from the mouth's middle: [T, K, 2] px."""
    from haetae.faces.regions import rotation

    turn = rotation(mesh)
    away = mesh[:, points].astype(np.float64) - mesh[:, [61, 291]].astype(np.float64).mean(axis=1)[:, None]
    return np.stack([(away * turn[:, None, :, k]).sum(-1) for k in (0, 1)], axis=-1)


def _light(frame: NDArray[np.uint8], mesh: NDArray[np.float32]) -> float:
    """Mean L* of the lower face around the lips."""
    from haetae.faces import regions

    where = window(mesh[regions.JAW], (frame.shape[0], frame.shape[1]), 0.0)
    if where is None:
        return 50.0
    part, local = frame[where], shifted(mesh, where)
    skin = regions.lower_face_mask(local, part.shape[:2]) > 0
    skin &= regions.mouth_mask(local, part.shape[:2], grow_px=2) <= 0
    if not skin.any():
        return 50.0
    lab = cv2.cvtColor(part[skin][None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    return float(lab[..., 0].mean())


def _spread(use: NDArray[np.bool_], values: NDArray[np.floating], n: int) -> Floats:
    """Values of the usable frames, among all frames; NaN elsewhere."""
    out = np.full((n, *values.shape[1:]), np.nan)
    out[use] = values
    return out


def said_curves(words: Sequence[Word], language: str, n_frames: int) -> Floats:
    """Lip curves of words with times, as their sounds ask for: [T, 3] openness, width, protrusion.

    NaN further than 0.2 s from every word, and everywhere in a language without a voice to sound them.
    """
    curves = np.full((n_frames, 3), np.nan)
    if language not in VOICES:
        return curves
    at_s = (np.arange(n_frames) + 0.5) / FPS
    sounds: list[Phoneme] = []
    known = np.zeros(n_frames, np.bool_)
    for word in words:
        try:
            made = speak(word.word, language).phonemes
        except Rejected:
            continue
        first_s, lasts_s = made[0].start_s, max(made[-1].end_s - made[0].start_s, 1e-3)
        pace = (word.end_s - word.start_s) / lasts_s
        sounds += [
            Phoneme(
                p.symbol,
                word.start_s + (p.start_s - first_s) * pace,
                word.start_s + (p.end_s - first_s) * pace,
            )
            for p in made
        ]
        known |= (at_s > word.start_s - 0.2) & (at_s < word.end_s + 0.2)
    if sounds:
        track = viseme_track(sorted(sounds, key=lambda p: p.start_s), n_frames)
        curves[known] = np.stack([track.openness, track.width, track.protrusion], axis=1)[known]
    return curves


def within_reach(curves: VisemeTrack, mouths: Mouths, where: NDArray[np.bool_], strength: float) -> Wanted:
    """What the curves ask for in the frames of `where`, scaled down to what this mouth has been seen to do."""
    frame = np.flatnonzero(where)
    openness = np.asarray(curves.openness, np.float64)[frame] * strength
    width = np.asarray(curves.width, np.float64)[frame]
    reach = float(np.nanpercentile(mouths.openness, 97))
    most = float(np.percentile(openness, 95))
    openness = openness * min(1.0, reach / max(most, 1e-6))
    low, high = np.nanpercentile(mouths.width, [3, 97])
    said = np.stack([curves.openness, curves.width, curves.protrusion], axis=1)[frame].astype(np.float64)
    return Wanted(frame, openness, np.clip(width, low, high), said)


def target_cost(mouths: Mouths, wanted: Wanted) -> Floats:
    """How ill each frame's mouth fits each wanted moment: [N, T], infinite for frames that are not usable.

    Shape and spoken sounds are compared over five frames around both, so that a vowel between lip stops finds its
    like; pose and light only at the moment itself.
    """
    own = np.where(mouths.usable, mouths.openness, 0.0)
    gap = own[None] - wanted.openness[:, None]
    shape = _OPEN * gap**2 + _WIDE * (np.nan_to_num(mouths.width, nan=1.0)[None] - wanted.width[:, None]) ** 2
    # Lips that ought to be closed and are not are seen at once.
    shut = np.clip(1 - wanted.openness / 0.08, 0, 1)[:, None] * np.maximum(gap, 0) ** 2
    sounds = ((wanted.said[:, None] - mouths.said[None]) ** 2 * (2.0, 1.0, 0.5)).sum(-1)
    known = np.isfinite(sounds)
    # A frame of which no words are known is as good as the middling one of which they are.
    unknown = float(np.median(sounds[known])) if known.any() else 0.0
    base = shape + _SHUT * shut + _SAID * np.where(known, sounds, unknown)
    cost = np.zeros_like(base)
    for by, share in CONTEXT.items():
        rows = np.clip(np.arange(len(base)) + by, 0, len(base) - 1)
        columns = np.clip(np.arange(base.shape[1]) + by, 0, base.shape[1] - 1)
        # Where the neighbour is not usable, its own frame speaks for it.
        columns = np.where(mouths.usable[columns], columns, np.arange(base.shape[1]))
        cost += share * base[rows][:, columns]
    there = np.where(mouths.usable[wanted.frame], wanted.frame, _nearest_usable(mouths, wanted.frame))
    cost += _POSE * _squared(mouths.pose_deg[there], mouths.pose_deg, _POSE_DEG)
    cost += _LIGHT * _squared(mouths.light[there, None], mouths.light[:, None], _LIGHT_L)
    near = np.abs(wanted.frame[:, None] - np.arange(base.shape[1])[None]) <= NEAR_FRAMES
    cost = np.where(near, cost + _NEAR, cost)
    return np.where(mouths.usable[None], cost, np.inf)


def join_cost(mouths: Mouths) -> Floats:
    """How ill frame s' follows frame s: [T, T]; 0 for the frame that did follow it.

    Otherwise how far the lips, the head and the light are from where they went on in the clip.
    """
    n = len(mouths.usable)
    after = np.minimum(np.arange(n) + 1, n - 1)
    after = np.where(mouths.usable[after], after, np.arange(n))
    cost = _LIPS * _squared(mouths.lips[after], mouths.lips, 1.0) / mouths.lips.shape[1]
    cost += _JOIN_POSE * _squared(mouths.pose_deg[after], mouths.pose_deg, _POSE_DEG)
    cost += _JOIN_LIGHT * _squared(mouths.light[after, None], mouths.light[:, None], _LIGHT_L)
    cost += _JUMP
    np.fill_diagonal(cost, np.diag(cost) + _HOLD)
    follows = np.flatnonzero(mouths.usable[:-1] & mouths.usable[1:])
    cost[follows, follows + 1] = 0.0
    return np.where(np.isfinite(cost), cost, np.inf)


def cheapest_path(target: Floats, join: Floats) -> NDArray[np.int64]:
    """The frame for each moment that makes the sum of target and join costs least: int64 [N].

    target: [N, T]; join: [T, T], from row to column. Of equal paths the one through earlier frames is taken.
    Raises: ValueError where every path costs infinitely much. After: Viterbi, 1967.
    """
    total = np.asarray(target[0], np.float64).copy()
    came = np.zeros(target.shape, np.int64)
    for t in range(1, len(target)):
        through = total[:, None] + join
        came[t] = through.argmin(axis=0)
        total = np.take_along_axis(through, came[t][None], axis=0)[0] + target[t]
    last = int(total.argmin())
    if not np.isfinite(total[last]):
        raise ValueError("there is no path of finite cost")
    path = np.zeros(len(target), np.int64)
    path[-1] = last
    for t in range(len(target) - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return path


def _squared(rows: Floats, columns: Floats, unit: float) -> Floats:
    """Squared distance of each row to each column, in squared units: [N, T]; NaN where either is."""
    dot = rows @ columns.T
    square = (rows**2).sum(-1)[:, None] + (columns**2).sum(-1)[None] - 2 * dot
    return np.asarray(np.maximum(square, 0) / unit**2, np.float64)


def _nearest_usable(mouths: Mouths, frame: NDArray[np.int64]) -> NDArray[np.int64]:
    usable = np.flatnonzero(mouths.usable)
    return np.asarray(usable[np.abs(usable[None] - frame[:, None]).argmin(axis=1)], np.int64)
