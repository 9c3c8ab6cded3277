"""Files inside archives, by address: `x.zip!/a/b.mp4`, `x.tar.gz!/0/real/12/`, `x.parquet!/17`, `frames/`.

How each format is read is in `zip_archive`, `tar_archive` and `parquet_cells`; limits and names in `members`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from haetae.errors import Rejected
from haetae.media import tar_archive, zip_archive
from haetae.media.frame_folder import (
    FrameFolder,
    is_numbered_picture,
    number_pictures,
    pack_frames,
    pack_numbered,
)
from haetae.media.inflate import Packing
from haetae.media.members import (
    ARCHIVES,
    PARTS,
    ArchiveLimits,
    Clock,
    Index,
    Member,
    Refusal,
    Unpacked,
    Wanted,
    extension,
    refuse_nested,
    shorten,
)
from haetae.media.parquet_cells import read_cell

__all__ = [
    "INSIDE",
    "ArchiveLimits",
    "Fetched",
    "Member",
    "Refusal",
    "fetch",
    "fetch_member",
    "is_archive",
    "list_members",
    "read_member",
    "split_address",
]

INSIDE = "!/"
FRAMES_FILE = "frames.mkv"
_PACKING: tuple[tuple[bytes, Packing], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
_FOREIGN = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it with `7z x`"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it with `unrar x`"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it with `tar --zstd -xf`"),
    (b"MSCF", "a CAB archive; unpack it with `cabextract`"),
)


@dataclass(frozen=True)
class Fetched:
    """A fetched file. name: what it is called in its container. frames: what was packed, for a frame folder."""

    path: Path
    name: str
    frames: FrameFolder | None = None


def is_archive(path: Path | str) -> bool:
    """Whether a file is by its name an archive, or one part of one: those that cannot be read are then refused
    with what to do, instead of being taken for broken media."""
    name = os.fspath(path)
    return (ARCHIVES.search(name) or PARTS.search(name)) is not None


def list_members(path: Path, limits: ArchiveLimits | None = None) -> tuple[list[Member], list[Refusal]]:
    """Files of an archive in their order in it, and what may not be used of it; nothing is kept of the content.

    zip, tar, tar.gz, tar.bz2 and tar.xz, told by content. Folders, and hidden files (a part that begins with `.`,
    `__MACOSX`), are neither. Names are relative POSIX paths in NFC; those of Korean Windows (CP949) are read.
    A refusal named "" is about the archive as a whole: there are then no members, but for a tar that is cut short
    or damaged, of which the whole members before the fault are listed. Reasons: `encrypted`, `link_refused`,
    `device_refused`, `path_escape`, `bad_name`, `duplicate_name`, `nested_archive`, `too_large`,
    `compression_bomb`, `overlapping_entries`, `unsupported_compression`, `truncated_archive`; of the whole also
    `damaged_archive`, `too_many_members`, `split_archive`, `unsupported_archive`, `unreadable`, `empty_file`,
    `timeout`. Never raises for what is in the file.
    """
    try:
        with _opened(path, follow=True) as file:
            index = _index(path, file, limits or ArchiveLimits())
    except Rejected as no:
        return [], [Refusal("", no.reason, no.detail)]
    return list(index.members), list(index.refusals)


def fetch_member(address: str, folder: Path, limits: ArchiveLimits | None = None) -> Path:
    """As `fetch`; the path alone."""
    return fetch(address, folder, limits).path


def fetch(address: str, folder: Path, limits: ArchiveLimits | None = None) -> Fetched:
    """Write what an address names into a folder: one file, or the pictures of a frame folder as one video.

    `<archive>!/<member>`: that member. `<archive>!/<folder>/` or `<folder>/`: its numbered pictures, packed by
    `frame_folder`. `<file>.parquet!/<row>`: the cell of the column audio, image or video. The name written is
    never taken from the address, but for a plain suffix.
    Raises: Rejected `no_such_member`; the reasons of `list_members`, `frame_folder.pack_frames` and
    `parquet_cells.read_cell`; `symlink_refused` and `unreadable` for the container.
    """
    limits = limits or ArchiveLimits()
    clock = Clock(limits.timeout_s)
    container, inner = split_address(address)
    if inner is None:
        return _pack_folder(container, folder, limits, clock)
    with _opened(container, follow=False) as file:
        if container.suffix.lower() == ".parquet":
            return _fetch_cell(file, inner, folder, limits)
        index = _index(container, file, limits)
        if inner.endswith("/") or inner == "":
            return _fetch_frames(container, file, index, inner, folder, limits, clock)
        _refuse_unlisted(index, inner)
        made = folder / f"member{extension(inner)}"
        for _, content in _unpack(container, file, index, lambda name: name == inner, limits, clock):
            _write(content, made, limits.max_member_bytes)
            return Fetched(made, inner.rpartition("/")[2])
    raise Rejected("no_such_member", f"{shorten(inner)} is not in {container.name}")


def read_member(address: str, max_bytes: int, limits: ArchiveLimits | None = None) -> bytes:
    """The content of one member, for tables and lists. Raises: as `fetch`; Rejected `too_large`."""
    limits = limits or ArchiveLimits()
    container, inner = split_address(address)
    if not inner or inner.endswith("/"):
        raise Rejected("no_such_member", f"{shorten(address)} names no file in an archive")
    with _opened(container, follow=False) as file:
        index = _index(container, file, limits)
        _refuse_unlisted(index, inner)
        clock = Clock(limits.timeout_s)
        for member, content in _unpack(container, file, index, lambda name: name == inner, limits, clock):
            if member.size_bytes > max_bytes:
                raise Rejected(
                    "too_large", f"{shorten(inner)}: {member.size_bytes} bytes; at most {max_bytes}"
                )
            return b"".join(content)
    raise Rejected("no_such_member", f"{shorten(inner)} is not in {container.name}")


def split_address(address: str) -> tuple[Path, str | None]:
    """The file that holds it, and the name inside it; None: a plain folder of frames.

    Raises: Rejected `no_such_member` for an address that is neither.
    """
    at = address.find(INSIDE)
    while at >= 0:
        container = Path(address[:at])
        if container.is_file():
            return container, address[at + len(INSIDE) :]
        at = address.find(INSIDE, at + 1)
    if address.endswith("/") and Path(address).is_dir():
        return Path(address), None
    raise Rejected("no_such_member", f"{shorten(address)}: no such archive or folder of frames")


@contextlib.contextmanager
def _opened(path: Path, *, follow: bool) -> Iterator[BinaryIO]:
    """Open a regular file. Raises: Rejected `symlink_refused`, `unreadable`, `empty_file`."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    except OSError as error:
        reason = "symlink_refused" if error.errno == errno.ELOOP else "unreadable"
        raise Rejected(reason, f"{path.name}: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise Rejected("unreadable", f"{path.name} is not a regular file")
        if status.st_size == 0:
            raise Rejected("empty_file", f"{path.name} has 0 bytes")
        yield file


_indices: dict[tuple[object, ...], Index] = {}
INDICES_KEPT = 2


def _index(path: Path, file: BinaryIO, limits: ArchiveLimits) -> Index:
    """The index of an open archive; read once as long as the file stays as it is."""
    status = os.fstat(file.fileno())
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, path.name, limits)
    if key not in _indices:
        found = _read_index(path, file, status.st_size, limits)
        while len(_indices) >= INDICES_KEPT:
            del _indices[next(iter(_indices))]
        _indices[key] = found
    return _indices[key]


