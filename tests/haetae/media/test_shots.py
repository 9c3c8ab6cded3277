"""Where files are cut: shots, and quiet places in long ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haetae.errors import Rejected
from haetae.media.shots import HOP_S, Span, find_shots, plan_clips, split

H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac")


def test_hard_cuts_are_found_to_the_frame(film):
    shots = find_shots(film("three.mp4", 25, (4.0, 3.2, 5.0), *H264), threshold=15)
    assert [(round(s.start_s, 3), round(s.end_s, 3)) for s in shots] == [(0, 4), (4, 7.2), (7.2, 12.2)]


def test_one_shot_with_motion_is_not_cut(film):
    assert len(find_shots(film("one.mp4", 25, (8.0,), *H264), threshold=15)) == 1


def test_cuts_in_a_variable_rate_film_are_at_their_real_times(film, tmp_path):
    from tests.haetae.media.broken import ffmpeg

    source = film("three.mp4", 25, (4.0, 3.2, 5.0), *H264)
    vfr = tmp_path / "vfr.mp4"
    drop = "select='if(lt(t,4),1,not(mod(n,3)))'"
    ffmpeg("-i", str(source), "-vf", drop, "-fps_mode", "vfr", "-c:v", "libx264", str(vfr))
    shots = find_shots(vfr, threshold=15)
    assert [round(s.start_s, 2) for s in shots] == pytest.approx([0, 4.0, 7.2], abs=0.12)


def plan(lengths: list[float], **changes: float) -> list[tuple[float, float]]:
    ends = np.cumsum(lengths)
    shots = [Span(float(e - n), float(e)) for e, n in zip(ends, lengths, strict=True)]
    limits = {"min_s": 3.0, "max_s": 10.0, "min_media_s": 1.0} | changes
    return [(round(s.start_s, 2), round(s.end_s, 2)) for s in plan_clips(shots, None, **limits)]


def test_short_shots_of_a_longer_file_are_left_out():
    assert plan([4.0, 1.0, 5.0]) == [(0, 4), (5, 10)]


def test_a_long_shot_is_cut_into_even_parts_without_a_short_tail():
    assert plan([11.0]) == [(0, 5.5), (5.5, 11)]
    assert plan([10.0]) == [(0, 10)]


def test_a_file_below_the_shortest_clip_is_kept_whole():
    assert plan([2.0]) == [(0, 2)]
    assert plan([0.5, 1.5]) == [(0.5, 2)]


def test_a_file_without_a_usable_shot_is_rejected_with_its_shots():
    with pytest.raises(Rejected, match=r"no_usable_shot.*0.00-2.00, 2.00-4.50"):
        plan([2.0, 2.5])
    with pytest.raises(Rejected, match="too_short"):
        plan([0.7])


def test_long_shots_are_cut_where_it_is_quiet():
    level = np.full(round(14 / HOP_S), -20.0, np.float32)
    level[round(5.0 / HOP_S) : round(5.4 / HOP_S)] = -60.0
    first, second = split(Span(0.0, 14.0), level, 3.0, 10.0)
    assert first.end_s == second.start_s == pytest.approx(5.2, abs=0.11)


@given(
    start_s=st.floats(0, 100),
    length_s=st.floats(0.1, 400),
    min_s=st.floats(0.5, 5),
    room=st.floats(2.0, 6.0),
    quiet=st.integers(0, 2**31),
    with_level=st.booleans(),
)
def test_pieces_cover_a_stretch_and_keep_both_limits(start_s, length_s, min_s, room, quiet, with_level):
    span = Span(start_s, start_s + length_s)
    max_s = min_s * room
    level = None
    if with_level:
        level = np.random.default_rng(quiet).uniform(-80, 0, round(span.end_s / HOP_S)).astype(np.float32)
    pieces = split(span, level, min_s, max_s)
    assert pieces[0].start_s == span.start_s
    assert pieces[-1].end_s == span.end_s
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(pieces))
    assert all(piece.length_s <= max_s + 1e-5 for piece in pieces)
    if len(pieces) > 1:
        assert all(piece.length_s >= min_s - 1e-5 for piece in pieces)
