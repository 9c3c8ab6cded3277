"""What makes one actor differ from another: form, colours, hair, clothes, voice.

Who the twelve actors are is in `cast`; how a difference is painted or warped is in `paint`, `hair`,
`wardrobe` and `shape`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from haetae.provenance.ids import seed_of

Colour = tuple[int, int, int]
Hair = Literal["short", "long", "cropped", "bun", "scarf", "cap"]
Top = Literal["tee", "shirt", "blazer", "polo", "turtleneck", "blouse"]
Beard = Literal["none", "stubble", "moustache", "goatee", "full"]
Glasses = Literal["none", "round", "square", "rimless"]
Place = Literal["studio", "office", "shelf", "newsroom", "wall", "window", "curtain", "garden"]


@dataclass(frozen=True)
class Shape:
    """Differences of form, relative, about -0.3 to 0.3: 0 is the portrait's, 0.1 is a tenth wider, longer,
    fuller or farther apart."""

    jaw_width: float = 0.0
    face_width: float = 0.0
    face_length: float = 0.0
    forehead: float = 0.0
    eye_size: float = 0.0
    eye_spacing: float = 0.0
    eye_tilt: float = 0.0
    nose_width: float = 0.0
    nose_length: float = 0.0
    lip_fullness: float = 0.0
    mouth_width: float = 0.0
    brow_height: float = 0.0
    hair_volume: float = 0.0


@dataclass(frozen=True)
class Voice:
    """espeak's variant, pitch (0 to 100) and words a minute."""

    variant: str
    pitch: int
    rate_wpm: int


@dataclass(frozen=True)
class Look:
    """One actor. Colours are sRGB; `skin` is the mean colour of the lit face; `hairline` is 0 with the
    portrait's fringe and 1 with a bare forehead; `brow`, `freckles` and `lines` (of age) go from 0 to 1;
    `mole` is in face coordinates (u, v), see `paint`; `turn_deg` is how the head is usually held: yaw,
    pitch."""

    identity: str
    language: str
    voice: Voice
    skin: Colour
    hair_colour: Colour
    hair: Hair
    top: Top
    top_colour: Colour
    place: Place
    shape: Shape = field(default_factory=Shape)
    mirrored: bool = False
    iris: Colour = (62, 40, 26)
    lip: Colour = (188, 112, 108)
    beard: Beard = "none"
    glasses: Glasses = "none"
    brow: float = 0.3
    hairline: float = 0.0
    freckles: float = 0.0
    mole: tuple[float, float] | None = None
    lines: float = 0.0
    scarf_colour: Colour = (120, 60, 80)
    turn_deg: tuple[float, float] = (0.0, 0.0)
    seed: int = 0


LANGUAGES = ("ko", "en-SG", "ms", "ta")


def varied(look: Look, seed: int) -> Look:
    """Move the numbers of a type a little, so that another seed gives other people of the same types."""
    rng = np.random.default_rng(seed_of("look", seed, look.identity))
    shape = {name: value + float(rng.uniform(-0.02, 0.02)) for name, value in vars(look.shape).items()}
    yaw, pitch = look.turn_deg
    return replace(
        look,
        shape=Shape(**shape),
        skin=_near(look.skin, rng, 6),
        hair_colour=_near(look.hair_colour, rng, 5),
        top_colour=_near(look.top_colour, rng, 14),
        scarf_colour=_near(look.scarf_colour, rng, 14),
        turn_deg=(yaw + float(rng.uniform(-1, 1)), pitch + float(rng.uniform(-1, 1))),
        voice=replace(look.voice, pitch=look.voice.pitch + int(rng.integers(-3, 4))),
        seed=seed_of("actor", seed, look.identity),
    )


def _near(colour: Colour, rng: np.random.Generator, spread: int) -> Colour:
    shift = float(rng.uniform(-spread, spread))
    tint = rng.uniform(-spread / 2, spread / 2, 3)
    r, g, b = (int(np.clip(round(c + shift + float(t)), 0, 255)) for c, t in zip(colour, tint, strict=True))
    return r, g, b
