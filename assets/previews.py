"""The pictures that assets show in the graph's page: frames of clips, followed faces, fakes beside their twins, losses.

How pictures are laid out is told in `haetae.web.preview`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.engine import Row
from haetae.lake import Lake
from haetae.media.frames import read_frames
from haetae.web.preview import contact_sheet

_SHOWN = 6
Picture = NDArray[np.uint8]


def clips_preview(lake: Lake, clips: Sequence[Row]) -> bytes | None:
    """The middle frame of some clips; None without pictures."""
    shown = [row for row in clips if row["has_video"]][: 2 * _SHOWN]
    pictures = [_frame(lake, row["blob_id"], row["n_frames"] // 2) for row in shown]
    return _sheet(pictures)


def tracks_preview(lake: Lake, clips: Sequence[Row], tracks: Sequence[Row]) -> bytes | None:
    """Some followed faces with their boxes; None without faces."""
    blob_of = {row["clip_id"]: row["blob_id"] for row in clips}
    pictures = []
    for track in tracks[: 2 * _SHOWN]:
        middle = len(track["boxes"]) // 2
        picture = _frame(lake, blob_of[track["clip_id"]], track["first_frame"] + middle)
        pictures.append(_boxed(picture, track["boxes"][middle]))
    return _sheet(pictures)


def fakes_preview(lake: Lake, fakes: Sequence[Row]) -> bytes | None:
    """Some fakes below their targets, with the changed box; None where no picture was changed."""
    clips = {row["clip_id"]: row for row in lake.rows("clips", fakes[0]["batch"])} if fakes else {}
    above, below = [], []
    for fake in [row for row in fakes if row["regions"]][:_SHOWN]:
        region = fake["regions"][0]
        middle = len(region["boxes"]) // 2
        at = region["first_frame"] + middle
        above.append(_frame(lake, clips[fake["clip_id"]]["blob_id"], at))
        below.append(_boxed(_frame(lake, fake["blob_id"], at), region["boxes"][middle]))
    return contact_sheet([above, below]) if above else None


def lesson_preview(curve: Sequence[Mapping[str, float]]) -> bytes | None:
    """The losses of a lesson by step, on a logarithmic scale, as a PNG; None without any.

    curve: points with `step` and losses by name, as `Learned.curve` has them.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axis = figure.subplots()
    for name in sorted({name for point in curve for name in point} - {"step"}):
        points = [(point["step"], point[name]) for point in curve if point.get(name, 0) > 0]
        if points:
            axis.plot(*zip(*points, strict=True), label=name.replace("_", " "))
    if not axis.lines:
        return None
    axis.set(xlabel="step", ylabel="loss", yscale="log")
    axis.legend(frameon=False, fontsize=8)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _sheet(pictures: Sequence[Picture]) -> bytes | None:
    rows = [pictures[i : i + _SHOWN] for i in range(0, len(pictures), _SHOWN)]
    return contact_sheet(rows) if rows else None


def _frame(lake: Lake, blob_id: str, number: int) -> Picture:
    frames: Picture = read_frames(lake.open_local(blob_id), first=number, last=number)[0]
    return frames


def _boxed(picture: Picture, box: Sequence[float]) -> Picture:
    drawn = np.ascontiguousarray(picture)
    x1, y1, x2, y2 = (round(value) for value in box)
    cv2.rectangle(drawn, (x1, y1), (x2, y2), (230, 60, 40), 2)
    return drawn
