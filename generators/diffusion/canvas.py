"""What both generators with pretrained networks do: a budget of frames, pictures of a size that fits, and the fake.

The network is `stable`; what is painted, and where, is decided by the generators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.crops import put_back
from generators.diffusion.stable import FILES, Brush, Kind, Painter
from generators.diffusion.views import Area, views
from generators.followed import Followed
from generators.pins import Part, Pin, pins, require_pinned
from generators.protocol import Card, FakeResult
from generators.segments import changed_frames, runs, video_segments
from haetae.errors import Rejected, UsageError
from haetae.provenance.ids import seed_of

PART = "checkpoint"
_LEAST_WEIGHT = 1 / 255
MAX_WORK_PX = 1024
Image = NDArray[np.uint8]


def pin_of(name: str) -> Pin:
    """Licence and files of a card. Raises: UsageError for a file of pins without that part."""
    return pins(name, PART)[PART]


def parts_of_checkpoint(name: str) -> tuple[Part, ...]:
    """What loading wants. Raises: UsageError as `pin_of`."""
    return (Part(name, PART, pin_of(name), FILES),)


def painter(card: Card, kind: Kind, device: str) -> Painter:
    """The network of a card. Raises: UsageError for files that are not pinned, missing, altered or unfitting."""
    from generators.weights import located

    require_pinned(card, parts_of_checkpoint(card.name))
    return Painter.load(located(card), kind, device)


def brush_of(prompt: tuple[str, str], values: dict[str, float | int | str | bool]) -> Brush:
    """What to paint with, from the parameters of a request."""
    return Brush(
        prompt=prompt[0],
        avoid=prompt[1],
        strength=float(values["strength"]),
        steps=int(values["steps"]),
        guidance=float(values["guidance"]),
        hold=float(values["hold"]),
        shared_noise=bool(values["shared_noise"]),
    )


def within_budget(usable: NDArray[np.bool_], max_frames: int, seed: int) -> NDArray[np.bool_]:
    """At most so many of the usable frames: one stretch of them, its place drawn by the seed. bool [T].

    Of several stretches the longest is taken where not all can be. Raises: UsageError for a budget below 1.
    """
    if max_frames < 1:
        raise UsageError(f"max_frames must be at least 1, not {max_frames}")
    if int(usable.sum()) <= max_frames:
        return usable.copy()
    start, end = max(runs(usable), key=lambda run: run[1] - run[0])
    room = max(0, end - start - max_frames)
    first = start + int(np.random.default_rng(seed_of("budget", seed)).integers(room + 1))
    chosen = np.zeros_like(usable)
    chosen[first : min(end, first + max_frames)] = True
    return chosen


def work_size(size: tuple[int, int], work_px: int, multiple_px: int) -> tuple[int, int]:
    """Height and width at which a frame is painted: its shorter side near work_px, both of them multiples.

    Raises: UsageError for a size that cannot be painted at.
    """
    if not multiple_px <= work_px <= MAX_WORK_PX:
        raise UsageError(f"work_px must lie between {multiple_px} and {MAX_WORK_PX}, not {work_px}")
    factor = work_px / min(size)
    # A long, narrow frame would otherwise take any amount of memory.
    factor = min(factor, 2 * MAX_WORK_PX / max(size))
    height, width = (max(multiple_px, round(side * factor / multiple_px) * multiple_px) for side in size)
    return height, width


def resized(img: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A picture at another size, (height, width)."""
    how = cv2.INTER_AREA if size[0] < img.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(img, size[::-1], interpolation=how))


def laid_in(frame: Image, mask: NDArray[np.bool_], painted: Image, soft: NDArray[np.float32]) -> None:
    """Blend a painted frame in, in place, and mark what may differ now. soft: float32 [H, W], 0 to 1."""
    weight = np.where(soft < _LEAST_WEIGHT, 0, soft)[..., None].astype(np.float32)
    mixed = weight * painted.astype(np.float32) + (1 - weight) * frame
    changed = weight[..., 0] > 0
    frame[changed] = np.rint(mixed[changed]).astype(np.uint8)
    mask |= changed


def painted_frames(
    network: Painter,
    face: Followed,
    at: Sequence[int],
    area_of: Callable[[int], NDArray[np.float32]],
    brush: Brush,
    work_px: int,
    seed: int,
    *,
    masked: bool,
) -> tuple[Image, NDArray[np.bool_]]:
    """Whole frames painted where areas say: frames uint8 [T, H, W, 3] and masks bool [T, H, W] of the clip.

    at: frames; area_of: weights float32 [H, W] of a frame, asked for when they are needed, so that not all are held.
    """  # fmt: skip
    size = work_size(face.size, work_px, network.multiple_px)
    frames, masks = face.frames.copy(), np.zeros(face.frames.shape[:3], np.bool_)

    def shown() -> Iterator[tuple[Image, NDArray[np.float32] | None]]:
        for t in at:
            where = None if not masked else (resized(area_of(t), size) > 0.02).astype(np.float32)
            yield np.asarray(resized(face.frames[t], size), np.uint8), where

    for t, made in zip(at, network.paint(shown(), brush, seed), strict=True):
        laid_in(frames[t], masks[t], np.asarray(resized(made, face.size), np.uint8), area_of(t))
    return frames, masks


def painted_view(
    network: Painter, face: Followed, area: Area, brush: Brush, work_px: int, seed: int, *, masked: bool
) -> tuple[Image, NDArray[np.bool_]]:
    """Frames and masks after a part of the face was painted in its view, and nothing else.

    masked: the network is told which part it is.
    """
    side, _ = work_size((work_px, work_px), work_px, network.multiple_px)
    shown = views(face, area, side)
    frames, masks = face.frames.copy(), np.zeros(face.frames.shape[:3], np.bool_)

    def given() -> Iterator[tuple[Image, NDArray[np.float32] | None]]:
        for n in range(len(shown.at)):
            at = shown.exact(n)
            yield at.crop, (area.mask(at.mesh, side) > 0).astype(np.float32) if masked else None

    for n, made in enumerate(network.paint(given(), brush, seed)):
        t, at = shown.at[n], shown.exact(n)
        put_back(frames[t], masks[t], at, made, area.mask(at.mesh, side))
    return frames, masks


def as_fake(face: Followed, frames: Image, masks: NDArray[np.bool_], metrics: dict[str, float]) -> FakeResult:
    """The fake of a followed face's clip. Raises: Rejected nothing_changed."""
    changed = changed_frames(face.frames, frames)
    if not changed.any():
        raise Rejected("nothing_changed", "what was painted equals what was there")
    masks[~changed] = False
    return FakeResult(
        segments=video_segments(changed), frames=frames, masks=masks, track_id=face.track_id, metrics=metrics
    )
