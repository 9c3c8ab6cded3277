"""`sd_img2img`: the face, or the whole frame, painted over by a Stable-Diffusion-class network with a local prompt.

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
from generators.diffusion.surroundings import face_area, people, softened, without
from generators.diffusion.views import FACE
from generators.followed import Followed, follow
from generators.pins import Part
from generators.protocol import Card, ClipView, FakeRequest, FakeResult, settings
from haetae.errors import UsageError
from haetae.provenance.ids import seed_of

if TYPE_CHECKING:
    from generators.diffusion.stable import Brush, Painter

NAME = "sd_img2img"
AREAS = ("face", "frame")
_FEATHER_SHARE = 0.04


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
            "area": "face",
            "strength": 0.4,
            "steps": 25,
            "guidance": 6.0,
            "hold": 0.3,
            "shared_noise": True,
            "max_frames": 125,
            "work_px": 512,
        },
        description=(
            "Paints over the aligned face, or the whole frame but for the other faces, with a Stable Diffusion"
            " checkpoint and a prompt from the locale pack of the clip's language; all frames begin with the same"
            " noise, and each takes a share of the latents of the one before. At most max_frames frames are changed."
        ),
        intended_use="Training and testing detectors of pictures edited with latent diffusion models.",
        paper="Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022",
        licence=pin.licence,
        weights=pin.weights,
    )


class SdImg2Img:
    """Image-to-image with a pretrained latent diffusion model, held together over time."""

    card = card_of()

    def __init__(self) -> None:
        self._painter: Painter | None = None

    @classmethod
    def weight_parts(cls) -> tuple[Part, ...]:
        """What loading wants. Raises: UsageError for a file of pins that cannot be read."""
        return parts_of_checkpoint(NAME)

    def load(self, device: str) -> None:
        """Read the checkpoint. Raises: UsageError for files that are not pinned, missing, altered or unfitting."""
        self._painter = painter(self.card, "img2img", device)

    def generate(self, request: FakeRequest) -> FakeResult:
        """Paint over the first face, or the frame, in one stretch of frames.

        Raises: Rejected no_face, face_lost, face_too_small, nothing_changed, picture_unusable; UsageError for
        parameters that cannot be painted with; RuntimeError before `load`.
        """
        if self._painter is None:
            raise RuntimeError(f"{self.card.key} is not loaded")
        s = settings(self.card, request)
        if s["area"] not in AREAS:
            raise UsageError(f"{self.card.key}: area must be one of {', '.join(AREAS)}, not {s['area']!r}")
        seed = seed_of(NAME, request.seed)
        face = follow(request.target)
        face = replace(face, usable=within_budget(face.usable, int(s["max_frames"]), seed))
        about: About = "people" if s["area"] == "face" else "scenes"
        brush = brush_of(prompt_for(about, request.language, seed), s)
        work_px = int(s["work_px"])
        if s["area"] == "face":
            frames, masks = painted_view(self._painter, face, FACE, brush, work_px, seed, masked=False)
        else:
            frames, masks = _over_frame(self._painter, request.target, face, brush, work_px, seed)
        metrics = {"strength": round(brush.strength, 4), "frames_painted": float(face.usable.sum())}
        return as_fake(face, frames, masks, metrics)


def _over_frame(
    network: Painter, clip: ClipView, face: Followed, brush: Brush, work_px: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The whole frame, but for the faces of the others."""
    _, others = people(clip, face)
    size = face.size

    def area_of(t: int) -> NDArray[np.float32]:
        faces = [face_area(mesh, size) for one in others if (mesh := one.at(t)) is not None]
        return softened(without(np.ones(size, np.uint8), faces), _FEATHER_SHARE * min(size))

    at = [int(t) for t in np.flatnonzero(face.usable)]
    return painted_frames(network, face, at, area_of, brush, work_px, seed, masked=False)
