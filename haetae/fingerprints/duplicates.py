"""Which clips show or sound the same: pairs of a fresh batch with all that is known, and their clusters.

How clips are hashed is in `fingerprint`; what follows from a pair (splits, refusals) is decided elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from haetae.engine import Row
from haetae.errors import UsageError
from haetae.fingerprints import pictures, sounds
from haetae.fingerprints.align import SPEEDS, Line, best_line, moving_alike
from haetae.fingerprints.index import OFFSET_STEPS, Candidate, PictureIndex, SoundIndex
from haetae.fingerprints.prints import Lanes, Prints, as_bytes, as_lanes

Sounds = NDArray[np.uint32]
MAX_CANDIDATES = 32
PICTURE_SLACK, SOUND_SLACK = 0.03, 0.06
"""How far beyond the limit on the mean a single step may be and still not speak against a copy. A codec may
replace some steps of a sound; pictures of one scene are alike at every offset, so there little slack tells more."""

CHANCE = 0.24
"""By how much sound of one second must agree beyond one half to be no chance, which falls with the root of the
length. Of some 75,000 pairs of different real sounds and their copies, none agreed in more than 0.69 over 1 to
2 s, and none in 0.6 over 3 s; copies of 1 to 2 s agreed in 0.77 and more."""


@dataclass(frozen=True)
class Limits:
    """From when on two clips count as the same.

    min_video_similarity, min_audio_similarity: share of bits that agree over the common stretch; unrelated
    media agree in about half; sound below 1.8 s needs more, by `CHANCE`. min_overlap_s: length of that
    stretch, seconds; clips that are shorter, and images, need 80 % of the shorter one. min_motion_agreement:
    least correlation of how the two change, -1 to 1, which tells a copy from another take at the same place.
    max_candidates: clips that each fresh clip is compared with.
    """

    min_video_similarity: float = 0.8
    min_audio_similarity: float = 0.68
    min_overlap_s: float = 1.0
    min_motion_agreement: float = 0.35
    max_candidates: int = MAX_CANDIDATES

    def __post_init__(self) -> None:
        for name in ("min_video_similarity", "min_audio_similarity"):
            if not 0.5 < getattr(self, name) <= 1:
                raise UsageError(
                    f"duplicates.{name} must be above 0.5, as unrelated media reach, and at most 1"
                )


@dataclass(frozen=True)
class _Match:
    other: int
    modality: str
    line: Line
    step_s: float
    mirrored: bool = False


def find_duplicates(fresh: Iterable[Row], known: Iterable[Row], limits: Limits | None = None) -> list[Row]:
    """Pairs of fresh clips with any clip, as rows of the `duplicates` table.

    fresh: rows of `fingerprints`, one batch. known: those of all batches that came before; the fresh ones
    may be among them. Rows may carry `media_id`: clips of one media file are not paired with each other.
    Each pair is told once: the later clip is the fresh one, within the batch the one with the larger id.
    """
    limits = limits or Limits()
    rows = {str(row["clip_id"]): row for row in known}
    new = {str(row["clip_id"]): row for row in fresh}
    prints = Prints.of((rows | new).values())
    found: dict[tuple[int, int, str], Row] = {}
    for clip, match in _matches(prints, new.keys(), limits):
        later, other = _ordered(prints, new.keys(), clip, match.other)
        row = _row(prints, match if later == clip else _turned(match), later, other)
        key = (later, other, match.modality)
        if key not in found or found[key]["similarity"] < row["similarity"]:
            found[key] = row
    return [found[key] for key in sorted(found)]


def clusters(pairs: Iterable[Row]) -> dict[str, str]:
    """Clips that are linked by pairs, directly or through others: clip_id → smallest clip_id of its cluster.

    pairs: rows of `duplicates`. Clips without a pair are not in it: each is its own cluster.
    """
    parent: dict[str, str] = {}

    def root(clip: str) -> str:
        while parent.setdefault(clip, clip) != clip:
            parent[clip] = parent[parent[clip]]
            clip = parent[clip]
        return clip

    for pair in pairs:
        first, second = sorted((root(pair["clip_id"]), root(pair["other_id"])))
        parent[second] = first
    return {clip: root(clip) for clip in sorted(parent)}


def _matches(prints: Prints, fresh: Collection[str], limits: Limits) -> Iterator[tuple[int, _Match]]:
    """Each fresh clip with each clip that it matches."""
    by_picture, by_sound = PictureIndex(prints), SoundIndex(prints)
    # Other cuts of its media file are left out before the nearest are chosen: they would crowd out copies.
    files = np.unique([name or f"/{i}" for i, name in enumerate(prints.media)], return_inverse=True)[1]
    for clip in np.flatnonzero([one in fresh for one in prints.ids]).tolist():
        allowed = files != files[clip]
        lanes, telling = prints.pictures_of(clip)
        for seen in by_picture.candidates(lanes, telling, allowed, limits.max_candidates):
            if match := _compare_pictures(prints, clip, seen, limits):
                yield clip, match
        hashes = prints.sounds_of(clip)
        for heard in by_sound.candidates(hashes, allowed, limits.max_candidates):
            if match := _compare_sounds(prints, clip, heard, limits):
                yield clip, match


def _compare_pictures(prints: Prints, clip: int, seen: Candidate, limits: Limits) -> _Match | None:
    mine, telling = prints.pictures_of(clip)
    if seen.mirrored:
        mine = as_lanes(pictures.mirrored(as_bytes(mine)))
    other, other_telling = prints.pictures_of(seen.clip)
    apart = picture_distances(other, other_telling, mine, telling)
    lines = [
        _line(apart[rows, columns], 1 - limits.min_video_similarity, PICTURE_SLACK, pictures.STEP_S, limits)
        for rows in _moments(prints, seen.clip)
        for columns in _moments(prints, clip)
    ]
    line = min((one for one in lines if one is not None), key=lambda one: one.apart, default=None)
    if line is None:
        return None
    alike = moving_alike(picture_distances(other, other_telling, other, other_telling), apart, line)
    if alike is not None and alike < limits.min_motion_agreement:
        return None
    return _Match(seen.clip, "video", line, pictures.STEP_S, seen.mirrored)


def _moments(prints: Prints, clip: int) -> list[slice]:
    """Which pictures of a clip follow each other: all of a film; of a still each is another look at one moment."""
    n = len(prints.pictures_of(clip)[0])
    return [slice(k, k + 1) for k in range(n)] if prints.stills[clip] else [slice(n)]


def picture_distances(
    other: Lanes, other_telling: NDArray[np.bool_], mine: Lanes, telling: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Share of bits by which pictures differ: float32 [N, M], NaN where one of them is blank."""
    apart = np.bitwise_count(other[:, None] ^ mine[None, :]).sum(axis=2, dtype=np.float32) / pictures.BITS
    known = other_telling[:, None] & telling[None, :]
    return np.where(known, apart, np.float32(np.nan)).astype(np.float32)


