"""Renders for tests: half the size and length of the real sample, and how far two faces are apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from haetae.faces.warp import similarity
from haetae.sample.plan import ClipSpec, plan
from haetae.sample.render import RenderActor

CLIP_S = 2.4
SIZE_PX = 192
SPECS = {spec.file: spec for spec in plan()}


def render(
    folder: Path, spec: ClipSpec, seed: int = 0, clip_s: float = CLIP_S, size_px: int = SIZE_PX
) -> Path:
    """One file of the sample, rendered in this process."""
    step = RenderActor(str(folder), seed, clip_s, size_px)
    step.setup()
    step(spec.row())
    return folder / spec.file


def shape_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Root mean square distance of two meshes after the best similarity, in widths of a face."""
    a, b = a[:468], b[:468]
    fit = similarity(a, b)
    rest = a @ fit[:, :3].T + fit[:, 3] - b
    return float(np.sqrt((rest[:, :2] ** 2).sum(1).mean()) / np.ptp(b[:, 0]))
