"""`sd_inpaint`: the place around the people, or a part of the face, painted anew by a Stable-Diffusion-class network.

The network is `stable`, prompts are `prompts`, and what both generators of this kind share is `canvas`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from generators.diffusion.canvas import (
    as_fake,
    brush_of,
    painted_frames,
    painted_view,
    painter,
    parts_of_checkpoint,
    pin_of,
    within_budget,
)
from generators.diffusion.prompts import About, prompt_for
from generators.diffusion.surroundings import body_area, face_area, people, softened, without
from generators.diffusion.views import AREAS
from generators.followed import Followed, follow
from generators.pins import Part
from generators.protocol import Card, ClipView, FakeRequest, FakeResult, settings
from haetae.errors import Rejected, UsageError
from haetae.provenance.ids import seed_of

if TYPE_CHECKING:
    from generators.diffusion.stable import Brush, Painter

NAME = "sd_inpaint"
BACKGROUND = "background"
MIN_BACKGROUND = 0.1
"""Share of the frame below which there is no place to be seen around the people."""
_FEATHER_SHARE = 0.02


def card_of() -> Card:
    """The card, with the files that are pinned now. Raises: UsageError for a file of pins that cannot be read."""
    pin = pin_of(NAME)
    return Card(
        name=NAME,
        version="1",
        family="diffusion",
        modalities=("video",),
        needs=("face",),
        profile="full",
        hardware="gpu",
        params={
            "region": BACKGROUND,
            "strength": 0.95,
            "steps": 25,
            "guidance": 7.0,
            "hold": 0.3,
            "shared_noise": True,
            "max_frames": 125,
            "work_px": 512,
        },
        description=(
            "Puts the people of a clip into another place, or fills a part of the first face, with a Stable Diffusion"
            " checkpoint for inpainting and a prompt from the locale pack of the clip's language; all frames begin with"
            " the same noise, and each takes a share of the latents of the one before. The masks are what was filled."
            " At most max_frames frames are changed."
        ),
        intended_use="Training and testing detectors and localisers of inpainting with latent diffusion models.",
        paper="Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022",
        licence=pin.licence,
        weights=pin.weights,
    )


class SdInpaint:
    """Inpainting with a pretrained latent diffusion model, held together over time."""

    card = card_of()

    def __init__(self) -> None:
        self._painter: Painter | None = None

    @classmethod
    def weight_parts(cls) -> tuple[Part, ...]:
        """What loading wants. Raises: UsageError for a file of pins that cannot be read."""
        return parts_of_checkpoint(NAME)

    def load(self, device: str) -> None:
        """Read the checkpoint. Raises: UsageError for files that are not pinned, missing, altered or unfitting."""
        self._painter = painter(self.card, "inpaint", device)

    def generate(self, request: FakeRequest) -> FakeResult:
        """Paint the background, or a part of the first face, in one stretch of frames.

        Raises: Rejected no_face, face_lost, face_too_small, no_background, nothing_changed, picture_unusable;
        UsageError for parameters that cannot be painted with; RuntimeError before `load`.
        """
        if self._painter is None:
            raise RuntimeError(f"{self.card.key} is not loaded")
        s = settings(self.card, request)
        region = str(s["region"])
        if region != BACKGROUND and region not in AREAS:
            known = ", ".join((BACKGROUND, *AREAS))
            raise UsageError(f"{self.card.key}: region must be one of {known}, not {region!r}")
        seed = seed_of(NAME, request.seed)
        face = follow(request.target)
        face = replace(face, usable=within_budget(face.usable, int(s["max_frames"]), seed))
        about: About = "scenes" if region == BACKGROUND else "people"
        brush = brush_of(prompt_for(about, request.language, seed), s)
        work_px = int(s["work_px"])
        if region == BACKGROUND:
            frames, masks = _background(self._painter, request.target, face, brush, work_px, seed)
        else:
            frames, masks = painted_view(
                self._painter, face, AREAS[region], brush, work_px, seed, masked=True
            )
        metrics = {"strength": round(brush.strength, 4), "frames_painted": float(face.usable.sum())}
        return as_fake(face, frames, masks, metrics)


def _background(
    network: Painter, clip: ClipView, face: Followed, brush: Brush, work_px: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Everything but the people: heads with their hair, and bodies."""
    first, others = people(clip, face)
    size = face.size

    def area_of(t: int) -> NDArray[np.float32]:
        there = [mesh for one in (first, *others) if (mesh := one.at(t)) is not None]
        kept = [body_area(mesh, size) for mesh in there] + [face_area(mesh, size) for mesh in there]
        return softened(without(np.ones(size, np.uint8), kept), _FEATHER_SHARE * min(size))

    at = [int(t) for t in np.flatnonzero(face.usable)]
    share = max(float((area_of(t) > 0.5).mean()) for t in {at[0], at[len(at) // 2], at[-1]})
    if share < MIN_BACKGROUND:
        raise Rejected("no_background", f"{share:.0%} of the frame of {clip.clip_id} is beside its people")
    return painted_frames(network, face, at, area_of, brush, work_px, seed, masked=True)