def _compare_sounds(prints: Prints, clip: int, heard: Candidate, limits: Limits) -> _Match | None:
    """Compared at the pitch and about the offset at which the index found it."""
    mine, theirs = prints.sounds_of(clip), prints.sounds_of(heard.clip)
    apart = sound_distances(theirs, sounds.shifted(mine, heard.bands), heard.bands)
    assert heard.offset_steps is not None
    around = OFFSET_STEPS + math.ceil((SPEEDS[-1] - 1) * len(mine))
    about = range(heard.offset_steps - around, heard.offset_steps + around + 1)
    line = _line(apart, 1 - limits.min_audio_similarity, SOUND_SLACK, sounds.STEP_S, limits, about)
    if line is None or line.apart > 0.5 - CHANCE / math.sqrt(line.steps * sounds.STEP_S):
        return None
    return _Match(heard.clip, "audio", line, sounds.STEP_S)


def sound_distances(other: Sounds, mine: Sounds, bands: int) -> NDArray[np.float32]:
    """Share of bits that differ, of those that both have after a shift: float32 [N, M], NaN in silence."""
    mask = sounds.shifted(np.full(1, 0xFFFFFFFF, np.uint32), bands)[0]
    differ = np.bitwise_count((other[:, None] ^ mine[None, :]) & mask) / np.float32(mask.bit_count())
    heard = (other != 0)[:, None] & (mine != 0)[None, :]
    return np.where(heard, differ, np.float32(np.nan)).astype(np.float32)


def _line(
    apart: NDArray[np.float32],
    most: float,
    slack: float,
    step_s: float,
    limits: Limits,
    about: range | None = None,
) -> Line | None:
    """The best line, if it is near enough for long enough."""
    line = best_line(apart, most + slack, about)
    if line is None:
        return None
    heard = min(int((~np.isnan(apart)).any(axis=axis).sum()) for axis in (0, 1))
    need = max(1, min(math.ceil(limits.min_overlap_s / step_s), math.ceil(0.8 * heard)))
    return line if line.steps >= need and line.apart <= most else None


def _ordered(prints: Prints, fresh: Collection[str], clip: int, other: int) -> tuple[int, int]:
    """(later, earlier): a fresh clip is later than a known one, of two fresh ones the larger id."""
    if prints.ids[other] in fresh and prints.ids[other] > prints.ids[clip]:
        return other, clip
    return clip, other


def _turned(match: _Match) -> _Match:
    """The same line, told by the other clip."""
    line = match.line
    turned = Line(round(-line.offset_steps / line.speed), round(1 / line.speed, 3), line.apart, line.steps)
    return replace(match, line=turned)


def _row(prints: Prints, match: _Match, later: int, other: int) -> Row:
    line = match.line
    return {
        "clip_id": prints.ids[later],
        "batch": prints.batches[later],
        "other_id": prints.ids[other],
        "modality": match.modality,
        "similarity": round(1 - line.apart, 4),
        "overlap_s": round(line.steps * match.step_s, 3),
        "offset_s": round(line.offset_steps * match.step_s, 3),
        "speed": line.speed,
        "mirrored": match.mirrored,
    }
