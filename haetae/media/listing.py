"""`discover`: which files and addresses there are at a declared source.

Nothing is fetched or judged here; that is `crawl` and `probe`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from haetae.errors import Rejected, UsageError
from haetae.media.download import DownloadLimits, list_entries
from haetae.provenance.ids import file_sha256

SIDECARS = frozenset({".srt", ".vtt", ".json", ".txt", ".csv", ".md", ".yaml", ".yml"})
LISTING_TIMEOUT_S = 120.0


class Declared(Protocol):
    """The part of a declared source that is needed to look at it."""

    @property
    def kind(self) -> str: ...

    @property
    def uri(self) -> str: ...


@dataclass(frozen=True)
class Found:
    """One file or address at a source; `error` says why it will not be fetched, or could not be read."""

    uri: str
    sha256: str | None = None
    size_bytes: int | None = None
    error: str | None = None


def discover(source: Declared, *, limit: int = 200, allow_hosts: tuple[str, ...] = ()) -> list[Found]:
    """List a source: the file; the media files of a folder, sorted; the entries of a page, feed or channel.

    limit: most entries taken from a page, feed or channel; files of a folder are never left out.
    allow_hosts: see `egress.Guard`. A site that cannot be listed gives one Found with its error.
    Raises: UsageError for a kind that is not crawled.
    """
    is_web = urlsplit(source.uri).scheme in ("http", "https")
    if source.kind == "file":
        return [Found(source.uri)] if is_web else [_look_at(Path(source.uri))]
    if source.kind == "folder":
        return list(_walk(Path(source.uri)))
    if source.kind in ("page", "feed", "channel"):
        return _list_site(source.uri, limit, allow_hosts)
    raise UsageError(f"{source.uri}: sources of kind {source.kind} are not crawled; use `haetae import`")


def _list_site(uri: str, limit: int, allow_hosts: tuple[str, ...]) -> list[Found]:
    limits = DownloadLimits(0, 0, LISTING_TIMEOUT_S, allow_hosts)
    try:
        return [Found(address) for address in list_entries(uri, limit, limits)]
    except Rejected as no:
        return [Found(uri, error=str(no))]


def _walk(folder: Path) -> Iterator[Found]:
    """Media files below a folder, in order of their paths; links that lead out are told, not followed."""
    root = folder.resolve()
    if not root.is_dir():
        yield Found(str(folder), error="there is no such folder, or it may not be read")
        return
    seen: set[Path] = set()
    unreadable: list[OSError] = []
    for where, folders, files in os.walk(root, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        linked = [name for name in folders if Path(where, name).is_symlink()]
        for name in sorted([*files, *linked]):
            path = Path(where, name)
            if name.startswith(".") or (name in files and path.suffix.lower() in SIDECARS):
                continue
            found = _look_at(path, root)
            if Path(found.uri) not in seen:
                seen.add(Path(found.uri))
                yield found
    for error in unreadable:
        yield Found(str(error.filename), error=f"unreadable: {error.strerror}")


def _look_at(path: Path, root: Path | None = None) -> Found:
    """Size and hash of a file; a link inside the folder stands for the file that it leads to."""
    try:
        real = path.resolve(strict=True)
        if root is not None and path.is_symlink():
            if not real.is_relative_to(root):
                return Found(str(path), error="refused: a link that leads out of the folder")
            if real.is_dir():
                return Found(str(path), error="refused: a link to a folder")
            path = real
        if not path.is_file():
            return Found(str(path), error="unreadable: not a regular file")
        return Found(str(path), file_sha256(path), path.stat().st_size)
    except OSError as error:
        return Found(str(path), error=f"unreadable: {error.strerror or error}")
