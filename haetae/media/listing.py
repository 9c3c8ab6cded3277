"""`discover`: which files and addresses there are at a declared source.

Nothing is fetched or judged here; that is `crawl` and `probe`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from haetae.errors import Rejected, UsageError
from haetae.media.addresses import is_web, same_item
from haetae.media.archives import INSIDE, is_archive, list_members
from haetae.media.download import DownloadLimits, list_entries
from haetae.media.hosts import Manners
from haetae.provenance.ids import content_id, file_sha256

SIDECARS = frozenset({".srt", ".vtt", ".json", ".txt", ".csv", ".md", ".yaml", ".yml"})
LISTING_TIMEOUT_S = 300.0
MAX_BYTES = 2_000_000_000


class Declared(Protocol):
    """The part of a declared source that is needed to look at it."""

    @property
    def kind(self) -> str: ...

    @property
    def uri(self) -> str: ...


@dataclass(frozen=True)
class Found:
    """One file or address at a source; `error` says why it will not be fetched, or could not be read.

    name: what names an item of the web, whatever its address is today. container_sha256: of the archive
    that holds it.
    """

    uri: str
    sha256: str | None = None
    size_bytes: int | None = None
    error: str | None = None
    name: str | None = None
    container_sha256: str | None = None


def discover(
    source: Declared,
    *,
    limit: int = 200,
    max_bytes: int = MAX_BYTES,
    allow_hosts: tuple[str, ...] = (),
    allowed_extractors: tuple[str, ...] = ("default",),
    manners: Manners | None = None,
) -> list[Found]:
    """List a source: the file; the media files of a folder, sorted; the entries of a page, feed or channel.

    An archive stands for the files in it, as `<archive>!/<member>`. limit: most entries taken from a page,
    feed or channel; files of a folder are never left out. max_bytes: of a page that turns out to be a medium
    itself. allow_hosts: see `egress.Guard`. manners: see
    `hosts`; with them robots.txt is asked. A site that cannot be listed gives one Found with its error.
    Raises: UsageError for a kind that is not crawled.
    """
    if source.kind == "file" and is_web(source.uri):
        return [Found(source.uri, name=content_id("address", same_item(source.uri)))]
    if source.kind == "file":
        return list(_opened_up(_look_at(Path(source.uri))))
    if source.kind == "folder":
        return list(_walk(Path(source.uri)))
    if source.kind in ("page", "feed", "channel"):
        limits = DownloadLimits(max_bytes, 0, LISTING_TIMEOUT_S, allow_hosts, allowed_extractors)
        try:
            entries = list_entries(source.uri, limit, limits, manners)
        except Rejected as no:
            return [Found(source.uri, error=str(no))]
        return [Found(entry.address, name=entry.name) for entry in entries]
    raise UsageError(f"{source.uri}: sources of kind {source.kind} are not crawled; use `haetae import`")


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
                yield from _opened_up(found)
    for error in unreadable:
        yield Found(str(error.filename), error=f"unreadable: {error.strerror}")


def _opened_up(found: Found) -> Iterator[Found]:
    """A file as it is; an archive as its members, with those that are refused and why."""
    if found.error is not None or not is_archive(found.uri):
        yield found
        return
    members, refusals = list_members(Path(found.uri))
    inside = replace(found, sha256=None, size_bytes=None, container_sha256=found.sha256)
    for member in members:
        if Path(member.name).suffix.lower() not in SIDECARS:
            address = f"{found.uri}{INSIDE}{member.name}"
            yield replace(inside, uri=address, size_bytes=member.size_bytes)
    for refusal in refusals:
        error = f"{refusal.reason}: {refusal.detail}"
        if refusal.name:
            yield replace(inside, uri=f"{found.uri}{INSIDE}{refusal.name}", error=error)
        else:
            yield replace(found, error=error)


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
