"""The one place that starts ffmpeg: which binary, with which limits, and what its failure means.

Which filters and codecs a job needs is decided by the callers, as ffmpeg-python streams.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import ffmpeg

from haetae.errors import Rejected, UsageError

GIB = 1 << 30
MEMORY_BYTES = 4 * GIB
"""Address space one ffmpeg process may take; 1080p x264 on one thread stays below 1 GiB."""
OUTPUT_BYTES = 2 * GIB
"""Largest file that one job may write; a clip of 20 s stays far below."""
QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error")
ON_INPUT = ("-protocol_whitelist", "file,pipe,fd")
"""Options of every input: nothing that a file names can reach the network."""
FIRST_LINES, LAST_LINES = 4, 2


@cache
def exe() -> str:
    """Path of the ffmpeg binary: $HAETAE_FFMPEG, else the one imageio-ffmpeg carries, else on PATH.

    Raises: UsageError with the command that mends it, if there is none.
    """
    given = os.environ.get("HAETAE_FFMPEG")
    if given:
        if found := shutil.which(given):
            return found
        raise UsageError(f"HAETAE_FFMPEG={given} is not an executable file; correct it or unset it")
    with contextlib.suppress(ImportError, RuntimeError):
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    if found := shutil.which("ffmpeg"):
        return found
    raise UsageError(
        "no ffmpeg found; run `pip install imageio-ffmpeg`, or install your system's ffmpeg package, "
        "or set HAETAE_FFMPEG to its path"
    )


def local(path: Path) -> str:
    """Name of a file for ffmpeg: absolute and with its protocol, so no name is read as an option or URL."""
    return f"file:{path.absolute()}"


def command(stream: Any) -> list[str]:
    """Compile an ffmpeg-python stream to arguments, with the quiet flags and limits of this module."""
    first, *rest = ffmpeg.compile(stream, cmd=exe(), overwrite_output=True)
    guarded: list[str] = []
    for argument in rest:
        if argument == "-i":
            guarded.extend(ON_INPUT)
        guarded.append(argument)
    return [first, *QUIET, *guarded]


def run(
    stream: Any,
    *,
    timeout_s: float,
    stdin: Iterable[bytes] | None = None,
    memory_bytes: int = MEMORY_BYTES,
    output_bytes: int = OUTPUT_BYTES,
) -> str:
    """Run one job to its end and return what ffmpeg wrote to stderr.

    stdin: pieces piped to it, for an input named `pipe:0`; consumed while it runs.
    timeout_s: wall-clock and CPU limit in seconds; the whole process group is killed beyond it.
    memory_bytes, output_bytes: limits of its address space and of each file that it writes.
    Raises: Rejected `timeout`; `too_large` for a file beyond its limit; `decode_failed` with the last lines of
    stderr, on a non-zero exit.
    An exception raised by `stdin` itself ends ffmpeg and passes through.
    """
    args = command(stream)
    with tempfile.TemporaryFile() as log, _started(args, stdin is not None, log) as process:
        _limit(process.pid, timeout_s, memory_bytes, output_bytes)
        expired = threading.Event()
        alarm = threading.Timer(timeout_s, _kill, args=(process, expired))
        alarm.start()
        try:
            if stdin is not None:
                _feed(process, stdin)
            code = process.wait()
        finally:
            alarm.cancel()
        log.seek(0)
        said = log.read(1 << 20).decode("utf-8", "replace")
    tail = _shortened(said)
    if expired.is_set() or code in (-signal.SIGXCPU, 128 + signal.SIGXCPU):
        raise Rejected("timeout", f"ffmpeg was ended after {timeout_s:g} s\n{tail}".rstrip())
    if code in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ) or (code != 0 and "File too large" in said):
        raise Rejected("too_large", f"ffmpeg would have written more than {output_bytes} bytes")
    if code != 0:
        raise Rejected("decode_failed", tail or f"ffmpeg ended with code {code}")
    return said


@contextlib.contextmanager
def _started(args: list[str], piped: bool, log: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        args,
        stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            _kill(process)
            process.wait()
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def _feed(process: subprocess.Popen[bytes], pieces: Iterable[bytes]) -> None:
    """Write pieces until they end or ffmpeg stops reading; why it stopped is in its exit code."""
    pipe = process.stdin
    assert pipe is not None
    for piece in pieces:
        try:
            pipe.write(piece)
        except BrokenPipeError:
            return
    with contextlib.suppress(BrokenPipeError):
        pipe.close()


def _shortened(said: str) -> str:
    """The first lines, which name the cause, and the last, which name what came of it."""
    lines = said.strip().splitlines()
    if len(lines) > FIRST_LINES + LAST_LINES:
        lines = [*lines[:FIRST_LINES], "…", *lines[-LAST_LINES:]]
    return "\n".join(line[:300] for line in lines)


def _limit(pid: int, timeout_s: float, memory_bytes: int, output_bytes: int) -> None:
    """Bound memory, CPU time and files from outside, so that no Python runs between fork and exec."""
    if not hasattr(resource, "prlimit"):
        return  # only Linux can limit another process; the wall-clock limit holds everywhere
    cpu_s = max(1, round(timeout_s))
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.prlimit(pid, resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (output_bytes, output_bytes))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _kill(process: subprocess.Popen[bytes], expired: threading.Event | None = None) -> None:
    if process.poll() is None:
        if expired is not None:
            expired.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
