"""Archives: their members are listed and fetched by address, and everything that could do harm is refused."""

from __future__ import annotations

import contextlib
import io
import os
import random
import struct
import tarfile
import tracemalloc
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haetae.errors import Rejected
from haetae.media import archives
from haetae.media.archives import (
    ArchiveLimits,
    fetch,
    fetch_member,
    is_archive,
    list_members,
    read_member,
    split_address,
)
from haetae.media.members import clean_name

MODES = {"x.tar": "w", "x.tar.gz": "w:gz", "x.tar.bz2": "w:bz2", "x.tar.xz": "w:xz"}
KINDS = ("x.zip", *MODES)
NOISE = random.Random(7).randbytes(300_000)


def write_archive(path: Path, files: dict[str, bytes]) -> Path:
    """A well-made archive of the kind that its name says."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            for name, content in files.items():
                made.writestr(name, content)
    else:
        with tarfile.open(path, MODES[path.name]) as made:
            for name, content in files.items():
                made.addfile(tar_member(name, size=len(content)), io.BytesIO(content))
    return path


def tar_member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def zip_entry(path: Path, name: str, content: bytes = b"x", **fields: object) -> Path:
    """A ZIP with one good member and one whose header fields are as given."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.writestr("good.txt", b"good")
        info = zipfile.ZipInfo("placeholder" if name == "good.txt" else name)
        info.compress_type = zipfile.ZIP_DEFLATED
        made.writestr(info, content)
        info.filename = info.orig_filename = name
        for field, value in fields.items():
            setattr(info, field, value)
    return path


