"""Where the pinned weight files of a card lie: found, fetched where that is allowed, and checked before use.

What a network does with them is its generator's matter; how a file is read is in `haetae.weights`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from generators.fetch import Limits, fetch
from generators.protocol import Card, Weights
from haetae.errors import UsageError
from haetae.provenance.ids import digest
from haetae.weights import MAX_BYTES, check_file, read_tensors

__all__ = ["located", "read_tensors", "weights_missing"]

FOLDERS = "HAETAE_WEIGHTS"
"""Local folders of weights, joined as in PATH: <folder>/<repo>/<revision>/<filename>, or without revision."""
CACHE = "HAETAE_CACHE"
"""Where fetched weights are kept; ~/.cache/haetae/weights unless set."""
DOWNLOAD = "HAETAE_DOWNLOAD"
"""1: files that are not here may be fetched."""
MIRROR = "HAETAE_MIRROR"
"""http(s) address that serves <mirror>/<repo>/<revision>/<filename>; asked in place of the hub."""
MIRROR_PRIVATE = "HAETAE_MIRROR_PRIVATE"
"""1: the mirror may have an address that is not public."""


def located(card: Card, *, folders: Sequence[Path] | None = None, hub: str | None = None) -> Path:
    """A folder that holds every weight file of a card under its `filename`, checked just now, and nothing else.

    folders: looked through first; None: those of HAETAE_WEIGHTS. Then the cache, and with HAETAE_DOWNLOAD=1 the
    mirror of HAETAE_MIRROR or else the hub. hub: its address where it is another one (a private one is then
    allowed). Any number of processes may ask at the same time.
    Raises: UsageError naming each file that is missing or not the one that is meant, and what to do.
    """
    if not card.weights:
        raise UsageError(f"{card.key} has no weights in its card, so there is nothing to locate")
    _require_plain(card)
    _require_one_of_each(card)
    places = _folders() if folders is None else list(folders)
    found = {one: _found(one, places) for one in card.weights}
    absent = [one for one, base in found.items() if base is None]
    if absent and not _may_download():
        raise UsageError(_how_to_get(card, absent, places))
    bases: dict[Weights, Path] = {}
    for one, base in found.items():
        if base is None:
            bases[one] = _fetched(card, one, hub)
            continue
        _check(card, one, base)
        bases[one] = base
    return _gathered(card, bases)


def weights_missing(card: Card, *, folders: Sequence[Path] | None = None) -> list[str]:
    """Weight files of a card that are on no local place, as `repo@revision/filename`; contents are not read."""
    _require_plain(card)
    places = _folders() if folders is None else list(folders)
    return [_name(one) for one in card.weights if _found(one, places) is None]


def cache_folder() -> Path:
    """Where fetched weights are kept."""
    given = os.environ.get(CACHE)
    return Path(given) if given else Path.home() / ".cache" / "haetae" / "weights"


def _folders() -> list[Path]:
    return [Path(part) for part in os.environ.get(FOLDERS, "").split(os.pathsep) if part]


def _may_download() -> bool:
    return os.environ.get(DOWNLOAD, "") == "1"


def _name(one: Weights) -> str:
    return f"{one.repo}@{one.revision}/{one.filename}"


def _require_plain(card: Card) -> None:
    """Raises: UsageError for names that lead out of their folder, or two files under one name."""
    for one in card.weights:
        for text in (one.repo, one.revision, one.filename):
            parts = text.split("/")
            odd = any(part in ("", ".", "..") for part in parts) or any(c in text for c in "\\\0:?#%")
            if odd or not text.isprintable() or len(text) > 500:
                raise UsageError(f"{card.key}: {text!r} in its card is no plain relative path")


def _require_one_of_each(card: Card) -> None:
    """Raises: UsageError for two files under one name, which no folder can hold; such parts are located one by one."""
    names = [one.filename for one in card.weights]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{card.key}: its card has two weight files called {', '.join(twice)}")


def _found(one: Weights, places: Sequence[Path]) -> Path | None:
    """The folder below which a file lies under its filename, if there is one; folders first, then the cache."""
    bases = [base for place in places for base in (place / one.repo / one.revision, place / one.repo)]
    for base in [*bases, cache_folder() / one.repo / one.revision]:
        if (base / one.filename).is_file():
            return base
    return None


def _check(card: Card, one: Weights, base: Path) -> None:
    try:
        check_file(base / one.filename, one.sha256)
    except UsageError as error:
        raise UsageError(
            f"{card.key}: {error}. Its card wants {_name(one)}: put that file there, or take this one away"
            f" and set {DOWNLOAD}=1 to have it fetched"
        ) from error


def _how_to_get(card: Card, absent: Sequence[Weights], places: Sequence[Path]) -> str:
    lines = [f"{card.key}: {len(absent)} of {len(card.weights)} weight files are not here:"]
    lines += [f"  {_name(one)} (SHA-256 {one.sha256}, licence {one.licence})" for one in absent]
    looked = ", ".join(str(place) for place in [*places, cache_folder()])
    lines += [
        f"Looked in: {looked}.",
        f"Put each file at <folder>/<repo>/<revision>/<filename> and set {FOLDERS}=<folder>, or set"
        f" {DOWNLOAD}=1 to fetch them from {os.environ.get(MIRROR) or 'the hub'}.",
    ]
    return "\n".join(lines)


def _fetched(card: Card, one: Weights, hub: str | None) -> Path:
    """Fetch a file into the cache: under a name of its own, checked, then renamed. Returns its folder."""
    cache = cache_folder()
    base = cache / one.repo / one.revision
    target = base / one.filename
    part = cache / "partial" / f"{one.sha256}.part"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        with _locked(cache / "partial" / f"{one.sha256}.lock"):
            if not target.is_file():  # else another process fetched it while this one waited
                _fetch(card, one, hub, part)
                os.replace(part, target)
    except OSError as error:
        raise UsageError(
            f"{card.key}: {_name(one)} cannot be kept below {cache}: {error.strerror or error};"
            f" set {CACHE} to a folder that can be written"
        ) from error
    _check(card, one, base)
    return base


def _fetch(card: Card, one: Weights, hub: str | None, part: Path) -> None:
    """Make `part` the file of the card; bytes of an earlier try are used, unless they prove wrong."""
    address, limits, headers = _origin(one, hub)
    continued = part.exists()
    try:
        fetch(address, part, limits, headers)
    except UsageError as error:
        raise UsageError(
            f"{card.key}: {_name(one)} cannot be fetched: {error}; try again, or give the file yourself"
            f" through {FOLDERS}"
        ) from error
    try:
        check_file(part, one.sha256)
    except UsageError as error:
        part.unlink(missing_ok=True)
        if continued:
            return _fetch(card, one, hub, part)
        raise UsageError(
            f"{card.key}: what {address} gives is not the file of the card: {error}. Nothing was kept;"
            f" ask its publisher, or give the file yourself through {FOLDERS}"
        ) from error
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return None


def _origin(one: Weights, hub: str | None) -> tuple[str, Limits, dict[str, str]]:
    """Address, limits and headers of a file: the mirror's, or the hub's as the hub's own library tells it."""
    mirror = os.environ.get(MIRROR)
    if mirror and hub is None:
        private = (_host(mirror),) if os.environ.get(MIRROR_PRIVATE) == "1" else ()
        path = quote(f"{one.repo}/{one.revision}/{one.filename}")
        return f"{mirror.rstrip('/')}/{path}", Limits(MAX_BYTES, private=private), {}
    from huggingface_hub import get_token, hf_hub_url

    address = hf_hub_url(one.repo, one.filename, revision=one.revision, endpoint=hub)
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return address, Limits(MAX_BYTES, private=() if hub is None else (_host(hub),)), headers


