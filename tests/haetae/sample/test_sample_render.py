"""`render_sample` as a whole: what it writes, what it keeps, what it refuses, what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from haetae.engine import InlineEngine, Progress
from haetae.errors import UsageError
from haetae.media.probe import probe
from haetae.provenance.ids import file_sha256
from haetae.provenance.sources import load_sources
from haetae.sample import render
from haetae.sample.plan import ClipSpec, plan
from haetae.sample.render import RenderActor, render_sample
from tests.conftest import REPOSITORY


def _hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not empty"):
        render_sample(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="taken"):
        render_sample(path)
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_sample_made_with_other_parameters_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sample.json").write_text(
        json.dumps({"params": {"seed": 1, "clip_s": 4.0, "size_px": 320, "edition": 1}, "files": {}}),
        encoding="utf-8",
    )
    with pytest.raises(UsageError, match='"seed": 1'):
        render_sample(tmp_path, seed=0)


def test_a_damaged_manifest_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "sample.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match=r"sample\.json"):
        render_sample(tmp_path)


def _processor_s() -> float:
    """Processor time of this process and of the encoders that it has waited for."""
    return sum(os.times()[:4])


def _some() -> list[ClipSpec]:
    """A file of each kind, and a second one that talks."""
    specs = plan()
    talk = [spec for spec in specs if spec.kind == "talk"][:2]
    return [*talk, *{spec.kind: spec for spec in specs if spec.kind != "talk"}.values()]


@pytest.mark.slow
def test_a_killed_render_leaves_whole_files_and_the_next_one_does_only_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "plan", _some)
    n = len(_some())
    whole = tmp_path / "whole"
    report = render_sample(whole, clip_s=1.0, size_px=128)
    assert (report.rendered, report.kept) == (n, 0)

    code = (
        "import sys; from pathlib import Path; from haetae.engine import InlineEngine;"
        "from haetae.sample import render; from tests.haetae.sample.test_sample_render import _some;"
        "render.plan = _some;"
        "render.render_sample(Path(sys.argv[1]), clip_s=1.0, size_px=128, engine=InlineEngine())"
    )
    killed = tmp_path / "killed"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(killed)], start_new_session=True, cwd=REPOSITORY
    )
    deadline = time.monotonic() + 120
    while len(list(killed.glob("*/*.mp4"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    left = {name: digest for name, digest in _hashes(killed).items() if "/." not in name}
    assert not (killed / "sources.yaml").exists()
    finished = set(json.loads((killed / "sample.json").read_text(encoding="utf-8"))["files"])

    seen: list[Progress] = []
    report = render_sample(killed, clip_s=1.0, size_px=128, engine=InlineEngine(seen.append))
    assert report.kept >= 2  # the third may have been named, but not noted yet
    assert report.rendered == len(seen) == n - report.kept

    hashes = _hashes(whole)
    assert hashes == _hashes(killed)
    del left["sample.json"]
    assert finished <= set(left)
    assert {name: hashes[name] for name in left} == left
    assert len(load_sources(report.sources)) == 5

    (killed / _some()[0].file).write_bytes(b"damaged")
    again = render_sample(killed, clip_s=1.0, size_px=128, engine=InlineEngine())
    assert (again.rendered, again.kept) == (1, n - 1)
    assert _hashes(killed) == hashes


def test_the_full_sample_takes_two_cores_no_more_than_a_minute(tmp_path: Path) -> None:
    """In processor time of one talking clip of full size; the shorter ones take less."""
    step = RenderActor(str(tmp_path))
    step.setup()
    spec = next(spec for spec in plan() if spec.kind == "talk")
    began = _processor_s()
    step(spec.row())
    took_s = _processor_s() - began
    made = probe(tmp_path / spec.file)
    assert (made.height, made.n_frames) == (320, 100)
    assert len(plan()) * took_s / 2 < 60
