"""Freezing a snapshot: manifest and shards in one folder that appears whole or not at all, and DVC.

Which samples are in it, and how their items are cut, is decided before.

A snapshot is `snapshots/<id>/` with `manifest.parquet` (its samples rows in order of sample_id, with the
shard and the number of items of each), `shards/<split>-<number>.tar` and `snapshot.json`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import logging
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from haetae import __version__
from haetae.dataset.items import Item, shard_key
from haetae.dataset.shards import FOLDER, snapshot_id_of, unpack, write_shards
from haetae.lake import Lake
from haetae.lake.schema import TABLES
from haetae.provenance.ids import canonical_json, digest, file_sha256

Row = dict[str, Any]
MANIFEST = "manifest.parquet"
RECORD = "snapshot.json"


def freeze(
    lake: Lake,
    snapshot_id: str,
    samples: Sequence[Mapping[str, Any]],
    items: Iterable[Item],
    params: Mapping[str, Any],
    *,
    created_at: dt.datetime,
    code_version: str = __version__,
    per_shard: int = 64,
    with_dvc: bool = True,
) -> Row:
    """Write a snapshot and return its row of the snapshots table.

    samples: rows of the samples table; items: all their items, in order of sample_id (`items_of`); params:
    the dataset parameters that the id was made of. The folder is written under another name and
    renamed, so a freeze that is killed leaves nothing that can be taken for a snapshot; what it left is
    cleared by the next. A snapshot that is there already is not written again, and its items are not read.
    A sample without items (its preparation was refused) is left out of the manifest and named in the record.

    Raises: ValueError where id, samples and items do not belong together.
    """
    rows = sorted((dict(row) for row in samples), key=lambda row: str(row["sample_id"]))
    if snapshot_id_of(rows, params) != snapshot_id:
        raise ValueError(f"{snapshot_id} is not the id of these samples and parameters")
    parent = lake.local_path("snapshots")
    folder = parent / snapshot_id
    if not (folder / RECORD).is_file():
        parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(parent)
        tmp = parent / f".tmp-{snapshot_id}-{os.getpid()}"
        tmp.mkdir()
        _write(tmp, snapshot_id, rows, items, params, per_shard)
        os.rename(tmp, folder)
    return {
        **_record_row(folder),
        "created_at": created_at,
        "code_version": code_version,
        "dvc_hash": dvc_add(Path(lake.root), folder) if with_dvc else None,
    }


def items_of(lake: Lake, features: Iterable[Mapping[str, Any]]) -> Iterator[Item]:
    """The items of `PrepareSample` rows, in order of sample_id, one blob in memory at a time."""
    for row in sorted(features, key=lambda row: str(row["sample_id"])):
        yield from unpack(lake.open_local(row["features_blob"]))


def read_manifest(folder: Path) -> list[Row]:
    """The samples rows of a snapshot with `shard` (name of its file) and `n_items`, in order of sample_id."""
    rows: list[Row] = pq.read_table(folder / MANIFEST).to_pylist()
    return rows


def digest_of(folder: Path) -> str:
    """SHA-256 over manifest and shards, names and contents, in order of name."""
    sha = hashlib.sha256()
    for path in [folder / MANIFEST, *sorted((folder / FOLDER).glob("*.tar"))]:
        sha.update(f"{path.name} {file_sha256(path)}\n".encode())
    return sha.hexdigest()


def clear_leftovers(parent: Path) -> None:
    """Remove what killed freezes left; a freeze that still runs keeps its folder."""
    for tmp in parent.glob(".tmp-*"):
        pid = tmp.name.rpartition("-")[2]
        if pid.isdigit() and int(pid) != os.getpid() and _is_running(int(pid)):
            continue
        shutil.rmtree(tmp)


def dvc_add(lake_root: Path, folder: Path) -> str:
    """Put a folder of the lake under DVC, without git, and return the hash that DVC has recorded for it.

    The lake becomes a DVC repository of its own at the first call. A folder that is added already and
    unchanged costs a comparison only. Its files are linked to DVC's cache where the disk can, and read-only.
    """
    root = lake_root.resolve()
    with _quiet_dvc(root):
        from dvc.repo import Repo

        if not (root / ".dvc").is_dir():
            Repo.init(str(root), no_scm=True).close()
        config = {
            "core": {"analytics": "false", "check_update": "false", "no_scm": "true"},
            "cache": {"type": "reflink,hardlink,copy"},
        }
        repo = Repo(str(root), config=config, _wait_for_lock=True)
        try:
            stages = repo.add(str(folder.resolve()))
            return str(stages[0].outs[0].hash_info.value)
        finally:
            repo.close()


@contextmanager
def _quiet_dvc(root: Path) -> Iterator[None]:
    """No analytics, no call of git, no progress bars, and DVC's own state inside the lake, not in the system."""
    wanted = {
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "tmp" / "site"),
        "GIT_PYTHON_REFRESH": "quiet",
        "TQDM_DISABLE": "1",
    }
    before = {name: os.environ.get(name) for name in wanted}
    log = logging.getLogger("dvc")
    level = log.level
    os.environ.update(wanted)
    try:
        import dvc.repo  # noqa: F401 - it sets the level of its log

        log.setLevel(logging.WARNING)
        yield
    finally:
        log.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _write(
    tmp: Path,
    snapshot_id: str,
    rows: Sequence[Row],
    items: Iterable[Item],
    params: Mapping[str, Any],
    per_shard: int,
) -> None:
    """Everything of a snapshot, the record last."""
    held: dict[str, int] = dict.fromkeys((str(row["sample_id"]) for row in rows), 0)
    splits = {row["sample_id"]: row["split"] for row in rows}
    paths = write_shards(_counted(items, held, splits), tmp / FOLDER, per_shard)
    if not any(held.values()):
        raise ValueError(f"{snapshot_id} would be empty: none of its {len(rows)} samples has an item")
    shard_of = _shards_by_key(paths)
    placed = [
        {**row, "shard": shard_of[shard_key(f"{row['sample_id']}.0")], "n_items": held[row["sample_id"]]}
        for row in rows
        if held[row["sample_id"]]
    ]
    schema = TABLES["samples"].schema.append(pa.field("shard", pa.string()))
    schema = schema.append(pa.field("n_items", pa.int32()))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(placed, schema=schema), buffer, compression="zstd")
    (tmp / MANIFEST).write_bytes(buffer.getvalue())
    files = [tmp / MANIFEST, *paths]
    record = {
        "snapshot_id": snapshot_id,
        "n": len(placed),
        "left_out": sorted(sample_id for sample_id, n in held.items() if n == 0),
        "n_items": sum(held.values()),
        "n_shards": len(paths),
        "digest": digest_of(tmp),
        "params": dict(params),
        "params_hash": digest(dict(params)),
        "size_bytes": sum(path.stat().st_size for path in files),
    }
    (tmp / RECORD).write_text(canonical_json(record) + "\n", encoding="utf-8")


def _counted(items: Iterable[Item], held: dict[str, int], splits: Mapping[str, str]) -> Iterator[Item]:
    for item in items:
        if splits.get(item.sample_id) != item.split:
            raise ValueError(f"item {item.item_id} of split {item.split} belongs to no sample of that split")
        held[item.sample_id] += 1
        yield item


def _shards_by_key(paths: Sequence[Path]) -> dict[str, str]:
    """The name of the shard that holds each item key."""
    found = {}
    for path in paths:
        with tarfile.open(path, mode="r:") as tar:
            found.update({name.partition(".")[0]: path.name for name in tar.getnames()})
    return found


def _record_row(folder: Path) -> Row:
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    kept = ("snapshot_id", "params_hash", "n", "digest", "n_shards", "size_bytes")
    return {**{name: record[name] for name in kept}, "path": f"snapshots/{folder.name}"}


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