def tar_entry(path: Path, name: str, content: bytes = b"", **fields: object) -> Path:
    with tarfile.open(path, MODES[path.name]) as made:
        made.addfile(tar_member("good.txt", size=4), io.BytesIO(b"good"))
        made.addfile(tar_member(name, **{"size": len(content), **fields}), io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_listed_and_fetched_from_every_kind(tmp_path, kind):
    files = {"a/film.mp4": NOISE, "한글 이름/소리.wav": b"sound" * 1000, "empty.txt": b"", "b" * 180: b"long"}
    path = write_archive(tmp_path / kind, files)
    members, refusals = list_members(path)
    assert {member.name: member.size_bytes for member in members} == {n: len(c) for n, c in files.items()}
    assert refusals == []
    for name, content in files.items():
        made = fetch_member(f"{path}!/{name}", tmp_path)
        assert made.read_bytes() == content
        assert made.parent == tmp_path
    assert fetch(f"{path}!/a/film.mp4", tmp_path).name == "film.mp4"
    assert fetch_member(f"{path}!/a/film.mp4", tmp_path).suffix == ".mp4"


def test_names_of_korean_windows_and_of_macs_are_read(tmp_path):
    path = tmp_path / "korean.zip"
    with zipfile.ZipFile(path, "w") as made:
        info = zipfile.ZipInfo("x" * len("원천/[변조]영상.mp4".encode("cp949")))
        made.writestr(info, b"fake")
        made.writestr(unicodedata.normalize("NFD", "라벨링/영상.json"), b"{}")
    raw = path.read_bytes().replace(info.filename.encode(), "원천/[변조]영상.mp4".encode("cp949"))
    path.write_bytes(raw)
    assert [member.name for member in list_members(path)[0]] == ["원천/[변조]영상.mp4", "라벨링/영상.json"]
    assert fetch_member(f"{path}!/원천/[변조]영상.mp4", tmp_path).read_bytes() == b"fake"
    with tarfile.open(tmp_path / "x.tar", "w", encoding="cp949", format=tarfile.GNU_FORMAT) as made:
        made.addfile(tar_member("변조/영상.mp4", size=4), io.BytesIO(b"fake"))
    assert read_member(f"{tmp_path}/x.tar!/변조/영상.mp4", 10) == b"fake"


def test_a_name_in_the_extra_field_of_a_zip_counts_only_for_the_name_it_was_written_for(tmp_path):
    for crc_of, wanted in (("x.mp4", "영상.mp4"), ("other", "x.mp4")):
        name = "영상.mp4".encode()
        body = b"\x01" + struct.pack("<I", zlib.crc32(crc_of.encode())) + name
        info = zipfile.ZipInfo("x.mp4")
        info.extra = struct.pack("<HH", 0x7075, len(body)) + body
        with zipfile.ZipFile(tmp_path / "extra.zip", "w") as made:
            made.writestr(info, b"film")
        assert [member.name for member in list_members(tmp_path / "extra.zip")[0]] == [wanted]


def test_hidden_files_and_folders_are_no_members(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name in ("__MACOSX/a/._film.mp4", ".DS_Store", "a/.hidden/film.mp4", "a/", "./a/./film.mp4"):
            made.writestr(name, b"")
    assert [member.name for member in list_members(path)[0]] == ["a/film.mp4"]
    assert list_members(path)[1] == []


HOSTILE: dict[str, tuple[str, str, Callable[[Path], Path]]] = {
    "parent folder": ("path_escape", "x.zip", lambda p: zip_entry(p, "../../etc/cron.d/x")),
    "absolute": ("path_escape", "x.zip", lambda p: zip_entry(p, "/etc/passwd")),
    "drive": ("path_escape", "x.zip", lambda p: zip_entry(p, "C:\\Windows\\x.mp4")),
    "backslashes": ("path_escape", "x.zip", lambda p: zip_entry(p, "a\\..\\..\\x.mp4")),
    "line feed": ("bad_name", "x.zip", lambda p: zip_entry(p, "a\nb.mp4")),
    "too deep": ("bad_name", "x.zip", lambda p: zip_entry(p, "a/" * 40 + "b.mp4")),
    "too long": ("bad_name", "x.zip", lambda p: zip_entry(p, "a" * 300 + ".mp4")),
    "password": ("encrypted", "x.zip", lambda p: zip_entry(p, "a.mp4", flag_bits=0x1)),
    "odd method": ("unsupported_compression", "x.zip", lambda p: zip_entry(p, "a.mp4", compress_type=9)),
    "lzma": ("unsupported_compression", "x.zip", lambda p: zip_entry(p, "a.mp4", compress_type=14)),
    "symlink": (
        "link_refused",
        "x.zip",
        lambda p: zip_entry(p, "a.mp4", b"/etc/passwd", external_attr=0o120777 << 16),
    ),
    "pipe": ("device_refused", "x.zip", lambda p: zip_entry(p, "a.mp4", external_attr=0o010644 << 16)),
    "nested": ("nested_archive", "x.zip", lambda p: zip_entry(p, "a/inner.TAR.GZ")),
    "twice": ("duplicate_name", "x.zip", lambda p: zip_entry(p, "good.txt", b"other")),
    "zeros": ("compression_bomb", "x.zip", lambda p: zip_entry(p, "a.mp4", bytes(40 << 20))),
    "beyond the end": ("truncated_archive", "x.zip", lambda p: zip_entry(p, "a.mp4", header_offset=1 << 30)),
    "tar parent": ("path_escape", "x.tar", lambda p: tar_entry(p, "a/../../x.mp4")),
    "tar absolute": ("path_escape", "x.tar.gz", lambda p: tar_entry(p, "/etc/x.mp4", b"x")),
    "tar symlink": (
        "link_refused",
        "x.tar",
        lambda p: tar_entry(p, "a.mp4", type=tarfile.SYMTYPE, linkname="/etc"),
    ),
    "tar hard link": (
        "link_refused",
        "x.tar.xz",
        lambda p: tar_entry(p, "a.mp4", type=tarfile.LNKTYPE, linkname="good.txt"),
    ),
    "tar device": (
        "device_refused",
        "x.tar",
        lambda p: tar_entry(p, "a.mp4", type=tarfile.CHRTYPE, devmajor=1),
    ),
    "tar pipe": ("device_refused", "x.tar.bz2", lambda p: tar_entry(p, "a.mp4", type=tarfile.FIFOTYPE)),
    "tar nested": ("nested_archive", "x.tar", lambda p: tar_entry(p, "inner.7z", b"x")),
    "tar twice": ("duplicate_name", "x.tar", lambda p: tar_entry(p, "good.txt", b"other")),
    "tar holes": (
        "unsupported_compression",
        "x.tar",
        lambda p: tar_entry(
            p, "a.mp4", b"x", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.name": "../x"}
        ),
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_harmful_member_is_refused_and_the_others_are_not(tmp_path, what):
    reason, name, make = HOSTILE[what]
    path = make(tmp_path / name)
    members, refusals = list_members(path)
    assert [refusal.reason for refusal in refusals] == [reason]
    assert "good.txt" in {member.name for member in members}
    assert read_member(f"{path}!/good.txt", 100) == b"good"
    if what.endswith("twice"):
        return
    before = sorted(str(one) for one in tmp_path.rglob("*"))
    with pytest.raises(Rejected) as no:
        fetch(f"{path}!/{refusals[0].name}", tmp_path)
    assert no.value.reason == reason
    assert sorted(str(one) for one in tmp_path.rglob("*")) == before


def overlapping_zip(path: Path) -> Path:
    """Two hundred directory entries that all unpack the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("kernel.bin", bytes(1 << 20))
        kernel = made.infolist()[0]
        for n in range(200):
            twin = zipfile.ZipInfo(f"copy{n}.bin")
            twin.CRC, twin.compress_size, twin.file_size = kernel.CRC, kernel.compress_size, kernel.file_size
            twin.compress_type, twin.header_offset = kernel.compress_type, kernel.header_offset
            made.filelist.append(twin)
        made._didModify = True
    return path


def test_a_zip_bomb_of_overlapping_members_gives_none_of_them(tmp_path):
    members, refusals = list_members(overlapping_zip(tmp_path / "bomb.zip"))
    assert members == []
    assert {refusal.reason for refusal in refusals} == {"overlapping_entries"}


@pytest.mark.parametrize("kind", ["x.tar.gz", "x.tar.bz2", "x.tar.xz"])
def test_a_packed_tar_that_grows_without_end_is_given_up_early(tmp_path, kind):
    path = write_archive(tmp_path / kind, {"a.bin": bytes(48 << 20)})
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    members, refusals = list_members(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert members == []
    assert [(one.name, one.reason) for one in refusals] == [("", "compression_bomb")]
    assert peak < 16 << 20, "nothing of the content is kept"


@pytest.mark.parametrize("kind", KINDS)
def test_limits_on_number_and_sizes_hold(tmp_path, kind):
    path = write_archive(tmp_path / kind, {f"{n}.bin": NOISE[:20_000] for n in range(5)})

    def told(**limits: int) -> tuple[int, list[tuple[str, str]]]:
        members, refusals = list_members(path, ArchiveLimits(**limits))
        return len(members), [(one.name, one.reason) for one in refusals]

    assert told(max_members=5) == (5, [])
    assert told(max_members=4) == (0, [("", "too_many_members")])
    assert told(max_total_bytes=99_999) == (0, [("", "too_large")])
    assert told(max_member_bytes=19_999) == (0, [(f"{n}.bin", "too_large") for n in range(5)])
    with pytest.raises(Rejected, match="too_large"):
        read_member(f"{path}!/1.bin", 19_999)
    with pytest.raises(Rejected, match="no_such_member"):
        fetch(f"{path}!/6.bin", tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_that_is_cut_short_is_told_and_never_gives_half_a_file(tmp_path, kind):
    files = {f"{n}.bin": NOISE[n * 1000 : n * 1000 + 90_000] for n in range(3)}
    whole = write_archive(tmp_path / kind, files).read_bytes()
    path = tmp_path / kind
    for share in (0.1, 0.5, 0.8, 0.97):
        path.write_bytes(whole[: int(len(whole) * share)])
        members, refusals = list_members(path)
        assert refusals[-1].name == ""
        assert refusals[-1].reason in ("truncated_archive", "damaged_archive")
        for member in members:
            assert read_member(f"{path}!/{member.name}", 1 << 20) == files[member.name]


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_are_an_answer_or_a_refusal_and_nothing_else(tmp_path, kind):
    files = {f"a/{n}.png": NOISE[n * 700 : n * 700 + 3000] for n in range(6)}
    whole = write_archive(tmp_path / kind, files).read_bytes()
    path = tmp_path / kind
    dice = random.Random(3)
    refused = 0
    for _ in range(120):
        broken = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
        path.write_bytes(broken)
        os.utime(path, ns=(dice.getrandbits(60), dice.getrandbits(60)))
        members, refusals = list_members(path)
        refused += bool(refusals)
        for member in members:
            with contextlib.suppress(Rejected):
                content = read_member(f"{path}!/{member.name}", 1 << 20)
                assert len(content) == member.size_bytes
                if kind == "x.zip":
                    assert content in files.values(), "a ZIP has checksums"
    assert refused > 0


def test_a_size_that_lies_is_found_out(tmp_path):
    path = zip_entry(tmp_path / "x.zip", "a.bin", b"x" * 5000, file_size=4000)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(Rejected, match="damaged_archive"):
        fetch(f"{path}!/a.bin", folder)
    assert list(folder.iterdir()) == []


def test_records_about_names_are_not_read_at_any_length(tmp_path):
    """`tarfile` would take a long-name record of 1 GiB into memory."""
    header = tar_member("././@LongLink", size=1 << 30, type=tarfile.GNUTYPE_LONGNAME)
    path = tmp_path / "x.tar"
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    assert [one.reason for one in list_members(path)[1]] == ["damaged_archive"]


@pytest.mark.parametrize(
    ("name", "head", "reason", "word"),
    [
        ("x.7z", b"7z\xbc\xaf\x27\x1c", "unsupported_archive", "7z x"),
        ("x.rar", b"Rar!\x1a\x07\x01\x00", "unsupported_archive", "unrar x"),
        ("x.tar.zst", b"\x28\xb5\x2f\xfd", "unsupported_archive", "--zstd"),
        ("x.zip.001", b"PK\x03\x04", "split_archive", "join"),
        ("x.z01", b"PK\x03\x04", "split_archive", "join"),
        ("x.tar.gz.aa", b"\x1f\x8b", "split_archive", "join"),
        ("x.zip.part0", b"PK\x03\x04", "split_archive", "join"),
        ("x.iso", b"whatever", "unsupported_archive", "unpack it first"),
        ("x.zip", b"<html>not found</html>", "truncated_archive", "no directory"),
        ("x.tar.gz", b"\x1f\x8b\x08\x00", "truncated_archive", "in the middle"),
        ("x.tar", b"no tar at all" * 100, "damaged_archive", "header"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(tmp_path, name, head, reason, word):
    path = tmp_path / name
    path.write_bytes(head + bytes(600 if name != "x.tar.gz" else 0))
    assert is_archive(path)
    members, [refusal] = list_members(path)
    assert (members, refusal.name, refusal.reason) == ([], "", reason)
    assert word in refusal.detail


def test_other_files_are_not_taken_for_archives():
    assert not any(map(is_archive, ("film.mp4", "a.gz.txt", "photo.tar.png", "x.parquet", "zip", "a/x.tars")))
    assert all(map(is_archive, ("A.ZIP", "x.tar.gz", "x.tgz", "a.tar.xz", "[원천][변조]1.zip")))


def test_content_that_is_an_archive_is_refused_whatever_it_is_called(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as made:
        made.writestr("a", b"x")
    path = write_archive(tmp_path / "x.zip", {"film.mp4": inner.getvalue()})
    with pytest.raises(Rejected, match="nested_archive"):
        fetch(f"{path}!/film.mp4", tmp_path)


def test_a_container_that_is_a_link_or_no_file_is_not_fetched_from(tmp_path):
    path = write_archive(tmp_path / "x.zip", {"a.txt": b"a"})
    (tmp_path / "link.zip").symlink_to(path)
    with pytest.raises(Rejected, match="symlink_refused"):
        fetch(f"{tmp_path}/link.zip!/a.txt", tmp_path)
    os.mkfifo(tmp_path / "pipe.zip")
    assert [one.reason for one in list_members(tmp_path / "pipe.zip")[1]] == ["unreadable"]
    assert [one.reason for one in list_members(tmp_path / "gone.zip")[1]] == ["unreadable"]
    with pytest.raises(Rejected, match="no_such_member"):
        fetch(f"{tmp_path}/gone.zip!/a.txt", tmp_path)


def test_an_archive_that_was_replaced_is_listed_anew(tmp_path):
    path = write_archive(tmp_path / "x.zip", {"old.txt": b"old"})
    assert list_members(path)[0][0].name == "old.txt"
    write_archive(path, {"new.txt": b"new"})
    assert list_members(path)[0][0].name == "new.txt"
    assert read_member(f"{path}!/new.txt", 10) == b"new"


def test_the_index_of_a_big_archive_is_read_once_for_many_fetches(tmp_path, monkeypatch):
    path = write_archive(tmp_path / "x.zip", {f"{n}.txt": b"%d" % n for n in range(50)})
    read = []
    true_one = archives._read_index
    monkeypatch.setattr(archives, "_read_index", lambda *a: (read.append(1), true_one(*a))[1])
    assert [read_member(f"{path}!/{n}.txt", 10) for n in range(50)] == [b"%d" % n for n in range(50)]
    assert len(read) == 1


def test_addresses_are_split_at_the_archive_also_where_folders_end_in_an_exclamation_mark(tmp_path):
    folder = tmp_path / "wow!" / "a"
    folder.mkdir(parents=True)
    path = write_archive(folder / "x.zip", {"b!/c.txt": b"c"})
    assert split_address(f"{path}!/b!/c.txt") == (path, "b!/c.txt")
    assert read_member(f"{path}!/b!/c.txt", 10) == b"c"
    assert split_address(f"{folder}/") == (folder, None)


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=60) | st.lists(st.sampled_from(["..", ".", "a", "", "\\", "C:", "~", "é"])).map("/".join)
)
def test_a_clean_name_never_leads_out_of_a_folder(raw):
    try:
        name = clean_name(raw)
    except Rejected:
        return
    if name is not None:
        inside = os.path.normpath(os.path.join("/root/folder", name))
        assert inside == f"/root/folder/{name}"
        assert unicodedata.is_normalized("NFC", name)
        assert clean_name(name) == name
