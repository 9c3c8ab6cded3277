"""The inventory: what every format must hold is checked in one place, and each fault is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from haetae.errors import UsageError
from haetae.importers.base import Entry, Finding, Importer, Reading, Segment, Terms
from haetae.importers.inventory import Inventory, take
from haetae.importers.registry import all_importers, find
from haetae.importers.tree import Tree
from tests.conftest import REPOSITORY
from tests.haetae.importers.planted import faults, pack, plant, video, write


class Planted(Importer):
    """An importer that states what the test wants it to."""

    name: ClassVar[str] = "planted"
    title: ClassVar[str] = "A planted set"
    terms: ClassVar[Terms] = Terms("LicenseRef-Planted", "Ask the gardener.")
    layout: ClassVar[str] = "beds/*.mp4"

    def __init__(self, *entries: Entry, findings: tuple[Finding, ...] = ()) -> None:
        self.stated = Reading(entries, findings)

    def read(self, tree: Tree) -> Reading:
        return self.stated


def taken(root: Path, *entries: Entry) -> Inventory:
    return take(Planted(*entries), Tree(root))


def test_entries_are_counted_by_what_is_stated_of_them(tmp_path: Path) -> None:
    plant(tmp_path, "a.mp4", "b.mp4", "c/0.png")
    found = taken(
        tmp_path,
        Entry("a", "a.mp4", video="real", audio="real", split="train", language="ko"),
        Entry("b", "b.mp4", video="fake", split="train", generator="swap"),
        Entry("c", "c/", form="frames"),
    )

    assert found.counts["split"] == {"-": 1, "train": 2}
    assert found.counts["generator"] == {"-": 2, "swap": 1}
    assert found.counts["video"] == {"-": 1, "fake": 1, "real": 1}
    assert found.counts["audio"] == {"-": 2, "real": 1}
    assert found.counts["form"] == {"file": 2, "frames": 1}
    assert not found.findings


def test_of_two_entries_with_one_key_the_unpacked_one_is_taken(tmp_path: Path) -> None:
    plant(tmp_path, "z.mp4")
    pack(tmp_path, "a.zip", {"z.mp4": b"1"})
    found = taken(tmp_path, Entry("z", "a.zip!/z.mp4"), Entry("z", "z.mp4"))

    assert [entry.path for entry in found.entries] == ["z.mp4"]
    assert ("duplicate", "z") in faults(found)


def test_a_file_that_is_called_real_and_fake_is_neither(tmp_path: Path) -> None:
    plant(tmp_path, "a.mp4", "b.mp4")
    found = taken(
        tmp_path,
        Entry("a1", "a.mp4", video="real"),
        Entry("a2", "a.mp4", video="fake"),
        Entry("b1", "b.mp4", video="real"),
        Entry("b2", "b.mp4", video="real"),
    )

    assert [entry.key for entry in found.entries] == ["b1"]
    assert faults(found) == {("label_mismatch", "a.mp4"), ("duplicate", "b.mp4")}


def test_what_is_missing_or_empty_is_left_out_and_told(tmp_path: Path) -> None:
    plant(tmp_path, "frames/cover.png", "here.mp4", "t.parquet")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "hollow").mkdir()
    found = taken(
        tmp_path,
        Entry("gone", "gone.mp4"),
        Entry("empty", "empty.mp4"),
        Entry("frames", "frames/", form="frames"),
        Entry("here", "here.mp4", pair="gone"),
        Entry("row", "t.parquet!/7"),
    )

    assert [(entry.key, entry.pair) for entry in found.entries] == [("here", None), ("row", None)]
    assert faults(found) == {
        ("missing", "gone.mp4"),
        ("damaged", "empty.mp4"),
        ("missing", "frames/"),
        ("missing", "here"),
        ("missing", "hollow/"),
    }


def test_a_mask_that_is_shorter_than_its_video_is_not_used(tmp_path: Path) -> None:
    for name, n_frames in (("v.mp4", 12), ("short.mp4", 7), ("whole.mp4", 12)):
        video(tmp_path, name, n_frames)
    plant(tmp_path, *(f"face/{n:03}.png" for n in range(4)), *(f"mask/{n:03}.png" for n in range(2)))
    found = taken(
        tmp_path,
        Entry("1", "v.mp4", mask="short.mp4"),
        Entry("2", "face/", form="frames", mask="mask/"),
        Entry("3", "whole.mp4", mask="whole.mp4"),
        Entry("4", "short.mp4", mask="none.mp4"),
    )

    assert [entry.mask for entry in found.entries] == [None, None, "whole.mp4", None]
    assert faults(found) == {("damaged", "short.mp4"), ("damaged", "mask/"), ("missing", "none.mp4")}
    assert any("7 frames" in finding.detail and "12" in finding.detail for finding in found.findings)


def test_segments_must_be_stretches_of_a_fake_modality_within_the_item(tmp_path: Path) -> None:
    video(tmp_path, "v.mp4", 50)
    plant(tmp_path, "w.mp4")
    good, late = Segment("video", 0.5, 2.0), Segment("video", 1.0, 2.5)
    turned, other = Segment("video", 1.0, 0.5), Segment("audio", 0.0, 1.0)
    found = taken(
        tmp_path,
        Entry("by header", "v.mp4", video="fake", audio="real", segments=(good, late, turned, other)),
        Entry("by list", "w.mp4", video="fake", segments=(good, late), detail={"duration": 2.2}),
    )

    assert [entry.segments for entry in found.entries] == [(good,), (good,)]
    assert found.found["damaged"] == 3 and found.found["label_mismatch"] == 1


def test_media_that_no_list_names_are_told_once(tmp_path: Path) -> None:
    plant(tmp_path, "a.mp4", "mask.mp4", "more.mp4", "more/1.png", "notes.txt", "told.wav")
    entry = Entry("a", "a.mp4", mask="mask.mp4")
    found = take(Planted(entry, findings=(Finding("layout", "told.wav", "odd"),)), Tree(tmp_path))

    assert faults(found) == {("extra", "more.mp4"), ("extra", "more/"), ("layout", "told.wav")}


def test_a_folder_of_another_layout_is_refused_with_the_layout_that_is_expected(tmp_path: Path) -> None:
    plant(tmp_path, "holiday.mp4")

    with pytest.raises(UsageError, match=r"beds/\*\.mp4"):
        taken(tmp_path)


def test_a_second_inventory_is_equal_and_both_forms_tell_the_terms(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{n}.mp4" for n in range(9)))
    entry = Entry("a", "0.mp4", video="real")
    first, second = taken(tmp_path, entry), taken(tmp_path, entry)
    told = first.as_json()

    assert (first.entries, first.findings, first.as_text()) == (
        second.entries,
        second.findings,
        second.as_text(),
    )
    assert json.loads(json.dumps(told)) == told
    assert told["findings"]["extra"]["count"] == 8 and len(told["findings"]["extra"]["examples"]) == 5
    for words in ("LicenseRef-Planted", "Ask the gardener.", "… and 3 more", "1.mp4: no part"):
        assert words in first.as_text()


def test_formats_are_found_by_name_and_alias_without_regard_to_punctuation() -> None:
    assert find("FaceForensics++").name == find("dfd").name == find("FF++").name == "faceforensics"
    assert find("celeb_df").name == find("Celeb-DF-v2").name == "celeb-df"
    with pytest.raises(UsageError, match=r"celeb-df.*mapping"):
        find("no such set")


def test_all_formats_have_their_own_names_and_say_what_they_expect() -> None:
    importers = all_importers()
    names = [word.casefold() for one in importers for word in (one.name, *one.aliases)]

    assert len(names) == len(set(names))
    for one in importers:
        assert one.title and one.layout and one.terms.licence and one.terms.access.endswith(".")


@pytest.mark.parametrize("name", sorted({one.name for one in all_importers()}))
def test_no_format_takes_a_foreign_folder_for_its_own(name: str, tmp_path: Path) -> None:
    plant(tmp_path, "holiday/beach.mp4", "holiday/001.png", "notes.txt")

    with pytest.raises(UsageError):
        take(find(name), Tree(tmp_path))


def test_the_format_that_the_documentation_shows_works_as_it_stands(tmp_path: Path) -> None:
    documented = (REPOSITORY / "docs" / "importers.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", documented, re.DOTALL)[0], names)
    plant(tmp_path, "videos/a.mp4", "videos/b.mp4", "videos/c.mp4")
    rows = "a.mp4,bonafide,dev,,p1\nb.mp4,spoof,train,a.mp4,p1\nc.mp4,maybe,train,,\nd.mp4,spoof,train,,\n"
    write(tmp_path, "labels.csv", "file,label,part,from,person\n" + rows)
    found = take(names["Garden"](), Tree(tmp_path))

    assert [(e.key, e.video, e.split, e.pair) for e in found.entries] == [
        ("a.mp4", "real", "val", None),
        ("b.mp4", "fake", "train", "a.mp4"),
        ("c.mp4", None, "train", None),
    ]
    assert faults(found) == {("missing", "videos/d.mp4"), ("label_mismatch", "videos/c.mp4")}
