"""Files below the lake's root, on a local disk or any fsspec file system, written all or nothing.

What the files mean is not known here.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.fs as pafs
from fsspec.implementations.local import LocalFileSystem

from haetae.errors import UsageError

SCRATCH = ("tmp", "partial")
"""Folders below a local root that hold nothing but work in progress."""


class Files:
    """One root; every path given to its methods is relative to it and uses `/`."""

    def __init__(self, root: str | Path) -> None:
        try:
            self.fs, base = fsspec.core.url_to_fs(str(root))
        except (ValueError, ImportError) as error:
            raise UsageError(f"cannot open the lake {root}: {error}") from error
        self.is_local = isinstance(self.fs, LocalFileSystem)
        self.base = os.path.abspath(base) if self.is_local else base.rstrip("/")
        if self.is_local and (file := _file_in_the_way(self.base)):
            raise UsageError(
                f"cannot open the lake {root}: {file} is a file, and a lake is a folder; give another"
            )

    def path(self, relative: str) -> str:
        """The path as the file system spells it. Raises: ValueError for a path that leaves the root."""
        parts = relative.split("/")
        if relative.startswith("/") or ".." in parts or "\\" in relative or "\0" in relative:
            raise ValueError(f"path leaves the lake: {relative!r}")
        return f"{self.base}/{relative}" if relative else self.base

    @property
    def arrow(self) -> Any:
        """The same file system for pyarrow."""
        if self.is_local:
            return pafs.LocalFileSystem()
        return pafs.PyFileSystem(pafs.FSSpecHandler(self.fs))

    def exists(self, relative: str) -> bool:
        return bool(self.fs.exists(self.path(relative)))

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Relative paths of the files right below a folder, sorted; none where there is no folder."""
        where = self.path(folder)
        if not self.fs.isdir(where):
            return []
        names = (str(name).rsplit("/", 1)[-1] for name in self.fs.ls(where, detail=False, refresh=True))
        return sorted(
            f"{folder}/{name}" for name in names if name.endswith(suffix) and not name.startswith(".")
        )

    def read(self, relative: str) -> bytes:
        content: bytes = self.fs.cat_file(self.path(relative))
        return content

    def write(self, relative: str, content: bytes) -> None:
        """Write all or nothing: a reader sees the old file or the new one."""
        target = self.path(relative)
        if not self.is_local:
            self.fs.pipe_file(target, content)
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with self.scratch() as folder:
            new = folder / "new"
            with new.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, target)

    def adopt(self, source: Path, relative: str) -> None:
        """Take a finished local file into the root, all or nothing: one that it `owns` is moved, others copied."""
        target = self.path(relative)
        if not self.is_local:
            self.fs.put_file(str(source), target)
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if self.owns(source):
            os.replace(source, target)
            return
        with self.scratch() as folder:
            shutil.copyfile(source, folder / "new")
            os.replace(folder / "new", target)

    def owns(self, path: Path) -> bool:
        """Whether a file is work in progress of this very root, which nobody else can miss."""
        scratch = [Path(self.base, name).resolve() for name in SCRATCH] if self.is_local else []
        return any(path.resolve().is_relative_to(folder) for folder in scratch)

    def local(self, relative: str) -> Path:
        """A local path to read the file from; remote files are fetched once into a cache."""
        if self.is_local:
            return Path(self.path(relative))
        cache = Path(tempfile.gettempdir()) / "haetae-cache" / f"{os.getuid()}" / relative
        if not cache.exists():
            cache.parent.mkdir(parents=True, exist_ok=True)
            part = cache.with_name(f".{uuid.uuid4().hex}")
            self.fs.get_file(self.path(relative), str(part))
            os.replace(part, cache)
        return cache

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder on the lake's own disk (so that renames are atomic), removed at the end."""
        if self.is_local:
            parent = Path(self.base) / "tmp"
            parent.mkdir(parents=True, exist_ok=True)
        else:
            parent = Path(tempfile.gettempdir())
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> int:
        """Remove scratch folders whose process is gone; returns how many."""
        parent = Path(self.base) / "tmp"
        if not self.is_local or not parent.is_dir():
            return 0
        dead = [folder for folder in parent.iterdir() if not _alive(folder.name.split("-", 1)[0])]
        for folder in dead:
            shutil.rmtree(folder, ignore_errors=True)
        return len(dead)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _file_in_the_way(base: str) -> str | None:
    """The file that is where a folder, or one of those that it lies in, should be."""
    while not os.path.exists(base):
        base = os.path.dirname(base)
    return None if os.path.isdir(base) else base
