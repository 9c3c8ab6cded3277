"""The plane in which pictures are marked: 256 × 256 whatever their size, what shows in it, and the patterns.

Which pattern a clip gets is decided in `video`; where a cropped picture lies in the plane, in `crop`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.marks import payload

SIDE = 256
LOWEST, HIGHEST = 13.0, 72.0
"""Band of the patterns: radius in the plane's DCT, so half as many periods across the picture."""
PILOT_SHARE = 0.12
"""Share of coefficients that carry no bit but tell where the picture lies."""
_RING = 6.0
_MEAN_WINDOW, _TEXTURE_WINDOW, _ERODE_WINDOW = 13, 13, 7
FLAT = 0.75
"""Grey levels by which a flat part of a picture of `FLAT_PX` may be changed unseen; more in smaller pictures."""
FLAT_PX = 512
_LEAST_FLAT, _MOST_FLAT, _FLAT_READ = 0.6, 2.3, 1.6
_SMALLER = 1.7
_SLOPE, _MOST_VISIBLE = 0.02, 4.0
_NOISE = 2.5
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Patterns:
    """Where each bit lies in the DCT of the plane.

    place: flat indices of the coefficients; carrier: their signs; bit: the bit each carries, -1 for the pilot;
    ring: which ring of frequencies each belongs to.
    """

    place: NDArray[np.intp]
    carrier: NDArray[np.float32]
    bit: NDArray[np.intp]
    ring: NDArray[np.intp]

    def plane(self, gains: NDArray[np.floating]) -> Plane:
        """The pattern of all bits at gains float [N_BITS] (negative: a zero), with its pilot: rms about 1."""
        amplitude = SIDE / np.sqrt(len(self.place))
        spectrum = np.zeros(SIDE * SIDE, np.float32)
        spectrum[self.place] = amplitude * self.carrier * np.append(gains, 1.0)[self.bit]
        return np.asarray(cv2.idct(spectrum.reshape(SIDE, SIDE)), np.float32)

    def pilot(self) -> Plane:
        return self.plane(np.zeros(payload.N_BITS))

    def bits(self, plane: Plane) -> NDArray[np.float64]:
        """How much of each bit's pattern is in a plane: float [N_BITS]; about 1 by chance, of either sign."""
        carried = self.bit >= 0
        total = np.bincount(self.bit[carried], self._even(plane)[carried], payload.N_BITS)
        return np.asarray(
            total / np.sqrt(np.bincount(self.bit[carried], minlength=payload.N_BITS)), np.float64
        )

    def strength(self, plane: Plane) -> float:
        """How strong the pilot is in a plane, of 1; about 0 where there is none."""
        return float(self._even(plane)[self.bit < 0].mean())

    def _even(self, plane: Plane) -> NDArray[np.float64]:
        """The coefficients along their signs. Every ring of frequencies counts alike: pictures hold far more of the
        low ones."""
        found = (cv2.dct(plane).reshape(-1)[self.place] * self.carrier).astype(np.float64)
        power = np.bincount(self.ring, found**2) / np.maximum(np.bincount(self.ring), 1)
        return np.asarray(found / np.maximum(np.sqrt(power), 1e-9)[self.ring])


@lru_cache(maxsize=8)
def patterns(key: bytes) -> Patterns:
    """The patterns of a key: coefficients of the band, dealt to bits by chance, each bit over the whole band."""
    down, across = np.indices((SIDE, SIDE))
    radius = np.hypot(down, across)
    band = np.flatnonzero((radius >= LOWEST) & (radius <= HIGHEST) & (np.minimum(down, across) >= 3))
    place = band[payload.order(key, "video places", len(band))]
    n_pilot = round(PILOT_SHARE * len(place))
    bit = np.arange(len(place)) % payload.N_BITS
    bit[:n_pilot] = -1
    ring = ((radius.reshape(-1)[place] - LOWEST) / _RING).astype(np.intp)
    return Patterns(place, payload.signs(key, "video signs", len(place)), bit, ring)


def luma(frame: NDArray[np.uint8]) -> Plane:
    """The luma of a frame uint8 [H, W, 3] in the plane: float32 [SIDE, SIDE], 0 to 255."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    smaller = grey.shape[0] > SIDE or grey.shape[1] > SIDE
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=how), np.float32)


def flat_of(frame: NDArray[np.uint8]) -> float:
    """Grey levels by which flat parts of a frame may be changed: more in small ones, which codecs harm more."""
    wanted = FLAT * (FLAT_PX / min(frame.shape[:2])) ** _SMALLER
    return float(min(max(wanted, _LEAST_FLAT), _MOST_FLAT))


def visibility(plane: Plane, flat: float = _FLAT_READ) -> Plane:
    """How far the luma may be changed there without being seen, grey levels: float32 [SIDE, SIDE].

    flat: where the picture is flat, also beside an edge, for the least contrast around counts.
    """
    _, deviation = _details(plane)
    calm = cv2.erode(deviation, np.ones((_ERODE_WINDOW, _ERODE_WINDOW), np.uint8))
    raw = np.minimum(flat + _SLOPE * calm, _MOST_VISIBLE)
    return np.asarray(cv2.blur(raw, (_ERODE_WINDOW, _ERODE_WINDOW)), np.float32)


def whitened(plane: Plane) -> Plane:
    """The plane as the reader weighs it: details over their local power, times what a mark may have been there.

    The matched filter for a mark of amplitude `visibility` in noise of the picture's own local contrast.
    """
    details, deviation = _details(plane)
    return np.asarray(details * visibility(plane) / (deviation**2 + _NOISE**2), np.float32)


def _details(plane: Plane) -> tuple[Plane, Plane]:
    """What is finer than the local mean, and its local standard deviation."""
    details = plane - cv2.blur(plane, (_MEAN_WINDOW, _MEAN_WINDOW))
    power = cv2.blur(details * details, (_TEXTURE_WINDOW, _TEXTURE_WINDOW))
    return np.asarray(details, np.float32), np.sqrt(np.maximum(power, 0))
