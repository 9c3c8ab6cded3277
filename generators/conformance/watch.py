"""What a plug-in does beside its work: connections, files, processes, and the random state of the process.

It sees what Python does, through audit hooks; what a library does in C by itself it does not see, except for
files that turn up in the working folder.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CONNECTS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_RESOLVES = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.startfile")
_CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.mkdir": ((0, 2),),
    "os.rmdir": ((0, 1),),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "sqlite3.connect": ((0, None),),
}
"""Events that change files: which of their arguments are changed, and which name the folder a relative one is in."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_MOST = 20
"""Effects of one kind that are kept; who does more than that is told of these."""


class Watch:
    """Notes effects while it is armed. One per process: an audit hook stays for good.

    free: folders in which files may be written; there are always /dev and /proc/self.
    """

    def __init__(self, *free: Path) -> None:
        self._free = tuple(str(folder.resolve()) for folder in free)
        self._armed = False
        self._seen: list[dict[str, str]] = []
        sys.addaudithook(self._hook)

    @contextmanager
    def armed(self, phase: str) -> Iterator[None]:
        """Watch what is done inside; connections are refused there."""
        self._phase, self._armed = phase, True
        try:
            yield
        finally:
            self._armed = False

    def take(self) -> list[dict[str, str]]:
        """What was seen since the last call: phase, kind ("network", "files", "processes") and what."""
        seen, self._seen = self._seen, []
        return seen

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._armed:
            return
        if event in _CONNECTS and isinstance(args[1], tuple):
            self._refuse(f"connects to {args[1][0]} port {args[1][1]}")
        elif event in _RESOLVES:
            self._refuse(f"looks up {args[0]}")
        elif event in _STARTS:
            self._note("processes", f"starts {args[0]!r}")
        elif event == "open" and _is_write(args[1], args[2]):
            self._write(args[0], -1)
        elif event in _CHANGES:
            for path, folder in _CHANGES[event]:
                self._write(args[path], -1 if folder is None else args[folder])

    def _refuse(self, what: str) -> None:
        self._note("network", what)
        raise ConnectionRefusedError(f"a generator {what}: the conformance suite lets nothing out")

    def _write(self, path: object, folder: int) -> None:
        """folder: descriptor of the one that a relative path is in; below 0: the working folder."""
        if isinstance(path, int) or path is None:
            return
        where = os.fsdecode(path) if isinstance(path, (bytes, os.PathLike)) else str(path)
        full = os.path.realpath(os.path.join(f"/proc/self/fd/{folder}", where) if folder >= 0 else where)
        if full.startswith(("/dev/", "/proc/self/", f"/proc/{os.getpid()}/")) or where == ":memory:":
            return
        if not any(full == folder or full.startswith(folder + os.sep) for folder in self._free):
            self._note("files", f"writes {full}")

    def _note(self, kind: str, what: str) -> None:
        one = {"phase": self._phase, "kind": kind, "what": what}
        if one not in self._seen and sum(seen["kind"] == kind for seen in self._seen) < _MOST:
            self._seen.append(one)


def _is_write(mode: object, flags: object) -> bool:
    if isinstance(mode, str) and set(mode) & set("wax+"):
        return True
    return isinstance(flags, int) and bool(flags & _WRITES)


def seed_globals(seed: int) -> None:
    """Put the random state of the process where it is told to be: random, NumPy, and torch if it is loaded."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


def global_states() -> dict[str, str]:
    """Hash of each global random state of the process, by library."""
    import numpy as np

    states: dict[str, bytes] = {
        "random": pickle.dumps(random.getstate()),
        "numpy.random": pickle.dumps(np.random.get_state()),
    }
    if torch := sys.modules.get("torch"):
        states["torch"] = torch.get_rng_state().numpy().tobytes()
    return {name: hashlib.blake2b(state, digest_size=8).hexdigest() for name, state in states.items()}


def peak_memory_mib() -> float:
    """Most memory, MiB, that this process or a program that it has waited for ever had."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    told = Path("/proc/self/status")
    if told.exists():
        # getrusage would count what the parent had when it started this process.
        lines = dict(line.split(":", 1) for line in told.read_text().splitlines() if ":" in line)
        return max(int(lines["VmHWM"].split()[0]) / 1024, started)
    return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, started)


def files_in(folder: Path) -> list[str]:
    """Paths of all files below a folder, relative to it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
