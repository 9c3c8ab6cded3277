"""What the members of any archive have in common: their names, their limits and why one is refused.

How an archive is read is in `zip_archive`, `tar_archive` and `parquet_cells`; the doors are in `archives`.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from haetae.errors import Rejected

NAME_BYTES = 1024
PART_BYTES = 255
DEPTH = 32
PIECE_BYTES = 1 << 18
SMALL_BYTES = 16 << 20
"""What unpacks to less than this is no bomb, however well it was packed: silence and black pictures do."""
ARCHIVES = re.compile(
    r"\.(zip|zipx|tar|tgz|tbz2?|txz|tzst|7z|rar|cab|iso|cpio|gz|bz2|xz|zst|lz4|lzma|tar\.z)$", re.IGNORECASE
)
"""Names of archives and packed files, whether they can be read or not."""
PARTS = re.compile(
    r"\.(z\d\d|r\d\d|part\d{1,3}\.rar|(zip|7z|rar|tar|tgz|gz)\.(part)?\d{1,3}|(tar|tgz|gz)\.?[a-c][a-z])$(?<!\.bz)",
    re.IGNORECASE,
)
"""Names of the parts that big archives are cut into."""
_MAGIC = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
)


class Member(NamedTuple):
    """A file in an archive: its name as a clean relative POSIX path in NFC, and its unpacked size in bytes."""

    name: str
    size_bytes: int


class Refusal(NamedTuple):
    """A member that may not be used (name "": the archive as a whole), the reason word, and a sentence."""

    name: str
    reason: str
    detail: str


@dataclass(frozen=True)
class ArchiveLimits:
    """What is too much for one archive.

    max_ratio: unpacked over packed size, of a member or of the whole, above 16 MiB unpacked. max_member_bytes,
    max_total_bytes: unpacked. timeout_s: for one listing or one fetch. max_frames: pictures of one folder.
    """

    max_members: int = 500_000
    max_member_bytes: int = 8 << 30
    max_total_bytes: int = 4 << 40
    max_ratio: float = 200.0
    max_frames: int = 20_000
    timeout_s: float = 1800.0


@dataclass
class Clock:
    """Stops work on an archive that takes too long. Raises: Rejected `timeout`."""

    timeout_s: float
    _deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.timeout_s

    @property
    def left_s(self) -> float:
        return max(0.1, self._deadline - time.monotonic())

    def check(self) -> None:
        if time.monotonic() > self._deadline:
            raise Rejected("timeout", f"the archive was not read within {self.timeout_s:g} s")


Wanted = Callable[[str], bool]


@dataclass(frozen=True)
class Index:
    """What an archive holds. where: place of each member's content, in the terms of its format."""

    members: list[Member]
    refusals: list[Refusal]
    where: dict[str, Any] = field(default_factory=dict)


Unpacked = Iterator[tuple[Member, Iterator[bytes]]]
"""Members with their content in pieces, to be taken in order."""


def clean_name(raw: str) -> str | None:
    """A member's name as a relative POSIX path in NFC; None for a folder or what is hidden.

    Raises: Rejected `path_escape` for `..`, absolute and drive paths; `bad_name` for control characters, and
    names that are too long or too deep to be a file's.
    """
    name = unicodedata.normalize("NFC", raw.replace("\\", "/"))
    shown = shorten(name)
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Co", "Cn") for letter in name):
        raise Rejected("bad_name", f"{shown}: control characters in its name")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or (parts and re.match(r"[A-Za-z]:", parts[0])):
        raise Rejected("path_escape", f"{shown}: an absolute path")
    if ".." in parts:
        raise Rejected("path_escape", f"{shown}: it leads out of the archive")
    if (
        len(parts) > DEPTH
        or len(name.encode()) > NAME_BYTES
        or any(len(p.encode()) > PART_BYTES for p in parts)
    ):
        raise Rejected("bad_name", f"{shown}: too long or too deep")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return None if hidden or not parts or name.endswith("/") else "/".join(parts)


def shorten(name: str) -> str:
    """A name that may be shown: one line of at most 200 characters without control characters."""
    plain = "".join(c if unicodedata.category(c)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for c in name)
    return plain if len(plain) <= 200 else f"{plain[:120]}…{plain[-60:]}"


class Roll:
    """Takes members one by one and keeps those within the limits.

    Raises, from `add`: Rejected `too_many_members` and `too_large` for the archive as a whole.
    """

    def __init__(self, limits: ArchiveLimits) -> None:
        self.limits = limits
        self.members: list[Member] = []
        self.refusals: list[Refusal] = []
        self._names: set[str] = set()
        self._seen = 0
        self._total = 0

    def add(
        self, raw: str, size: int, packed: int | None, why_not: tuple[str, str] | None = None
    ) -> str | None:
        """Judge one member; its clean name where it may be used. why_not: what the format has against it."""
        self._seen += 1
        if self._seen > self.limits.max_members:
            detail = f"more than {self.limits.max_members} members; unpack it and declare the folder"
            raise Rejected("too_many_members", detail)
        try:
            name = clean_name(raw)
            if name is None:
                return None
            if why_not is not None:
                raise Rejected(*why_not)
            self._judge(name, size, packed)
        except Rejected as no:
            self.refusals.append(Refusal(shorten(raw), no.reason, no.detail))
            return None
        self._names.add(name)
        self._total += size
        if self._total > self.limits.max_total_bytes:
            detail = f"it unpacks to more than {self.limits.max_total_bytes} bytes"
            raise Rejected("too_large", detail)
        self.members.append(Member(name, size))
        return name

    def _judge(self, name: str, size: int, packed: int | None) -> None:
        if ARCHIVES.search(name) or PARTS.search(name):
            raise Rejected("nested_archive", "an archive inside an archive; unpack the outer one")
        if size > self.limits.max_member_bytes:
            raise Rejected("too_large", f"{size} bytes; at most {self.limits.max_member_bytes}")
        if packed is not None and size > SMALL_BYTES and size > self.limits.max_ratio * max(1, packed):
            detail = f"{packed} bytes unpack to {size}; at most {self.limits.max_ratio:g} times as many"
            raise Rejected("compression_bomb", detail)
        if name in self._names:
            raise Rejected("duplicate_name", "a second member of this name; the first one counts")


def refuse_nested(head: bytes) -> None:
    """Raises: Rejected `nested_archive` where content begins like an archive, whatever its name says."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            raise Rejected("nested_archive", f"its content is {kind}; unpack the outer archive")
    if head[257:262] == b"ustar":
        raise Rejected("nested_archive", "its content is a tar archive; unpack the outer archive")


def extension(name: str) -> str:
    """The last suffix of a name, lower case with its dot, where it is a plain one; else nothing."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ""
