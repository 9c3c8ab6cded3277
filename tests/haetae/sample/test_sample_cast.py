"""The actors are different people: in form, colour and voice."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from haetae.faces.regions import mouth_openness
from haetae.sample.cast import cast, look_of
from haetae.sample.motion import Performance
from haetae.sample.puppet import Placing, Puppet
from haetae.sample.shape import shaped
from haetae.sample.sheet import load_sheet
from tests.haetae.sample.rendering import shape_distance


def _still(n_frames: int = 1, **curves: float) -> Performance:
    names = ["yaw", "pitch", "roll", "sway_x", "sway_y", "jaw", "wide", "round", "smile", "brows", "blink"]
    return Performance(**{name: np.full(n_frames, curves.get(name, 0.0)) for name in names})


def _drawn(puppet: Puppet, play: Performance) -> np.ndarray:
    frame = np.full((256, 256, 3), 120, np.float32)
    puppet.draw(frame, play, 0, Placing(128, 256))
    return frame


def test_there_are_three_actors_per_language_with_voices_of_their_own() -> None:
    actors = cast(0)
    for language in ("ko", "en-SG", "ms", "ta"):
        here = [look for look in actors if look.language == language]
        assert len(here) == 3
        assert len({look.voice.variant for look in here}) == 3
        assert min(abs(a.voice.pitch - b.voice.pitch) for a, b in combinations(here, 2)) >= 4
    assert len({look.identity for look in actors}) == 12
    assert all(set(look.identity).isdisjoint("_+/") for look in actors)


def test_every_two_actors_differ_in_the_form_of_their_faces() -> None:
    faces = {look.identity: shaped(load_sheet(False), look.shape) for look in cast(0)}
    nearest = min((shape_distance(faces[a], faces[b]), a, b) for a, b in combinations(faces, 2))
    assert nearest[0] > 0.008, nearest


def test_a_seed_gives_the_same_actors_again_and_another_seed_gives_others() -> None:
    assert cast(3) == cast(3)
    assert all(a != b for a, b in zip(cast(0), cast(1), strict=True))


def test_a_name_that_is_not_in_the_cast_is_an_error() -> None:
    with pytest.raises(KeyError):
        look_of("nobody")


@pytest.fixture(scope="module")
def puppet() -> Puppet:
    return Puppet(look_of("hakim"))


def test_the_basis_movements_do_to_the_face_what_their_names_say(puppet: Puppet) -> None:
    def points(**curves: float) -> np.ndarray:
        return puppet.points(_still(**curves), 0, Placing(256, 512))

    rest = points()
    openness = [float(mouth_openness(points(jaw=jaw)[:468])) for jaw in (0.0, 0.25, 0.5)]
    assert openness[0] < 0.03
    assert openness[0] < openness[1] < openness[2]
    width = [float(np.linalg.norm(p[61] - p[291])) for p in (points(round=0.8), rest, points(wide=0.8))]
    assert width[0] < width[1] < width[2]
    lids = points(blink=1.0)[[386, 374], 1]
    assert lids[1] - lids[0] < 0.15 * (rest[374, 1] - rest[386, 1])
    assert points(yaw=8.0)[4, 0] > rest[4, 0] + 2
    assert points(pitch=5.0)[4, 1] < rest[4, 1] - 2


def test_a_movement_of_the_mouth_leaves_everything_above_the_eyes_alone(puppet: Puppet) -> None:
    shut, wide_open = _drawn(puppet, _still()), _drawn(puppet, _still(jaw=0.5))
    changed = np.abs(shut - wide_open).max(axis=2)
    assert changed[150:185, 100:156].max() > 40
    assert changed[:100].max() < 2  # the eyes are at 102


def test_no_triangle_of_the_painted_sheet_turns_over_when_the_head_does(puppet: Puppet) -> None:
    def areas(**curves: float) -> np.ndarray:
        a, b, c = np.moveaxis(
            puppet.points(_still(**curves), 0, Placing(256, 512))[puppet.triangles, :2], 1, 0
        )
        return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])

    sign = np.sign(np.median(areas()))
    for pose in ({"yaw": 9.0}, {"yaw": -9.0}, {"pitch": 5.0, "jaw": 0.6}, {"pitch": -5.0}):
        area = sign * areas(**pose)
        assert area[area < 0].sum() > -0.004 * area.sum(), pose
