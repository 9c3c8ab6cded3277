"""Words and stretches of lists: known ones are taken, all others are told and mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from haetae.errors import UsageError
from haetae.importers.base import Segment
from haetae.importers.listed import SPLITS, Listing, language_of, records
from haetae.importers.tree import Tree
from tests.haetae.importers.planted import plant, write


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    plant(tmp_path, "a/one.mp4", "b/one.mp4", "c/two.mp4")
    return Listing(Tree(tmp_path))


def test_languages_become_house_words_and_english_of_nowhere_is_other():
    words = ["Korean", "ko", "ko_KR", "ms", "ta-IN", "tamil", "english", "en-SG", "en_sg", "id", ""]
    assert [language_of(word) for word in words] == [
        "ko", "ko", "ko", "ms", "ta", "ta", "other", "en-SG", "en-SG", "other", None,
    ]  # fmt: skip


def test_the_middle_split_has_one_name():
    assert {SPLITS[word] for word in ("dev", "val", "validation", "valid")} == {"val"}


def test_an_unknown_word_is_told_with_the_words_that_are_known(listing):
    assert listing.word("x", "split", " Train ", SPLITS) == "train"
    assert listing.word("x", "split", "traning", SPLITS) is None
    assert listing.word("x", "split", None, SPLITS) is None
    assert [finding.kind for finding in listing.findings] == ["label_mismatch", "unlabelled"]
    assert "'traning'" in listing.findings[0].detail and "validation" in listing.findings[0].detail


@pytest.mark.parametrize(
    "bad", [[1], [1, 2, 3], "1-2", [None, 2], [True, 2], ["a", "b"], [float("nan"), 1], [2, 1], [-1, 1]]
)
def test_what_is_no_stretch_of_seconds_is_damaged_and_the_others_stay(listing, bad):
    assert listing.segments("x", "periods", [[0, 1.5], bad], "video") == (Segment("video", 0.0, 1.5),)
    assert [finding.kind for finding in listing.findings] == ["damaged"]


def test_a_name_that_two_files_have_is_neither_of_them(listing):
    assert listing.by_name("one.mp4", "list.csv") is None
    assert listing.by_name("TWO.mp4", "list.csv") == "c/two.mp4"
    assert [(f.kind, f.subject) for f in listing.findings] == [
        ("duplicate", "a/one.mp4"),
        ("duplicate", "b/one.mp4"),
    ]


@pytest.mark.parametrize("content", ['{"a": 1}', "[1, 2]", "[[]]", "{", '"text"'])
def test_a_list_that_is_none_is_refused_by_its_name(content, tmp_path):
    write(tmp_path, "metadata.json", content)
    with pytest.raises(UsageError, match=r"metadata\.json"):
        records(Tree(tmp_path), "metadata.json")
