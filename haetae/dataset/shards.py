"""Items packed into tar files: one sample's features, and the webdataset shards of a snapshot.

Equal items give equal bytes: members have no time, owner or order of their own. What an item holds
is decided in `items`.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from haetae.dataset.items import Item, from_files, shard_key, to_files
from haetae.lake.schema import TABLES
from haetae.provenance.ids import digest

FOLDER = "shards"


def snapshot_id_of(samples: Iterable[Mapping[str, Any]], params: Mapping[str, Any]) -> str:
    """`s-` and 12 hex digits of the digest of the samples rows and the dataset parameters.

    Neither the order of the rows nor volatile columns count, so the same data set has the same id in every lake.
    """
    columns = [column.name for column in TABLES["samples"].columns if not column.volatile]
    rows = sorted(([row[name] for name in columns] for row in samples), key=lambda row: str(row[0]))
    return f"s-{digest('snapshot', columns, rows, dict(params))[:12]}"


def pack(items: Iterable[Item]) -> bytes:
    """Items as one tar, in the order given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for item in items:
            _add(tar, item)
    return buffer.getvalue()


def unpack(path: Path) -> list[Item]:
    """The items of a tar made by `pack` or `write_shards`."""
    with tarfile.open(path, mode="r:") as tar:
        return list(_items(tar, None))


def write_shards(items: Iterable[Item], folder: Path, per_shard: int = 64) -> list[Path]:
    """Write items as `<split>-<number>.tar`, in webdataset's layout, about `per_shard` items in each.

    Items must come sorted by sample: all items of a sample go into one shard, so that a sample can be
    scored from one file. Items may be an iterator: no more than one item is held at a time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writers: dict[str, _Writer] = {}
    for item in items:
        writer = writers.setdefault(item.split, _Writer(folder, item.split, per_shard))
        writer.add(item)
    for writer in writers.values():
        writer.close()
    return sorted(path for writer in writers.values() for path in writer.paths)


def read_shards(folder: Path, splits: Sequence[str] = ("train", "val", "test")) -> Iterator[Item]:
    """All items of these splits, in the order of the shards, through the webdataset library."""
    import webdataset

    for split in splits:
        paths = shard_paths(folder, split)
        if not paths:
            continue
        stream = webdataset.WebDataset(
            [str(path) for path in paths], shardshuffle=False, empty_check=False, nodesplitter=None
        )
        for files in stream:
            yield from_files(files)


def read_sample(path: Path, sample_id: str) -> list[Item]:
    """The items of one sample in one shard; none where it is not in there."""
    with tarfile.open(path, mode="r:") as tar:
        return list(_items(tar, shard_key(sample_id)))


def shard_paths(folder: Path, split: str) -> list[Path]:
    """The shards of one split, in order."""
    return sorted(folder.glob(f"{split}-[0-9]*.tar"))


class _Writer:
    """The shards of one split."""

    def __init__(self, folder: Path, split: str, per_shard: int) -> None:
        self.folder, self.split, self.per_shard = folder, split, per_shard
        self.paths: list[Path] = []
        self._tar: tarfile.TarFile | None = None
        self._held = 0
        self._sample = ""

    def add(self, item: Item) -> None:
        full = self._held >= self.per_shard and item.sample_id != self._sample
        if self._tar is None or full:
            self.close()
            path = self.folder / f"{self.split}-{len(self.paths):06}.tar"
            self.paths.append(path)
            self._tar = tarfile.open(path, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
            self._held = 0
        _add(self._tar, item)
        self._held += 1
        self._sample = item.sample_id

    def close(self) -> None:
        if self._tar is not None:
            self._tar.close()
            with self.paths[-1].open("rb") as file:
                os.fsync(file.fileno())
            self._tar = None


def _add(tar: tarfile.TarFile, item: Item) -> None:
    key = shard_key(item.item_id)
    for extension, data in to_files(item).items():
        info = tarfile.TarInfo(f"{key}.{extension}")
        info.size = len(data)
        info.mode = 0o644
        tar.addfile(info, io.BytesIO(data))


def _items(tar: tarfile.TarFile, sample_key: str | None) -> Iterator[Item]:
    wanted: dict[str, dict[str, bytes]] = defaultdict(dict)
    for member in tar:
        key, _, extension = member.name.partition(".")
        if sample_key is not None and key.rpartition("_")[0] != sample_key:
            continue
        file = tar.extractfile(member)
        if file is not None:
            wanted[key][extension] = file.read()
    for files in wanted.values():
        yield from_files(files)
