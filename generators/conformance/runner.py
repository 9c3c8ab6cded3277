"""Starting the child process, reading what it saw, and going on where a plug-in killed it or never came back.

What is done in the child is in `child`; what its observations mean is in `rules`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import generators
from generators.conformance.trials import Trial
from haetae.errors import UsageError

Seen = dict[str, Any]
CHILD = "generators.conformance.child"
MAX_DEATHS = 3
"""A generator that kills its process so often is not asked on."""
START_S = 120.0
"""Longest time for importing and for loading."""
_POLL_S = 0.03
_TAIL = 600


class Process(Protocol):
    """What is asked of a child process; `subprocess.Popen` is one."""

    pid: int
    returncode: Any

    def poll(self) -> int | None: ...
    def wait(self) -> int: ...


@dataclass
class Heard:
    """What one or more child processes saw. made: by (trial, run); imported, loaded: the child's own lines."""

    seen: dict[tuple[str, str], Seen] = field(default_factory=dict)
    imported: Seen = field(default_factory=dict)
    loaded: Seen = field(default_factory=dict)
    not_loaded: Seen = field(default_factory=dict)

    def runs(self, kind: str) -> dict[str, Seen]:
        """Observations of one kind of run, by trial."""
        return {trial: seen for (trial, run), seen in self.seen.items() if run == kind}


@dataclass(frozen=True)
class Job:
    """What a child has to do. maker: "module:class"; clips: file by name; repeat: trials that are asked
    twice in a row; later: trials that are asked once more at the end; effort: of the lesson of one that learns;
    hash_seed: of Python's hashes."""

    maker: str
    trials: tuple[Trial, ...]
    clips: dict[str, str]
    limit_s: float
    repeat: tuple[str, ...] = ()
    later: tuple[Trial, ...] = ()
    effort: float = 0.02
    hash_seed: int = 0
    device: str = "cpu"


def run(job: Job, scratch: Path, tell: Callable[[str], None]) -> Heard:
    """Run a job to its end, in as many processes as it takes.

    Raises: UsageError when the generator says at loading that something is missing (its weights, say).
    """
    heard = Heard()
    left, later = list(job.trials), list(job.later)
    for attempt in range(MAX_DEATHS + 1):
        folder = scratch / f"child-{job.hash_seed}-{attempt}"
        died = _Child(job, left, later, folder, heard, tell).run()
        if heard.not_loaded.get("kind") == "UsageError":
            raise UsageError(f"it cannot be judged, because it does not load: {heard.not_loaded['message']}")
        if died is None or heard.not_loaded:
            break
        kind, trial, run_kind = died
        heard.seen[trial, run_kind] = kind
        if run_kind in ("import", "load"):
            heard.not_loaded = {"kind": kind["outcome"], "message": kind["detail"]}
            break
        left = _after(left, trial) if run_kind != "later" else []
        later = later if run_kind != "later" else _after(later, trial)
    return heard


def _after(trials: Sequence[Trial], name: str) -> list[Trial]:
    names = [trial.name for trial in trials]
    return list(trials[names.index(name) + 1 :]) if name in names else []


class _Child:
    def __init__(
        self,
        job: Job,
        left: Sequence[Trial],
        later: Sequence[Trial],
        folder: Path,
        heard: Heard,
        tell: Callable[[str], None],
    ) -> None:
        self._job, self._folder, self._heard, self._tell = job, folder, heard, tell
        self._left, self._later = left, later
        self._at: tuple[str, str, float] | None = None
        self._done = False

    def run(self) -> tuple[Seen, str, str] | None:
        """Start it and read on until it ends; what it died of, with trial and run, or None."""
        process = self._start()
        read_to = 0
        try:
            while True:
                ended = process.poll() is not None
                read_to = self._read(read_to)
                if ended or self._done:  # taking libraries apart at its end takes seconds: not waited for
                    break
                if self._at is not None and time.monotonic() - self._at[2] > self._limit_s():
                    return self._died("hung", f"no answer within {self._limit_s():g} s")
                time.sleep(_POLL_S)
        finally:
            _end(process)
        if self._done:
            return None
        tail = (self._folder / "err.txt").read_bytes()[-_TAIL:].decode("utf-8", "replace").strip()
        code = process.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return self._died("died", f"the process ended with {how}; its last words: {tail or 'none'}")

    def _died(self, outcome: str, detail: str) -> tuple[Seen, str, str]:
        trial, kind, _ = self._at or ("import", "import", 0.0)
        seen = {
            "outcome": outcome,
            "reason": outcome,
            "detail": detail,
            "effects": [],
            "random": [],
            "inputs": [],
        }
        return seen, trial, kind

    def _limit_s(self) -> float:
        assert self._at is not None
        return START_S if self._at[1] in ("import", "load") else self._job.limit_s

    def _start(self) -> Process:
        tmp, cwd = self._folder / "tmp", self._folder / "cwd"
        tmp.mkdir(parents=True)
        cwd.mkdir()
        told = {
            "maker": self._job.maker,
            "device": self._job.device,
            "effort": self._job.effort,
            "trials": [trial.as_json() for trial in self._left],
            "later": [trial.as_json() for trial in self._later],
            "repeat": self._job.repeat,
            "clips": self._job.clips,
            "tmp": str(tmp),
            "cwd": str(cwd),
        }
        path = self._folder / "job.json"
        path.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        with (self._folder / "out.txt").open("wb") as out, (self._folder / "err.txt").open("wb") as err:
            return start_child([str(path)], _environment(tmp, self._job.hash_seed), out, err, cwd)

    def _read(self, read_to: int) -> int:
        """Take in the whole lines that were written since; returns where to read on."""
        path = self._folder / "seen.jsonl"
        if not path.exists():
            return read_to
        with path.open("rb") as file:
            file.seek(read_to)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        for line in whole.splitlines():
            self._take(json.loads(line))
        return read_to + len(whole)

    def _take(self, line: Seen) -> None:
        event = line.pop("event")
        if event == "begin":
            self._at = (line["trial"], line["run"], time.monotonic())
            self._tell(line["trial"])
        elif event == "seen":
            self._heard.seen[line["trial"], line["run"]] = line["seen"]
        elif event == "done":
            self._done = True
        else:
            setattr(self._heard, event, line)


def start_child(
    words: Sequence[str], env: Mapping[str, str], out: IO[bytes], err: IO[bytes], cwd: Path
) -> Process:
    """A Python of its own that runs `child` with these words, in a process group of its own."""
    command = [sys.executable, "-m", CHILD, *words]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd, env=env, start_new_session=True
    )


_NOT_INHERITED = {"HAETAE_DOWNLOAD", "TORCHINDUCTOR_CACHE_DIR"}
"""The second is where a parent that uses torch keeps compiled code."""


def _environment(tmp: Path, hash_seed: int) -> dict[str, str]:
    """The parent's, with its modules findable, one thread, nothing to download, and places to write to."""
    env = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    here = str(Path(generators.__file__).resolve().parent.parent)
    folders = [*(os.path.abspath(one) for one in sys.path), here]
    env["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folders))
    env |= {name: str(tmp) for name in ("TMPDIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR")}
    env |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    env |= {"PYTHONHASHSEED": str(hash_seed), "PYTHONDONTWRITEBYTECODE": "1", "GLOG_minloglevel": "2"}
    return env


def _end(process: Process) -> None:
    """End the child and whatever it started; it has a process group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
