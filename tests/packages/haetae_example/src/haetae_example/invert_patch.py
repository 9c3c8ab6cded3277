"""`invert_patch`: the colours of a drifting rectangle, inverted for a while.

It shows what a third party writes; nothing of Haetae beyond the protocol is used.
"""

from __future__ import annotations

import numpy as np

from generators.protocol import Card, FakeRequest, FakeResult, Segment, settings
from haetae.errors import Rejected

FPS = 25


class InvertPatch:
    """Needs no face, no weights and no library but numpy."""

    card = Card(
        name="invert_patch",
        version="1",
        family="face_swap",
        modalities=("video",),
        runtime="pipes",
        licence="Apache-2.0",
        params={"side": 0.25, "length_s": 0.8},
        description="Inverts the colours of a rectangle that drifts through the picture, for a while.",
        intended_use="Shows how a package of its own joins the bench; trains nothing.",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Invert one rectangle in consecutive frames drawn by the seed. Raises: Rejected no_video, too_short."""
        target, values = request.target, settings(self.card, request)
        if target.frames is None:
            raise Rejected("no_video", "there is no picture to change")
        n, height, width = target.frames.shape[:3]
        length = round(float(values["length_s"]) * FPS)
        if n < length + 2:
            raise Rejected("too_short", f"{n} frames, {length + 2} are needed")
        rng = np.random.default_rng(request.seed)
        first = int(rng.integers(1, n - length))
        h, w = (max(8, round(float(values["side"]) * size)) for size in (height, width))
        start, end = (rng.uniform(0, (height - h, width - w)) for _ in range(2))
        frames, masks = target.frames.copy(), np.zeros(target.frames.shape[:3], np.bool_)
        for i in range(length):
            y, x = np.round(start + (end - start) * i / max(length - 1, 1)).astype(int)
            masks[first + i, y : y + h, x : x + w] = True
        # A grey of 127 or 128 hardly changes when it is inverted, but no value stays as it is.
        frames[masks] = 255 - frames[masks]
        segments = (Segment("video", first / FPS, (first + length) / FPS),)
        return FakeResult(segments, frames, masks, metrics={"first_frame": float(first)})
