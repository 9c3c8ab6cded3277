"""Preview pictures for the metadata of assets."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from haetae.web.preview import MAX_BYTES, contact_sheet, preview_png


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def test_a_preview_shows_four_frames_with_their_marks(portrait: NDArray[np.uint8]) -> None:
    frames = np.stack([portrait[:256, 100:420]] * 10)
    masks = np.zeros(frames.shape[:3], bool)
    masks[:, 60:120, 100:160] = True
    plain = preview_png(frames)
    marked = preview_png(frames, [[[100.0, 60.0, 160.0, 120.0]]] * 10, masks)
    image = opened(marked)
    assert image.format == "PNG"
    assert len(marked) <= MAX_BYTES
    assert image.width == pytest.approx(4 * image.height * 320 / 256, rel=0.03)
    assert opened(plain).size == image.size
    assert marked != plain


def test_a_preview_of_noise_still_fits(portrait: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 240, 320, 3), dtype=np.uint8)
    assert len(preview_png(noise)) <= MAX_BYTES
    assert len(preview_png(noise, max_bytes=20_000)) <= 20_000


def test_a_clip_shorter_than_the_preview_is_shown_once(portrait: NDArray[np.uint8]) -> None:
    assert opened(preview_png(portrait[None, :128, :128])).size == (256, 256)


def test_a_contact_sheet_holds_rows_of_any_size(portrait: NDArray[np.uint8]) -> None:
    sheet = contact_sheet([[portrait, portrait[:100]], [], [portrait[:, :80]]], tile_px=100)
    image = opened(sheet)
    assert image.format == "JPEG"
    assert image.size == (204, 100 + 4 + 640)


def test_a_large_contact_sheet_gives_way_in_quality_and_size(portrait: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    sheet = contact_sheet([[noise] * 6] * 8)
    assert len(sheet) <= MAX_BYTES
    assert opened(sheet).width > 300


def test_equal_input_gives_equal_bytes(portrait: NDArray[np.uint8]) -> None:
    assert contact_sheet([[portrait]]) == contact_sheet([[portrait.copy()]])
    assert preview_png(portrait[None]) == preview_png(portrait[None].copy())


def test_nothing_to_show_is_said(portrait: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="no pictures"):
        contact_sheet([[]])
    with pytest.raises(ValueError, match="no frames"):
        preview_png(portrait[None][:0])
