"""What ties clips together before splits are given: files, people, pairs, and likeness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets.generate import Links
from haetae.dataset.split import assign_groups
from haetae.lake import Lake, Lineage
from haetae.lake.lake import to_arrow
from haetae.lake.schema import TABLES

WHO = Lineage("test", "run", "1")


def filled(table: str, **values: Any) -> dict[str, Any]:
    """A row of a table in which everything that is not given is null."""
    return {**dict.fromkeys(TABLES[table].schema.names), **values}


def rows_of(table: str, *rows: dict[str, Any]) -> pa.Table:
    return to_arrow(TABLES[table], [filled(table, **row) for row in rows])


def clip(name: str, media: str, *people: str) -> dict[str, Any]:
    return filled("clips", clip_id=name, media_id=media, batch="b", language="ko", identities=list(people))


def stated(item: str, split: str | None, *people: str, pair: str | None = None) -> dict[str, Any]:
    return {
        "item_id": item, "batch": "b", "source_id": "set", "split": split, "identities": list(people),
        "pair_item_id": pair, "segments": [],
    }  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def place(
    lake: Lake, clips: list, media: pa.Table, imports: pa.Table, duplicates: pa.Table, **options: bool
) -> dict:
    lake.write("clips", "b", clips, WHO)
    lake.write("imports", "b", imports.to_pylist(), WHO)
    links = Links(lake, media, imports, duplicates, **{"official": True, **options})
    linked, left_out = links.of(clips)
    found = {row["clip_id"]: row["split"] for row in assign_groups(linked, [])}
    return {**found, **{one.item_id: one.reason for one in left_out}}


def media(**item_of: str) -> pa.Table:
    return rows_of("media", *({"media_id": m, "item_id": i, "batch": "b"} for m, i in item_of.items()))


def test_a_copy_is_in_the_split_of_what_it_copies(lake):
    clips = [clip(f"c{k}", f"m{k}") for k in range(8)]
    pairs = [
        {"clip_id": f"c{k}", "other_id": "c0", "batch": "b", "modality": "audio", "similarity": 0.9}
        for k in range(1, 5)
    ]
    found = place(
        lake,
        clips,
        media(**{f"m{k}": f"i{k}" for k in range(8)}),
        rows_of("imports"),
        rows_of("duplicates", *pairs),
    )
    assert len({found[f"c{k}"] for k in range(5)}) == 1
    assert len(set(found.values())) == 3


def test_a_fake_of_a_data_set_is_in_the_split_of_its_original(lake):
    imports = rows_of("imports", stated("real", "val", "p"), stated("fake", None, "q", pair="real"))
    clips = [clip("c1", "m1", "set:p"), clip("c2", "m2", "set:q")]
    found = place(lake, clips, media(m1="real", m2="fake"), imports, rows_of("duplicates"))
    assert found == {"c1": "val", "c2": "val"}


def test_an_official_split_that_leaks_is_told_and_can_be_ignored(lake):
    imports = rows_of("imports", stated("a", "train", "p"), stated("b", "test", "p"))
    clips = [clip("c1", "m1", "set:p"), clip("c2", "m2", "set:p")]
    found = place(lake, clips, media(m1="a", m2="b"), imports, rows_of("duplicates"))
    assert found == {"c1": "official_split_leaks", "c2": "test"}
    ignored = place(lake, clips, media(m1="a", m2="b"), imports, rows_of("duplicates"), official=False)
    assert ignored["c1"] == ignored["c2"]
    assert ignored["c1"] in ("train", "val", "test")


def test_a_likeness_to_the_benchmark_keeps_a_clip_out_of_training(lake):
    imports = rows_of("imports", stated("a", "train", "p"), stated("b", "test", "q"))
    pair = {"clip_id": "c2", "other_id": "c1", "batch": "b", "modality": "video", "similarity": 0.95}
    clips = [clip("c1", "m1", "set:p"), clip("c2", "m2", "set:q")]
    found = place(lake, clips, media(m1="a", m2="b"), imports, rows_of("duplicates", pair))
    assert found == {"c1": None, "c2": "test"}
