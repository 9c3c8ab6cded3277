"""Reading ZIP archives from anybody: the central directory is checked before anything is unpacked.

What is refused for every kind of archive is in `members`.
"""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from haetae.errors import Rejected
from haetae.media.inflate import Packing, inflate
from haetae.media.members import ArchiveLimits, Clock, Index, Member, Roll, Unpacked, Wanted, shorten

ENTRY_BYTES = 2048
"""Mean length of a directory entry beyond which the directory is not read."""
LOCAL_BYTES = 30
_END, _END64 = b"PK\x05\x06", b"PK\x06\x06"
_PACKINGS: dict[int, Packing] = {
    zipfile.ZIP_STORED: "stored",
    zipfile.ZIP_DEFLATED: "deflate",
    zipfile.ZIP_BZIP2: "bzip2",
}
"""LZMA is left out: in a ZIP its stream may ask for a dictionary of 4 GiB."""
_UTF8 = 0x800
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_PATCH = 0x20
_DOS = 0


class Place(NamedTuple):
    """Where the content of a member is, and what it must come to."""

    header_at: int
    packed_bytes: int
    packing: Packing
    crc: int


def read_index(file: BinaryIO, size_bytes: int, limits: ArchiveLimits) -> Index:
    """Members and refusals by the directory; nothing is unpacked.

    Raises: Rejected `truncated_archive`, `split_archive`, `too_many_members`, `too_large`,
    `compression_bomb`, `damaged_archive` for the archive as a whole.
    """
    _check_directory(file, size_bytes, limits)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error, OSError) as no:
        raise Rejected("damaged_archive", f"its directory cannot be read: {no}") from no
    roll = Roll(limits)
    where: dict[str, Place] = {}
    overlapping = _overlapping(archive)
    for info in archive.infolist():
        name = _name(info)
        if name.endswith(("/", "\\")):
            continue
        why_not = _against(info, archive.start_dir)
        if why_not is None and info.header_offset in overlapping:
            why_not = ("overlapping_entries", "it shares bytes with another member")
        clean = roll.add(name, info.file_size, info.compress_size, why_not)
        if clean is not None:
            packing = _PACKINGS[info.compress_type]
            where[clean] = Place(info.header_offset, info.compress_size, packing, info.CRC)
    return Index(roll.members, roll.refusals, where)


def unpack(file: BinaryIO, index: Index, wanted: Wanted, clock: Clock) -> Unpacked:
    """The members whose name is wanted. Raises: Rejected `damaged_archive`, `truncated_archive`, `timeout`."""
    for member in index.members:
        if wanted(member.name):
            yield member, _content(file, member, index.where[member.name], clock)


def _content(file: BinaryIO, member: Member, place: Place, clock: Clock) -> Iterator[bytes]:
    """A member's bytes; the last piece is given only after length and checksum were found right."""
    shown = shorten(member.name)
    file.seek(place.header_at)
    header = file.read(LOCAL_BYTES)
    if len(header) < LOCAL_BYTES or not header.startswith(b"PK\x03\x04"):
        raise Rejected("damaged_archive", f"{shown}: there is no member where the directory says")
    file.seek(sum(struct.unpack("<HH", header[26:30])), 1)
    left = place.packed_bytes

    def read(n: int) -> bytes:
        nonlocal left
        piece = file.read(min(n, left))
        left -= len(piece)
        return piece

    crc, taken, held = 0, 0, b""
    for piece in inflate(read, place.packing, clock):
        crc, taken = zlib.crc32(piece, crc), taken + len(piece)
        if taken > member.size_bytes:
            break
        if held:
            yield held
        held = piece
    if taken != member.size_bytes or crc != place.crc:
        detail = f"{shown}: it does not unpack to the {member.size_bytes} bytes that the directory states"
        raise Rejected("damaged_archive", detail)
    if held:
        yield held


def _check_directory(file: BinaryIO, size_bytes: int, limits: ArchiveLimits) -> None:
    """Bound the directory before it is read into memory."""
    file.seek(max(0, size_bytes - (1 << 16) - 22 - 76))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        detail = "it has no directory at its end: cut short, or one part of several (join those first)"
        raise Rejected("truncated_archive", detail)
    disk, first_disk, _, entries, length = struct.unpack("<HHHHI", tail[at + 4 : at + 16])
    if 0xFFFF in (disk, entries) or length == 0xFFFFFFFF:
        at64 = tail.rfind(_END64, 0, at)
        if at64 >= 0 and at - at64 >= 56:
            disk, first_disk, _, entries, length = struct.unpack("<IIQQQ", tail[at64 + 16 : at64 + 48])
    if disk or first_disk:
        raise Rejected("split_archive", "it is one part of several; join them into one archive first")
    if length > size_bytes:
        raise Rejected("truncated_archive", f"its directory has {length} bytes and the file {size_bytes}")
    # Whatever number is stated, entries are read until the directory's length is used up.
    if entries > limits.max_members or length > limits.max_members * ENTRY_BYTES:
        detail = f"more than {limits.max_members} members; unpack it and declare the folder"
        raise Rejected("too_many_members", detail)


def _against(info: zipfile.ZipInfo, directory_at: int) -> tuple[str, str] | None:
    """What there is against a member: reason and detail; None: nothing."""
    if info.flag_bits & _ENCRYPTED:
        return "encrypted", "it is protected by a password; unpack it with the password first"
    if info.flag_bits & _PATCH or info.compress_type not in _PACKINGS:
        detail = f"packed by method {info.compress_type}, which is not read; pack it again with deflate"
        return "unsupported_compression", detail
    mode = info.external_attr >> 16 if info.create_system != _DOS else 0
    if stat.S_ISLNK(mode):
        return "link_refused", "it is a symbolic link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "device_refused", "it is a device, a pipe or a socket"
    if info.header_offset < 0 or info.header_offset + LOCAL_BYTES + info.compress_size > directory_at:
        return "truncated_archive", "its content lies beyond the end of the archive"
    return None


def _overlapping(archive: zipfile.ZipFile) -> set[int]:
    """Offsets of members that reach into another: one kernel unpacked many times over (Fifield, WOOT 2019)."""
    spans = sorted(
        (info.header_offset, info.header_offset + LOCAL_BYTES + info.compress_size)
        for info in archive.infolist()
    )
    found: set[int] = set()
    reach, owner = -1, -1
    for start, end in spans:
        if start < reach:
            found |= {start, owner}
        if end > reach:
            reach, owner = end, start
    return found


def _name(info: zipfile.ZipInfo) -> str:
    """The name as its maker meant it: UTF-8 where marked or valid, CP949 as Korean Windows writes it."""
    if info.flag_bits & _UTF8:
        return info.orig_filename
    try:
        raw = info.orig_filename.encode("cp437")
    except UnicodeEncodeError:
        return info.orig_filename
    if stated := _unicode_path(info.extra, raw):
        return stated
    for encoding in ("utf-8", "cp949"):
        try:
            name = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not any(unicodedata.category(letter) in ("Cn", "Co") for letter in name):
            return name
    return info.orig_filename


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The UTF-8 name in the extra field 0x7075, where it was written for this very name."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        body = extra[at + 4 : at + 4 + length]
        if kind == 0x7075 and len(body) > 5 and body[0] == 1:
            is_its_own = struct.unpack_from("<I", body, 1)[0] == zlib.crc32(raw)
            return body[5:].decode("utf-8", "replace") if is_its_own else None
        at += 4 + length
    return None
