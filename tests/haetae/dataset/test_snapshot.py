"""Snapshots: equal content gives equal bytes, a freeze is whole or absent, and DVC really holds it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haetae.dataset.items import Item, decode_crop, encode_crop
from haetae.dataset.shards import (
    pack,
    read_sample,
    read_shards,
    shard_paths,
    snapshot_id_of,
    unpack,
    write_shards,
)
from haetae.dataset.snapshot import digest_of, dvc_add, freeze, read_manifest
from haetae.lake import Lake
from haetae.lake.schema import TABLES

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
PARAMS = {"frames_per_item": 3, "crop_px": 64}


def make_item(sample: int, index: int = 0, split: str = "train") -> Item:
    rng = np.random.default_rng([sample, index])
    return Item(
        item_id=f"clip-{sample:03}.{index}",
        sample_id=f"clip-{sample:03}",
        split=split,
        verdicts={"video": "fake", "audio": "real", "sync": "unknown"},
        track_id=f"track-{sample}",
        n_clip_frames=100,
        frame_index=(0, 50, 99),
        frames=tuple(encode_crop(rng.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(3)),
        to_crop=rng.normal(size=(3, 2, 3)),
        mel=rng.normal(size=(40, 8)).astype(np.float16),
        mel_step_s=0.01,
        mouth=rng.random(100, np.float32),
        envelope=rng.random(100, np.float32),
        frame_fake=(True, False, True),
        audio_segments=(),
        sync_segments=None,
        regions=rng.integers(0, 256, (3, 16, 16), np.uint8),
    )


def make_rows(n: int) -> list[dict[str, Any]]:
    splits = ("train", "val", "test")
    blank: dict[str, Any] = dict.fromkeys(TABLES["samples"].schema.names)
    return [{**blank, "sample_id": f"clip-{i:03}", "kind": "clip", "split": splits[i % 3]} for i in range(n)]


def make_items(n: int) -> Iterator[Item]:
    for row in make_rows(n):
        number = int(row["sample_id"][-3:])
        yield from (make_item(number, index, row["split"]) for index in range(1 + number % 2))


def same(one: Item, other: Item) -> bool:
    return pack([one]) == pack([other])


def test_an_item_comes_back_from_its_files_as_it_was() -> None:
    path_free = make_item(4)
    back = next(iter_unpacked(pack([path_free])))
    assert same(back, path_free)
    assert back.frame_fake == (True, False, True)
    assert back.sync_segments is None and back.audio_segments == ()
    assert back.mel is not None and back.mel.dtype == np.float16


def iter_unpacked(data: bytes) -> Iterator[Item]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.tar"
        path.write_bytes(data)
        yield from unpack(path)


def test_a_crop_survives_its_jpeg_within_a_few_levels() -> None:
    y, x = np.mgrid[:128, :128]
    crop = np.stack([x, y, (x + y) // 2], axis=2).astype(np.uint8)
    back = decode_crop(encode_crop(crop)).astype(int)
    assert np.abs(back - crop).mean() < 1.0, "colours are where they were, so channels are in order"


def test_equal_items_give_equal_shards(tmp_path: Path) -> None:
    first = write_shards(make_items(9), tmp_path / "a", per_shard=2)
    time.sleep(1.1)
    second = write_shards(make_items(9), tmp_path / "b", per_shard=2)
    assert [p.name for p in first] == [p.name for p in second]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_webdataset_reads_every_item_of_the_splits_asked_for(tmp_path: Path) -> None:
    write_shards(make_items(9), tmp_path, per_shard=2)
    assert len(shard_paths(tmp_path, "train")) > 1
    expected = [item for item in make_items(9) if item.split == "train"]
    found = list(read_shards(tmp_path, ["train"]))
    assert [item.item_id for item in found] == [item.item_id for item in expected]
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))
    assert {item.split for item in read_shards(tmp_path, ["train", "val"])} == {"train", "val"}


def test_the_items_of_a_sample_are_in_one_shard(tmp_path: Path) -> None:
    for path in write_shards(make_items(12), tmp_path, per_shard=1):
        names = {item.sample_id for item in unpack(path)}
        assert len(names) == 1
        name = names.pop()
        assert [item.item_id for item in read_sample(path, name)] == [item.item_id for item in unpack(path)]
        assert read_sample(path, name[:-1]) == []


def test_the_id_depends_on_content_and_not_on_order() -> None:
    rows = make_rows(4)
    assert snapshot_id_of(rows, PARAMS) == snapshot_id_of(rows[::-1], PARAMS)
    changed = [{**rows[0], "split": "val"}, *rows[1:]]
    assert snapshot_id_of(changed, PARAMS) != snapshot_id_of(rows, PARAMS)
    assert snapshot_id_of(rows, {**PARAMS, "crop_px": 96}) != snapshot_id_of(rows, PARAMS)
    assert len(snapshot_id_of(rows, PARAMS)) == 14


def _freeze(
    root: Path, n: int = 6, *, items: Iterator[Item] | None = None, dvc: bool = False
) -> dict[str, Any]:
    rows = make_rows(n)
    snapshot_id = snapshot_id_of(rows, PARAMS)
    return freeze(
        Lake(root),
        snapshot_id,
        rows[::-1],
        items or make_items(n),
        PARAMS,
        created_at=NOW,
        per_shard=2,
        with_dvc=dvc,
    )


def test_two_lakes_freeze_the_same_snapshot(tmp_path: Path) -> None:
    one, two = _freeze(tmp_path / "a"), _freeze(tmp_path / "b")
    assert one == two
    assert set(one) == set(TABLES["snapshots"].schema.names)
    folder = tmp_path / "a" / one["path"]
    assert digest_of(folder) == one["digest"]
    assert [row["sample_id"] for row in read_manifest(folder)] == [row["sample_id"] for row in make_rows(6)]
    for row in read_manifest(folder):
        found = read_sample(folder / "shards" / row["shard"], row["sample_id"])
        assert len(found) == row["n_items"] == 1 + int(row["sample_id"][-3:]) % 2


def test_a_frozen_snapshot_is_not_written_again(tmp_path: Path) -> None:
    row = _freeze(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / row["path"]).rglob("*")}

    def none() -> Iterator[Item]:
        raise AssertionError("the items were read again")
        yield

    assert _freeze(tmp_path, items=none()) == row
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / row["path"]).rglob("*")} == before


def test_a_changed_byte_changes_the_digest(tmp_path: Path) -> None:
    row = _freeze(tmp_path)
    shard = next((tmp_path / row["path"]).glob("shards/*.tar"))
    data = bytearray(shard.read_bytes())
    data[700] ^= 1
    shard.write_bytes(bytes(data))
    assert digest_of(tmp_path / row["path"]) != row["digest"]


def test_items_that_do_not_fit_the_samples_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="would be empty"):
        _freeze(tmp_path, 6, items=make_items(0))
    with pytest.raises(ValueError, match="belongs to no sample"):
        _freeze(tmp_path, 5, items=make_items(6))
    assert [p.name for p in (tmp_path / "snapshots").iterdir() if not p.name.startswith(".tmp-")] == []


def test_a_sample_that_could_not_be_prepared_is_left_out_and_named(tmp_path: Path) -> None:
    row = _freeze(tmp_path, 6, items=make_items(5))
    folder = tmp_path / row["path"]
    assert row["n"] == 5
    assert [one["sample_id"] for one in read_manifest(folder)] == [f"clip-{i:03}" for i in range(5)]
    assert json.loads((folder / "snapshot.json").read_text())["left_out"] == ["clip-005"]


def test_a_killed_freeze_leaves_no_snapshot_and_the_next_one_clears_up(tmp_path: Path) -> None:
    script = tmp_path / "freeze.py"
    script.write_text(
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "import test_snapshot as t\n"
        "def slow():\n"
        "    for i, item in enumerate(t.make_items(6)):\n"
        "        yield item\n"
        "        if i == 4:\n"
        "            print('half', flush=True)\n"
        "            time.sleep(60)\n"
        f"t._freeze(Path({str(tmp_path / 'lake')!r}), items=slow())\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "half\n"
        os.kill(process.pid, signal.SIGKILL)
    left = [p.name for p in (tmp_path / "lake" / "snapshots").iterdir()]
    assert len(left) == 1 and left[0].startswith(".tmp-s-")
    row = _freeze(tmp_path / "lake")
    assert [p.name for p in (tmp_path / "lake" / "snapshots").iterdir()] == [row["snapshot_id"]]
    assert row["digest"] == _freeze(tmp_path / "other")["digest"]


def test_dvc_holds_the_snapshot_and_can_bring_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    root = tmp_path / "lake"
    row = _freeze(root, dvc=True)
    folder = root / row["path"]
    assert row["dvc_hash"].endswith(".dir")
    assert row["dvc_hash"] in (root / "snapshots" / f"{row['snapshot_id']}.dvc").read_text()
    cached = {
        hashlib.md5(p.read_bytes()).hexdigest() for p in (root / ".dvc" / "cache").rglob("*") if p.is_file()
    }
    for path in folder.rglob("*"):
        if path.is_file():
            assert hashlib.md5(path.read_bytes()).hexdigest() in cached
    assert dvc_add(root, folder) == row["dvc_hash"]

    import shutil

    from dvc.repo import Repo

    shutil.rmtree(folder)
    with Repo(str(root)) as repo:
        repo.checkout()
    assert digest_of(folder) == row["digest"]
