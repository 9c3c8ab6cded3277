"""Putting a face into a picture."""

from __future__ import annotations

import numpy as np
import pytest

from haetae.faces import blend, regions


@pytest.fixture
def mask(portrait, portrait_mesh):
    return regions.face_mask(portrait_mesh, portrait.shape[:2])


def _tinted(img: np.ndarray) -> np.ndarray:
    return np.clip(img * np.array([0.6, 0.75, 0.95]) + [10, 0, 15], 0, 255).astype(np.uint8)


def test_colour_transfer_gives_the_mean_and_spread_of_the_target_inside_the_mask(portrait, mask):
    target = _tinted(portrait)
    out = blend.colour_transfer(portrait, target, mask)
    wanted, got, before = (blend.lab_stats(img, mask) for img in (target, out, portrait))
    assert np.abs(before.mean - wanted.mean).max() > 8
    assert np.abs(got.mean - wanted.mean).max() < 0.6
    assert np.abs(got.std - wanted.std).max() < 0.6
    assert (out[mask == 0] == portrait[mask == 0]).all()


def test_given_statistics_replace_the_measured_ones(portrait, mask):
    target = _tinted(portrait)
    here, there = blend.lab_stats(portrait, mask), blend.lab_stats(target, mask)
    half = here.towards(there, 0.5)
    got = blend.lab_stats(blend.colour_transfer(portrait, target, mask, stats=(here, half)), mask)
    assert np.abs(got.mean - (here.mean + there.mean) / 2).max() < 0.6


def test_lab_statistics_are_those_of_known_colours():
    grey = np.full((20, 20, 3), 119, np.uint8)
    stats = blend.lab_stats(grey, np.ones((20, 20), bool))
    assert stats.mean == pytest.approx([50.0, 0, 0], abs=0.5)
    assert stats.std == pytest.approx([0, 0, 0], abs=1e-3)
    with pytest.raises(ValueError, match="empty"):
        blend.lab_stats(grey, np.zeros((20, 20), bool))


def test_seamless_leaves_everything_outside_the_mask_bit_equal(portrait, mask):
    source = _tinted(np.roll(portrait, 3, axis=1))
    out = blend.seamless(source, portrait, mask)
    assert (out[mask == 0] == portrait[mask == 0]).all()
    changed = (out != portrait).any(axis=2)
    assert changed[mask > 0].mean() > 0.5


def test_seamless_takes_the_colour_of_its_edge_and_keeps_the_texture_of_the_source(portrait, mask):
    darker = (portrait * 0.7).astype(np.uint8)
    source = darker.copy()
    source[125:129, 210:240] = 250  # a stripe on the nose
    out = blend.seamless(source, portrait, mask)
    flat = mask > 0
    flat[110:145, 190:260] = False
    naive = np.abs(darker.astype(int) - portrait)[flat].mean()
    assert np.abs(out.astype(int) - portrait)[flat].mean() < 0.5 * naive
    assert out[126:128, 215:235].mean() - portrait[126:128, 215:235].mean() > 40


@pytest.mark.parametrize(("width", "height"), [(80, 61), (81, 60), (80, 60), (81, 61)])
def test_cloning_a_picture_into_itself_changes_nothing_for_odd_and_even_masks(portrait, width, height):
    mask = np.zeros(portrait.shape[:2], bool)
    mask[70 : 70 + height, 180 : 180 + width] = True
    out = blend.seamless(portrait, portrait, mask)
    assert np.abs(out.astype(int) - portrait).max() <= 2


@pytest.mark.parametrize("corner", [(0, 0), (0, 412), (412, 0), (412, 412)])
def test_seamless_works_where_the_mask_touches_the_border(portrait, corner):
    y, x = corner
    mask = np.zeros(portrait.shape[:2], bool)
    mask[y : y + 100, x : x + 100] = True
    brighter = np.clip(portrait.astype(int) + 30, 0, 255).astype(np.uint8)
    out = blend.seamless(brighter, portrait, mask)
    assert (out[~mask] == portrait[~mask]).all()
    assert np.abs(out.astype(int) - portrait).mean(where=mask[..., None]) < 32


@pytest.mark.parametrize("side", [0, 1, 2, 5, 7])
def test_tiny_masks_do_not_break_seamless(portrait, side):
    mask = np.zeros(portrait.shape[:2], bool)
    mask[100 : 100 + side, 200 : 200 + side] = True
    out = blend.seamless(255 - portrait, portrait, mask)
    assert (out[~mask] == portrait[~mask]).all()
    assert (out != portrait).any() == (side > 0)


def test_a_mask_over_the_whole_picture_is_cloned_too(portrait):
    out = blend.seamless(portrait, portrait, np.ones(portrait.shape[:2], bool))
    assert np.abs(out.astype(int) - portrait).max() <= 2


def test_alpha_blend_is_exact_at_both_ends_and_rounds_between(portrait):
    other = 255 - portrait
    mask = np.zeros(portrait.shape[:2], np.float32)
    mask[100:200], mask[200:300] = 0.25, 1.0
    out = blend.alpha_blend(other, portrait, mask)
    assert (out[:100] == portrait[:100]).all()
    assert (out[200:300] == other[200:300]).all()
    mixed = 0.25 * other[100:200] + 0.75 * portrait[100:200].astype(float)
    assert np.abs(out[100:200] - mixed).max() <= 0.5 + 1e-3


def test_masks_may_be_bool_or_uint8(portrait, mask):
    source = _tinted(portrait)
    as_float = blend.alpha_blend(source, portrait, mask)
    assert (blend.alpha_blend(source, portrait, mask > 0) == as_float).all()
    assert (blend.alpha_blend(source, portrait, (mask * 255).astype(np.uint8)) == as_float).all()
    assert (blend.seamless(source, portrait, mask > 0) == blend.seamless(source, portrait, mask)).all()


def test_blending_is_deterministic(portrait, mask):
    source = _tinted(np.roll(portrait, 3, axis=1))
    assert (
        blend.seamless(source, portrait, mask).tobytes() == blend.seamless(source, portrait, mask).tobytes()
    )
