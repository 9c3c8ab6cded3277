"""What the hashes keep and what they forget."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.duplicates import make_film, make_tune
from haetae.fingerprints.pictures import hash_pictures, mirrored, small_luma
from haetae.fingerprints.sounds import STEP_S, hash_sound, shifted


def differing(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.mean(np.unpackbits(one, axis=1) != np.unpackbits(other, axis=1)))


def hashed(*pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return hash_pictures(np.stack([small_luma(picture) for picture in pictures]))[0]


def test_a_picture_hash_survives_scaling_gain_and_blur_of_a_real_portrait(
    portrait: NDArray[np.uint8],
) -> None:
    small = cv2.resize(portrait, (140, 90), interpolation=cv2.INTER_AREA)
    darker = (portrait * 0.6 + 10).astype(np.uint8)
    soft = cv2.GaussianBlur(portrait, (0, 0), 3)
    for changed in (small, darker, soft):
        assert differing(hashed(portrait), hashed(changed)) < 0.06


def test_a_logo_changes_only_the_bits_near_it(portrait: NDArray[np.uint8]) -> None:
    marked = portrait.copy()
    marked[20:80, 380:500] = 255
    changed = np.unpackbits(hashed(portrait)) != np.unpackbits(hashed(marked))
    across = changed[:128].reshape(8, 16)
    assert 0 < changed.mean() < 0.12
    assert across[4:, :8].mean() < 0.05


def test_the_mirrored_hash_is_the_hash_of_the_mirrored_picture(portrait: NDArray[np.uint8]) -> None:
    assert differing(mirrored(hashed(portrait)), hashed(portrait[:, ::-1])) < 0.01
    assert differing(hashed(portrait), hashed(portrait[:, ::-1])) > 0.25


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=25, deadline=None)
def test_mirroring_twice_changes_nothing(code: bytes) -> None:
    one = np.frombuffer(code, np.uint8)[None, :]
    assert np.array_equal(mirrored(mirrored(one)), one)


def test_different_pictures_differ_in_about_half_their_bits() -> None:
    stills = hashed(*[make_film(seed, 1)[0] for seed in range(30)])
    apart = [differing(stills[i : i + 1], stills[j : j + 1]) for i in range(30) for j in range(i)]
    assert 0.4 < np.median(apart) < 0.6
    assert min(apart) > 0.25


def test_a_blank_picture_has_no_quality_and_a_portrait_has_much(portrait: NDArray[np.uint8]) -> None:
    blank = np.full((64, 64), 16, np.uint8)
    noisy = blank + np.random.default_rng(0).integers(0, 3, (64, 64)).astype(np.uint8)
    quality = hash_pictures(np.stack([blank, noisy, small_luma(portrait)]))[1]
    assert quality[0] == 0
    assert quality[1] < 20
    assert quality[2] > 90


def test_a_sound_hash_does_not_depend_on_gain_or_tone() -> None:
    tune = make_tune(1, 4.0)
    plain = hash_sound(tune)
    quieter = hash_sound(tune * 0.05)
    duller = hash_sound(np.convolve(tune, [0.5, 0.35, 0.15])[: len(tune)].astype(np.float32))
    for other in (quieter, duller):
        assert np.bitwise_count(plain ^ other).mean() / 32 < 0.05


def test_there_is_one_sound_hash_for_each_32_ms_and_none_for_a_blip() -> None:
    assert len(hash_sound(make_tune(1, 4.0))) == pytest.approx((4.0 - 0.576) / STEP_S, abs=1)
    assert len(hash_sound(make_tune(1, 0.5))) == 0


def test_silence_hashes_to_zero_and_speech_level_sound_never_does() -> None:
    tune = make_tune(2, 3.0)
    silent = np.zeros(3 * 16_000, np.float32)
    hashes = hash_sound(np.concatenate([tune, silent, tune]))
    middle = hashes[len(hashes) // 2 - 15 : len(hashes) // 2 + 15]
    assert not middle.any()
    assert hashes[:60].all() and hashes[-60:].all()
    assert not hash_sound(silent).any()


def test_a_very_quiet_recording_is_heard() -> None:
    """Real speech at -60 dB full scale is among the development media."""
    assert hash_sound(make_tune(3, 3.0) * 0.005).all()


def test_sound_a_band_higher_is_a_shift_of_the_hash() -> None:
    tune = make_tune(4, 4.0)
    ratio = (3400 / 250) ** (1 / 33)
    # Played faster by one band: the hash one band up, at times that run faster.
    faster = np.interp(np.arange(0, len(tune), ratio), np.arange(len(tune)), tune).astype(np.float32)
    low, high = hash_sound(tune), hash_sound(faster)
    at = np.round(np.arange(len(high)) * ratio).astype(int)
    at, high = at[at < len(low)], high[: (at < len(low)).sum()]
    unshifted = np.bitwise_count(low[at] ^ high).mean() / 32
    moved = min(np.bitwise_count(shifted(low, bands)[at] ^ high).mean() / 32 for bands in (1, -1))
    assert moved < 0.3 < unshifted
