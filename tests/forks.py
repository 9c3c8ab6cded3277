"""Programs of a test in processes of their own, forked from one that has loaded the heavy libraries already.

The command imports for some eight seconds before its work begins, and the tests start it some fifty times. A forked
one runs the same code from its first line on, with arguments, environment, folder, output, signals and end of its
own; what is spared is the loading of libraries.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from tests.conftest import REPOSITORY

HEAVY = (
    *("typer", "rich.progress", "duckdb", "pyarrow.parquet", "dagster", "cv2", "scipy.signal", "scipy.stats"),
    *("torch", "torchvision", "torch._dynamo", "sklearn.metrics", "pandas", "great_expectations", "mlflow"),
    *("mlflow.store.tracking.sqlalchemy_store", "matplotlib.figure", "dvc.repo", "webdataset"),
    *("mediapipe.python.solutions.face_mesh", "transformers.generation", "diffusers.models"),
)
_MAX_BYTES = 1 << 20
_POLL_S = 0.02
_START_S = 120.0
_SERVE = "import sys; from tests.forks import serve; serve(sys.argv[1])"


class Forked:
    """A program that was started, with those members of `subprocess.Popen` that tests need."""

    def __init__(self, server: Server, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        """Its exit code once it has ended: negative, the signal that ended it."""
        if self.returncode is None:
            status = self._server.ask({"of": self.pid})["status"]
            self.returncode = None if status is None else os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout_s: float = 900.0) -> int:
        """Raises: TimeoutError, with the process ended, when it takes longer."""
        until = time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                self.kill()
                raise TimeoutError(f"process {self.pid} did not end within {timeout_s:g} s")
            time.sleep(_POLL_S)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Server:
    """The process that forks, shared by the workers of a test session; it ends with the last of them."""

    def __init__(self, session: Path) -> None:
        self._socket = _connected(session)

    def start(
        self,
        main: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        out: IO[bytes],
        err: IO[bytes],
        cwd: Path = REPOSITORY,
    ) -> Forked:
        """Call `main`, a "module:function", with these words in `sys.argv`, in a process group of its own.

        `PYTHONPATH` of `env` is searched first; its `PYTHONHASHSEED` comes too late.
        """
        asked = {"main": main, "argv": list(argv), "env": dict(env), "cwd": str(cwd)}
        return Forked(self, self.ask(asked, [out.fileno(), err.fileno()])["pid"])

    def run(self, main: str, argv: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Start it and wait for its end; what it wrote is text."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code = self.start(main, argv, env, out, err).wait()
            said = [file.read().decode() for file in (out, err) if file.seek(0) == 0]
        return subprocess.CompletedProcess(list(argv), code, *said)

    def ask(self, message: dict[str, Any], files: Sequence[int] = ()) -> dict[str, Any]:
        socket.send_fds(self._socket, [json.dumps(message).encode()], files)
        answer: dict[str, Any] = json.loads(self._socket.recv(_MAX_BYTES))
        return answer


def _connected(session: Path) -> socket.socket:
    """A connection to the server of this session, which is started where there is none."""
    with (session / "forks.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if (at := lock.read()) and (found := _heard(at)) is not None:
            return found
        # The path of a socket is short: the folder of the session may be too deep for it.
        at = str(Path(tempfile.mkdtemp(prefix="forks-")) / "socket")
        subprocess.Popen([sys.executable, "-c", _SERVE, at], stdin=subprocess.DEVNULL, cwd=REPOSITORY)
        lock.truncate(0)
        lock.write(at)
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if (found := _heard(at)) is not None:
                return found
            time.sleep(_POLL_S)
    raise TimeoutError("the process that starts the commands does not answer")


def _heard(at: str) -> socket.socket | None:
    """A connection that answers, if there is one."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.suppress(OSError):
        connection.connect(at)
        connection.send(b"{}")
        if connection.recv(_MAX_BYTES):
            return connection
    connection.close()
    return None


def serve(at: str) -> None:
    """Fork what is asked for until nobody is connected any more. In a child it ends with the end of its program."""
    from dagster_project.cli.console import quiet_libraries

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet_libraries()
    for name in HEAVY:
        importlib.import_module(name)
    gc.freeze()
    reception = _Reception(at)
    asked = reception.asked()
    if asked is None:
        reception.end()
        Path(at).unlink()
        Path(at).parent.rmdir()
        _end(0)
    code = 1
    try:
        _become(*asked)()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        _end(code)


class _Reception:
    """Who is connected, and what they want."""

    def __init__(self, at: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(at)
        self._listener.listen()
        self._connections: set[socket.socket] = set()
        self._running: set[int] = set()

    def end(self) -> None:
        """End what still runs: those who started it have gone."""
        for pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def asked(self) -> tuple[dict[str, Any], list[int]] | None:
        """Answer. Returns: in a forked child, what it is to become and its output files; None when all have gone."""
        while True:
            ready, _, _ = select.select([self._listener, *self._connections], [], [])
            for one in ready:
                if one is self._listener:
                    self._connections.add(one.accept()[0])
                    continue
                said, files, _, _ = socket.recv_fds(one, _MAX_BYTES, 2)
                if not said:
                    self._connections.remove(one)
                    one.close()
                elif self._answer(one, json.loads(said), files):
                    return json.loads(said), files
            if not self._connections and ready != [self._listener]:
                return None

    def _answer(self, one: socket.socket, asked: dict[str, Any], files: list[int]) -> bool:
        """True in the child that was forked for it."""
        answer: dict[str, Any] = {}
        if "argv" in asked:
            answer["pid"] = pid = os.fork()
            with contextlib.suppress(OSError):  # by whichever of the two comes first
                os.setpgid(pid, 0)
            if pid == 0:
                for each in (self._listener, *self._connections):
                    each.close()
                return True
            self._running.add(pid)
            for file in files:
                os.close(file)
        elif "of" in asked:
            ended, status = os.waitpid(asked["of"], os.WNOHANG)
            answer["status"] = status if ended else None
            self._running -= {ended}
        one.send(json.dumps(answer).encode())
        return False


def _end(code: int) -> NoReturn:
    """End as a process does, but for taking the loaded libraries apart, which takes three seconds."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _become(asked: Mapping[str, Any], files: Sequence[int]) -> Callable[[], object]:
    """Take on arguments, environment, folder and output of a program. Returns what is to be called."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in zip((1, 2), files, strict=True):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    tempfile.tempdir = None  # it may be another in this environment
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    importlib.invalidate_caches()
    sys.argv = list(asked["argv"])
    module, _, function = asked["main"].partition(":")
    called: Callable[[], object] = getattr(importlib.import_module(module), function)
    return called
