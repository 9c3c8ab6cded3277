"""The tree of a public data set as its importer sees it: names and sizes, small texts, lengths from headers.

Nothing is unpacked but a text that is asked for, and no picture or sound is decoded. What the names mean is
told by the importers.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av.error

from haetae.errors import Rejected, UsageError
from haetae.importers.base import Finding, FindingKind
from haetae.media.archives import INSIDE, Member, is_archive, list_members, read_member
from haetae.media.opening import open_media, video_stream

ENCODINGS = ("utf-8-sig", "utf-8", "cp949")
MAX_FILES = 50_000_000
MAX_DEPTH = 40
MAX_TEXT_BYTES = 2 << 30

_FRAME = re.compile(r"(?:.*\D)?(\d+)\.(?:png|jpe?g)", re.IGNORECASE)
_BROKEN = ("damaged_archive", "truncated_archive", "unreadable", "empty_file")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_DRIVE = re.compile(r"^[A-Za-z]:(?=/)")


class Tree:
    """All files below one folder, walked once. Paths are POSIX, below the root, and exactly as on disk.

    Hidden files and links that lead out of the root (any linked folder) are passed over; `findings` tells of
    those, and of archives or members that are refused. Archives are listed when first asked for: a zip by its
    directory, a tar by one pass.
    """

    def __init__(self, root: Path) -> None:
        """Walk the folder. Raises: UsageError where it is none, or holds more than `MAX_FILES` files."""
        if not root.is_dir():
            raise UsageError(f"{root} is not a folder; give the folder that holds the data set")
        self.root = root.resolve()
        self.findings: list[Finding] = []
        self._names: dict[str, list[str]] = {}
        """Sorted names of the files of each folder; a folder in an archive is `x.zip!` or `x.zip!/a/b`."""
        self._sizes: dict[str, int] = {}
        self._unlisted: list[str] = []
        self._folded: dict[str, list[str]] = {}
        self._folded_names: dict[str, dict[str, list[str]]] = {}
        self._above: dict[str, list[str]] = {}
        """Folders that hold a folder of that name, any case."""
        self._by_name: dict[str, list[str]] | None = None
        self._walk()

    # Looking around

    def files(self, *suffixes: str, under: str = "") -> list[str]:
        """Files below a folder with one of the suffixes (any case; none given: all), sorted.

        Files on disk come before members of archives, so that the first of two copies is the unpacked one.
        """
        endings = tuple(suffix.lower() for suffix in suffixes)
        found = [
            _join(folder, name)
            for folder, name in self._below(under)
            if not endings or name.lower().endswith(endings)
        ]
        return sorted(found, key=lambda path: (INSIDE in path, path))

    def frame_folders(self, under: str = "") -> list[str]:
        """Folders that hold at least one numbered picture (png, jpg), with a trailing slash, sorted."""
        self._list_archives(under)
        folders = [
            folder
            for folder, names in self._names.items()
            if _is_below(folder, under) and any(_FRAME.fullmatch(name) for name in names)
        ]
        return sorted((f"{folder}/" for folder in folders), key=lambda path: (INSIDE in path, path))

    def folders(self, under: str = "") -> list[str]:
        """All folders below one, with a trailing slash, sorted; also those without a file in them."""
        self._list_archives(under)
        return sorted(f"{f}/" for f in self._names if f and f != under.strip("/") and _is_below(f, under))

    def names(self, folder: str) -> Sequence[str]:
        """Names of the files that a folder itself holds, sorted."""
        self._list_archives(folder)
        return tuple(self._names.get(folder.rstrip("/"), ()))

    def frames(self, folder: str) -> list[str]:
        """Paths of the numbered pictures of a folder, by number and then by name."""
        numbered = [(int(m[1]), n) for n in self.names(folder) if (m := _FRAME.fullmatch(n))]
        return [_join(folder.rstrip("/"), name) for _, name in sorted(numbered)]

    def named(self, name: str) -> list[str]:
        """All files of that name anywhere, sorted; NFC or NFD and upper or lower case are one."""
        self._list_archives("")
        if self._by_name is None:
            self._by_name = {}
            for folder, names in self._names.items():
                for one in names:
                    self._by_name.setdefault(_fold(one), []).append(_join(folder, one))
        found = self._by_name.get(_fold(name), [])
        return sorted(found, key=lambda path: (INSIDE in path, path))

    # Finding what a list names

    def find(self, path: str) -> str | None:
        """The path on disk of what a list of the data set calls `path`; None where it is not there.

        Tried in this order: the path as it is; its tails, longest first, because lists hold absolute paths and
        the name of the root (a tail is at least a folder and a name, or the name in an absolute path); the
        one folder below which the whole path is found; and the same without regard to case, NFC or NFD.
        A folder is found with and without a trailing slash, and given with one.
        """
        path = _DRIVE.sub("", path.replace("\\", "/"))
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            return None
        shortest = 1 if path.startswith("/") or len(parts) == 1 else 2
        tails = ["/".join(parts[cut:]) for cut in range(len(parts) - shortest + 1)]
        for here in (self._exact, self._tolerant):
            for tail in tails:
                if found := here(tail):
                    return found
            self._list_archives("")
            if not path.startswith("/") and (found := self._deeper(tails[0], here)):
                return found
        return None

    def exists(self, path: str) -> bool:
        """Whether this very path is a file or folder of the tree."""
        return self._exact(path.rstrip("/")) is not None

    def size(self, path: str) -> int:
        """Bytes of a file or member; of a folder, those of its own files. 0 for what is not there."""
        if path.endswith("/"):
            return sum(self.size(path + name) for name in self.names(path))
        if INSIDE in path:
            self._list_archives(path)
            return self._sizes.get(path, 0)
        try:
            return (self.root / path).stat().st_size
        except OSError:
            return 0

    def local(self, path: str) -> Path:
        """The file on disk. Raises: UsageError for what is not in the tree, or is inside an archive."""
        if INSIDE in path:
            raise UsageError(f"{path} is inside an archive; unpack it first")
        if not self.exists(path):
            raise UsageError(f"{path} is not in {self.root}")
        return self.root / path

    # Reading texts and headers

    def text(self, path: str, encodings: Sequence[str] = ENCODINGS) -> str:
        """A text file or member, by the first encoding that fits all of it.

        Raises: UsageError where it is not there, larger than `MAX_TEXT_BYTES`, or in none of the encodings.
        """
        if self.size(path) > MAX_TEXT_BYTES:
            raise UsageError(f"{path} holds more than {MAX_TEXT_BYTES >> 20} MiB; that is no list")
        data = self._bytes(path)
        for encoding in encodings:
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                continue
        raise UsageError(f"{path} is in none of {', '.join(encodings)}; save it as UTF-8")

    def json(self, path: str) -> Any:
        """A JSON file. Raises: UsageError with the line where it is not JSON, or holds half a character."""
        text = self.text(path)
        try:
            content = json.loads(text)
            if _HALF.search(text):
                # Half of a pair of escapes is text to Python, and an error wherever it is written.
                json.dumps(content, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} is not JSON: {error}; fetch it again") from error
        return content

    def csv(self, path: str, delimiter: str = ",", quoted: bool = True) -> list[dict[str, str]]:
        """Rows of a table with a header, by column name; names and cells are stripped, empty lines skipped.

        A column without a name is called "", a repeated one `name#<column number from 1>`, and cells beyond
        the header `#<number>`. Cells that a short row lacks are "". quoted: False where '"' is just a letter.
        Raises: UsageError where it is no such table.
        """
        lines = io.StringIO(self.text(path), newline="")
        try:
            if quoted:
                table = csv.reader(lines, delimiter=delimiter)
            else:
                table = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
            rows = [row for row in table if any(row)]
        except csv.Error as error:
            raise UsageError(f"{path} is not a table separated by {delimiter!r}: {error}") from error
        if not rows:
            return []
        names: list[str] = []
        for number, raw in enumerate(rows[0], start=1):
            name = unicodedata.normalize("NFC", raw.strip())
            names.append(name if name not in names else f"{name}#{number}")
        return [_by_column(names, row) for row in rows[1:]]

    def n_frames(self, path: str) -> int | None:
        """Pictures in a folder, or in a video as its header states them; None where it states none."""
        if path.endswith("/"):
            return len(self.frames(path))
        return self._header(path)[0]

    def duration_s(self, path: str) -> float | None:
        """Seconds that the header of a media file states; None where it states none or cannot be read."""
        return self._header(path)[1]

    # Inside

    def _walk(self) -> None:
        count, waiting = 0, [("", 0)]
        while waiting:
            folder, depth = waiting.pop()
            names: list[str] = []
            for entry in self._scan(folder):
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if depth >= MAX_DEPTH:
                        self.findings.append(Finding("layout", path, f"deeper than {MAX_DEPTH} folders"))
                    else:
                        waiting.append((path, depth + 1))
                elif self._is_ours(entry, path):
                    names.append(sys.intern(entry.name))
                    if is_archive(entry.name):
                        self._unlisted.append(path)
            count += len(names)
            if count > MAX_FILES:
                raise UsageError(
                    f"{self.root} holds more than {MAX_FILES} files; import its parts one by one"
                )
            self._names[folder] = sorted(names)
        self._unlisted.sort()

    def _scan(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                found = sorted((e for e in entries if not _is_hidden(e.name)), key=lambda e: e.name)
        except OSError as error:
            self.findings.append(Finding("damaged", f"{folder}/", f"cannot be read: {error.strerror}"))
            return
        for entry in found:
            try:
                entry.name.encode("utf-8")
            except UnicodeEncodeError:
                shown = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
                told = "its name is not UTF-8; unpack the archive again with its encoding (often cp949)"
                self.findings.append(Finding("layout", f"{folder}/{shown}".lstrip("/"), told))
                continue
            yield entry

    def _is_ours(self, entry: os.DirEntry[str], path: str) -> bool:
        if entry.is_symlink():
            target = Path(os.path.realpath(entry.path))
            if not target.is_relative_to(self.root) or not target.is_file():
                told = "a link to a folder, out of the data set or to nothing; put the files themselves there"
                self.findings.append(Finding("layout", path, told))
                return False
        return entry.is_file()

    def _below(self, under: str) -> Iterator[tuple[str, str]]:
        self._list_archives(under)
        for folder, names in self._names.items():
            if _is_below(folder, under):
                yield from ((folder, name) for name in names)

    def _list_archives(self, under: str) -> None:
        """List the archives below a folder, and the one that the folder is in, if that was not yet done."""
        under = under.strip("/")
        wanted = [a for a in self._unlisted if _is_below(a, under) or under.startswith(a + "!")]
        if not wanted:
            return
        self._unlisted = [archive for archive in self._unlisted if archive not in set(wanted)]
        self._folded, self._folded_names, self._above, self._by_name = {}, {}, {}, None
        for archive in wanted:
            members, refusals = list_members(self.root / archive)
            for refusal in refusals:
                subject = archive + (INSIDE + refusal.name if refusal.name else "")
                kind: FindingKind = "damaged" if refusal.reason in _BROKEN else "layout"
                self.findings.append(Finding(kind, subject, f"{refusal.reason}: {refusal.detail}"))
            self._add_members(archive, members)

    def _add_members(self, archive: str, members: Sequence[Member]) -> None:
        grown: dict[str, list[str]] = {}
        for member in members:
            folder, _, name = f"{archive}{INSIDE}{member.name}".rpartition("/")
            if folder not in grown:
                parts = folder[len(archive) :].split("/")
                for end in range(1, len(parts) + 1):
                    grown.setdefault(archive + "/".join(parts[:end]), [])
            grown[folder].append(sys.intern(name))
            self._sizes[f"{folder}/{name}"] = member.size_bytes
        self._names.update((folder, sorted(names)) for folder, names in grown.items())

    def _exact(self, path: str) -> str | None:
        if "!" in path:
            self._list_archives(path)
        if path in self._names:
            return f"{path}/" if path else None
        folder, _, name = path.rpartition("/")
        names = self._names.get(folder, ())
        at = bisect_left(names, name)
        return path if at < len(names) and names[at] == name else None

    def _tolerant(self, path: str) -> str | None:
        """As `_exact`, without regard to case, NFC or NFD; None too where that leaves a choice."""
        self._index_folders()
        if same := self._folded.get(_fold(path)):
            return f"{same[0]}/" if len(same) == 1 and path else None
        folder, _, name = path.rpartition("/")
        found = [
            _join(one, real)
            for one in self._folded.get(_fold(folder), ())
            for real in self._folded_names_of(one).get(_fold(name), ())
        ]
        return found[0] if len(found) == 1 else None

    def _index_folders(self) -> None:
        if self._folded:
            return
        for folder in self._names:
            self._folded.setdefault(_fold(folder), []).append(folder)
            above, _, last = folder.rpartition("/")
            if above:
                self._above.setdefault(_fold(last), []).append(above)

    def _folded_names_of(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._folded_names:
            folded: dict[str, list[str]] = {}
            for name in self._names[folder]:
                folded.setdefault(_fold(name), []).append(name)
            self._folded_names[folder] = folded
        return self._folded_names[folder]

    def _deeper(self, path: str, here: Callable[[str], str | None]) -> str | None:
        """The path below the one folder that has it; None for a bare name, and where several folders do."""
        first, _, rest = path.partition("/")
        if not rest:
            return None
        self._index_folders()
        found = {hit for folder in self._above.get(_fold(first), ()) if (hit := here(f"{folder}/{path}"))}
        return found.pop() if len(found) == 1 else None

    def _bytes(self, path: str) -> bytes:
        if not self.exists(path) or path.endswith("/"):
            raise UsageError(f"{path} is not a file in {self.root}")
        try:
            if INSIDE not in path:
                return (self.root / path).read_bytes()
            return read_member(f"{self.root}/{path}", MAX_TEXT_BYTES)
        except (OSError, Rejected) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error

    def _header(self, path: str) -> tuple[int | None, float | None]:
        if INSIDE in path or not self.exists(path):
            return None, None
        try:
            with open_media(self.root / path) as container:
                video = video_stream(container)
                seconds = (container.duration or 0) / 1_000_000
                return (video.frames or None if video else None), (seconds or None)
        except (Rejected, av.error.FFmpegError):
            return None, None


def frame_number(name: str) -> int | None:
    """The number in the name of a picture, `000.png` or `frame_12.jpg`; None where it has none."""
    match = _FRAME.fullmatch(name.rsplit("/", 1)[-1])
    return int(match[1]) if match else None


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _is_below(folder: str, under: str) -> bool:
    under = under.strip("/")
    return not under or folder == under or folder.startswith((f"{under}/", f"{under}!"))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _by_column(names: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    cells = [cell.strip() for cell in row]
    known = dict(zip(names, [*cells, *[""] * (len(names) - len(cells))], strict=False))
    return known | {f"#{number}": cell for number, cell in enumerate(cells[len(names) :], len(names) + 1)}
