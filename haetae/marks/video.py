"""An invisible watermark in pictures: put into frames as they pass, read back without the original.

The bits are patterns of the whole picture, of the same sign in all its frames, so that they outlast coding,
scaling and the loss of frames. After: Cox et al., IEEE Trans. Image Processing 1997 (spread spectrum);
Malvar & Florêncio, IEEE Trans. Signal Processing 2003 (the picture's own part in each bit is made up for).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.marks import payload
from haetae.marks.crop import SHAPES_TRIED, Shape, shapes
from haetae.marks.grid import SIDE, Patterns, Plane, flat_of, luma, patterns, visibility, whitened
from haetae.marks.payload import OPEN_KEY

MIN_PSNR_DB = 40.3
"""The mark is made weaker where the picture would differ more than this from what it was."""
BLOCK_FRAMES = 25
"""Frames that share one pattern; from one such stretch to the next it changes gradually."""
MAX_FRAMES_READ = 1500
ATTEMPTS = 2 + SHAPES_TRIED
"""How often decoding is attempted in one clip: they count in the false reads."""
_MEASURED_PER_BLOCK = 5
_ROUNDS = 4
_LEAST_GAIN, _MOST_GAIN = 0.1, 3.0
_MIN_CONTRAST = 1e-6
_STILL, _MOVING = 0.7, 2.0
"""Grey levels that most of a picture changes by from frame to frame, when it stands still and when it moves."""
_MOST_HIDDEN = 2.2
Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class VideoMark:
    """A mark that was read: see `payload.Decoded`; shape: how the picture lay in that which was marked."""

    mark: str
    bit_errors: int
    agreement: float
    shape: Shape


def mark_frames(frames: Iterable[Frame], mark: str, key: bytes = OPEN_KEY) -> Iterator[Frame]:
    """Frames uint8 [H, W, 3], RGB, with the mark (16 hex digits) in each: one out for one in, by and by.

    At most three stretches of `BLOCK_FRAMES` frames are held. Raises: ValueError for a mark of another form.
    """
    word = np.where(payload.word_of(mark, key), 1.0, -1.0)
    found = patterns(key)
    source = iter(frames)
    before: Plane | None = None
    block = list(itertools.islice(source, BLOCK_FRAMES))
    now = _pattern(block, word, found) if block else None
    while block and now is not None:
        following = list(itertools.islice(source, BLOCK_FRAMES))
        after = _pattern(following, word, found) if following else now
        for at, frame in enumerate(block):
            yield _added(frame, _between(before if before is not None else now, now, after, at, len(block)))
        before, now, block = now, after, following


def read_frames_mark(frames: Iterable[Frame], key: bytes = OPEN_KEY) -> VideoMark | None:
    """The mark in frames uint8 [H, W, 3] of one size, or None; of at most `MAX_FRAMES_READ` frames.

    Frames count by how strong the pilot is in them: where the whole picture moves, a codec takes the pattern along
    with it, and only frames that it coded afresh still hold it in its place. Where nothing is read of the whole
    picture, it is looked for as a part of a larger one, and mirrored.
    """
    found = patterns(key)
    alike = weighted = np.zeros((SIDE, SIDE), np.float32)
    for frame in itertools.islice(frames, MAX_FRAMES_READ):
        plane = whitened(luma(frame))
        alike = alike + plane
        weighted = weighted + np.float32(max(found.strength(plane), 0.0) ** 2) * plane
    return read_plane(weighted, key, whole_only=True) or read_plane(alike, key)


def read_plane(total: Plane, key: bytes = OPEN_KEY, *, whole_only: bool = False) -> VideoMark | None:
    """The mark in a sum of whitened planes float32 [SIDE, SIDE], or None. whole_only: not as a part of another."""
    if not np.isfinite(total).all() or float(np.abs(total).max()) < _MIN_CONTRAST:
        return None
    found = patterns(key)
    for shape in itertools.chain([Shape()], () if whole_only else shapes(total, found.pilot())):
        decoded = payload.read_word(found.bits(shape.placed(total)), key)
        if decoded is not None:
            return VideoMark(decoded.mark, decoded.bit_errors, decoded.agreement, shape)
    return None


def psnr_db(before: Frame, after: Frame) -> float:
    """Peak signal-to-noise ratio over all pixels and channels of 8-bit pictures, dB; inf where they are equal."""
    error = float(np.mean(np.square(before.astype(np.float32) - after.astype(np.float32))))
    return float("inf") if error == 0 else 10.0 * float(np.log10(255.0**2 / error))


def _pattern(block: list[Frame], word: NDArray[np.float64], found: Patterns) -> Plane:
    """The pattern of a stretch: each bit as strong as this picture asks, all within `MIN_PSNR_DB`."""
    sampled = block[:: max(1, len(block) // _MEASURED_PER_BLOCK)]
    planes = [luma(frame) for frame in sampled]
    allowed = [visibility(plane, flat_of(block[0])) for plane in planes]
    gains = word.copy()
    own = found.bits(_summed(planes)) * word
    for _ in range(_ROUNDS):
        pattern = found.plane(gains)
        marked = [plane + seen * pattern for plane, seen in zip(planes, allowed, strict=True)]
        reached = found.bits(_summed(marked)) * word
        # What one unit of gain adds to a bit, on the whole; where a picture swallows all of it, nothing helps.
        slope = max(float(np.mean(reached - own) / np.mean(gains * word)), 1e-3)
        wanted = float(np.mean(reached))
        gains = gains + word * (wanted - reached) / slope
        gains = word * np.clip(gains * word, _LEAST_GAIN, _MOST_GAIN)
    pattern = found.plane(gains) * _hidden_by_motion(block)
    worst = max(float(np.mean(np.square(seen * pattern))) for seen in allowed)
    return np.asarray(pattern * _within_limit(worst), np.float32)


def _within_limit(mean_square: float) -> float:
    """By how much a change must be made weaker to be within `MIN_PSNR_DB`; 1 where it is."""
    return min(1.0, math.sqrt(255.0**2 / 10 ** (MIN_PSNR_DB / 10) / max(mean_square, 1e-9)))


def _hidden_by_motion(block: list[Frame]) -> float:
    """How much stronger a pattern may be where most of the picture moves: there it is seen least, and lost soonest."""
    at = range(0, len(block) - 1, max(1, len(block) // _MEASURED_PER_BLOCK))
    changes = [float(np.median(np.abs(luma(block[k + 1]) - luma(block[k])))) for k in at]
    moving = (float(np.mean(changes)) - _STILL) / (_MOVING - _STILL) if changes else 0.0
    return 1.0 + (_MOST_HIDDEN - 1.0) * min(max(moving, 0.0), 1.0)


def _summed(planes: list[Plane]) -> Plane:
    return np.asarray(sum(whitened(plane) for plane in planes), np.float32)


def _between(before: Plane, now: Plane, after: Plane, at: int, n: int) -> Plane:
    """The pattern of frame `at` of n: that of the stretch in its middle, halfway to the next at its ends."""
    place = (at + 0.5) / n - 0.5
    other = before if place < 0 else after
    share = np.float32(abs(place))
    return now if other is now else np.asarray((1 - share) * now + share * other, np.float32)


def _added(frame: Frame, pattern: Plane) -> Frame:
    delta = visibility(luma(frame), flat_of(frame)) * pattern
    # The stretch was measured at some of its frames: here each one is held to the limit.
    delta *= _within_limit(float(np.mean(np.square(delta))))
    high, wide = frame.shape[:2]
    grown = cv2.resize(delta, (wide, high), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.add(frame, cv2.merge([grown, grown, grown]), dtype=cv2.CV_8U), np.uint8)
