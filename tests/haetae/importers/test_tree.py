"""The tree of a data set: what is there, and what a list that calls it otherwise means by it."""

from __future__ import annotations

import io
import os
import tarfile
import unicodedata
from pathlib import Path

import pytest

from haetae.errors import UsageError
from haetae.importers.tree import Tree
from tests.haetae.importers.planted import pack, plant, video, write

KOREAN = unicodedata.normalize("NFC", "원천데이터/영상.mp4")


def tar(root: Path, path: str, *members: str) -> None:
    with tarfile.open(root / path, "w:gz") as archive:
        for name in members:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))


def test_files_are_found_by_suffix_below_a_folder_in_a_fixed_order(tmp_path: Path) -> None:
    plant(tmp_path, "b/2.MP4", "b/10.mp4", "a.mp4", "b/x.csv", ".hidden/y.mp4", "b/._2.mp4")
    tree = Tree(tmp_path)

    assert tree.files(".mp4") == ["a.mp4", "b/10.mp4", "b/2.MP4"]
    assert tree.files(".mp4", ".csv", under="b") == ["b/10.mp4", "b/2.MP4", "b/x.csv"]
    assert tree.files(under="b/") == tree.files(".mp4", ".csv", under="b")


def test_members_of_archives_are_files_too_and_come_after_those_on_disk(tmp_path: Path) -> None:
    plant(tmp_path, "z/a.mp4")
    pack(tmp_path, "a.zip", {"a.mp4": b"12345", "in/__MACOSX/b.mp4": b"1"})
    tar(tmp_path, "7.tar.gz", "7/real/3/12.png", "7/real/3/9.png")
    tree = Tree(tmp_path)

    assert tree.files(".mp4") == ["z/a.mp4", "a.zip!/a.mp4"]
    assert tree.size("a.zip!/a.mp4") == 5
    assert tree.frame_folders() == ["7.tar.gz!/7/real/3/"]
    assert tree.frames("7.tar.gz!/7/real/3/") == ["7.tar.gz!/7/real/3/9.png", "7.tar.gz!/7/real/3/12.png"]
    assert tree.exists("7.tar.gz!/7/real/3/") and tree.n_frames("7.tar.gz!/7/real/3/") == 2
    with pytest.raises(UsageError, match="unpack"):
        tree.local("a.zip!/a.mp4")


def test_an_archive_is_seen_by_whoever_asks_for_its_inside_first(tmp_path: Path) -> None:
    pack(tmp_path, "a.zip", {"x/1.png": b"1", "list.csv": b"a,b\n1,2\n"})

    assert Tree(tmp_path).exists("a.zip!/x/1.png")
    assert Tree(tmp_path).csv("a.zip!/list.csv") == [{"a": "1", "b": "2"}]
    assert Tree(tmp_path).files(under="a.zip!/x") == ["a.zip!/x/1.png"]


def test_a_broken_or_foreign_archive_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "volume.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
    tree = Tree(tmp_path)

    assert tree.files(".mp4") == []
    assert {(f.kind, f.subject) for f in tree.findings} == {("damaged", "cut.zip"), ("layout", "volume.7z")}


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("real/a.mp4", "real/a.mp4"),
        ("./real//a.mp4", "real/a.mp4"),
        ("/mnt/disk/set/real/a.mp4", "real/a.mp4"),
        ("C:\\data\\set\\real\\a.mp4", "real/a.mp4"),
        ("set\\real\\a.mp4", "real/a.mp4"),
        ("Real/A.MP4", "real/a.mp4"),
        ("deep/er/b.mp4", "top/deep/er/b.mp4"),
        ("Deep/ER/B.mp4", "top/deep/er/b.mp4"),
        (unicodedata.normalize("NFD", KOREAN), KOREAN),
        ("real", "real/"),
        ("set/top/deep/", "top/deep/"),
        ("packed/c.mp4", "x.zip!/packed/c.mp4"),
    ],
)
def test_what_a_list_names_is_found_however_it_is_written(tmp_path: Path, listed: str, found: str) -> None:
    plant(tmp_path, "real/a.mp4", "top/deep/er/b.mp4", KOREAN)
    pack(tmp_path, "x.zip", {"packed/c.mp4": b"c"})

    assert Tree(tmp_path).find(listed) == found


