"""Detection: the printed contract, where segments and boxes come from, and what cannot be judged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import synthetic
from numpy.typing import NDArray

from haetae.detector.detect import (
    Detection,
    Segment,
    _joined,
    _segments,
    _track,
    check_file,
    inspect_file,
    merged,
)
from haetae.detector.predict import Detector, Evidence, Scores
from haetae.detector.saying import captions
from haetae.engine import Progress
from haetae.errors import UsageError
from haetae.media.encode import write_video, write_wav
from haetae.voice.espeak import speak

FAKE = Scores(0.9, 0.9, 0.9, 0.9)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """Untrained, but of the size that real items have."""
    import torch

    from haetae.detector.config import ModelConfig, SavedConfig
    from haetae.detector.model import DetectorNet
    from haetae.detector.weights import save_detector

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("untrained")
    config = ModelConfig(n_frames=6)
    save_detector(folder, DetectorNet(config), SavedConfig(model=config))
    return Detector.load(folder)


def _evidence(item: Any, cells: NDArray[np.float64]) -> Evidence:
    return Evidence(FAKE, cells.max(axis=(1, 2)), cells, np.zeros(0), 0.08, np.zeros(0))


def test_a_box_lies_where_the_map_is_hot() -> None:
    item = synthetic.item(1, split="test", video="fake")
    turn = cv2.getRotationMatrix2D((0, 0), 0, 0.5)
    turn[:, 2] = (-20, -10)
    item = replace(item, to_crop=np.repeat(turn[None], synthetic.N_FRAMES, axis=0))
    cells = np.full((synthetic.N_FRAMES, 8, 8), 0.05)
    cells[3, 4:6, 2:5] = 0.9
    cells[3, 0, 7] = 0.7
    found = _track(item, _evidence(item, cells), True, (400, 300))
    assert found.frames == (item.frame_index[3],)
    # Cells of 8 px; crop = frame / 2 - (20, 10), so frame = 2 * (crop + (20, 10)).
    assert found.boxes == ((2 * (16 + 20), 2 * (32 + 10), 2 * (40 + 20), 2 * (48 + 10)),)
    clipped = _track(item, _evidence(item, cells), True, (100, 100))
    assert clipped.boxes == ((72.0, 84.0, 100.0, 100.0),)
    assert _track(item, _evidence(item, cells), False, (400, 300)).boxes == ()


def test_segments_cover_the_frames_that_speak_for_fake() -> None:
    item = synthetic.item(1, split="test", video="fake")
    flags = np.array(item.frame_fake)
    cells = np.where(flags, 0.9, 0.1)[:, None, None] * np.ones((1, 4, 4))
    (segment,) = _segments(item, _evidence(item, cells), frozenset({"video"}))
    spacing_s = np.diff(item.frame_index).max() / 25
    assert segment.modality == "video"
    assert abs(segment.start_s - synthetic.SEGMENT[0]) <= spacing_s
    assert abs(segment.end_s - synthetic.SEGMENT[1]) <= spacing_s
    assert _segments(item, _evidence(item, cells), frozenset({"audio"})) == []


def test_a_segment_of_sound_ends_with_the_sound() -> None:
    item = synthetic.item(1, split="test", audio="fake")
    item = replace(item, mel=item.mel[:101])
    seen = replace(_evidence(item, np.ones((synthetic.N_FRAMES, 4, 4))), audio=np.full(13, 0.9))
    (segment,) = _segments(item, seen, frozenset({"audio"}))
    assert (segment.start_s, segment.end_s) == (0.0, 1.0)


def test_segments_that_nearly_touch_become_one() -> None:
    parts = [
        Segment("audio", 2.0, 3.0, 0.6),
        Segment("video", 1.1, 2.0, 0.9),
        Segment("video", 0.0, 1.0, 0.7),
        Segment("video", 2.5, 3.0, 0.8),
    ]
    expected = (
        Segment("video", 0.0, 2.0, 0.9),
        Segment("video", 2.5, 3.0, 0.8),
        Segment("audio", 2.0, 3.0, 0.6),
    )
    assert merged(parts) == expected
    assert merged(expected) == expected
    assert merged(parts[::-1]) == expected


@pytest.mark.parametrize(
    ("modalities", "scores", "mouth_only", "said"),
    [
        ((), Scores(0.1, 0.1, 0.1, 0.1), False, "No sign"),
        (("video",), Scores(0.9, 0.9, 0.1, 0.1), False, "face swap"),
        (("video",), Scores(0.9, 0.9, 0.1, 0.1), True, "lip"),
        (("audio",), Scores(0.9, 0.1, 0.9, 0.1), False, "speech"),
        (("sync",), Scores(0.9, 0.1, 0.1, 0.9), False, "lips do not move"),
        (("video", "audio"), Scores(0.9, 0.9, 0.9, None), False, "both"),
    ],
)
def test_captions_tell_the_strongest_evidence_in_four_languages(
    modalities: tuple[str, ...], scores: Scores, mouth_only: bool, said: str
) -> None:
    segments = [Segment(m, 1.0, 2.5, 0.9) for m in modalities]
    found = captions("fake" if modalities else "real", scores, segments, mouth_only=mouth_only)
    assert set(found) == {"ko", "en", "ms", "ta"} and len(set(found.values())) == 4
    assert said.lower() in found["en"].lower()
    if modalities:
        assert all("1.0" in text and "2.5" in text for text in found.values())


def test_a_sentence_claims_no_more_than_the_scores_and_names_no_picture_that_is_not_there() -> None:
    """Fake only by all scores together: what was changed is not known, and nothing is called untouched."""
    weak = Scores(0.54, 0.243, 0.236, 0.212)
    found = captions("fake", weak, [Segment("video", 0.0, 3.2, 0.25)])
    assert "together" in found["en"] and "0.0 and 3.2" in found["en"]
    assert not any(word in found["en"] for word in ("untouched", "was changed", "lip"))
    heard = Scores(0.9, None, 0.9, None)
    spoken = captions("fake", heard, [Segment("audio", 1.0, 2.5, 0.9)])
    assert spoken["en"] == "The voice was changed (synthetic speech) between 1.0 and 2.5 seconds."
    for said in (found, spoken):
        assert set(said) == {"ko", "en", "ms", "ta"} and len(set(said.values())) == 4
        assert not any("{" in text for text in said.values())


def test_a_real_verdict_names_only_what_was_judged() -> None:
    """Of a sound file nothing is said about a picture, nor of a picture about sound."""
    both, seen, heard = (
        captions("real", scores, [])
        for scores in (Scores(0.1, 0.1, 0.1, 0.1), Scores(0.1, 0.1, None, None), Scores(0.1, None, 0.1, None))
    )
    assert both["en"] == "No sign of manipulation was found in the picture or the sound."
    assert seen["en"] == "No sign of manipulation was found in the picture."
    assert heard["en"] == "No sign of manipulation was found in the sound."
    for language in ("ko", "en", "ms", "ta"):
        assert len({both[language], seen[language], heard[language]}) == 3
    for said, absent in (
        (seen, ("소리", "sound", "bunyi", "ஒலியி")),
        (heard, ("영상", "picture", "gambar", "படத்தி")),
    ):
        assert not any(word in text for word, text in zip(absent, said.values(), strict=True)), said


def test_a_clip_that_is_fake_by_one_modality_speaks_louder_than_faint_signs_in_another() -> None:
    """Segments and sentence of a file are of the clips whose evidence is clear, where there are such."""
    by_sum = Detection("fake", Scores(0.8, 0.45, 0.45, 0.4), segments=(Segment("video", 0.0, 1.0, 0.45),))
    by_voice = Detection("fake", Scores(0.7, 0.2, 0.62, 0.1), segments=(Segment("audio", 0.5, 1.5, 0.7),))
    real = Detection("real", Scores(0.1, 0.1, 0.0, 0.0))
    found = _joined([(0.0, by_sum), (4.0, real), (8.0, by_voice)], "f.mp4")
    assert (found.verdict, found.scores.score) == ("fake", 0.8)
    assert [(s.modality, s.start_s, s.end_s) for s in found.segments] == [("audio", 8.5, 9.5)]
    assert "voice was changed" in found.captions["en"] and "8.5 and 9.5" in found.captions["en"]
    faint = _joined([(0.0, by_sum), (4.0, real)], "f.mp4")
    assert [s.modality for s in faint.segments] == ["video"] and "together" in faint.captions["en"]


def test_a_talking_portrait_gives_the_whole_contract(
    detector: Detector, portrait: NDArray[np.uint8], tmp_path: Path
) -> None:
    said = speak("Good morning, this is the news of today.", "en-SG").audio[: 16_000 * 2]
    small = cv2.resize(portrait, (384, 384), interpolation=cv2.INTER_AREA)
    write_video(tmp_path / "talk.mp4", np.repeat(small[None], 50, axis=0), np.resize(said, 32_000))
    suspicious = replace(
        detector,
        config=detector.config.model_copy(
            update={"calibration": detector.config.calibration.model_copy(update={"threshold": 0.0})}
        ),
    )
    found = inspect_file(suspicious, tmp_path / "talk.mp4").to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == ["verdict", "score", "threshold", "modalities", "tracks", "segments", "captions"]
    assert found["threshold"] == 0.0
    assert found["verdict"] == "fake" and 0 <= found["score"] <= 1
    assert (
        list(found["modalities"]) == ["video", "audio", "sync", "text"]
        and found["modalities"]["text"] is None
    )
    assert all(0 <= found["modalities"][m] <= 1 for m in ("video", "audio"))
    (track,) = found["tracks"]
    assert set(track) == {"track_id", "score", "frames", "boxes"} and len(track["frames"]) == len(
        track["boxes"]
    )
    assert all(0 <= x1 < x2 <= 384 and 0 <= y1 < y2 <= 384 for x1, y1, x2, y2 in track["boxes"])
    assert found["segments"]
    assert all(0 <= s["start_s"] < s["end_s"] <= 2.01 for s in found["segments"])
    trusting = inspect_file(detector, tmp_path / "talk.mp4").to_json()
    assert trusting["score"] == found["score"], "the same file has the same score"


def test_sound_alone_is_judged_as_sound_and_progress_is_told(detector: Detector, tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", speak("Selamat pagi semua, apa khabar hari ini?", "ms").audio)
    moments: list[Progress] = []
    found = inspect_file(detector, tmp_path / "a.wav", on_progress=moments.append).to_json()
    told = [(one.stage, one.done, one.total) for one in moments]
    assert told == [("cut", 0, 1), ("cut", 1, 1), ("look", 0, 1), ("look", 1, 1)]
    assert found["modalities"]["video"] is None and found["modalities"]["sync"] is None
    assert found["tracks"] == [] and found["score"] == pytest.approx(found["modalities"]["audio"])
    assert "picture" not in found["captions"]["en"], "whatever the verdict is"


@pytest.mark.parametrize("content", [b"", b"<html>not a video</html>", b"\x00" * 4000])
def test_what_is_no_media_is_bad_usage_with_the_reason(
    detector: Detector, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "broken.mp4").write_bytes(content)
    with pytest.raises(UsageError, match=r"broken\.mp4 cannot be judged: [a-z_]+"):
        inspect_file(detector, tmp_path / "broken.mp4")


def test_a_folder_is_told_as_one_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is a folder, and one file is judged at a time; .*for file in "):
        check_file(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        check_file(tmp_path / "none.mp4")
