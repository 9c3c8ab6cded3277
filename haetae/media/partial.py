"""Fetches that were cut off: where their bytes wait, and how the next try goes on with them safely.

A partial file is continued only with more of the same: the origin must give the same version of it.
What is asked for, and when it is done, is decided in `download` and `crawl`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from haetae.errors import Rejected
from haetae.lake import Lake
from haetae.media.addresses import same_item
from haetae.media.hosts import private_folder
from haetae.provenance.ids import content_id, digest

Row = dict[str, Any]
DONE = "done.json"
KEPT_DAYS = 7
POLL_S = 0.1
VERSIONS_KEPT = 16
"""Of the files asked for last: a stream has thousands of fragments, and only the last one can be cut off."""
_PLAIN = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,100}$")
_VERSIONS = "versions.json"


def partial_root(lake: Lake) -> Path:
    """Where unfinished fetches wait: below a local lake, else in a temporary folder of this user."""
    return lake.local_path("partial") if lake.files.is_local else private_folder("partial")


@contextlib.contextmanager
def partial_folder(lake: Lake, item_id: str, timeout_s: float) -> Iterator[Path]:
    """The folder of one item, for this process alone; what an earlier try left is in it.

    It is removed when the item is refused, and stays after a kill or where the caller keeps it.
    Raises: Rejected `timeout` where another process is fetching the item all the while.
    """
    name = item_id if _PLAIN.match(item_id) else content_id("partial", item_id)
    folder = partial_root(lake) / name
    deadline = time.monotonic() + timeout_s
    handle = _locked(folder, deadline)
    try:
        yield folder
    except Rejected:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(handle)


def _locked(folder: Path, deadline: float) -> int:
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one before may have removed the folder that this lock is on.
            if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
                return handle
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(handle)
                raise Rejected("timeout", "another process was fetching it until the time was over") from None
            time.sleep(POLL_S)
        os.close(handle)


def remember(folder: Path, inputs: Row, row: Row) -> None:
    """Keep the finished row of an item until its batch is written, and drop the bytes it was made from."""
    body = {"inputs": digest(_plain(inputs)), "row": row}
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
        json.dump(body, file, default=_to_json, ensure_ascii=False)
    for path in folder.iterdir():
        if path != Path(file.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    os.replace(file.name, folder / DONE)


def remembered(folder: Path, inputs: Row) -> Row | None:
    """The finished row of an item, where it was fetched for the same inputs."""
    try:
        kept = json.loads((folder / DONE).read_text(encoding="utf-8"), object_hook=_from_json)
        return dict(kept["row"]) if kept["inputs"] == digest(_plain(inputs)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sweep(lake: Lake) -> int:
    """Remove what is kept of items whose batch is written, or that nobody touched for a week; returns how many."""
    root = partial_root(lake)
    if not root.is_dir():
        return 0
    written = set(lake.partitions("media"))
    items = lake.read("items").select(["item_id", "batch"]).to_pylist()
    waiting = {row["item_id"] for row in items if row["batch"] not in written}
    finished = {row["item_id"] for row in items} - waiting
    oldest = time.time() - KEPT_DAYS * 86_400
    gone = [path for path in root.iterdir() if path.name in finished or path.stat().st_mtime < oldest]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return len(gone)


def prepare(folder: Path) -> None:
    """Make the files of a cut-off fetch consistent.

    A stream's fragments are appended to one file, and a state file tells how many. A kill between the
    two would append a fragment twice, so the file is cut to the length that the state knows.
    """
    for state in folder.glob("*.ytdl"):
        part = state.with_name(f"{state.name.removesuffix('.ytdl')}.part")
        try:
            size = int(json.loads(state.read_text())["downloader"]["size"])
            if not part.exists() or part.stat().st_size < size:
                raise ValueError
            os.truncate(part, size)
        except (OSError, ValueError, KeyError, TypeError):
            state.unlink()
            part.unlink(missing_ok=True)
    for part in folder.glob("*.part"):
        if (folder / f"{part.name.removesuffix('.part')}.ytdl").exists() or "-Frag" in part.name:
            continue
        if not (folder / _VERSIONS).exists():
            part.unlink()


def keep_state_whole() -> None:
    """Let yt-dlp write its state of a stream all or nothing, and with the length that `prepare` needs."""
    from yt_dlp.downloader.fragment import FragmentFD

    def write(self: Any, ctx: Any) -> None:
        state: dict[str, Any] = {"current_fragment": {"index": ctx["fragment_index"]}}
        stream = ctx.get("dest_stream")
        state["size"] = os.fstat(stream.fileno()).st_size if stream is not None else 0
        for name in ("extra_state", "fragment_count"):
            if ctx.get(name) is not None:
                state[name] = ctx[name]
        path = Path(self.ytdl_filename(ctx["filename"]))
        new = path.with_name(f"{path.name}.new")
        new.write_text(json.dumps({"downloader": state}))
        os.replace(new, path)

    FragmentFD._write_ytdl_file = write


class SameVersion:
    """Lets a partial file be continued only where the origin still has the version that was begun.

    The version is what the origin said of it: ETag, time of change and length. It is kept in the item's
    folder under a hash of the address without its signature. `is_on` while files are downloaded: what an
    extractor asks for before is not what the partial file was made from.
    """

    def __init__(self, folder: Path) -> None:
        self.is_on = False
        self._path = folder / _VERSIONS

    def attach(self, session: Any) -> None:
        """Put the check around the requests of a yt-dlp session."""
        director = session._request_director
        send = director.send
        director.send = lambda request: self._send(send, request)

    def _send(self, send: Callable[[Any], Any], request: Any) -> Any:
        if not self.is_on or request.headers.get("Accept-Encoding") != "identity":
            # Pages and manifests; files are asked for unencoded.
            return send(request)
        name = digest(same_item(request.url))
        begun = re.fullmatch(r"bytes=([1-9]\d*)-", request.headers.get("Range") or "")
        known = self._load().get(name)
        if begun and known and any(known.values()):
            strong = [text for text in (known["etag"], known["modified"]) if text and text[:2] != "W/"]
            if strong:
                request.headers["If-Range"] = strong[0]
            response = send(request)
            if response.status != 206 or _version(response) == known:
                return self._note(name, response)
            response.close()
        if begun:
            del request.headers["Range"]
            request.headers.pop("If-Range", None)
        return self._note(name, send(request))

    def _note(self, name: str, response: Any) -> Any:
        if response.status == 200:
            known = self._load()
            known.pop(name, None)
            known[name] = _version(response)
            known = dict(list(known.items())[-VERSIONS_KEPT:])
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(known))
            os.replace(new, self._path)
        return response

    def _load(self) -> dict[str, dict[str, str | None]]:
        try:
            return dict(json.loads(self._path.read_text()))
        except (OSError, ValueError):
            return {}


def _version(response: Any) -> dict[str, str | None]:
    ranges = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range") or "")
    length = ranges[1] if ranges else response.headers.get("Content-Length")
    etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    return {"etag": etag, "modified": modified, "length": length}


def _plain(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("address", "known")}


def _to_json(value: object) -> object:
    if isinstance(value, dt.datetime):
        return {"$time": value.isoformat()}
    raise TypeError(f"no plain value: {value!r}")


def _from_json(found: dict[str, Any]) -> Any:
    return dt.datetime.fromisoformat(found["$time"]) if set(found) == {"$time"} else found
