"""Masks survive storage, and stated regions are what the masks hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.masks import load_masks, masks_to_bytes, regions_of, save_masks
from haetae.errors import Rejected


@given(st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 19)), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_masks_of_any_size_come_back_as_they_were(shape: tuple[int, int, int], seed: int) -> None:
    import tempfile

    masks = np.random.default_rng(seed).random(shape) < 0.4
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "masks.npz"
        save_masks(path, masks)
        assert np.array_equal(load_masks(path), masks)


def test_equal_masks_give_equal_bytes_and_one_bit_gives_others() -> None:
    masks = np.zeros((3, 40, 50), np.bool_)
    masks[1, 5:30, 7:44] = True
    other = masks.copy()
    other[2, 0, 0] = True
    assert masks_to_bytes(masks) == masks_to_bytes(masks.copy())
    assert masks_to_bytes(masks) != masks_to_bytes(other)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_a_file_that_is_no_masks_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "masks.npz"
    path.write_bytes(content)
    with pytest.raises(Rejected, match="bad_masks"):
        load_masks(path)


def test_a_masks_file_that_claims_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "masks.npz"
    np.savez(path, bits=np.zeros((2, 3, 1), np.uint8), shape=np.array([2, 3, 800]))
    with pytest.raises(Rejected, match="bad_masks"):
        load_masks(path)


def test_a_masks_file_that_would_unpack_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "masks.npz"
    np.savez(path, bits=np.zeros((1, 1, 1), np.uint8), shape=np.array([10**6, 10**6, 10**6]))
    with pytest.raises(Rejected, match="bad_masks"):
        load_masks(path)


def test_regions_have_one_entry_per_stretch_and_one_tight_box_per_frame() -> None:
    masks = np.zeros((6, 10, 12), np.bool_)
    masks[1, 2:5, 3:9] = True
    masks[2, 4, 4] = True
    masks[5, 0, 11] = True
    assert regions_of(masks, "track-1") == [
        {"track_id": "track-1", "first_frame": 1, "boxes": [[3.0, 2.0, 9.0, 5.0], [4.0, 4.0, 5.0, 5.0]]},
        {"track_id": "track-1", "first_frame": 5, "boxes": [[11.0, 0.0, 12.0, 1.0]]},
    ]
    assert regions_of(np.zeros((2, 3, 4), np.bool_), None) == []
