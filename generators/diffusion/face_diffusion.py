"""`face_diffusion`: the whole face noised and denoised by a network that learned faces of the lake.

How that is done in a clip is `repaint`; the network and its training are `network` and `training`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from generators.diffusion.repaint import (
    How,
    mirrored,
    relit,
    repaint,
    shaken,
    to_learn_from,
)
from generators.diffusion.views import FACE
from generators.from_lesson import FromLesson
from generators.protocol import Card, FaceSet, FakeRequest, FakeResult, Learned, Lesson, settings
from haetae.provenance.ids import seed_of

if TYPE_CHECKING:
    from generators.diffusion.network import Denoiser


class FaceDiffusion(FromLesson["Denoiser"]):
    """SDEdit of the first face, by a small diffusion model of the lake's own faces."""

    card = Card(
        name="face_diffusion",
        version="1",
        family="diffusion",
        modalities=("video",),
        needs=("face",),
        learns=True,
        params={
            "min_strength": 0.2,
            "max_strength": 0.35,
            "steps": 4,
            "steady_frames": 1.0,
            "shared_noise": True,
        },
        description=(
            "Noises the aligned face to a strength drawn for each clip, with the same noise in all frames, and"
            " denoises it with a small diffusion model that the pipeline trained on its own faces; light, shading and,"
            " where the structure was kept, fine detail are those of the target."
        ),
        intended_use="Training and testing detectors of faces that were edited with diffusion models.",
        paper="Meng et al., SDEdit: Guided Image Synthesis with Stochastic Differential Equations, ICLR 2022",
    )

    def learn(self, faces: FaceSet, lesson: Lesson) -> Learned:
        """Train the network on faces, and look at what it makes of those that it was not shown.

        Metrics: held_loss_before, held_loss_after, and those of `judged.looks_of`.
        Raises: UsageError for fewer than 16 crops, or an effort that teaches nothing.
        """
        from generators.diffusion.judged import evenly, looks_of
        from generators.diffusion.network import small, to_file
        from generators.diffusion.sdedit import remade
        from generators.diffusion.training import Batch, Recipe, apart, pictures, trained

        shown, held = apart(faces, lesson.seed, self.card.key)
        plan, recipe = small(self.card.name), Recipe()
        crops, _ = to_learn_from(faces.crops, faces.meshes, FACE, plan.size_px)

        def draw(rng: np.random.Generator) -> Batch:
            chosen = relit(shaken(crops[rng.choice(shown, recipe.batch)], rng), rng)
            return Batch(pictures(mirrored(rng.random(recipe.batch) < 0.5, chosen)[0]))

        done = trained(plan, recipe, lesson, draw, Batch(pictures(crops[held])))
        looked = crops[evenly(held)]
        strength = (float(self.card.params["min_strength"]) + float(self.card.params["max_strength"])) / 2
        made = remade(done.network, looked, strength, int(self.card.params["steps"]), lesson.seed)
        return Learned(
            to_file(done.network),
            done.curve,
            done.as_metrics() | looks_of(np.rint(made).astype(np.uint8), looked, crops[shown]),
        )

    def read(self, weights: Path, device: str) -> Denoiser:
        """Raises: UsageError for a file of another network."""
        from generators.diffusion.network import from_file

        return from_file(weights, self.card.name, device)

    def generate(self, request: FakeRequest) -> FakeResult:
        """Make the first face anew in every frame in which it is followed.

        Raises: Rejected no_face, face_lost, face_too_small, nothing_changed; UsageError for parameters that the network
        was not made for.
        """
        s = settings(self.card, request)
        low, high = sorted((float(s["min_strength"]), float(s["max_strength"])))
        seed = seed_of(self.card.name, request.seed)
        strength = float(np.random.default_rng(seed).uniform(low, high))
        how = How(FACE, strength, int(s["steps"]), float(s["steady_frames"]), False, bool(s["shared_noise"]))
        return repaint(self.card, request, self.network, how, seed)
