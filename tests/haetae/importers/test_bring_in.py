"""Bringing a data set into the lake: every statement kept, the second time nothing, a correction only where it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Segment, Terms
from haetae.importers.bring_in import bring_in, source_of
from haetae.lake import Lake

ENTRIES = [
    Entry(
        "real/a", "real/a.mp4", video="real", audio="real", sync="real", split="train", identities=("id1",)
    ),
    Entry(
        "fake/a",
        "fake/a.mp4",
        video="fake",
        audio="real",
        segments=(Segment("video", 0.5, 1.25),),
        split="train",
        pair="real/a",
        mask="masks/a.mp4",
        identities=("id1", "id2"),
        generator="swapper",
        language="ko",
        detail={"quality": "c23", "이름": "값"},
    ),
    Entry("real/b", "real/b.mp4", video="real", split="test"),
]


class AnySet(Importer):
    name: ClassVar[str] = "any-set"
    title: ClassVar[str] = "Any set"
    terms: ClassVar[Terms] = Terms("LicenseRef-any", "Ask the holder.")
    layout: ClassVar[str] = "anything"

    def read(self, tree: object) -> Reading:
        return Reading(ENTRIES)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def brought(lake: Lake, entries=ENTRIES, *, batch_size: int = 2, source_id: str = "any"):
    source = source_of(AnySet(), "/data/any", source_id, accepted=True)
    return bring_in(lake, source, AnySet(), entries, batch_size, "run")


def digests(lake: Lake) -> dict[tuple[str, str], str | None]:
    return {(t, key): lake.digest(t, key) for t in ("items", "imports") for key in lake.partitions(t)}


def test_every_statement_reaches_its_row(lake):
    opened = brought(lake).opened
    assert len(opened) == 2
    rows = {row["item_key"]: row for row in lake.rows("imports")}
    assert set(rows) == {"real/a", "fake/a", "real/b"}
    fake = rows["fake/a"]
    assert [fake[f"{m}_verdict"] for m in ("video", "audio", "sync", "text")] == ["fake", "real", None, None]
    assert fake["segments"] == [{"modality": "video", "start_s": 0.5, "end_s": 1.25}]
    assert fake["pair_item_id"] == rows["real/a"]["item_id"]
    assert fake["identities"] == ["any:id1", "any:id2"]
    assert (fake["split"], fake["mask"], fake["generator"]) == ("train", "masks/a.mp4", "swapper")
    assert json.loads(fake["detail"]) == {"quality": "c23", "이름": "값"}
    items = {row["item_id"]: row for row in lake.rows("items")}
    assert items[fake["item_id"]]["uri"] == "fake/a.mp4"
    assert items[fake["item_id"]]["batch"] == fake["batch"]


def test_importing_again_changes_nothing(lake):
    brought(lake)
    before = digests(lake)
    times = {path: path.stat().st_mtime_ns for path in Path(lake.root).rglob("*.parquet")}
    again = brought(lake, list(reversed(ENTRIES)))
    assert (again.opened, again.changed, again.known) == ((), (), 3)
    assert digests(lake) == before
    assert {path: path.stat().st_mtime_ns for path in Path(lake.root).rglob("*.parquet")} == times


def test_a_corrected_label_changes_its_own_batch_only(lake):
    first = brought(lake)
    before = digests(lake)
    corrected = [*ENTRIES[:2], replace(ENTRIES[2], video="fake")]
    again = brought(lake, corrected)
    assert again.opened == ()
    (changed,) = again.changed
    assert changed in first.opened
    after = digests(lake)
    assert {key for key in after if after[key] != before[key]} == {("imports", changed)}


def test_new_entries_open_a_batch_of_their_own(lake):
    brought(lake)
    before = digests(lake)
    again = brought(lake, [*ENTRIES, Entry("real/c", "real/c.mp4", video="real")])
    assert len(again.opened) == 1
    assert {key: value for key, value in digests(lake).items() if key in before} == before


def test_the_same_name_in_two_data_sets_is_two_people_and_two_items(lake):
    brought(lake)
    brought(lake, source_id="other")
    rows = lake.rows("imports")
    assert len({row["item_id"] for row in rows}) == 6
    assert {name for row in rows for name in row["identities"]} == {
        "any:id1",
        "any:id2",
        "other:id1",
        "other:id2",
    }


def test_what_nobody_accepted_may_be_used_for_nothing():
    assert source_of(AnySet(), "/d", "any", accepted=False).purposes == ()
    accepted = source_of(AnySet(), "/d", "any", accepted=True, language="ko")
    assert accepted.purposes == ("training", "benchmark")
    assert (accepted.kind, accepted.language, accepted.licence) == ("dataset:any-set", "ko", "LicenseRef-any")


def test_a_statement_leads_to_its_source_and_to_what_it_was_made_from(lake):
    brought(lake)
    rows = {row["item_key"]: row["item_id"] for row in lake.rows("imports")}
    edges = {(e["parent_id"], e["child_id"], e["relation"]) for e in lake.rows("edges")}
    assert ("any", rows["fake/a"], "stated_by") in edges
    assert (rows["real/a"], rows["fake/a"], "made_from") in edges


def test_a_format_that_nobody_knows_is_a_usage_error_with_the_names():
    from haetae.importers.registry import find

    with pytest.raises(UsageError, match="faceforensics"):
        find("no-such-set")


def test_every_format_is_in_the_documentation():
    from haetae.importers.registry import all_importers
    from tests.conftest import REPOSITORY

    told = (REPOSITORY / "docs" / "importers.md").read_text(encoding="utf-8")
    assert [one.name for one in all_importers() if f"`{one.name}`" not in told] == []
