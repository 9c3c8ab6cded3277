"""`region_inpaint`: eyes, mouth, nose or half of a face made anew by a network that learned to fill them in.

How that is done in a clip is `repaint`; which parts of a face there are is told in `views`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from generators.diffusion.repaint import (
    How,
    mirrored,
    relit,
    repaint,
    to_learn_from,
)
from generators.diffusion.views import AREAS
from generators.from_lesson import FromLesson
from generators.protocol import Card, FaceSet, FakeRequest, FakeResult, Learned, Lesson, settings
from haetae.errors import UsageError
from haetae.provenance.ids import seed_of

if TYPE_CHECKING:
    from torch import Tensor

    from generators.diffusion.network import Denoiser
    from generators.diffusion.training import Batch

ANY = "any"
Shown = Mapping[str, tuple[NDArray[np.uint8], NDArray[np.float32]]]


class RegionInpaint(FromLesson["Denoiser"]):
    """Inpainting of one part of the first face, by a small diffusion model of the lake's own faces."""

    card = Card(
        name="region_inpaint",
        version="1",
        family="diffusion",
        modalities=("video",),
        needs=("face",),
        learns=True,
        params={"region": ANY, "strength": 0.35, "steps": 5, "steady_frames": 1.0, "shared_noise": True},
        description=(
            "Fills eyes, mouth, nose or half of the face, chosen for each clip, with what a small diffusion model that"
            " the pipeline trained on its own faces thinks fits to the rest, from the same noise in all frames. The"
            " light and shading are those of the target. The masks are the part that was filled."
        ),
        intended_use="Training and testing detectors and localisers of local edits with diffusion models.",
        paper="Lugmayr et al., RePaint: Inpainting using Denoising Diffusion Probabilistic Models, CVPR 2022",
    )

    def learn(self, faces: FaceSet, lesson: Lesson) -> Learned:
        """Train the network on all parts of faces, and look at what it fills into those that it was not shown.

        Metrics: held_loss_before, held_loss_after (inside the masks), and those of `judged.looks_of` for whole faces
        with one half made anew. Raises: UsageError for fewer than 16 crops, or an effort that teaches nothing.
        """
        from generators.diffusion.network import small, to_file
        from generators.diffusion.training import Recipe, apart, trained

        learned_from, held = apart(faces, lesson.seed, self.card.key)
        plan, recipe = small(self.card.name, masked=True), Recipe()
        shown = {
            name: to_learn_from(faces.crops, faces.meshes, area, plan.size_px) for name, area in AREAS.items()
        }
        done = trained(
            plan,
            recipe,
            lesson,
            lambda rng: _drawn(shown, learned_from, recipe.batch, rng),
            _held(shown, held),
        )
        return Learned(
            to_file(done.network),
            done.curve,
            done.as_metrics() | self._looks(done.network, shown, learned_from, held, lesson.seed),
        )

    def _looks(
        self,
        network: Denoiser,
        shown: Shown,
        learned_from: NDArray[np.int64],
        held: NDArray[np.int64],
        seed: int,
    ) -> dict[str, float]:
        from generators.diffusion.judged import evenly, looks_of
        from generators.diffusion.sdedit import remade

        crops, masks = shown["left_half"]
        at = evenly(held)
        s = self.card.params
        made = remade(network, crops[at], float(s["strength"]), int(s["steps"]), seed, masks[at])
        return looks_of(np.rint(made).astype(np.uint8), crops[at], crops[learned_from])

    def read(self, weights: Path, device: str) -> Denoiser:
        """Raises: UsageError for a file of another network."""
        from generators.diffusion.network import from_file

        return from_file(weights, self.card.name, device)

    def generate(self, request: FakeRequest) -> FakeResult:
        """Fill one part of the first face in every frame in which it is followed.

        Raises: Rejected no_face, face_lost, face_too_small, nothing_changed; UsageError for a region that there is not,
        or parameters that the network was not made for.
        """
        s = settings(self.card, request)
        seed = seed_of(self.card.name, request.seed)
        name = region_of(str(s["region"]), seed)
        how = How(
            AREAS[name],
            float(s["strength"]),
            int(s["steps"]),
            float(s["steady_frames"]),
            True,
            bool(s["shared_noise"]),
        )
        result = repaint(self.card, request, self.network, how, seed)
        result.metrics["region"] = float(list(AREAS).index(name))
        return result


def region_of(wanted: str, seed: int) -> str:
    """The region of a fake: the one that is wanted, or one drawn by the seed. Raises: UsageError for another name."""
    if wanted == ANY:
        return list(AREAS)[seed % len(AREAS)]
    if wanted not in AREAS:
        raise UsageError(f"region_inpaint: region must be {ANY} or one of {', '.join(AREAS)}, not {wanted!r}")
    return wanted


def _drawn(shown: Shown, learned_from: NDArray[np.int64], n: int, rng: np.random.Generator) -> Batch:
    """A batch of any parts, mirrored or not, their masks now and then grown by a pixel or two, or the whole view."""
    from scipy.ndimage import maximum_filter

    from generators.diffusion.training import Batch, pictures

    names = [list(shown)[int(k)] for k in rng.integers(0, len(shown), n)]
    at = rng.choice(learned_from, n)
    crops = relit(np.stack([shown[name][0][k] for name, k in zip(names, at, strict=True)]), rng)
    masks = np.stack([shown[name][1][k] for name, k in zip(names, at, strict=True)])
    masks = np.stack([maximum_filter(mask, int(rng.choice((1, 1, 3, 5)))) for mask in masks])
    # A part is small, and a step on it teaches little: half of the views are made anew as a whole.
    masks[rng.random(n) < 0.5] = 1.0
    crops, masks = mirrored(rng.random(n) < 0.5, crops, masks)
    return Batch(pictures(crops), _as_mask(masks))


def _held(shown: Shown, held: NDArray[np.int64]) -> Batch:
    """What is held back, each part in turn."""
    from generators.diffusion.training import Batch, pictures

    names = [list(shown)[k % len(shown)] for k in range(len(held))]
    crops = np.stack([shown[name][0][n] for name, n in zip(names, held, strict=True)])
    masks = np.stack([shown[name][1][n] for name, n in zip(names, held, strict=True)])
    return Batch(pictures(crops), _as_mask(masks))


def _as_mask(masks: NDArray[np.float32]) -> Tensor:
    import torch

    return torch.from_numpy(masks)[:, None].float()