@pytest.mark.parametrize(
    "listed",
    ["fake/a.mp4", "real/../real/a.mp4", "b.mp4", "er/none.mp4", "", "/", "twice/c.mp4", "fold/x.mp4"],
)
def test_what_is_not_there_or_not_certain_is_not_found(tmp_path: Path, listed: str) -> None:
    """`fake/a.mp4` is not the `a.mp4` of another folder, and a path below two folders is neither of them."""
    plant(tmp_path, "a.mp4", "real/a.mp4", "top/deep/er/b.mp4", "1/twice/c.mp4", "2/twice/c.mp4")
    plant(tmp_path, "fold/X.mp4", "FOLD/x.MP4")

    assert Tree(tmp_path).find(listed) is None


def test_all_files_of_a_name_are_found_wherever_they_were_unpacked_to(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", KOREAN)
    plant(tmp_path, f"one/{decomposed}", f"two/{KOREAN}", "two/other.mp4")
    pack(tmp_path, "a.zip", {KOREAN: b"1"})

    name = KOREAN.rsplit("/", 1)[-1]
    unpacked = sorted([f"one/{decomposed}", f"two/{KOREAN}"])
    assert Tree(tmp_path).named(name.upper()) == [*unpacked, f"a.zip!/{KOREAN}"]


def test_links_out_of_the_root_are_passed_over_and_told(tmp_path: Path) -> None:
    plant(tmp_path, "outside/secret.mp4", "root/a.mp4")
    root = tmp_path / "root"
    (root / "b.mp4").symlink_to(tmp_path / "outside" / "secret.mp4")
    (root / "c.mp4").symlink_to(root / "a.mp4")
    (root / "loop").symlink_to(root)
    tree = Tree(root)

    assert tree.files(".mp4") == ["a.mp4", "c.mp4"]
    assert {(f.kind, f.subject) for f in tree.findings} == {("layout", "b.mp4"), ("layout", "loop")}


def test_a_name_that_is_not_utf_8_is_told_and_not_taken(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/" + "영상.mp4".encode("cp949"), "wb") as file:
        file.write(b"1")
    tree = Tree(tmp_path)

    assert tree.files() == []
    assert [f.kind for f in tree.findings] == ["layout"] and "cp949" in tree.findings[0].detail


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_a_table_is_read_in_each_encoding_with_nameless_and_repeated_columns(
    tmp_path: Path, encoding: str
) -> None:
    content = '영상ID , path,path,,\r\n 가,"x, y",2,FakeAVCeleb/a,\r\n나\r\n\r\n다,1,2,3,4,더\r\n'
    write(tmp_path, "t.csv", content, encoding)

    assert Tree(tmp_path).csv("t.csv") == [
        {"영상ID": "가", "path": "x, y", "path#3": "2", "": "FakeAVCeleb/a", "#5": ""},
        {"영상ID": "나", "path": "", "path#3": "", "": "", "#5": ""},
        {"영상ID": "다", "path": "1", "path#3": "2", "": "3", "#5": "4", "#6": "더"},
    ]


def test_quotes_are_letters_where_the_table_says_so(tmp_path: Path) -> None:
    write(tmp_path, "meta.csv", 'path|transcript\na.wav|"Quoted, he said\n')

    assert Tree(tmp_path).csv("meta.csv", "|", quoted=False)[0]["transcript"] == '"Quoted, he said'


def test_a_text_that_cannot_be_read_is_said_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_bytes(b"\xff\xfe\x00{")
    write(tmp_path, "broken.json", "{")
    tree = Tree(tmp_path)

    for name in ("t.json", "broken.json", "none.json"):
        with pytest.raises(UsageError, match=name):
            tree.json(name)


def test_lengths_are_those_of_the_header_and_unknown_where_there_is_none(tmp_path: Path) -> None:
    video(tmp_path, "a.mp4", 30)
    plant(tmp_path, "b.mp4", "f/000.png", "f/001.png", "f/cover.png")
    tree = Tree(tmp_path)

    assert (tree.n_frames("a.mp4"), tree.duration_s("a.mp4")) == (30, pytest.approx(1.2))
    assert (tree.n_frames("b.mp4"), tree.duration_s("b.mp4")) == (None, None)
    assert tree.n_frames("f/") == 2


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, "a.mp4")

    with pytest.raises(UsageError, match="not a folder"):
        Tree(tmp_path / "a.mp4")
