"""Faces to learn from that are drawn quickly: the actors' crops, once for all tests of the family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from generators.learning import Material, face_set
from generators.protocol import ClipView, FaceSet


@pytest.fixture(scope="session")
def faces(actor: ClipView, other_actor: ClipView) -> FaceSet:
    """Twelve crops of each of two people."""
    return face_set([actor, other_actor], Material(crop_px=96, crops_per_track=12))


@pytest.fixture(scope="session")
def short_actor(actor: ClipView) -> ClipView:
    """The first six frames of the actor."""
    face = actor.faces[0]
    assert actor.frames is not None
    return replace(
        actor, frames=actor.frames[:6], faces=(replace(face, mesh=face.mesh[:6], found=face.found[:6]),)
    )


@pytest.fixture(scope="session")
def two_actors(short_actor: ClipView, other_actor: ClipView) -> ClipView:
    """The actor, and beside them someone else who is to stay as they are."""
    assert short_actor.frames is not None
    assert other_actor.frames is not None
    other = other_actor.faces[0]
    mesh = other.mesh[:6].copy()
    mesh[..., 0] += short_actor.frames.shape[2]
    second = replace(other, mesh=mesh, found=other.found[:6])
    frames = np.concatenate([short_actor.frames, other_actor.frames[:6]], axis=2)
    return replace(short_actor, frames=frames, faces=(*short_actor.faces, second))
