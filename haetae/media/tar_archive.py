"""Reading tar archives from anybody, plain or packed: one pass, nothing kept in memory.

What is refused for every kind of archive is in `members`. The headers are walked here because `tarfile` reads
name and PAX records of any stated length into memory.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from haetae.errors import Rejected
from haetae.media.inflate import Packing, inflate
from haetae.media.members import (
    PIECE_BYTES,
    SMALL_BYTES,
    ArchiveLimits,
    Clock,
    Index,
    Member,
    Refusal,
    Roll,
    Unpacked,
    Wanted,
)

BLOCK = 512
RECORD_BYTES = 1 << 16
"""Longest name or PAX record that is read."""
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_SPARSE = ("unsupported_compression", "it is stored with holes; pack it without --sparse")
_AGAINST = {
    tarfile.SYMTYPE: ("link_refused", "it is a symbolic link"),
    tarfile.LNKTYPE: ("link_refused", "it is a hard link"),
    tarfile.CHRTYPE: ("device_refused", "it is a device"),
    tarfile.BLKTYPE: ("device_refused", "it is a device"),
    tarfile.FIFOTYPE: ("device_refused", "it is a pipe"),
    tarfile.GNUTYPE_SPARSE: _SPARSE,
}
_PARTIAL = ("truncated_archive", "damaged_archive")
"""Faults behind which the members before them are still whole."""


class _Bytes(Protocol):
    def read(self, n: int) -> bytes:
        """Up to n bytes; fewer only at the end."""

    def skip(self, n: int) -> None:
        """Raises: Rejected `truncated_archive` where there are fewer."""


class _Plain:
    """The bytes of a tar that is not packed: what is not wanted is jumped over."""

    def __init__(self, file: BinaryIO, clock: Clock) -> None:
        self._file, self._clock = file, clock
        self._size = file.seek(0, 2)
        file.seek(0)

    @property
    def at(self) -> int:
        return self._file.tell()

    def read(self, n: int) -> bytes:
        self._clock.check()
        return self._file.read(n)

    def skip(self, n: int) -> None:
        if self._file.tell() + n > self._size:
            raise Rejected("truncated_archive", "it ends in the middle of a member")
        self._file.seek(n, 1)


class _Packed:
    """The bytes of a packed tar, counted against the limits on the way."""

    def __init__(self, file: BinaryIO, packing: Packing, limits: ArchiveLimits, clock: Clock) -> None:
        file.seek(0)
        self._file, self._limits = file, limits
        self._pieces = inflate(file.read, packing, clock)
        self._ready = memoryview(b"")
        self._unpacked = 0

    def read(self, n: int) -> bytes:
        parts = []
        while n > 0 and self._fill():
            parts.append(bytes(self._ready[:n]))
            self._ready = self._ready[n:]
            n -= len(parts[-1])
        return b"".join(parts)

    def skip(self, n: int) -> None:
        while n > 0:
            if not self._fill():
                raise Rejected("truncated_archive", "it ends in the middle of a member")
            step = min(n, len(self._ready))
            self._ready = self._ready[step:]
            n -= step

    def _fill(self) -> bool:
        if self._ready:
            return True
        piece = next(self._pieces, b"")
        self._ready = memoryview(piece)
        self._unpacked += len(piece)
        packed = self._file.tell()
        if self._unpacked > SMALL_BYTES and self._unpacked > self._limits.max_ratio * packed:
            raise Rejected("compression_bomb", f"{packed} bytes unpack to {self._unpacked} and more")
        if self._unpacked > self._limits.max_total_bytes:
            raise Rejected("too_large", f"it unpacks to more than {self._limits.max_total_bytes} bytes")
        return bool(piece)


class _Body:
    """The content of the member at hand; what its taker leaves is jumped over."""

    def __init__(self, source: _Bytes, size_bytes: int) -> None:
        self._source, self._left = source, size_bytes

    def pieces(self) -> Iterator[bytes]:
        while self._left > 0:
            piece = self._source.read(min(self._left, PIECE_BYTES))
            if not piece:
                raise Rejected("truncated_archive", "it ends in the middle of a member")
            self._left -= len(piece)
            yield piece

    def drain(self) -> None:
        self._source.skip(self._left)
        self._left = 0


def read_index(file: BinaryIO, packing: Packing, limits: ArchiveLimits, clock: Clock) -> Index:
    """Members and refusals by one pass. Of an archive that is cut short or damaged the members before the
    fault are listed, and the archive itself (name "") is among the refusals.

    Raises: Rejected `too_many_members`, `too_large`, `compression_bomb`, `timeout` for the archive as a whole.
    """
    roll = Roll(limits)
    where: dict[str, int] = {}
    plain = _Plain(file, clock) if packing == "stored" else None
    source = plain or _Packed(file, packing, limits, clock)
    whole = 0
    try:
        for member, body in _walk(source, roll):
            if plain is not None:
                where[member.name] = plain.at
            body.drain()
            whole += 1
    except Rejected as no:
        if no.reason not in _PARTIAL:
            raise
        del roll.members[whole:]
        told = f"{no.detail}; members before that: {whole}"
        roll.refusals.append(Refusal("", no.reason, told))
    return Index(roll.members, roll.refusals, where)


def unpack(
    file: BinaryIO,
    packing: Packing,
    index: Index,
    wanted: Wanted,
    limits: ArchiveLimits,
    clock: Clock,
) -> Unpacked:
    """The listed members whose name is wanted, in one pass. Raises: as `read_index`, and for its faults too."""
    if packing == "stored":
        plain = _Plain(file, clock)
        for member in index.members:
            if wanted(member.name):
                file.seek(index.where[member.name])
                yield member, _Body(plain, member.size_bytes).pieces()
        return
    left = sum(1 for member in index.members if wanted(member.name))
    if left == 0:
        return
    for member, body in _walk(_Packed(file, packing, limits, clock), Roll(limits)):
        if wanted(member.name):
            yield member, body.pieces()
            left -= 1
            if left == 0:
                return


def _walk(source: _Bytes, roll: Roll) -> Iterator[tuple[Member, _Body]]:
    """Members that `roll` accepts, with the source at the start of their content."""
    long_name: str | None = None
    records: dict[str, str] = {}
    while (found := _header(source)) is not None:
        info, block = found
        if info.type == tarfile.GNUTYPE_LONGNAME:
            long_name = _record(source, info.size).split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
            continue
        if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            records = _pax(_record(source, info.size))
            continue
        if info.type in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
            source.skip(_padded(info.size))
            continue
        name, size = _decoded(long_name or records.get("path") or info.name), _size(info, records)
        why_not = _AGAINST.get(info.type)
        if any(key.startswith("GNU.sparse") for key in records):
            why_not = _SPARSE
        while info.type == tarfile.GNUTYPE_SPARSE and block[482 if block[257:262] == b"ustar" else 504]:
            block = _whole_block(source)
        long_name, records = None, {}
        has_content = info.type in _REGULAR or info.type not in tarfile.SUPPORTED_TYPES
        body = _Body(source, size if has_content or why_not is _SPARSE else 0)
        padding = _padded(size) - size if has_content or why_not is _SPARSE else 0
        if info.type != tarfile.DIRTYPE and roll.add(name, size, None, why_not) is not None:
            yield roll.members[-1], body
        body.drain()
        source.skip(padding)


def _header(source: _Bytes) -> tuple[tarfile.TarInfo, bytes] | None:
    """The next header; None at the mark of the end. Raises: Rejected `damaged_archive`, `truncated_archive`."""
    block = _whole_block(source)
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, OverflowError) as error:
        if not any(block):
            return None
        raise Rejected("damaged_archive", f"what should be a header is none: {error}") from error
    if info.size < 0:
        raise Rejected("damaged_archive", "a member of negative size")
    return info, block


def _whole_block(source: _Bytes) -> bytes:
    block = source.read(BLOCK)
    if len(block) < BLOCK:
        raise Rejected("truncated_archive", "it ends without the mark of its end")
    return block


def _record(source: _Bytes, size: int) -> bytes:
    if size > RECORD_BYTES:
        raise Rejected("damaged_archive", f"a name of {size} bytes")
    record = source.read(size)
    source.skip(_padded(size) - len(record))
    return record


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _pax(record: bytes) -> dict[str, str]:
    """Records `<length> <key>=<value>` and a line feed each. Raises: Rejected `damaged_archive`."""
    found: dict[str, str] = {}
    at = 0
    while at < len(record) and record[at] != 0:
        digits, space, _ = record[at : at + 20].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        line = record[at : at + length]
        key, equals, value = line[len(digits) + 1 : -1].partition(b"=")
        if not equals or not line.endswith(b"\n"):
            raise Rejected("damaged_archive", "a record about a member cannot be read")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at += length
    return found


def _size(info: tarfile.TarInfo, records: dict[str, str]) -> int:
    stated = records.get("size")
    if stated is None:
        return info.size
    if not stated.isascii() or not stated.isdigit() or len(stated) > 18:
        raise Rejected("damaged_archive", "a member whose size is no number")
    return int(stated)


def _decoded(name: str) -> str:
    """A name in UTF-8, or in CP949 as Korean systems wrote it."""
    raw = name.encode("utf-8", "surrogateescape")
    for encoding in ("utf-8", "cp949"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name
