"""Frame folders by address: in an archive or on disk, they are fetched whole or not at all."""

from __future__ import annotations

import io
import tarfile

import cv2
import numpy as np
import pytest

from haetae.errors import Rejected
from haetae.media.archives import ArchiveLimits, fetch, list_members
from haetae.media.frames import read_frames
from tests.haetae.media.test_archives import tar_member, write_archive


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    dice = np.random.default_rng(1)
    return [dice.integers(0, 256, (37, 51, 3), dtype=np.uint8) for _ in range(12)]


def png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


@pytest.mark.parametrize("kind", ["x.zip", "x.tar", "x.tar.gz"])
def test_a_folder_of_frames_in_an_archive_becomes_one_lossless_video(tmp_path, pictures, kind):
    order = [7, 0, 11, 3, 10, 1, 2, 9, 8, 4, 6, 5]
    files = {f"0/real train/12/{n * 5}.png": png(pictures[n]) for n in order}
    noise = {
        "0/real train/12/labels.csv": b"x",
        "0/real train/12/deeper/1.png": b"x",
        "0/fake/12/0.png": b"x",
    }
    path = write_archive(tmp_path / kind, {**noise, **files})
    got = fetch(f"{path}!/0/real train/12/", tmp_path)
    assert got.frames is not None
    assert got.frames.numbers == tuple(range(0, 60, 5))
    assert got.name == "12"
    assert np.array_equal(read_frames(got.path), np.stack(pictures))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([kind, got.path.name])
    with pytest.raises(Rejected, match="no_such_member"):
        fetch(f"{path}!/0/real train/", tmp_path)
    with pytest.raises(Rejected, match="too_many_frames"):
        fetch(f"{path}!/0/real train/12/", tmp_path, ArchiveLimits(max_frames=11))
    with pytest.raises(Rejected, match="too_large"):
        fetch(f"{path}!/0/real train/12/", tmp_path, ArchiveLimits(max_member_bytes=20_000))


def test_a_plain_folder_of_frames_is_fetched_by_its_path(tmp_path, pictures):
    folder = tmp_path / "frames"
    folder.mkdir()
    for n, picture in enumerate(pictures):
        (folder / f"{n:03}.png").write_bytes(png(picture))
    got = fetch(f"{folder}/", tmp_path)
    assert np.array_equal(read_frames(got.path), np.stack(pictures))
    (folder / "012.png").symlink_to("/etc/passwd")
    with pytest.raises(Rejected, match="symlink_refused"):
        fetch(f"{folder}/", tmp_path)


def test_a_folder_is_refused_when_one_of_its_pictures_is(tmp_path, pictures):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as made:
        for n, picture in enumerate(pictures):
            content = png(picture)
            made.addfile(tar_member(f"a/{n}.png", size=len(content)), io.BytesIO(content))
        made.addfile(tar_member("a/12.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"))
    with pytest.raises(Rejected, match="link_refused"):
        fetch(f"{path}!/a/", tmp_path)


def test_the_folder_in_which_an_archive_breaks_off_is_refused_and_those_before_are_not(tmp_path, pictures):
    files = {f"{folder}/{n}.png": png(one) for folder in "ab" for n, one in enumerate(pictures)}
    path = write_archive(tmp_path / "x.tar", files)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    assert {member.name[0] for member in list_members(path)[0]} == {"a", "b"}
    assert fetch(f"{path}!/a/", tmp_path).frames.n == len(pictures)
    with pytest.raises(Rejected, match="truncated_archive"):
        fetch(f"{path}!/b/", tmp_path)
