"""Movement curves: sounds shape the mouth, lids close and open, heads stay within their limits."""

from __future__ import annotations

import numpy as np

from haetae.sample.motion import MAX_PITCH_DEG, MAX_YAW_DEG, blinks, perform, viseme
from haetae.voice.espeak import Phoneme, speak


def test_lips_close_for_m_open_for_a_and_round_for_u() -> None:
    assert viseme("m")[0] == 0.0
    assert viseme("ˈaː")[0] == 1.0
    assert viseme("uː")[2] > 0.5 > viseme("i")[2]


def test_a_closed_sound_between_open_ones_closes_the_mouth() -> None:
    rng = np.random.default_rng(0)
    audio = (0.2 * rng.standard_normal(32000)).astype(np.float32)
    sounds = [Phoneme("a", 0.2, 0.8), Phoneme("m", 0.8, 1.0), Phoneme("a", 1.0, 1.6)]
    jaw = perform(sounds, audio, 50, seed=1).jaw
    assert jaw[22] < 0.5 * jaw[12]
    assert jaw[22] < 0.5 * jaw[32]


def test_an_actor_without_a_line_keeps_the_mouth_shut() -> None:
    play = perform((), np.zeros(32000, np.float32), 50, seed=1)
    assert play.jaw.max() == 0
    assert play.round.max() == 0
    assert play.blink.max() == 1


def test_equal_seeds_move_equally_and_others_do_not() -> None:
    speech = speak("Selamat pagi, apa khabar?", "ms")
    curves = [perform(speech.phonemes, speech.audio, 60, seed=seed) for seed in (4, 4, 5)]
    assert np.array_equal(curves[0].yaw, curves[1].yaw)
    assert not np.allclose(curves[0].yaw, curves[2].yaw)
    assert np.array_equal(curves[0].jaw, curves[2].jaw)


def test_heads_turn_smoothly_and_within_limits() -> None:
    for seed in range(20):
        play = perform((), np.zeros(64000, np.float32), 100, seed=seed, rest_deg=(5.0, 1.0))
        assert np.abs(play.yaw).max() <= MAX_YAW_DEG
        assert np.abs(play.pitch).max() <= MAX_PITCH_DEG
        assert np.abs(np.diff(play.yaw)).max() < 2.0


def test_every_clip_of_a_second_or_more_has_a_blink_that_ends() -> None:
    for seed in range(30):
        curve = blinks(np.random.default_rng(seed), 25 + 5 * seed)
        assert curve.max() == 1.0
        assert (curve > 0.5).mean() < 0.3
