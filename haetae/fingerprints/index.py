"""Finding clips that may be alike without comparing all with all: tables of 16-bit words of their hashes.

After: Norouzi, Punjani & Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012. Whether
candidates are alike, and where, is decided in `align`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haetae.fingerprints import pictures, sounds
from haetae.fingerprints.prints import Lanes, Prints, as_bytes, as_lanes

Indices = NDArray[np.int64]
Words = NDArray[np.uint16]
WORD_BITS = 16
VALUES = 1 << WORD_BITS
NEARBY = np.concatenate([[0], 1 << np.arange(WORD_BITS)]).astype(np.uint16)
"""What a word is changed by to get itself and all words that differ in one bit."""
MOST_IN_BUCKET = 256
"""Of a word that more hashes share than this, the first ones stand for all: they are all alike in it."""
NEW_PICTURE_BITS = 12
"""A picture that differs in fewer bits from the last one kept of its clip need not be looked up."""
MOST_PICTURES = 24
PICTURE_BITS = 88
"""How many bits of a picture may differ for its clip to become a candidate."""
SOUND_BITS = 9
SHORT_STEPS = 200
"""Clips of fewer sound hashes are looked up with words that differ in one bit, too."""
OFFSET_STEPS = 16
"""Votes for offsets this near to each other, in steps, or twice this, count together."""
LEAST_VOTES = 3
VOTING_SHARE = 0.015
"""Of the steps heard, how many must agree in a word at about one offset."""


class WordIndex:
    """Hashes by their words of 16 bits: which of them share a word with a query at the same place."""

    def __init__(self, words: Words) -> None:
        """words: uint16 [N, C]."""
        self._order = [np.argsort(column, kind="stable") for column in words.T]
        self._starts = [
            np.concatenate([[0], np.cumsum(np.bincount(column, minlength=VALUES))]) for column in words.T
        ]

    def sharing(self, query: Words, nearby: bool) -> tuple[Indices, Indices]:
        """Pairs (query, stored) that share a word. query: uint16 [Q, C]. nearby: one bit may differ."""
        found: list[tuple[Indices, Indices]] = []
        changes = NEARBY if nearby else NEARBY[:1]
        for order, starts, column in zip(self._order, self._starts, query.T, strict=True):
            probes = (column[:, None] ^ changes[None, :]).reshape(-1).astype(np.int64)
            first = starts[probes]
            counts = np.minimum(starts[probes + 1] - first, MOST_IN_BUCKET)
            asked = np.repeat(np.arange(len(query)).repeat(len(changes)), counts)
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            found.append((asked, order[np.repeat(first, counts) + within]))
        return np.concatenate([q for q, _ in found]), np.concatenate([s for _, s in found])


@dataclass(frozen=True)
class Candidate:
    """A clip that may be alike: as a mirror image, so many bands higher, at about which offset (None: any)."""

    clip: int
    mirrored: bool = False
    bands: int = 0
    offset_steps: int | None = None


class PictureIndex:
    """The pictures of many clips."""

    def __init__(self, prints: Prints) -> None:
        n = len(prints.ids)
        kept = [prints.picture_from[clip] + distinct(*prints.pictures_of(clip)) for clip in range(n)]
        self._owner = np.repeat(np.arange(n), [len(one) for one in kept])
        chosen = np.concatenate(kept) if kept else np.zeros(0, np.int64)
        self._lanes = prints.pictures[chosen.astype(np.int64)]
        self._index = WordIndex(picture_words(self._lanes))

    def candidates(
        self, lanes: Lanes, telling: NDArray[np.bool_], allowed: NDArray[np.bool_], most: int
    ) -> list[Candidate]:
        """The `most` allowed clips with the nearest pictures. lanes: uint64 [N, 4], of one clip."""
        asked = lanes[distinct(lanes, telling)]
        if not len(asked):
            return []
        both = np.concatenate([asked, as_lanes(pictures.mirrored(as_bytes(asked)))])
        query, stored = self._index.sharing(picture_words(both), nearby=True)
        wanted = allowed[self._owner[stored]]
        query, stored = query[wanted], stored[wanted]
        apart = np.bitwise_count(both[query] ^ self._lanes[stored]).sum(axis=1, dtype=np.int64)
        near = apart <= PICTURE_BITS
        keys = self._owner[stored[near]] * 2 + (query[near] >= len(asked))
        first = _nearest(keys, apart[near].astype(np.int64), most)
        return [Candidate(int(keys[near]) // 2, bool(keys[near] % 2)) for near in first]


class SoundIndex:
    """The sound of many clips."""

    def __init__(self, prints: Prints) -> None:
        counts = np.diff(prints.sound_from)
        heard = np.flatnonzero(prints.sounds)
        self._owner = np.repeat(np.arange(len(prints.ids)), counts)[heard]
        self._step = heard - prints.sound_from[self._owner]
        self._hashes = prints.sounds[heard]
        self._index = WordIndex(sound_words(self._hashes))

    def candidates(
        self, hashes: NDArray[np.uint32], allowed: NDArray[np.bool_], most: int
    ) -> list[Candidate]:
        """The `most` allowed clips with the most equal words at one offset. hashes: uint32 [N], of one clip."""
        steps = np.flatnonzero(hashes)
        if not len(steps):
            return []
        asked = np.concatenate([sounds.shifted(hashes[steps], bands) for bands in sounds.SHIFTS])
        query, stored = self._index.sharing(sound_words(asked), nearby=len(steps) < SHORT_STEPS)
        near = np.bitwise_count(asked[query] ^ self._hashes[stored]) <= SOUND_BITS
        near &= allowed[self._owner[stored]]
        query, stored = query[near], stored[near]
        bands, step = np.divmod(query, len(steps))
        offset = (self._step[stored] - steps[step]) // OFFSET_STEPS
        # One vote for each step heard, however many words agree.
        spread = 1 << 20
        place = (self._owner[stored] * len(sounds.SHIFTS) + bands) * spread + offset + spread // 2
        once = np.unique(place * (len(steps) + 1) + step)
        places, votes = np.unique(once // (len(steps) + 1), return_counts=True)
        beside = np.zeros(len(votes), np.int64)
        beside[:-1] = np.where(np.diff(places) == 1, votes[1:], 0)
        total = votes + beside
        enough = total >= max(LEAST_VOTES, VOTING_SHARE * len(steps))
        places, total = places[enough], total[enough]
        found = []
        for best in _nearest(places // spread, -total, most):
            owner, shift = divmod(int(places[best]) // spread, len(sounds.SHIFTS))
            offset_steps = (int(places[best]) % spread - spread // 2 + 1) * OFFSET_STEPS
            found.append(Candidate(owner, bands=sounds.SHIFTS[shift], offset_steps=offset_steps))
        return found


def _nearest(keys: Indices, apart: Indices, most: int) -> Indices:
    """Where the smallest distance of each of the nearest keys is, nearest first; at most `most`."""
    order = np.lexsort((keys, apart))
    _, first = np.unique(keys[order], return_index=True)
    return order[np.sort(first)[:most]]


def distinct(lanes: Lanes, telling: NDArray[np.bool_]) -> Indices:
    """Indices of the pictures of one clip that show something new, at most 24, evenly taken."""
    kept: list[int] = []
    for i in np.flatnonzero(telling):
        if kept and np.bitwise_count(lanes[i] ^ lanes[kept[-1]]).sum() < NEW_PICTURE_BITS:
            continue
        kept.append(int(i))
    taken = np.asarray(kept, dtype=np.int64)
    if len(taken) > MOST_PICTURES:
        taken = taken[np.arange(MOST_PICTURES) * len(taken) // MOST_PICTURES]
    return taken


def picture_words(lanes: Lanes) -> Words:
    """uint64 [N, 4] as uint16 [N, 16]: each word is one or two rows of places."""
    return np.ascontiguousarray(lanes).view(np.uint16).reshape(-1, pictures.BITS // WORD_BITS)


def sound_words(hashes: NDArray[np.uint32]) -> Words:
    """uint32 [N] as uint16 [N, 2]: the lower and the upper bands."""
    return np.ascontiguousarray(hashes).view(np.uint16).reshape(-1, sounds.BITS // WORD_BITS)
