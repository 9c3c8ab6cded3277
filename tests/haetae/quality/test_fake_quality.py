"""Each figure of a fake's quality moves the way its name says, and is None where it cannot be measured."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from haetae.faces.mesh import mesh_of_image
from haetae.quality.fakes import (
    FakeQuality,
    Seen,
    likeness,
    picture_quality,
    sound_quality,
    sync_quality,
    together,
)
from haetae.voice.envelope import speech_envelope
from haetae.voice.espeak import speak

T, SIDE = 6, 64


@pytest.fixture
def film() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Soft noise that stands still, and a round mask in its middle."""
    noise = np.random.default_rng(0).normal(128, 20, (SIDE, SIDE)).astype(np.float32)
    still = np.clip(cv2.GaussianBlur(noise, (0, 0), 3), 0, 255).astype(np.uint8)
    frames = np.repeat(np.repeat(still[None, :, :, None], 3, axis=3), T, axis=0)
    mask = cv2.circle(np.zeros((SIDE, SIDE), np.uint8), (32, 32), 16, 1, -1).astype(bool)
    return frames, np.repeat(mask[None], T, axis=0)


def test_flicker_is_what_changes_from_frame_to_frame_inside_the_mask(film: Any) -> None:
    before, masks = film
    steady, blinking, outside = before.copy(), before.copy(), before.copy()
    steady[masks] += 9
    blinking[::2][masks[::2]] += 9
    outside[::2][~masks[::2]] += 9
    assert picture_quality(before, steady, masks).flicker == 0
    assert picture_quality(before, blinking, masks).flicker == pytest.approx(9, abs=0.2)
    assert picture_quality(before, outside, masks).flicker == 0


def test_motion_of_the_target_itself_is_no_flicker(film: Any) -> None:
    still, masks = film
    before = np.stack([np.roll(frame, t, axis=1) for t, frame in enumerate(still)])
    after = before.copy()
    after[masks] = np.clip(after[masks].astype(int) - 7, 0, 255)
    assert picture_quality(before, after, masks).flicker == pytest.approx(0, abs=0.05)


def test_a_hard_edge_is_a_larger_seam_than_a_feathered_one_and_a_blur_is_a_negative_one(film: Any) -> None:
    before, masks = film
    soft = cv2.GaussianBlur(masks[0].astype(np.float32), (0, 0), 4)[None, ..., None] * masks[..., None]
    hard, feathered = before.copy(), (before + 40 * soft).astype(np.uint8)
    hard[masks] += 40
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 6) for frame in before])
    seams = [picture_quality(before, one, masks).seam for one in (blurred, before, feathered, hard)]
    assert seams == sorted(seams)
    assert seams[0] < 0 == seams[1] < seams[2] < 0.75 * seams[3]


def test_the_frame_is_no_border_of_a_mask(film: Any) -> None:
    before, _ = film
    after = before.copy()
    after += 30
    assert picture_quality(before, after, np.ones(before.shape[:3], np.bool_)).seam is None


def test_without_two_neighbouring_masks_there_is_no_flicker(film: Any) -> None:
    before, masks = film
    masks = masks.copy()
    masks[1::2] = False
    assert picture_quality(before, before, masks).flicker is None
    assert picture_quality(before, before, np.zeros_like(masks)) == FakeQuality()


class MeanColour:
    """Tells people by the mean colour of their crops."""

    def embed(self, crops: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        colour = np.stack(crops).mean(axis=(0, 1, 2)) - 110
        return np.asarray(colour / np.linalg.norm(colour), np.float32)


def test_a_fake_is_like_whom_it_shows(portrait: NDArray[np.uint8]) -> None:
    lab = cv2.cvtColor(portrait, cv2.COLOR_RGB2LAB).astype(np.float32) + np.array([-30.0, 10.0, 12.0])
    other = cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)[:, ::-1]
    target, donor = (_seen(np.ascontiguousarray(one)) for one in (portrait, other))
    swapped = likeness(target, donor, donor, MeanColour())  # type: ignore[arg-type]
    untouched = likeness(target, target, donor, MeanColour())  # type: ignore[arg-type]
    assert swapped.identity_to_donor == pytest.approx(1)
    assert swapped.identity_to_target < 0.9
    assert untouched.identity_to_target == pytest.approx(1)
    assert untouched.identity_to_donor == pytest.approx(swapped.identity_to_target)
    assert likeness(target, donor, None, MeanColour()).identity_to_donor is None  # type: ignore[arg-type]
    assert likeness(target, donor, donor, None) == FakeQuality()


def _seen(picture: NDArray[np.uint8]) -> Seen:
    mesh = mesh_of_image(picture)
    assert mesh is not None
    return Seen(np.stack([picture] * T), np.stack([mesh] * T), np.ones(T, np.bool_))


def test_a_face_that_is_hardly_found_is_not_compared(portrait: NDArray[np.uint8]) -> None:
    seen = _seen(portrait)
    lost = Seen(seen.frames, seen.mesh, np.arange(T) == 0)
    assert likeness(seen, lost, seen, MeanColour()) == FakeQuality()  # type: ignore[arg-type]


@pytest.mark.parametrize("late_s", [0.0, 0.24])
def test_sound_that_comes_late_is_measured(portrait: NDArray[np.uint8], late_s: float) -> None:
    speech = speak("Selamat pagi semua, apa khabar hari ini, kawan-kawan?", "ms", rate_wpm=150).audio
    mesh = mesh_of_image(portrait)
    assert mesh is not None
    n = speech.size // 640
    envelope = speech_envelope(speech, 100.0)
    opened = np.interp(np.arange(n) / 25, np.arange(len(envelope)) / 100, envelope)
    meshes = np.repeat(mesh[None], n, axis=0)
    down = mesh[152] - mesh[10]
    lower = [87, 14, 317, 178, 402, 88, 318, 95, 324, 191, 415]
    meshes[:, lower] += (0.12 * opened / opened.max())[:, None, None] * down
    seen = Seen(np.zeros((n, 2, 2, 3), np.uint8), meshes, np.ones(n, np.bool_))
    pause = np.zeros(16_000, np.float32)
    audio = np.concatenate([pause, np.zeros(round(late_s * 16_000), np.float32), speech])
    measured = sync_quality(seen, 25, audio)
    assert measured.sync_offset_s == pytest.approx(late_s, abs=0.08)
    assert measured.sync_confidence > 0.35


def test_the_loudness_of_what_changed_is_compared_with_what_was_there() -> None:
    speech = speak("Apa khabar semua?", "ms").audio
    before = np.concatenate([speech, speech])
    after = before.copy()
    after[speech.size :] *= np.float32(0.5)
    span = (speech.size / 16_000, before.size / 16_000)
    louder = sound_quality(before, np.append(after, np.zeros(160, np.float32)), [span])
    assert louder.loudness_change_lu == pytest.approx(-6.02, abs=0.1)
    assert louder.duration_change_s == pytest.approx(0.01)
    assert sound_quality(before, after, [(0.0, 0.1)]).loudness_change_lu is None


def test_columns_are_rounded_and_parts_come_together() -> None:
    both = together(FakeQuality(flicker=1.23456), FakeQuality(seam=-0.5), FakeQuality())
    assert both.as_columns()["flicker"] == 1.2346
    assert both.as_columns() == {**FakeQuality().as_columns(), "flicker": 1.2346, "seam": -0.5}
