"""The camera: actors before a background, with sway, drifting exposure and sensor noise, frame by frame.

Who stands where is in `plan`; how an actor is drawn is in `puppet`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from haetae.sample.looks import Place
from haetae.sample.motion import Performance
from haetae.sample.portrait import F32
from haetae.sample.puppet import Placing, Puppet
from haetae.sample.scenery import MARGIN_PX, paint_scene

SENSOR_NOISE = (1.4, 2.6)
"""Deviation of the noise of a camera, 0 to 255 levels: drawn between these for each shot."""


@dataclass(frozen=True, eq=False)
class OnStage:
    """One actor of a shot: who, how placed, how moving."""

    puppet: Puppet
    placing: Placing
    play: Performance


@dataclass(frozen=True, eq=False)
class Shot:
    """One shot; width and height in px, both even. The number of frames is that of the performances."""

    actors: Sequence[OnStage]
    place: Place
    seed: int
    width: int
    height: int

    @property
    def n_frames(self) -> int:
        return len(self.actors[0].play)


def film(shot: Shot) -> Iterator[NDArray[np.uint8]]:
    """Frames of a shot, uint8 [H, W, 3] RGB; no two are equal."""
    rng = np.random.default_rng(shot.seed)
    scene = paint_scene(shot.place, int(rng.integers(2**62)), (shot.width, shot.height)) * 255
    noise_level = float(rng.uniform(*SENSOR_NOISE))
    warmth = np.array([1, 0, -1], np.float32) * float(rng.uniform(-0.025, 0.025))
    sway = np.clip(_drift(rng, shot.n_frames, 2, 14.0) * 3.0, -MARGIN_PX + 2, MARGIN_PX - 2)
    exposure = 1 + 0.012 * _drift(rng, shot.n_frames, 1, 22.0)[:, 0]
    for t in range(shot.n_frames):
        frame = _background(scene, sway[t], shot)
        for actor in shot.actors:
            actor.puppet.draw(frame, actor.play, t, actor.placing)
        yield _expose(frame, float(exposure[t]), warmth, noise_level, rng)


def _background(scene: F32, sway_px: NDArray[np.float64], shot: Shot) -> F32:
    shift = np.array([[1, 0, sway_px[0] - MARGIN_PX], [0, 1, 0.5 * sway_px[1] - MARGIN_PX]])
    moved = cv2.warpAffine(scene, shift, (shot.width, shot.height), flags=cv2.INTER_LINEAR)
    return np.asarray(moved, dtype=np.float32)


def _expose(
    frame: F32, gain: float, warmth: F32, noise_level: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Gain, white balance, and noise of a sensor: the same in all colours for the most part."""
    height, width = frame.shape[:2]
    luma = rng.standard_normal((height, width, 1), dtype=np.float32)
    chroma = rng.standard_normal((height, width, 3), dtype=np.float32)
    out = frame * (np.float32(gain) * (1 + warmth)) + noise_level * (0.85 * luma + 0.5 * chroma)
    return np.asarray(np.clip(np.rint(out), 0, 255), dtype=np.uint8)


def _drift(rng: np.random.Generator, n_frames: int, n: int, sigma_frames: float) -> NDArray[np.float64]:
    """Slow random curves of deviation 1: float64 [n_frames, n]."""
    pad = round(4 * sigma_frames)
    noise = gaussian_filter1d(rng.standard_normal((n_frames + 2 * pad, n)), sigma_frames, axis=0)
    return np.asarray(noise[pad : pad + n_frames] * np.sqrt(2 * sigma_frames * np.sqrt(np.pi)))
