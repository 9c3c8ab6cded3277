"""Following all faces through frames."""

from __future__ import annotations

import numpy as np
import pytest

from haetae.faces.follow import Follower, assign
from haetae.faces.regions import iou


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


def test_assignment_takes_the_best_total_not_the_first_best():
    boxes = [np.array(b, np.float32) for b in ([0, 0, 10, 10], [6, 0, 16, 10])]
    seen = [np.array(b, np.float32) for b in ([4, 0, 14, 10], [11, 0, 21, 10])]
    # Greedy would give the first detection to the second track and leave the first track without one.
    assert iou(boxes[1], seen[0]) > iou(boxes[0], seen[0])
    assert assign(boxes, seen) == [(0, 0), (1, 1)]
    assert assign(boxes, []) == []
    assert assign(boxes[:1], [np.array([90, 90, 99, 99], np.float32)]) == []


def test_every_real_video_has_the_faces_that_are_in_it(follower, dev_media):
    from itertools import islice

    from haetae.media.frames import iter_frames

    for path in sorted((dev_media / "video").glob("real_*.mp4")):
        tracks = follower.follow(islice(iter_frames(path), 25))
        assert len(tracks) == (2 if "_multi_" in path.name else 1), path.name
        assert all(len(t.mesh) == 25 and t.found.mean() > 0.95 for t in tracks), path.name
