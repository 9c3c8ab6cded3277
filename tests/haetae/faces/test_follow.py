"""Following all faces through frames."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.crossings import against_truth, cross, head_of
from haetae.faces.detect import FaceDetector
from haetae.faces.follow import MAX_STRANGENESS, Follower, Track, assign
from haetae.media.frames import read_frames


@pytest.fixture(scope="module")
def follower() -> Follower:
    return Follower()


def test_two_moving_faces_are_two_tracks_from_first_to_last_frame(follower, two_heads):
    tracks = sorted(follower.follow(two_heads), key=lambda t: t.boxes[0, 0])
    assert [(t.first_frame, len(t.mesh), float(t.found.mean())) for t in tracks] == [(0, 30, 1.0)] * 2
    left, right = tracks
    assert left.mesh[-1, 4, 0] - left.mesh[0, 4, 0] == pytest.approx(87, abs=2)
    assert np.abs(right.mesh[:, 4, 0] - right.mesh[0, 4, 0]).max() < 3


def test_faces_that_pass_each_other_keep_their_tracks(follower, head):
    """One above the other, so that neither is hidden, crossing from left to right and right to left."""
    frames = np.full((40, 500, 640, 3), 120, np.uint8)
    small = head[10:200, 30:220]
    for t in range(40):
        frames[t, 20:210, 10 * t : 10 * t + 190] = small
        frames[t, 290:480, 430 - 10 * t : 620 - 10 * t] = small[:, ::-1]
    tracks = sorted(follower.follow(frames), key=lambda t: t.boxes[0, 0])
    assert [(t.first_frame, len(t.mesh)) for t in tracks] == [(0, 40)] * 2
    assert tracks[0].boxes[-1, 0] - tracks[0].boxes[0, 0] == pytest.approx(390, abs=4)
    assert tracks[1].boxes[-1, 0] - tracks[1].boxes[0, 0] == pytest.approx(-390, abs=4)


def test_a_face_that_appears_between_two_searches_is_followed_back_to_its_first_frame(follower, portrait):
    frames = np.stack([portrait if t >= 13 else np.zeros_like(portrait) for t in range(40)])
    (track,) = follower.follow(frames, every=10)
    assert (track.first_frame, len(track.mesh), track.found.all()) == (13, 27, True)


def test_a_face_lost_for_longer_than_the_gap_is_two_tracks_and_a_short_loss_is_one(follower, portrait):
    blank = np.zeros_like(portrait)
    short = [blank if 20 <= t < 28 else portrait for t in range(50)]
    (one,) = follower.follow(short, every=10, max_gap=12)
    assert (one.first_frame, len(one.mesh), int((~one.found).sum())) == (0, 50, 8)
    assert np.isfinite(one.mesh).all()
    long = [blank if 20 <= t < 40 else portrait for t in range(60)]
    first, second = follower.follow(long, every=10, max_gap=12)
    assert (first.first_frame, len(first.mesh)) == (0, 20)
    assert (second.first_frame, len(second.mesh)) == (40, 20)


def test_no_frames_and_no_faces_are_no_tracks(follower):
    assert follower.follow([]) == []
    assert follower.follow(np.zeros((25, 120, 160, 3), np.uint8)) == []


def test_models_kept_from_an_earlier_shot_change_nothing(follower, two_heads, portrait):
    fresh = Follower().follow(two_heads[:15])
    follower.follow(np.stack([portrait] * 5))
    again = follower.follow(two_heads[:15])
    key = lambda t: t.boxes[0, 0]  # noqa: E731
    for a, b in zip(sorted(fresh, key=key), sorted(again, key=key), strict=True):
        assert a.mesh.tobytes() == b.mesh.tobytes()


def test_assignment_takes_the_least_total_not_the_first_best():
    # Greedy would give the first detection to the second track and leave the first track without one.
    costs = np.array([[0.4, 2.0], [0.3, 0.5]])
    assert assign(costs) == [(0, 0), (1, 1)]
    assert assign(np.zeros((2, 0))) == []
    assert assign(np.array([[MAX_STRANGENESS + 0.1]])) == []


@pytest.fixture(scope="module")
def people(head) -> dict[str, np.ndarray]:
    """Three heads [1, 320, 240, 3]: the portrait, its mirror image, and somebody with another skin."""
    (face,) = FaceDetector().detect_one(head)
    ada = head_of(head, face.box)
    tinted = np.clip(ada[:, ::-1] * np.array([0.55, 0.6, 0.75]) + [5, 10, 30], 0, 255).astype(np.uint8)
    return {"ada": ada[None], "twin": np.ascontiguousarray(ada[:, ::-1])[None], "bea": tinted[None]}


@pytest.mark.parametrize(
    ("front", "back", "px"), [("ada", "bea", 14), ("bea", "ada", 14), ("twin", "ada", 10)]
)
def test_two_people_who_pass_one_behind_the_other_do_not_swap(follower, people, front, back, px):
    frames, middles = cross(people[front], people[back], px)
    rows = [_as_row(t) for t in follower.follow(frames) if len(t.mesh) > 12]
    assert len(rows) == 2
    assert against_truth(rows, middles) == (0, 0)
    hidden = sum(int((~row["found"]).sum()) for row in rows)
    assert hidden > 3, "the one behind was out of sight, or this proves nothing"


def test_real_people_who_pass_one_behind_the_other_do_not_swap(follower, dev_media):
    heads = [_real_heads(dev_media / "video" / f"real_lp_{name}.mp4") for name in ("d18", "d19")]
    for front, back in (heads, heads[::-1]):
        frames, middles = cross(front, back, 12)
        rows = [_as_row(t) for t in follower.follow(frames) if len(t.mesh) > 12]
        assert against_truth(rows, middles) == (0, 0)


def test_a_face_that_walks_behind_a_pillar_comes_out_as_the_same_track(follower, head):
    frames = np.full((40, 260, 760, 3), 120, np.uint8)
    for t in range(40):
        frames[t, 10:250, 12 * t : 12 * t + 240] = head
    frames[:, :, 340:490] = (60, 70, 80)
    (track,) = follower.follow(frames)
    assert (track.first_frame, len(track.mesh)) == (0, 40)
    assert 3 < int((~track.found).sum()) <= 12
    off = np.abs(track.mesh[:, 4, 0] - 12 * np.arange(40) - (track.mesh[0, 4, 0]))
    assert np.median(off) < 3
    assert off[track.found].max() < 92 / 6, "half of the face is hidden there"
    gone = np.flatnonzero(~track.found)
    assert 12 * (gone[-1] - gone[0]) > 40, "it came back somewhere else than where it vanished"


def test_another_person_in_the_place_of_one_who_left_is_another_track(follower, people):
    ada, bea = (np.pad(people[name][0], ((20, 20), (120, 120), (0, 0))) for name in ("ada", "bea"))
    blank = np.zeros_like(ada)
    frames = [ada] * 20 + [blank] * 6 + [bea] * 20
    first, second = sorted(follower.follow(frames), key=lambda t: t.first_frame)
    assert (first.first_frame, len(first.mesh)) == (0, 20)
    assert second.first_frame == 26


def _as_row(track: Track) -> dict:
    row = {"first_frame": track.first_frame, "last_frame": track.first_frame + len(track.mesh) - 1}
    return {**row, "boxes": track.boxes.tolist(), "found": track.found}


def _real_heads(path) -> np.ndarray:
    frames = read_frames(path, last=39)
    (face,) = FaceDetector().detect_one(frames[0])
    return np.stack([head_of(frame, face.box) for frame in frames])
