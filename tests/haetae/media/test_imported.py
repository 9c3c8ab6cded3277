"""Items of data sets on their way to `Fetch`."""

from __future__ import annotations

from typing import Any

import pytest

from haetae.media.imported import overall_verdict, with_statements

ROW = {
    "item_id": "item-1",
    "source_id": "set",
    "uri": "a/b.mp4",
    "address": "a/b.mp4",
    "kind": "dataset:x",
    "language": "other",
    "verdict": "unknown",
    "generator": None,
    "identities": [],
}


def statement(**changes: Any) -> dict[str, Any]:
    verdicts = {f"{m}_verdict": None for m in ("video", "audio", "sync", "text")}
    return {
        "item_id": "item-1", "form": "file", "mask": None, "identities": [], "language": None, "generator": None,
        "text": None,
        **verdicts, **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [
        ({}, "unknown"),
        ({"video_verdict": "real"}, "real"),
        ({"video_verdict": "real", "audio_verdict": "fake"}, "fake"),
        ({"text_verdict": "fake"}, "fake"),
        ({"video_verdict": "real", "audio_verdict": "real"}, "real"),
    ],
)
def test_one_fake_modality_makes_the_file_a_fake(verdicts, overall):
    assert overall_verdict(statement(**verdicts)) == overall


def test_an_item_is_looked_for_below_the_root_of_its_data_set():
    stated = statement(
        mask="m/b.mp4",
        identities=["set:p"],
        language="ko",
        video_verdict="fake",
        generator="g",
        text="apa khabar",
    )
    (row,) = with_statements([ROW], [stated], {"set": "/moved/here"})
    assert row["address"] == "/moved/here/a/b.mp4"
    assert row["mask"] == "/moved/here/m/b.mp4"
    assert (row["language"], row["verdict"], row["generator"]) == ("ko", "fake", "g")
    assert row["identities"] == ["set:p"]
    assert row["text"] == "apa khabar"


def test_a_folder_of_frames_is_named_as_one():
    (row,) = with_statements([ROW], [statement(form="frames")], {"set": "/d"})
    assert row["address"] == "/d/a/b.mp4/"


def test_what_was_crawled_is_left_as_it_is():
    assert with_statements([ROW], [], {}) == [ROW]
