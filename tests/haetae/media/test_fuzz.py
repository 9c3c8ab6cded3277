"""Fuzzing: damaged media and subtitles go through the pipeline; each is used or refused, and nothing else happens."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from haetae.engine import Done, Failed, PoolEngine, Result
from haetae.errors import Rejected
from haetae.lake import Lake
from haetae.lake.lake import to_arrow
from haetae.lake.schema import TABLES
from haetae.media.crawl import Fetch
from haetae.media.cut import CutAndNormalise
from haetae.voice.captions import parse
from tests.haetae.media.fuzz import MUTATIONS, fuzz, write_valid_captions, write_valid_media

LIMIT_S = 20.0
BUGS = {"error", "worker_died", "timeout", "setup_failed", "out_of_memory", "cancelled"}
"""Reasons that mean that something went wrong with us, not with the file."""


class Run(NamedTuple):
    """What became of all the files."""

    files: list[Path]
    fetched: list[Result]
    cut: list[Result]
    longest_s: float
    outside: tuple[set[str], set[str]]
    lake: Lake


def item(path: Path) -> dict[str, Any]:
    return {
        "item_id": path.name, "batch": "b-1", "source_id": "s-1", "uri": str(path), "address": str(path),
        "sha256": None, "size_bytes": None, "language": "ko", "use_case": "news", "identities": [],
        "verdict": "real", "generator": None, "licence": "CC-BY-4.0", "purposes": ["training"],
        "kind": "folder",
    }  # fmt: skip


def everything_below(folder: Path, but: Path) -> set[str]:
    """Every file with its size and time, outside one folder."""
    found = set()
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(where, name) != but]
        for name in (*names, *folders):
            status = Path(where, name).lstat()
            found.add(f"{where}/{name} {status.st_size} {status.st_mtime_ns}")
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every damaged file through `Fetch`, and what was fetched through `CutAndNormalise`, two at a time."""
    root = tmp_path_factory.mktemp("fuzz")
    for name in ("valid", "damaged", "lake"):
        (root / name).mkdir()
    valid = write_valid_media(root / "valid")
    files = [*valid, *fuzz(valid, root / "damaged", seed=20_261_121, rounds=2)]
    lake = Lake(root / "lake")
    before = everything_below(root, root / "lake")
    engine = PoolEngine(2)
    times = [time.monotonic()]
    try:
        fetched = []
        fetch = Fetch(str(root / "lake"), max_duration_s=60.0, timeout_s=LIMIT_S)
        for result in engine.map_rows(fetch, [item(path) for path in files]):
            fetched.append(result)
            times.append(time.monotonic())
        rows = [row for result in fetched if isinstance(result, Done) for row in result.rows]
        media = list({row["media_id"]: row for row in rows}.values())
        cut = []
        for result in engine.map_rows(
            CutAndNormalise(str(root / "lake"), min_media_s=0.2, timeout_s=LIMIT_S), media
        ):
            cut.append(result)
            times.append(time.monotonic())
    finally:
        engine.close()
    longest_s = max(b - a for a, b in itertools.pairwise(times))
    return Run(files, fetched, cut, longest_s, (before, everything_below(root, root / "lake")), lake)


def test_no_damaged_file_breaks_a_worker_or_is_an_error_of_ours(run):
    assert len(run.files) >= 70
    assert len(run.fetched) == len(run.files)
    failed = [result for result in (*run.fetched, *run.cut) if isinstance(result, Failed)]
    bugs = [(one.item_id, one.reason, one.detail[-500:]) for one in failed if one.reason in BUGS]
    assert bugs == []
    assert all(one.detail for one in failed), "a refusal tells why"


def test_no_damaged_file_takes_longer_than_its_limit(run):
    assert run.longest_s < LIMIT_S


def test_nothing_is_written_outside_the_lake_and_no_scratch_stays_in_it(run):
    before, after = run.outside
    assert after == before
    scratch = run.lake.local_path("tmp")
    assert not scratch.exists() or [path for path in scratch.rglob("*") if path.is_file()] == []


def test_whole_files_pass_and_many_damaged_ones_are_refused(run):
    by_name = {result.item_id: result for result in run.fetched}
    assert all(
        isinstance(by_name[name], Done) for name in ("film.mp4", "film.webm", "sound.wav", "photo.png")
    )
    reasons = Counter(one.reason for one in run.fetched if isinstance(one, Failed))
    assert sum(reasons.values()) >= 20
    assert len(reasons) >= 3


def test_what_comes_out_of_damaged_files_is_whole(run):
    clips = [row for result in run.cut if isinstance(result, Done) for row in result.rows]
    assert len(clips) >= 20
    assert to_arrow(TABLES["clips"], clips).num_rows == len(clips)
    for clip in clips:
        assert 0.04 <= clip["duration_s"] <= 60.0
        assert run.lake.open_local(clip["blob_id"]).stat().st_size > 0


def test_damaged_subtitles_are_read_or_refused_at_once(tmp_path):
    for name in ("valid", "damaged"):
        (tmp_path / name).mkdir()
    valid = write_valid_captions(tmp_path / "valid")
    assert all(len(parse(path)) == 3 for path in valid)
    reasons: Counter[str] = Counter()
    files = list(fuzz(valid, tmp_path / "damaged", seed=7, rounds=25))
    assert len(files) == 2 * 25 * len(MUTATIONS)
    for path in files:
        started = time.monotonic()
        try:
            captions = parse(path)
        except Rejected as no:
            reasons[no.reason] += 1
        else:
            assert all(0 <= one.start_s < one.end_s and one.text.isprintable() for one in captions)
        assert time.monotonic() - started < 2.0, path.name
    assert set(reasons) == {"bad_captions"}
    assert 0 < reasons["bad_captions"] < len(files)


def test_the_fuzzer_writes_the_same_files_every_time_and_changes_each(tmp_path):
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        valid = write_valid_captions(tmp_path / name)
        (tmp_path / name / "out").mkdir()
        made.append([path.read_bytes() for path in fuzz(valid, tmp_path / name / "out", seed=1)])
    assert made[0] == made[1]
    originals = [path.read_bytes() for path in valid]
    unchanged = sum(content in originals for content in made[0])
    assert unchanged == 0
