"""Frame folders: numbered pictures become one lossless video that the pipeline can probe and cut."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest

from haetae.errors import Rejected
from haetae.media.cut import CutAndNormalise
from haetae.media.frame_folder import is_numbered_picture, number_pictures, pack_frames
from haetae.media.frames import read_frames
from haetae.media.probe import probe
from tests.haetae.media.conftest import number_of, numbered_frame


def write(folder, pictures, name="{:03}.png"):
    """Pictures (RGB) under the numbers that are their keys; returns their paths, in no useful order."""
    folder.mkdir(exist_ok=True)
    for number, picture in pictures.items():
        pixels = picture[..., ::-1] if picture.ndim == 3 and picture.shape[2] == 3 else picture
        assert cv2.imwrite(str(folder / name.format(number)), pixels)
    return sorted(folder.iterdir(), key=lambda path: hashlib.sha256(path.name.encode()).digest())


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_every_pixel_of_every_picture_is_kept_in_order(tmp_path):
    pictures = {n: noise(61, 83, n) for n in range(8, 13)}
    packed = pack_frames(write(tmp_path / "f", pictures, "{}.png"), tmp_path / "x.mkv")
    assert (packed.n, packed.first_number, packed.numbers) == (5, 8, (8, 9, 10, 11, 12))
    assert (packed.size, packed.n_missing, packed.n_padded) == ((83, 61), 0, 0)
    assert np.array_equal(read_frames(tmp_path / "x.mkv"), np.stack(list(pictures.values())))
    info = probe(tmp_path / "x.mkv")
    assert (info.fps, info.n_frames, info.has_video, info.has_audio) == (25.0, 5, True, False)
    assert info.duration_s == pytest.approx(5 / 25)


def test_the_same_pictures_give_the_same_bytes_in_any_order_and_at_any_time(tmp_path):
    paths = write(tmp_path / "f", {n: noise(40, 40, n) for n in range(6)})
    pack_frames(paths, tmp_path / "a.mkv")
    pack_frames(paths[::-1], tmp_path / "b.mkv")
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def test_gaps_are_told_and_not_filled(tmp_path):
    packed = pack_frames(write(tmp_path / "f", {n: noise(20, 20) for n in (3, 4, 9)}), tmp_path / "x.mkv")
    assert (packed.n, packed.numbers, packed.n_missing) == (3, (3, 4, 9), 4)


def test_pictures_of_different_sizes_are_filled_up_with_black(tmp_path):
    pictures = {0: noise(30, 50), 1: noise(40, 20, 1)}
    packed = pack_frames(write(tmp_path / "f", pictures), tmp_path / "x.mkv")
    assert (packed.size, packed.n_padded) == ((50, 40), 2)
    frames = read_frames(tmp_path / "x.mkv")
    assert np.array_equal(frames[0, :30, :50], pictures[0])
    assert np.array_equal(frames[1, :40, :20], pictures[1])
    assert not frames[0, 30:].any()
    assert not frames[1, :, 20:].any()


def test_grey_masks_keep_their_values_and_transparency_is_dropped(tmp_path):
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 4:9] = 255
    mask[0, 0] = 7
    clear = np.dstack([noise(32, 32)[..., ::-1], np.full((32, 32), 9, np.uint8)])
    pack_frames(write(tmp_path / "f", {0: mask, 1: clear}), tmp_path / "x.mkv")
    frames = read_frames(tmp_path / "x.mkv")
    assert np.array_equal(frames[0], np.dstack([mask] * 3))
    assert np.array_equal(frames[1], noise(32, 32))


def test_jpeg_pictures_are_kept_as_they_decode(tmp_path):
    picture = cv2.GaussianBlur(noise(64, 64), (0, 0), 4)
    [path] = write(tmp_path / "f", {1: picture}, "frame_{:05}.jpg")
    pack_frames([path], tmp_path / "x.mkv")
    assert np.array_equal(read_frames(tmp_path / "x.mkv")[0], read_frames(path)[0])


def test_one_picture_makes_a_still(tmp_path):
    pack_frames(write(tmp_path / "f", {1: noise(64, 64)}), tmp_path / "x.mkv")
    assert probe(tmp_path / "x.mkv").is_still


def test_a_packed_folder_is_cut_into_clips_like_any_film(tmp_path, lake, media_row):
    pictures = {n: numbered_frame(n, 0) for n in range(100)}
    pack_frames(write(tmp_path / "f", pictures, "{}.png"), tmp_path / "x.mkv")
    step = CutAndNormalise(str(lake.root))
    step.setup()
    [clip] = step(media_row(tmp_path / "x.mkv"))
    frames = read_frames(lake.open_local(clip["blob_id"]))
    assert [number_of(frame) for frame in frames] == list(range(100))


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["9.png", "10.png", "007.png"], [7, 9, 10]),
        (["frame_2.jpg", "frame_11.jpg"], [2, 11]),
        (["id0_id1_0001_f3.png", "id0_id1_0001_f12.png"], [3, 12]),
        (["12_000.png", "13_000.png"], [12, 13]),
        (["001_left.png", "002_left.png"], [1, 2]),
        (["a7.png", "b8.PNG", "notes.txt", "cover.png"], [7, 8]),
        (["5.png"], [5]),
    ],
)
def test_the_number_is_the_part_of_the_name_that_counts(names, numbers):
    assert [number for number, _ in number_pictures(names)] == numbers


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["000_0.png", "000_1.png", "001_0.png", "001_1.png"], "ambiguous_frames"),
        (["1.png", "01.jpg"], "ambiguous_frames"),
        (["a1.png", "b1.png"], "ambiguous_frames"),
        (["9" * 40 + ".png"], "ambiguous_frames"),
        (["notes.txt", "cover.png"], "no_frames"),
        ([], "no_frames"),
    ],
)
def test_what_is_not_one_sequence_of_frames_is_refused(names, reason):
    with pytest.raises(Rejected) as no:
        number_pictures(names)
    assert no.value.reason == reason


def test_names_of_pictures_are_known_by_suffix_and_number():
    assert all(map(is_numbered_picture, ("0.png", "a/b/frame_12.JPG", "x1.jpeg")))
    assert not any(map(is_numbered_picture, ("cover.png", "12.npy", "12/cover.png", "12")))


def test_a_picture_that_is_none_is_refused_by_its_name(tmp_path, film):
    paths = write(tmp_path / "f", {n: noise(20, 20) for n in range(3)})
    whole = (tmp_path / "f" / "001.png").read_bytes()
    not_pictures = {
        "text": b"not a picture",
        "header only": whole[:40],
        "film": film("film.mp4", 25, (1.0,), "-c:v", "libx264", "-pix_fmt", "yuv420p").read_bytes(),
    }
    for what, content in not_pictures.items():
        (tmp_path / "f" / "001.png").write_bytes(content)
        with pytest.raises(Rejected) as no:
            pack_frames(paths, tmp_path / "x.mkv")
        assert no.value.reason == "bad_frame", what
        assert "001.png" in no.value.detail


@pytest.mark.parametrize("name", ["{:03}.png", "{:03}.jpg"])
def test_a_picture_that_is_cut_short_is_refused_and_not_filled_with_grey(tmp_path, name):
    paths = write(tmp_path / "f", {n: cv2.GaussianBlur(noise(99, 99), (0, 0), 3) for n in range(2)}, name)
    pack_frames(paths, tmp_path / "x.mkv")
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole + b"comment of some camera")
    pack_frames(paths, tmp_path / "x.mkv")
    for share in (0.3, 0.7, 0.97):
        paths[0].write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(Rejected, match="bad_frame"):
            pack_frames(paths, tmp_path / "x.mkv")


def test_too_many_or_too_large_pictures_are_refused_before_they_are_decoded(tmp_path):
    paths = write(tmp_path / "f", {n: noise(20, 20) for n in range(4)})
    with pytest.raises(Rejected, match="too_many_frames"):
        pack_frames(paths, tmp_path / "x.mkv", max_frames=3)
    bomb = bytearray((tmp_path / "f" / "001.png").read_bytes())
    bomb[16:24] = (30_000).to_bytes(4, "big") * 2
    (tmp_path / "f" / "001.png").write_bytes(bomb)
    with pytest.raises(Rejected, match=r"bad_frame|too_many_pixels"):
        pack_frames(paths, tmp_path / "x.mkv")


def test_real_photographs_survive_the_packing_exactly(dev_media, tmp_path):
    photographs = sorted((dev_media / "image").glob("real_*.jpg"), key=lambda path: path.stat().st_size)[:6]
    folder = tmp_path / "f"
    folder.mkdir()
    for n, path in enumerate(photographs):
        (folder / f"{n}.jpg").write_bytes(path.read_bytes())
    packed = pack_frames(list(folder.iterdir()), tmp_path / "x.mkv")
    assert packed.n == len(photographs) == 6
    for frame, path in zip(read_frames(tmp_path / "x.mkv"), photographs, strict=True):
        shown = read_frames(path)[0]
        assert np.array_equal(frame[: shown.shape[0], : shown.shape[1]], shown), path.name
