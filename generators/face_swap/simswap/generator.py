"""`simswap`: the identity of a donor given to a face by a network that was trained on faces of the lake.

The networks and their lesson are in the modules beside this one, which are imported when they are needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from generators.followed import follow
from generators.from_lesson import FromLesson
from generators.protocol import Card, FaceSet, FakeRequest, FakeResult, Learned, Lesson, settings
from generators.segments import changed_frames, video_segments
from haetae.errors import Rejected, UsageError

if TYPE_CHECKING:
    from generators.face_swap.simswap.network import Sizes
    from generators.face_swap.simswap.swapping import Swapper
    from generators.face_swap.simswap.training import Recipe

MIN_CHANGE = 0.3
"""Levels of 255 that a swap must change the crops by; less is a real face with a fake label."""


class SimSwap(FromLesson["Swapper"]):
    """Neural face swap by identity injection; learns before its first fake.

    sizes, recipe: of the networks and the lesson; None: what fits the lesson's device, see `plan`.
    """

    card = Card(
        name="simswap",
        version="1",
        family="face_swap",
        modalities=("video",),
        needs=("face", "donor_face"),
        profile="full",
        learns=True,
        params={
            "detail": 1.0,
            "erode": 0.03,
            "feather": 0.10,
            "keep_colour": 1.0,
            "chroma": 0.5,
            "steadiness": 0.3,
        },
        description=(
            "Encodes the face, gives its features the identity of the donor (adaptive instance normalisation) and"
            " decodes it, with the target's pose, expression and light. The network is trained by the pipeline on"
            " its own tracks; identity is one vector for each clip."
        ),
        intended_use="Training and testing detectors of neural face swaps.",
        paper="Chen et al., SimSwap: An Efficient Framework For High Fidelity Face Swapping, ACM MM 2020",
    )

    def __init__(self, sizes: Sizes | None = None, recipe: Recipe | None = None) -> None:
        super().__init__()
        self._sizes, self._recipe = sizes, recipe

    def learn(self, faces: FaceSet, lesson: Lesson) -> Learned:
        """Train on faces of at least two people: identity encoder, then generator.

        metrics: see `evidence.measured`, on held-back faces. Raises: UsageError for faces that are too few, or
        a lesson that came to no numbers.
        """
        from generators.face_swap.simswap.evidence import measured
        from generators.face_swap.simswap.material import Material
        from generators.face_swap.simswap.swapping import pack
        from generators.face_swap.simswap.training import plan, train
        from generators.repeatable import repeatable

        sizes, recipe = plan(lesson.device)
        sizes, recipe = self._sizes or sizes, self._recipe or recipe
        sizes.check()
        with repeatable(lesson.seed, lesson.device):
            material = Material.of(faces, sizes.crop_px, lesson.device)
            result = train(material, sizes, recipe, lesson)
            metrics = measured(material, result)
        if not np.isfinite(list(metrics.values())).all():
            raise UsageError(
                "simswap: the lesson came to values that are no numbers; try another seed, or a recipe with a"
                " smaller learning_rate"
            )
        return Learned(pack(result.generator, result.encoder, sizes), result.curve, metrics)

    def read(self, weights: Path, device: str) -> Swapper:
        """Raises: UsageError for a file that is not one of `simswap`."""
        from generators.face_swap.simswap.swapping import Swapper

        return Swapper.read(weights, device)

    def generate(self, request: FakeRequest) -> FakeResult:
        """Swap the first face in every frame in which it is followed.

        Raises: Rejected no_donor, no_face, face_lost, face_too_small, nothing_changed; UsageError for a parameter
        out of its range; RuntimeError before `load`.
        """
        swapper = self.network
        if request.donor is None:
            raise Rejected("no_donor", f"{self.card.key} needs a donor face")
        from generators.face_swap.simswap.swapping import Manner

        manner = Manner(**_shares(self.card, request))
        target, donor = follow(request.target), follow(request.donor, "donor")
        frames, masks, metrics = swapper.swap(target, donor, manner)
        changed = changed_frames(target.frames, frames)
        if not changed.any() or metrics["mean_change"] < MIN_CHANGE:
            raise Rejected("nothing_changed", "the network gives back the target's own face")
        masks[~changed] = False
        return FakeResult(
            segments=video_segments(changed),
            frames=frames,
            masks=masks,
            track_id=target.track_id,
            metrics=metrics,
        )


def _shares(card: Card, request: FakeRequest) -> dict[str, float]:
    """The parameters, each a share. Raises: UsageError for one that is none."""
    most = {"erode": 0.3, "feather": 0.5, "steadiness": 0.95}
    shares = {name: float(value) for name, value in settings(card, request).items()}
    for name, value in shares.items():
        if not 0 <= value <= most.get(name, 1.0):
            raise UsageError(
                f"{card.key}: parameter {name!r} must lie in 0 to {most.get(name, 1.0):g}, not {value!r}"
            )
    return shares
