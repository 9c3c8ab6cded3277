"""What is done beside the work is seen: files by whatever call, connections; and what is allowed is left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
import json, os, shutil, socket, sys
from pathlib import Path
from generators.conformance.watch import Watch
free, other = map(Path, sys.argv[1:])
watch = Watch(free)
with watch.armed("generate"):
"""
"""Runs in a process of its own: an audit hook stays for good."""


def seen(tmp_path: Path, work: str) -> list[str]:
    """What was noted of a piece of work. free, other: a folder that may be written to, and one that may not."""
    free, other = tmp_path / "free", tmp_path / "other"
    for folder in (free, other):
        (folder / "inner").mkdir(parents=True)
        (folder / "old.txt").write_text("old")
    source = HEAD + "".join(f"    {line}\n" for line in work.splitlines()) + "print(json.dumps(watch.take()))"
    done = subprocess.run(
        [sys.executable, "-c", source, str(free), str(other)],
        capture_output=True,
        text=True,
        env={**os.environ},
    )
    assert done.returncode == 0, done.stderr
    return [str(one["what"]).replace(str(tmp_path), "") for one in json.loads(done.stdout)]


@pytest.mark.parametrize(
    "work",
    [
        "(free / 'a.txt').write_text('x')",
        "os.symlink(other / 'old.txt', free / 'link')",
        "shutil.rmtree(free / 'inner')",
        "at = os.open(free, os.O_RDONLY)\nos.mkdir('new', dir_fd=at)\n"
        "os.rename('new', 'newer', src_dir_fd=at, dst_dir_fd=at)",
        "(other / 'old.txt').read_text()",
        "open('/dev/null', 'w').close()",
    ],
)  # fmt: skip
def test_what_is_allowed_is_not_noted(tmp_path: Path, work: str) -> None:
    assert seen(tmp_path, work) == []


@pytest.mark.parametrize(
    ("work", "path"),
    [
        ("(other / 'a.txt').write_text('x')", "/other/a.txt"),
        ("os.symlink(free / 'old.txt', other / 'link')", "/other/link"),
        ("os.rename(free / 'old.txt', other / 'moved.txt')", "/other/moved.txt"),
        ("os.rename(other / 'old.txt', free / 'taken.txt')", "/other/old.txt"),
        ("at = os.open(other, os.O_RDONLY)\nos.mkdir('new', dir_fd=at)", "/other/new"),
        ("(other / 'old.txt').unlink()", "/other/old.txt"),
    ],
)
def test_what_is_written_elsewhere_is_noted_with_its_path(tmp_path: Path, work: str, path: str) -> None:
    assert seen(tmp_path, work) == [f"writes {path}"]


def test_a_connection_is_refused_and_noted(tmp_path: Path) -> None:
    work = "try:\n    socket.create_connection(('127.0.0.1', 9))\nexcept ConnectionRefusedError:\n    pass"
    assert seen(tmp_path, work)[-1].startswith(("connects to 127.0.0.1", "looks up"))
