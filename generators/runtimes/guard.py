"""Runs one worker within limits and tells how it ended: time per request, memory, size of files, its last words.

    python -m generators.runtimes.guard MARKS END LIMITS -- COMMAND...

MARKS is the folder where the worker marks what it begins, END the file in which is left how it ended, LIMITS a JSON
object (`Limits`). Standard library only: it runs before any environment is known to be sound. What follows from an
end is decided in `drive`.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

TAIL_BYTES = 8_000
FORWARDED_BYTES = 1 << 20
"""How much of what a worker prints goes on to the caller's own error output."""
TICK_S = 0.1
WEIGH_S = 1.0
GRACE_S = 3.0
_PAGE_BYTES = resource.getpagesize()
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
KEPT_PREFIXES = ("DAGSTER_PIPES_", "NVIDIA_", "DOCKER_", "XDG_RUNTIME_DIR", "CONTAINER_HOST")


@dataclass(frozen=True)
class Limits:
    """request_s: for one request; load_s: until the first one begins.

    memory_bytes: what the worker and all that it starts hold together, looked at each second; data_bytes: what
    one process may ask for at all; -1: no limit. file_bytes: of one file that it writes; env: variables that the
    worker gets beside the kept ones; clean_up: a command that is run at the end, whatever happened, to stop what
    the worker left running.
    """

    request_s: float
    load_s: float
    memory_bytes: int
    data_bytes: int
    file_bytes: int
    env: Mapping[str, str]
    clean_up: Sequence[str] = ()


@dataclass(frozen=True)
class Ended:
    """How a worker ended: `exit` with a status, `signal` with its number, `timeout` or `load_timeout` after seconds.

    `memory`: with how many MiB it was stopped; `lost`: its guard did not come to tell.
    """

    how: str
    code: int
    tail: str

    @property
    def fine(self) -> bool:
        return self.how == "exit" and self.code == 0

    def told(self) -> str:
        """The end in words, with the last of what the worker printed."""
        words = {
            "exit": f"its process ended with status {self.code}",
            "signal": f"its process was ended by signal {self.code}",
            "timeout": f"it took longer than {self.code} s",
            "load_timeout": f"it was not loaded after {self.code} s",
            "memory": f"it was stopped when it held {self.code} MiB",
            "lost": "nothing was heard of its process any more",
        }.get(self.how, f"it ended by {self.how}")
        return f"{words}; its last words:\n{self.tail}" if self.tail else f"{words}, without a word"


def main(arguments: Sequence[str]) -> int:
    """Run the command after `--`; returns 0 when how it ended was written down."""
    if len(arguments) < 5 or arguments[3] != "--":
        raise SystemExit("usage: python -m generators.runtimes.guard MARKS END LIMITS -- COMMAND...")
    marks, end = Path(arguments[0]), Path(arguments[1])
    ended = run(arguments[4:], marks, Limits(**json.loads(arguments[2])))
    new = end.with_name(f".{end.name}")
    new.write_text(json.dumps(asdict(ended)))
    os.replace(new, end)
    return 0


def run(command: Sequence[str], marks: Path, limits: Limits) -> Ended:
    """Run a worker to its end, or end it. marks: see `Exchange.started`."""
    told_to_stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: told_to_stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    with tempfile.TemporaryDirectory(prefix="haetae-worker-") as scratch:
        process = subprocess.Popen(
            list(command),
            cwd=scratch,
            env=_environment(limits, scratch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: _limit(limits),
        )
        words = _Words(process.stdout)
        try:
            why = _watch(process, marks, limits, told_to_stop)
        finally:
            _end(process)
            _clean_up(limits)
            for number, usual in before.items():
                signal.signal(number, usual)
    tail = words.tail()
    if why is not None:
        return Ended(*why, tail)
    code = process.returncode
    return Ended("signal", -code, tail) if code < 0 else Ended("exit", code, tail)


def _watch(
    process: subprocess.Popen[bytes], marks: Path, limits: Limits, told_to_stop: threading.Event
) -> tuple[str, int] | None:
    """Wait for the end; returns the limit that was reached, if one was."""
    parent = os.getppid()
    current, since, limit, how = "", time.monotonic(), limits.load_s, "load_timeout"
    weighed = since
    while process.poll() is None:
        latest = _latest(marks)
        if latest != current:
            current, since, limit, how = latest, time.monotonic(), limits.request_s, "timeout"
        now = time.monotonic()
        if now - since > limit:
            return how, round(limit)
        if limits.memory_bytes >= 0 and now - weighed > WEIGH_S:
            weighed, held = now, _held_bytes(process.pid)
            if held > limits.memory_bytes:
                return "memory", held >> 20
        if told_to_stop.is_set() or os.getppid() != parent:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TICK_S)
    return None


def _latest(marks: Path) -> str:
    """The mark that was left last: the request that the worker is at."""
    with contextlib.suppress(OSError), os.scandir(marks) as entries:
        found = [(e.stat(follow_symlinks=False).st_mtime_ns, e.name) for e in entries if _is_mark(e.name)]
        return max(found, default=(0, ""))[1]
    return ""


def _held_bytes(session: int) -> int:
    """Resident memory of all processes of a session; 0 where there is no /proc to tell."""
    held = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name, in parentheses, may hold anything; what follows it are plain numbers.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                held += int(fields[21]) * _PAGE_BYTES
    return held


def _is_mark(name: str) -> bool:
    return name.endswith(".started")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the worker and all that it started in its session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    process.wait()


def _clean_up(limits: Limits) -> None:
    if limits.clean_up:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(list(limits.clean_up), capture_output=True, timeout=60, check=False)


def _limit(limits: Limits) -> None:
    """Runs in the child, before the worker's program."""
    for kind, most in (
        (resource.RLIMIT_DATA, limits.data_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        if most >= 0:
            hard = resource.getrlimit(kind)[1]
            least = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (least, least))


def kept_environment() -> dict[str, str]:
    """The variables that a worker may see: no token and no password of the pipeline."""
    return {
        name: value for name, value in os.environ.items() if name in KEPT or name.startswith(KEPT_PREFIXES)
    }


def _environment(limits: Limits, scratch: str) -> dict[str, str]:
    own = {"HOME": scratch, "TMPDIR": scratch, "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1"}
    return {
        **kept_environment(),
        **own,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **limits.env,
    }


class _Words:
    """The last of what a worker prints; the first MiB goes on to our own error output."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._stream = stream
        self._kept: deque[bytes] = deque()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        size = forwarded = 0
        while piece := os.read(self._stream.fileno(), 65_536):
            if forwarded < FORWARDED_BYTES:
                forwarded += len(piece)
                with contextlib.suppress(OSError):
                    os.write(2, piece)
            self._kept.append(piece)
            size += len(piece)
            while size - len(self._kept[0]) >= TAIL_BYTES:
                size -= len(self._kept.popleft())

    def tail(self) -> str:
        """What was printed last. A process that left the session may still hold the pipe, so the wait is short."""
        self._thread.join(GRACE_S)
        return b"".join(self._kept)[-TAIL_BYTES:].decode(errors="replace").strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
