"""Labels by construction: they say what was done, of what it was done to, and of nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from haetae.labels.construct import label_fake, label_original

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
CLIP = {"clip_id": "clip-1", "batch": "b1", "has_video": True, "has_audio": True, "declared_verdict": "real"}
TRACKS = [{"track_id": "track-a"}, {"track_id": "track-b"}]
REGION = {"track_id": "track-a", "first_frame": 2, "boxes": [[1.0, 2.0, 3.0, 4.0]]}


def _fake(family: str, *modalities: str) -> dict[str, Any]:
    return {
        "fake_id": "fake-1",
        "batch": "b1",
        "generator": "maker@1",
        "family": family,
        "modalities": list(modalities),
        "segments": [{"modality": m, "start_s": 0.5, "end_s": 1.5 + (m == "audio")} for m in modalities],
        "regions": [REGION] if "video" in modalities else [],
        "track_id": "track-a" if "video" in modalities else None,
    }


def _by(rows: list[dict[str, Any]]) -> dict[tuple[str, str | None], dict[str, Any]]:
    return {(row["modality"], row["track_id"]): row for row in rows}


@pytest.mark.parametrize(
    ("family", "modalities", "video", "audio", "sync"),
    [
        ("face_swap", ("video",), "fake", "real", "real"),
        ("lip_sync", ("video",), "fake", "real", "fake"),
        ("speech", ("audio",), "real", "fake", "fake"),
        ("combination", ("video", "audio"), "fake", "fake", "real"),
    ],
)
def test_each_modality_is_labelled_by_what_was_done_to_it(
    family: str, modalities: tuple[str, ...], video: str, audio: str, sync: str
) -> None:
    rows = _by(label_fake(_fake(family, *modalities), CLIP, TRACKS, NOW))
    assert (
        rows["video", None]["verdict"],
        rows["audio", None]["verdict"],
        rows["sync", None]["verdict"],
    ) == (video, audio, sync)
    for row in rows.values():
        assert bool(row["segments"]) == (row["verdict"] == "fake")


def test_only_the_changed_face_is_fake_and_it_carries_segments_and_boxes() -> None:
    rows = _by(label_fake(_fake("face_swap", "video"), CLIP, TRACKS, NOW))
    changed, other = rows["video", "track-a"], rows["video", "track-b"]
    assert changed["verdict"] == "fake"
    assert changed["segments"] == [{"start_s": 0.5, "end_s": 1.5}]
    assert changed["boxes"] == [REGION]
    assert other["verdict"] == "real"
    assert other["segments"] == other["boxes"] == []


def test_fakes_are_captioned_in_four_languages_with_their_times() -> None:
    rows = _by(label_fake(_fake("speech", "audio"), CLIP, TRACKS, NOW))
    captions = rows["audio", None]["captions"]
    assert set(captions) == {"ko", "en", "ms", "ta"}
    assert len(set(captions.values())) == 4
    assert all("0.5" in text and "2.5" in text for text in captions.values())


def test_where_picture_and_sound_were_changed_both_captions_tell_of_both() -> None:
    rows = _by(label_fake(_fake("combination", "video", "audio"), CLIP, TRACKS, NOW))
    assert rows["video", None]["captions"] == rows["audio", None]["captions"]
    assert "2.5" in rows["video", None]["captions"]["en"]


def test_a_clip_without_sound_has_no_label_on_sound() -> None:
    clip = {**CLIP, "has_audio": False}
    assert {row["modality"] for row in label_fake(_fake("face_swap", "video"), clip, TRACKS, NOW)} == {
        "video"
    }


def test_changed_subtitles_are_fake_text_and_leave_picture_sound_and_lips_real() -> None:
    rows = _by(label_fake(_fake("text", "text"), CLIP, TRACKS, NOW))
    verdicts = {modality: row["verdict"] for (modality, track), row in rows.items() if track is None}
    assert verdicts == {"video": "real", "audio": "real", "sync": "real", "text": "fake"}
    text = rows["text", None]
    assert text["segments"] == [{"start_s": 0.5, "end_s": 1.5}]
    assert text["boxes"] == []
    assert "subtitles between 0.5 and 1.5 seconds" in text["captions"]["en"]
    assert len(set(text["captions"].values())) == 4


def test_subtitles_are_labelled_where_a_clip_has_them_and_stay_real_beside_a_changed_voice() -> None:
    clip = {**CLIP, "has_text": True}
    assert _by(label_fake(_fake("speech", "audio"), clip, TRACKS, NOW))["text", None]["verdict"] == "real"
    assert ("text", None) not in _by(label_fake(_fake("speech", "audio"), CLIP, TRACKS, NOW))
    original = _by(label_original(clip, {"source_id": "s1"}, NOW))
    assert original["text", None]["verdict"] == "real"
    # A recording that is declared fake is a fake voice; of its subtitles nothing is declared.
    recording = {**clip, "has_video": False, "declared_verdict": "fake"}
    told = _by(label_original(recording, {"source_id": "s1"}, NOW))
    assert {modality: row["verdict"] for (modality, _), row in told.items()} == {
        "audio": "fake",
        "text": "unknown",
    }


def test_changed_subtitles_do_not_tell_when_lips_and_voice_disagree() -> None:
    rows = _by(label_fake(_fake("combination", "audio", "text"), CLIP, TRACKS, NOW))
    assert rows["sync", None]["segments"] == [{"start_s": 0.5, "end_s": 2.5}]
    assert rows["text", None]["segments"] == [{"start_s": 0.5, "end_s": 1.5}]


@pytest.mark.parametrize(
    ("declared", "has_video", "expected"),
    [
        ("real", True, {"video": "real", "audio": "real", "sync": "real"}),
        ("unknown", True, {"video": "unknown", "audio": "unknown", "sync": "unknown"}),
        # Which part of a declared audio-visual fake was changed is not declared.
        ("fake", True, {"video": "unknown", "audio": "unknown", "sync": "unknown"}),
        ("fake", False, {"audio": "fake"}),
    ],
)
def test_a_declaration_says_of_a_modality_only_what_follows_from_it(
    declared: str, has_video: bool, expected: dict[str, str]
) -> None:
    clip = {**CLIP, "declared_verdict": declared, "has_video": has_video}
    rows = label_original(clip, {"source_id": "s1"}, NOW)
    assert {row["modality"]: row["verdict"] for row in rows} == expected
    assert {row["evidence"] for row in rows} == {"imported"}
    assert {row["author"] for row in rows} == {"source:s1"}
