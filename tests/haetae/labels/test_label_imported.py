"""What a data set states of a file, cut to the clips of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from haetae.labels.imported import label_imported
from haetae.lake.lake import to_arrow
from haetae.lake.schema import TABLES

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def clip(start_s: float = 0.0, end_s: float = 10.0, **changes: Any) -> dict[str, Any]:
    return {
        "clip_id": "clip-1",
        "batch": "b-1",
        "start_s": start_s,
        "end_s": end_s,
        "duration_s": end_s - start_s,
        "has_video": True,
        "has_audio": True,
        **changes,
    }


def stated(**changes: Any) -> dict[str, Any]:
    verdicts = {f"{m}_verdict": None for m in ("video", "audio", "sync", "text")}
    return {**verdicts, "format": "a-set", "segments": [], **changes}


def segment(modality: str, start_s: float, end_s: float) -> dict[str, Any]:
    return {"modality": modality, "start_s": start_s, "end_s": end_s}


def labels(*args: Any, **kwargs: Any) -> dict[str, dict[str, Any]]:
    rows = label_imported(*args, now=NOW, **kwargs)
    to_arrow(TABLES["labels"], rows)
    return {row["modality"]: row for row in rows}


def verdicts(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {modality: row["verdict"] for modality, row in found.items()}


def test_a_fake_picture_with_its_own_sound_leaves_the_sound_real():
    found = labels(clip(), stated(video_verdict="fake", audio_verdict="real"))
    assert verdicts(found) == {"video": "fake", "audio": "real", "sync": "unknown"}
    assert {row["evidence"] for row in found.values()} == {"imported"}
    assert {row["author"] for row in found.values()} == {"dataset:a-set"}


def test_what_a_set_does_not_state_stays_unknown():
    assert verdicts(labels(clip(), stated(video_verdict="fake"))) == {
        "video": "fake",
        "audio": "unknown",
        "sync": "unknown",
    }


def test_segments_are_cut_to_the_clip_and_told_in_its_time():
    found = labels(
        clip(5.0, 12.0),
        stated(video_verdict="fake", audio_verdict="real", segments=[segment("video", 4.0, 6.5)]),
    )
    assert found["video"]["segments"] == [{"start_s": 0.0, "end_s": 1.5}]


@pytest.mark.parametrize(
    ("start_s", "verdict"), [(6.0, "fake"), (6.47, "real"), (6.5, "real"), (8.0, "real")]
)
def test_a_stretch_that_no_change_reaches_into_is_real(start_s, verdict):
    statement = stated(
        video_verdict="fake", audio_verdict="real", sync_verdict="fake", segments=[segment("video", 4.0, 6.5)]
    )
    found = labels(clip(start_s, start_s + 4), statement)
    assert verdicts(found) == {"video": verdict, "audio": "real", "sync": verdict}


def test_each_modality_has_its_own_segments():
    both = [segment("video", 1.0, 2.0), segment("audio", 3.0, 4.0)]
    found = labels(
        clip(), stated(video_verdict="fake", audio_verdict="fake", sync_verdict="fake", segments=both)
    )
    assert found["video"]["segments"] == [{"start_s": 1.0, "end_s": 2.0}]
    assert found["audio"]["segments"] == [{"start_s": 3.0, "end_s": 4.0}]
    assert len(found["sync"]["segments"]) == 2


def test_a_fake_whose_stretches_are_not_stated_is_fake_throughout():
    found = labels(clip(20, 25), stated(audio_verdict="fake"))
    assert found["audio"]["verdict"] == "fake"
    assert found["audio"]["segments"] == []


def test_boxes_of_masks_belong_to_the_changed_picture_only():
    region = [{"track_id": None, "first_frame": 0, "boxes": [[1.0, 2.0, 3.0, 4.0]]}]
    changed = stated(video_verdict="fake", audio_verdict="real", segments=[segment("video", 0, 2)])
    assert labels(clip(), changed, boxes=region)["video"]["boxes"] == region
    assert labels(clip(5, 10), changed, boxes=region)["video"]["boxes"] == []


def test_text_has_a_label_where_the_set_states_one():
    assert verdicts(labels(clip(has_video=False), stated(audio_verdict="real", text_verdict="fake"))) == {
        "audio": "real",
        "text": "fake",
    }