def _read_index(path: Path, file: BinaryIO, size_bytes: int, limits: ArchiveLimits) -> Index:
    packing = _kind(path, file)
    if packing == "zip":
        return zip_archive.read_index(file, size_bytes, limits)
    return tar_archive.read_index(file, packing, limits, Clock(limits.timeout_s))


def _kind(path: Path, file: BinaryIO) -> Packing | Literal["zip"]:
    """`zip`, or how the tar in it is packed. Raises: Rejected `split_archive`, `unsupported_archive`."""
    name = path.name.lower()
    file.seek(0)
    head = file.read(512)
    if PARTS.search(name):
        raise Rejected("split_archive", "one part of several; join them into one archive first")
    for magic, what_to_do in _FOREIGN:
        if head.startswith(magic):
            raise Rejected("unsupported_archive", f"it is {what_to_do}, then declare the folder")
    for magic, packing in _PACKING:
        if head.startswith(magic):
            return packing
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or name.endswith(".zip"):
        return "zip"
    if head[257:262] == b"ustar" or name.endswith(".tar"):
        return "stored"
    raise Rejected("unsupported_archive", "zip, tar, tar.gz, tar.bz2 and tar.xz are read; unpack it first")


def _unpack(
    path: Path, file: BinaryIO, index: Index, wanted: Wanted, limits: ArchiveLimits, clock: Clock
) -> Unpacked:
    packing = _kind(path, file)
    if packing == "zip":
        return zip_archive.unpack(file, index, wanted, clock)
    return tar_archive.unpack(file, packing, index, wanted, limits, clock)


