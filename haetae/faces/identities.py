"""Who is whom: tracks of all media clustered to persons by their embeddings.

What an embedding is, `embed` says; which person a source declares is carried along and decides nothing: the
same name may mean two people in two data sets, and two names one person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = dict[str, Any]

DEFAULT_THRESHOLD = 0.65
NEIGHBOURS = 32
"""Links considered for each track: its nearest. A person with thousands of tracks is still one cluster."""
_BLOCK = 1024


def people(
    tracks: Iterable[Row], threshold: float = DEFAULT_THRESHOLD, known: Mapping[str, str] | None = None
) -> list[Row]:
    """Rows of the table `identities` for the rows of `tracks` that have an embedding; see `cluster`."""
    rows = sorted((row for row in tracks if row["embedding"] is not None), key=lambda row: row["track_id"])
    if not rows:
        return []
    embeddings = np.array([row["embedding"] for row in rows], np.float32)
    ids, declared = [row["track_id"] for row in rows], [row["identity"] for row in rows]
    return cluster(embeddings, ids, declared, threshold, apart=seen_together(rows), known=known)


def seen_together(tracks: Sequence[Row]) -> list[tuple[str, str]]:
    """Pairs of track_id that share a frame of a clip, so that they cannot be one person."""
    clips: dict[str, list[Row]] = defaultdict(list)
    for row in tracks:
        clips[row["clip_id"]].append(row)
    return [
        (a["track_id"], b["track_id"])
        for rows in clips.values()
        for a, b in combinations(rows, 2)
        if a["first_frame"] <= b["last_frame"] and b["first_frame"] <= a["last_frame"]
    ]


def cluster(
    embeddings: NDArray[np.float32],
    track_ids: Sequence[str],
    declared: Sequence[str | None],
    threshold: float = DEFAULT_THRESHOLD,
    apart: Iterable[tuple[str, str]] = (),
    known: Mapping[str, str] | None = None,
) -> list[Row]:
    """Rows of the table `identities`, one for each track, in the order of the track ids.

    embeddings: float32 [N, 512], each of length 1. threshold: least cosine of the centres of two clusters
    that are joined. apart: pairs of track ids that are never one person. known: track_id → person_id of an
    earlier run: who was one person then stays one, however many tracks came since (a pair in `apart` is
    parted all the same).
    The most alike pairs are joined first, as in agglomerative clustering with average linkage, over each
    track's nearest neighbours. The result depends on the set of tracks alone, not on their order.
    Raises: ValueError for lengths that differ, a repeated id or values that are no unit vectors.
    """
    _check(embeddings, track_ids, declared)
    order = sorted(range(len(track_ids)), key=lambda k: track_ids[k])
    ids = [track_ids[k] for k in order]
    units = embeddings[order].astype(np.float64)
    clusters = _Clusters(units, _forbidden(ids, apart))
    for members in _known_groups(ids, known or {}):
        for k in members[1:]:
            clusters.join(members[0], k, least=-1.0)
    for _, a, b in _links(units.astype(np.float32), threshold):
        clusters.join(a, b, threshold)
    return [
        {
            "track_id": track_id,
            "person_id": ids[clusters.root(k)],
            "similarity": clusters.similarity(k),
            "declared": declared[order[k]],
        }
        for k, track_id in enumerate(ids)
    ]


class _Clusters:
    """Disjoint sets of tracks, each named by its first member, with the sum of its unit vectors."""

    def __init__(self, units: NDArray[np.float64], forbidden: list[set[int]]) -> None:
        self._units = units
        self._sums = units.copy()
        self._parent = list(range(len(units)))
        self._forbidden = forbidden
        self._members = [{k} for k in range(len(units))]

    def root(self, k: int) -> int:
        while self._parent[k] != k:
            self._parent[k] = self._parent[self._parent[k]]
            k = self._parent[k]
        return k

    def join(self, a: int, b: int, least: float) -> None:
        """Make one of two clusters, if their centres are alike and no two of their members are kept apart."""
        a, b = sorted((self.root(a), self.root(b)))
        if a == b or not self._forbidden[a].isdisjoint(self._members[b]):
            return
        if _cosine(self._sums[a], self._sums[b]) < least:
            return
        self._parent[b] = a
        self._sums[a] += self._sums[b]
        self._members[a] |= self._members[b]
        self._forbidden[a] |= self._forbidden[b]

    def similarity(self, k: int) -> float:
        return _cosine(self._units[k], self._sums[self.root(k)])


def _links(units: NDArray[np.float32], threshold: float) -> list[tuple[float, int, int]]:
    """Pairs of near neighbours of at least `threshold`, the most alike first: (-cosine, index, index)."""
    links: set[tuple[float, int, int]] = set()
    count = min(NEIGHBOURS + 1, len(units))
    for first in range(0, len(units), _BLOCK):
        cosines = units[first : first + _BLOCK] @ units.T
        nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        for row, columns in enumerate(nearest.tolist()):
            a = first + row
            for b in columns:
                if a != b and cosines[row, b] >= threshold:
                    # Rounded, so that the last bit of a product cannot decide the order.
                    links.add((-round(float(cosines[row, b]), 5), min(a, b), max(a, b)))
    return sorted(links)


def _forbidden(ids: Sequence[str], apart: Iterable[tuple[str, str]]) -> list[set[int]]:
    at = {track_id: k for k, track_id in enumerate(ids)}
    forbidden: list[set[int]] = [set() for _ in ids]
    for a, b in apart:
        if a in at and b in at:
            forbidden[at[a]].add(at[b])
            forbidden[at[b]].add(at[a])
    return forbidden


def _known_groups(ids: Sequence[str], known: Mapping[str, str]) -> list[list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for k, track_id in enumerate(ids):
        if track_id in known:
            groups[known[track_id]].append(k)
    return [groups[person] for person in sorted(groups)]


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def _check(embeddings: NDArray[np.float32], track_ids: Sequence[str], declared: Sequence[str | None]) -> None:
    if embeddings.ndim != 2 or not len(embeddings) == len(track_ids) == len(declared):
        raise ValueError(f"{embeddings.shape} embeddings, {len(track_ids)} ids, {len(declared)} declarations")
    if len(set(track_ids)) < len(track_ids):
        raise ValueError("a track id is given twice")
    if not np.allclose(np.linalg.norm(embeddings.astype(np.float64), axis=1), 1, atol=1e-3):
        raise ValueError("an embedding is no unit vector")
