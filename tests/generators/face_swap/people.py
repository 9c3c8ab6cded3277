"""Synthetic people as faces to learn from, and sizes at which a lesson takes seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from generators.face_swap.simswap.network import Sizes
from generators.face_swap.simswap.training import Recipe
from generators.protocol import ClipView, FaceSet
from haetae.faces.warp import align_crop

SMALL = Sizes(crop_px=48, channels=12, blocks=2, halvings=2, id_values=32, id_channels=12)
QUICK = Recipe(identity_steps=40, identity_batch=24, steps=60, batch=8, discriminator_channels=8)


def face_set(*clips: ClipView, every: int = 2, size_px: int = 64) -> FaceSet:
    """Crops of the first face of each clip, a person and a track for each."""
    crops, meshes, person, frame = [], [], [], []
    for who, clip in enumerate(clips):
        assert clip.frames is not None
        for t in range(0, len(clip.frames), every):
            crop, matrix = align_crop(clip.frames[t], clip.faces[0].mesh[t], size_px)
            crops.append(crop)
            meshes.append(clip.faces[0].mesh[t, :, :2] @ matrix[:, :2].T + matrix[:, 2])
            person.append(who)
            frame.append(t)
    who_is = np.array(person, np.int64)
    return FaceSet(
        np.stack(crops), np.stack(meshes).astype(np.float32), who_is, who_is, np.array(frame, np.int64)
    )


def shortened(clip: ClipView, n: int) -> ClipView:
    """The first n frames."""
    assert clip.frames is not None
    face = clip.faces[0]
    return replace(
        clip, frames=clip.frames[:n], faces=(replace(face, mesh=face.mesh[:n], found=face.found[:n]),)
    )
