"""`faceid_swap`: a face painted anew by Stable Diffusion inpainting, with the identity of a donor.

Which files it is made of stands in `generators/pinned/faceid_swap.yaml`; painting is `painter`, time `coherence`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from generators.crops import Cut, cut, put_back
from generators.followed import Followed, follow
from generators.pins import Part, Pin, pins, require_pinned
from generators.protocol import Card, FakeRequest, FakeResult, Weights, settings
from generators.segments import changed_frames, video_segments
from haetae.errors import Rejected, UsageError
from haetae.provenance.ids import seed_of
from haetae.provenance.policy import meet

if TYPE_CHECKING:
    from generators.face_swap.faceid.painter import Painter
    from generators.face_swap.faceid.recogniser import Recogniser

NAME = "faceid_swap"
BASE = (
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "scheduler/scheduler_config.json",
)
ADAPTER = "ip-adapter-faceid_sd15.bin"
RECOGNISER = "w600k_r50.safetensors"
N_LOOKS = 5
_SINGLE = {"adapter": ADAPTER, "recogniser": RECOGNISER}
Settings = dict[str, float | int | str | bool]


def _pins() -> dict[str, Pin]:
    return pins(NAME, "base", *_SINGLE)


def card_of() -> Card:
    """The card with the pins as they are now. Raises: UsageError for a file of pins that cannot be read."""
    parts = _pins()
    return Card(
        name=NAME,
        version="1",
        family="face_swap",
        modalities=("video",),
        needs=("face", "donor_face"),
        profile="full",
        hardware="gpu",
        licence=meet([one.licence for one in parts.values()]),
        weights=tuple(one for part in parts.values() for one in part.weights),
        params={
            "steps": 20,
            "guidance": 5.0,
            "adapter_scale": 1.0,
            "first_strength": 0.85,
            "strength": 0.5,
            "carried": 0.7,
            "steadiness": 0.4,
            "same_noise": True,
            "erode": 0.01,
            "feather": 0.12,
        },
        description=(
            "Paints the face anew by Stable Diffusion inpainting on an aligned crop, conditioned on the donor's"
            " identity through an IP-Adapter (FaceID). All frames begin from the same noise and from the frame"
            " before, carried over by the face mesh, and are smoothed along it."
        ),
        intended_use="Training and testing detectors of diffusion face swaps; not for commercial purposes.",
        paper="Ye et al., IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion Models, 2023",
    )


class FaceIdSwap:
    """Diffusion face swap, IP-Adapter-FaceID style."""

    card = card_of()

    def __init__(self) -> None:
        self._loaded: tuple[Painter, Recogniser] | None = None

    @classmethod
    def weight_parts(cls) -> tuple[Part, ...]:
        """What loading wants. Raises: UsageError for a file of pins that cannot be read, or lacks a part."""
        known = _pins()
        single = [
            Part(NAME, name, known[name], tuple(sorted(known[name].files)) or (published,))
            for name, published in _SINGLE.items()
        ]
        return (Part(NAME, "base", known["base"], BASE), *single)

    def load(self, device: str) -> None:
        """Read checkpoint, adapter and recogniser.

        Raises: UsageError for files that are not pinned, missing, altered, or do not belong together.
        """
        from generators.face_swap.faceid.painter import Painter
        from generators.face_swap.faceid.recogniser import Recogniser
        from generators.repeatable import repeatable
        from generators.weights import located

        parts = self.weight_parts()
        require_pinned(self.card, parts)
        adapter, recogniser = (self._single(part) for part in parts if part.name in _SINGLE)
        folder = located(self.card)
        with repeatable(0, device):
            painter = Painter.read(folder, folder / adapter.filename, device)
            known = Recogniser.read(folder / recogniser.filename, recogniser.sha256, device)
        self._loaded = painter, known

    def generate(self, request: FakeRequest) -> FakeResult:
        """Swap the first face in every frame in which it is followed.

        Raises: Rejected no_donor, no_face, face_lost, face_too_small, nothing_changed, picture_unusable; UsageError
        for parameters out of their range; RuntimeError before `load`.
        """
        if self._loaded is None:
            raise RuntimeError(f"{self.card.key} is not loaded")
        if request.donor is None:
            raise Rejected("no_donor", f"{self.card.key} needs a donor face")
        s = settings(self.card, request)
        _check(self.card, s)
        target, donor = follow(request.target), follow(request.donor, "donor")
        frames, masks = self._painted(target, donor, s, request.seed)
        changed = changed_frames(target.frames, frames)
        if not changed.any():
            raise Rejected("nothing_changed", "the network gives back the target's own face")
        masks[~changed] = False
        return FakeResult(
            segments=video_segments(changed),
            frames=frames,
            masks=masks,
            track_id=target.track_id,
            metrics={"painted_frames": float(changed.sum())},
        )

    def _painted(
        self, target: Followed, donor: Followed, s: Settings, seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        from generators.face_swap.faceid.coherence import Sequence, Ties
        from generators.face_swap.faceid.painter import Wish
        from generators.repeatable import repeatable

        assert self._loaded is not None
        painter, recogniser = self._loaded
        frames, masks = target.frames.copy(), np.zeros(target.frames.shape[:3], np.bool_)
        with repeatable(0, painter.device):
            identity = recogniser.embed(_looks(donor))

            def paint(
                picture: NDArray[np.uint8], mask: NDArray[np.bool_], strength: float, t: int
            ) -> NDArray[np.uint8]:
                noise = seed_of(NAME, seed) if s["same_noise"] else seed_of(NAME, seed, t)
                wish = Wish(int(s["steps"]), float(s["guidance"]), strength, noise)
                return painter.paint(picture, mask, identity, float(s["adapter_scale"]), wish)

            ties = Ties(*(float(s[name]) for name in ("first_strength", "strength", "carried", "steadiness")))
            sequence = Sequence(paint, ties)
            for t in map(int, np.flatnonzero(target.usable)):
                at = cut(target, t, painter.crop_px)
                hard, soft = _face(at, float(s["erode"]), float(s["feather"]))
                if hard.any():
                    put_back(frames[t], masks[t], at, sequence.frame(t, at, hard), soft)
        return frames, masks

    def _single(self, part: Part) -> Weights:
        """The one file of a part. Raises: UsageError for several."""
        if len(part.wanted) > 1:
            raise UsageError(
                f"{self.card.key}: {len(part.wanted)} files are pinned for its {part.name}, which is one file"
            )
        wanted = (part.pin.repo, part.wanted[0])
        return next(one for one in self.card.weights if (one.repo, one.filename) == wanted)


def _looks(face: Followed) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Frames of a face, spread over the clip, with their meshes."""
    there = np.flatnonzero(face.usable)
    at = there[np.linspace(0, len(there) - 1, min(len(there), N_LOOKS)).round().astype(int)]
    return [(face.frames[t], face.mesh[t]) for t in at]


def _face(at: Cut, erode: float, feather: float) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """What is painted, bool [S, S], and how it is blended, float32 [S, S], 0 wherever nothing is painted."""
    from generators.face_swap.masks import soft_mask

    soft = soft_mask(at.mesh, at.crop.shape[0], erode, feather)
    return soft > 0, soft


def _check(card: Card, s: Settings) -> None:
    """Raises: UsageError for a parameter with which nothing can be painted."""
    ranges = {
        "steps": (1, 200), "guidance": (1, 30), "adapter_scale": (0, 2), "first_strength": (0.05, 1),
        "strength": (0.05, 1), "carried": (0, 1), "steadiness": (0, 0.95), "erode": (0, 0.3), "feather": (0, 0.5),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        if not low <= float(s[name]) <= high:
            raise UsageError(f"{card.key}: parameter {name!r} must lie in {low} to {high}, not {s[name]!r}")