def _host(address: str) -> str:
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; it goes with the process that held it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _gathered(card: Card, bases: dict[Weights, Path]) -> Path:
    """One folder with the files of a card and no other: theirs, where it is so already, else one of links.

    A library that is given a folder takes what it finds there, so a file that nobody checked must not be in it.
    """
    names = {one.filename for one in bases}
    (base, *others) = set(bases.values())
    if not others and _holds_only(base, names):
        return base
    files = {one.filename: str((base / one.filename).resolve()) for one, base in bases.items()}
    folder = cache_folder() / "cards" / f"{card.name}-{card.version}-{digest(files)[:20]}"
    if not _links_to(folder, files):
        _link(folder, files)
    return folder


def _holds_only(base: Path, names: set[str]) -> bool:
    for folder, folders, files in os.walk(base):
        inner = Path(folder).relative_to(base)
        linked = any(os.path.islink(os.path.join(folder, name)) for name in folders)
        if linked or any((inner / name).as_posix() not in names for name in files):
            return False
    return True


def _links_to(folder: Path, files: dict[str, str]) -> bool:
    try:
        fine = all(os.readlink(folder / name) == target for name, target in files.items())
    except OSError:
        return False
    return fine and _holds_only(folder, set(files))


def _link(folder: Path, files: dict[str, str]) -> None:
    new = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        for name, target in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).symlink_to(target)
        with _locked(folder.with_name(f".{folder.name}.lock")):
            if not _links_to(folder, files):
                shutil.rmtree(folder, ignore_errors=True)
                os.rename(new, folder)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be made: {error.strerror or error}; set {CACHE} to a folder that can be written"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
