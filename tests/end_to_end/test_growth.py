"""A lake that grows, and one that is killed: only what is missing is done, and the end is the same."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from haetae.lake import Lake
from tests.end_to_end.conftest import FIRST, Haetae, copied

pytestmark = pytest.mark.slow


def _materialised(lake: Haetae, since: int) -> set[tuple[str, str | None]]:
    """Asset and partition of every materialisation after an event id, from the run events themselves."""
    with sqlite3.connect(lake.lake / "dagster" / "history" / "runs" / "index.db") as index:
        found = index.execute(
            "SELECT asset_key, partition FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND id > ?",
            (since,),
        )
        return {(key.strip('[]"'), partition) for key, partition in found}


def _last_event(lake: Haetae) -> int:
    with sqlite3.connect(lake.lake / "dagster" / "history" / "runs" / "index.db") as index:
        return int(index.execute("SELECT max(id) FROM event_logs").fetchone()[0])


def test_a_refresh_brings_a_generator_into_the_data_set_and_computes_nothing_else(
    calm: Haetae, tmp_path: Path, haetae: Callable[[Path], Haetae]
) -> None:
    grown = copied(calm, tmp_path / "lake", haetae)
    before, since = grown.files("tables/fakes", "tables/clips", "tables/labels", "media"), _last_event(grown)
    words = ("refresh", "--generator", "copy_synthesis", "--until", "snapshot")
    grown(*words)
    (batch,) = Lake(grown.lake).partitions("items")
    (new,) = {row["snapshot_id"] for row in grown.sql("FROM snapshots")} - {
        row["snapshot_id"] for row in calm.sql("FROM snapshots")
    }
    of_the_batch = {(asset, f"{batch}|copy_synthesis@1") for asset in ("fakes", "labels")}
    assert _materialised(grown, since) == of_the_batch | {("samples", None), ("snapshot", new)}
    after = grown.files("tables/fakes", "tables/clips", "tables/labels", "media")
    assert before.items() <= after.items()
    made = grown.sql("SELECT fake_id FROM fakes WHERE generator = 'copy_synthesis@1'")
    kept = grown.sql("SELECT sample_id FROM samples WHERE generator = 'copy_synthesis@1'")
    assert made
    assert {row["sample_id"] for row in kept} == {row["fake_id"] for row in made}
    since = _last_event(grown)
    assert "nothing to do" in grown(*words).stdout
    assert _materialised(grown, since) == set()


def test_a_refresh_says_what_it_cannot_work_with(
    calm: Haetae, tmp_path: Path, haetae: Callable[[Path], Haetae]
) -> None:
    nowhere = haetae(tmp_path / "nowhere")
    assert "there is no lake" in nowhere("refresh", "--generator", "self_blend", exits=2).stderr
    assert not nowhere.lake.exists()
    bare = copied(calm, tmp_path / "bare", haetae)
    said = bare("refresh", "--generator", "mms_tts_ko", "--until", "fakes", exits=1).stdout
    assert "mms_tts_ko@1" in said
    assert "no fake was made, 1 clip failed; error" in said
    assert "nobody" in calm("refresh", "--generator", "nobody", exits=2).stderr
    assert "ends with one of" in calm("refresh", "--generator", "dubbed", "--until", "clips", exits=2).stderr


class Grown(NamedTuple):
    """A calm lake to which a file of a known person came, a source that consented to nothing, and a generator.

    before: hash of every file of the lake that was there before; done: what was materialised.
    """

    lake: Haetae
    old_batch: str
    before: dict[str, str]
    done: set[tuple[str, str | None]]


@pytest.fixture(scope="module")
def grown(
    calm: Haetae,
    some_people: Path,
    sample: Path,
    tmp_path_factory: pytest.TempPathFactory,
    haetae: Callable[[Path], Haetae],
) -> Grown:
    folder = tmp_path_factory.mktemp("grown")
    lake = copied(calm, folder / "lake", haetae)
    shutil.copytree(some_people.parent, folder / "people")
    shutil.copy(sample / "extras" / "weiling__2.mp4", folder / "people" / "en-SG")
    (folder / "people" / "ms").mkdir()
    shutil.copy(sample / "ms" / "nadia__1.mp4", folder / "people" / "ms")
    (silent,) = [e for e in yaml.safe_load((sample / "sources.yaml").read_text()) if e["uri"] == "ms"]
    del silent["consent"]
    entries = [*yaml.safe_load(some_people.read_text()), silent]
    (folder / "people" / "sources.yaml").write_text(yaml.safe_dump(entries))
    (old,) = Lake(lake.lake).partitions("items")
    since, before = _last_event(lake), lake.files("tables/fakes", "tables/clips", "tables/tracks", "media")
    sources = folder / "people" / "sources.yaml"
    lake("run", "--sources", sources, "--generators", f"{FIRST},caption_edit", "--until", "labels")
    return Grown(lake, old, before, _materialised(lake, since))


def test_new_files_and_a_new_generator_compute_their_own_partitions_only(grown: Grown) -> None:
    lake = Lake(grown.lake.lake)
    (new,) = set(lake.partitions("items")) - {grown.old_batch}
    generators = [f"{name}@1" for name in (*FIRST.split(","), "caption_edit")]
    pairs = [f"{new}|{key}" for key in generators] + [f"{grown.old_batch}|caption_edit@1"]
    made = {(asset, pair) for asset in ("fakes", "labels") for pair in pairs}
    assert {one for one in grown.done if one[0] in ("fakes", "labels")} == made
    assert {pair for asset, pair in grown.done if asset not in ("sources", "fakes", "labels")} == {new}
    assert {asset for asset, _ in grown.done} >= {"media", "clips", "tracks", "original_labels"}
    after = grown.lake.files("tables/fakes", "tables/clips", "tables/tracks", "media")
    assert grown.before.items() <= after.items()
    tables = {name.split("/")[1] for name in after.keys() - grown.before.keys() if name.startswith("tables")}
    assert tables == {"fakes", "clips", "tracks"}
    assert {row["source_id"] for row in lake.rows("media", new)} == {"sample-en-SG", "sample-ms"}
    split = {row["split"] for row in lake.rows("groups") if "identity:weiling" in row["keys"]}
    assert len(split) == 1


def test_a_source_that_may_not_be_used_is_ingested_but_nothing_is_made_of_it(grown: Grown) -> None:
    of = "JOIN clips USING (clip_id) WHERE source_id = 'sample-ms'"
    assert grown.lake.sql(f"SELECT count(*) AS n FROM tracks {of}") == [{"n": 1}]
    assert grown.lake.sql(f"SELECT count(*) AS n FROM fakes {of}") == [{"n": 0}]
    told = [
        e for e in yaml.safe_load(grown.lake("ledger", "show", "--json").stdout) if e["kind"] == "synthesis"
    ]
    refused = [e["detail"]["reasons"] for e in told if e["decision"] == "refused"]
    assert refused == [["consent_missing"]] * 3, "once for each generator"


def test_a_refresh_leaves_out_a_batch_that_is_not_up_to_date_itself_and_says_so(
    grown: Grown, tmp_path: Path, haetae: Callable[[Path], Haetae]
) -> None:
    lake = copied(grown.lake, tmp_path / "lake", haetae)
    (new,) = set(Lake(lake.lake).partitions("items")) - {grown.old_batch}
    for name in (f"groups/{new}", f"fakes/{new}~espeak_tts@1", f"fakes/{grown.old_batch}~caption_edit@1"):
        (lake.lake / "tables" / f"{name}.parquet").unlink()
    since = _last_event(lake)
    words = ("refresh", "--generator", "espeak_tts", "--generator", "caption_edit", "--until", "fakes")
    said = lake(*words).stdout
    assert _materialised(lake, since) == {("fakes", f"{grown.old_batch}|caption_edit@1")}
    assert f"left out: batch {new}" in " ".join(said.split())


MOMENTS = {
    "fakes": "journal/fakes~*.jsonl",
    "candidate": "models/.training-*",
}


class Stopped(NamedTuple):
    """A lake whose first run was killed while media came in, and what the second said as Ctrl-C ended it."""

    lake: Haetae
    exit_code: int
    said: str
    tables: set[str]


@pytest.fixture(scope="module")
def words(some_people: Path) -> tuple[object, ...]:
    return ("run", "--sources", some_people, "--generators", FIRST)


@pytest.fixture(scope="module")
def stopped(
    words: tuple[object, ...],
    tmp_path_factory: pytest.TempPathFactory,
    haetae: Callable[[Path], Haetae],
    haetae_in_parallel: Callable[[Path], Haetae],
) -> Stopped:
    lake = haetae_in_parallel(tmp_path_factory.mktemp("stopped") / "lake")
    assert _kill_at(haetae(lake.lake), words, "journal/media~*.jsonl")
    log = lake.lake.parent / "lake.log"
    known = log.stat().st_size
    process = lake.start(*words)
    for _ in _until(300):
        if list(lake.lake.glob("journal/tracks~*.jsonl")):
            break
    process.send_signal(signal.SIGINT)
    exit_code = process.wait(60)
    tables = {table for table in ("media", "clips", "fakes") if Lake(lake.lake).partitions(table)}
    return Stopped(lake, exit_code, log.read_bytes()[known:].decode(), tables)


def test_ctrl_c_stops_the_whole_command_at_once(stopped: Stopped) -> None:
    assert stopped.exit_code == 130
    assert "stopped; run the same command again" in stopped.said
    assert "Traceback" not in stopped.said
    assert stopped.tables == {"media", "clips"}


def test_stopped_in_every_stage_it_ends_like_one_that_was_not(
    calm: Haetae, stopped: Stopped, words: tuple[object, ...], haetae: Callable[[Path], Haetae]
) -> None:
    # What comes after the fakes is the same work with one worker, which is sooner there.
    parallel, lake = stopped.lake, haetae(stopped.lake.lake)
    killed = [
        name
        for name, pattern in MOMENTS.items()
        if _kill_at(parallel if name == "fakes" else lake, words, pattern)
    ]
    assert killed == list(MOMENTS), "the command ended before it came that far"
    lake(*words)
    one, two = Lake(calm.lake), Lake(lake.lake)
    for table in (
        "media",
        "clips",
        "tracks",
        "utterances",
        "cues",
        "signals",
        "fingerprints",
        "groups",
        "fakes",
        "labels",
        "samples",
        "models",
    ):
        assert two.partitions(table) == one.partitions(table)
        for key in one.partitions(table):
            mine, theirs = (lake_.digest(table, None if key == "all" else key) for lake_ in (one, two))
            assert mine == theirs, f"{table} {key}"
    (first,), (second,) = one.rows("snapshots"), two.rows("snapshots")
    assert (first["snapshot_id"], first["digest"]) == (second["snapshot_id"], second["digest"])
    assert {row["blob_id"] for row in one.rows("fakes")} == {row["blob_id"] for row in two.rows("fakes")}
    left = [p for part in ("tmp", "journal") for p in (lake.lake / part).glob("*")]
    assert left == []
    assert lake.sql("SELECT count(*) - count(DISTINCT fake_id) AS twice FROM fakes") == [{"twice": 0}]


def _kill_at(lake: Haetae, words: tuple[object, ...], pattern: str) -> bool:
    """Start the command and kill it the moment a path appears; False when it ended before that."""
    process = lake.start(*words)
    children: set[int] = set()
    try:
        for _ in _until(300):
            if any(path.is_dir() or b"\n{" in path.read_bytes() for path in lake.lake.glob(pattern)):
                children = _children(process.pid)
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                assert _gone(children), "workers outlived the command"
                return True
            if process.poll() is not None:
                return False
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return False


def _until(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.02)


def _children(pid: int) -> set[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return {int(word) for word in found.split()}


def _gone(pids: set[int]) -> bool:
    return any(not any(_runs(pid) for pid in pids) for _ in _until(60))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_source_that_is_not_there_is_told_before_anything_is_done(
    some_people: Path, tmp_path: Path, haetae: Callable[[Path], Haetae]
) -> None:
    entries = yaml.safe_load(some_people.read_text())[:1]
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump([{**entries[0], "uri": "nowhere"}]))
    lake = haetae(tmp_path / "lake")
    said = lake("run", "--sources", tmp_path / "sources.yaml", exits=2).stderr
    assert "there is no" in said
    assert "nowhere" in said
    assert not (lake.lake / "tables").exists()


def test_two_commands_on_one_lake_do_not_mix(calm: Haetae, some_people: Path) -> None:
    import fcntl

    with (calm.lake / "run.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = calm("run", "--sources", some_people, exits=2).stderr
    assert "another `haetae" in said
    assert "wait for it to end" in said