def _refuse_unlisted(index: Index, inner: str) -> None:
    """Raises: Rejected with the reason why a member is not among those that may be used."""
    if any(member.name == inner for member in index.members):
        return
    for refusal in index.refusals:
        if refusal.name == inner or (not refusal.name and not index.members):
            raise Rejected(refusal.reason, f"{shorten(inner)}: {refusal.detail}")
    raise Rejected("no_such_member", f"{shorten(inner)} is not in this archive")


def _write(content: Iterator[bytes], made: Path, max_bytes: int) -> int:
    """Write content in pieces; its length. Raises: Rejected `nested_archive`, `too_large`."""
    taken = 0
    try:
        with made.open("wb") as file:
            for piece in content:
                if taken == 0:
                    refuse_nested(piece)
                taken += len(piece)
                if taken > max_bytes:
                    raise Rejected("too_large", f"more than {max_bytes} bytes")
                file.write(piece)
    except Rejected:
        made.unlink()
        raise
    return taken


def _fetch_cell(file: BinaryIO, inner: str, folder: Path, limits: ArchiveLimits) -> Fetched:
    if not re.fullmatch(r"[0-9]{1,12}", inner):
        raise Rejected("no_such_member", f"{shorten(inner)}: the rows of a Parquet file are counted from 0")
    content, name = read_cell(file, int(inner), limits)
    made = folder / f"member{extension(name)}"
    _write(iter([content]), made, limits.max_member_bytes)
    return Fetched(made, name or f"row {inner}")


def _fetch_frames(
    path: Path, file: BinaryIO, index: Index, inner: str, folder: Path, limits: ArchiveLimits, clock: Clock
) -> Fetched:
    """Unpack the numbered pictures directly in a folder of the archive, and pack them."""
    where = inner.strip("/")
    names = [member.name for member in index.members if is_numbered_picture(member.name)]
    names = [name for name in names if name.rpartition("/")[0] == where]
    _refuse_incomplete(index, where)
    if not names:
        raise Rejected("no_such_member", f"no folder {shorten(where)} with numbered pictures in {path.name}")
    if len(names) > limits.max_frames:
        raise Rejected("too_many_frames", f"{len(names)} pictures; at most {limits.max_frames}")
    numbers = {f"{where}/{name}" if where else name: n for n, name in _numbered(names)}
    made: dict[int, Path] = {}
    left = limits.max_member_bytes
    for member, content in _unpack(path, file, index, numbers.__contains__, limits, clock):
        number = numbers[member.name]
        made[number] = folder / f"{number}{extension(member.name)}"
        left -= _write(content, made[number], left)
    if len(made) != len(numbers):
        raise Rejected("damaged_archive", f"of {len(numbers)} pictures {len(made)} could be read")
    packed = pack_numbered(sorted(made.items()), folder / FRAMES_FILE, timeout_s=clock.left_s)
    for picture in made.values():
        picture.unlink()
    return Fetched(folder / FRAMES_FILE, where.rpartition("/")[2] or path.name, packed)


def _refuse_incomplete(index: Index, where: str) -> None:
    """Raises: Rejected where pictures of a folder are refused, or the archive breaks off in that folder."""
    for refusal in index.refusals:
        in_folder = refusal.name.rpartition("/")[0] == where and is_numbered_picture(refusal.name)
        if in_folder and refusal.reason != "duplicate_name":
            raise Rejected(refusal.reason, f"{shorten(refusal.name)}: {refusal.detail}")
        if not refusal.name and index.members and index.members[-1].name.rpartition("/")[0] == where:
            raise Rejected(
                refusal.reason, f"{shorten(where)} is the last folder, and not whole: {refusal.detail}"
            )


def _numbered(names: list[str]) -> list[tuple[int, str]]:
    return number_pictures([name.rpartition("/")[2] for name in names])


def _pack_folder(source: Path, folder: Path, limits: ArchiveLimits, clock: Clock) -> Fetched:
    pictures = sorted(path for path in source.iterdir() if is_numbered_picture(path.name))
    for path in pictures:
        if path.is_symlink():
            raise Rejected("symlink_refused", f"{path.name} is a link")
    packed = pack_frames(pictures, folder / FRAMES_FILE, max_frames=limits.max_frames, timeout_s=clock.left_s)
    return Fetched(folder / FRAMES_FILE, source.name, packed)
