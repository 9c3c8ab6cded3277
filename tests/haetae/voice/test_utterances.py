"""Clips become utterances with text and word times, and bad captions cost the text only."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haetae.engine import InlineEngine, PoolEngine, split_results
from haetae.lake import Lake
from haetae.lake.lake import to_arrow
from haetae.lake.schema import TABLES
from haetae.media.encode import write_wav
from haetae.voice.align import ALIGNER
from haetae.voice.captions import Caption
from haetae.voice.espeak import Speech, speak
from haetae.voice.utterances import FindUtterances, Part, by_duration, in_clip, share_captions

ONE, TWO = "오늘은 날씨가 좋습니다.", "내일은 비가 많이 옵니다."
MakeClip = Callable[..., dict[str, Any]]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def clip(lake: Lake, tmp_path: Path) -> MakeClip:
    def make(audio: Any, captions: str | bytes | None = None, **changes: Any) -> dict[str, Any]:
        write_wav(tmp_path / "clip.wav", audio)
        blob = None
        if captions is not None:
            raw = captions if isinstance(captions, bytes) else captions.encode()
            blob = lake.put_blob(raw, changes.pop("captions_ext", "srt"))
        row = {
            "clip_id": "clip-1",
            "batch": "b1",
            "has_audio": True,
            "start_s": 10.0,
            "end_s": 10.0 + len(audio) / 16000,
            "blob_id": lake.put_blob((tmp_path / "clip.wav").read_bytes(), "wav"),
            "language": "ko",
            "captions_blob": blob,
            "captions_kind": "sidecar" if blob else None,
        }
        return row | changes

    return make


def talk() -> tuple[Any, Speech, Speech, float]:
    """Half a second of silence, one sentence, a second of silence, another, half a second of silence."""
    one, two = speak(ONE, "ko", variant="f4", rate_wpm=170), speak(TWO, "ko", variant="f4", rate_wpm=170)
    gap = np.zeros(8000, np.float32)
    second_at_s = 0.5 + one.duration_s + 1.0
    return np.concatenate([gap, one.audio, gap, gap, two.audio, gap]), one, two, second_at_s


def srt(*cues: tuple[float, float, str]) -> str:
    def clock(seconds: float) -> str:
        return f"00:{int(seconds) // 60:02d}:{int(seconds) % 60:02d},{round(seconds % 1 * 1000) % 1000:03d}"

    return "\n".join(f"{i}\n{clock(a)} --> {clock(b)}\n{text}\n" for i, (a, b, text) in enumerate(cues, 1))


def run(lake: Lake, row: dict[str, Any], **settings: Any) -> list[dict[str, Any]]:
    step = FindUtterances(lake_root=lake.root, **settings)
    rows, failed = split_results(InlineEngine().map_rows(step, [row]))
    assert not failed
    to_arrow(TABLES["utterances"], rows)
    return rows


def test_captions_in_media_time_become_words_in_clip_time(lake: Lake, clip: MakeClip) -> None:
    audio, one, two, second_at_s = talk()
    captions = srt((10.4, 12.9, ONE), (10 + second_at_s, 10 + second_at_s + two.duration_s, TWO))
    first, second = run(lake, clip(audio, captions))
    assert (first["text"], second["text"]) == (ONE, TWO)
    assert first["text_source"] == second["text_source"] == "sidecar"
    assert first["aligner"] == ALIGNER
    for row, speech, at_s in ((first, one, 0.5), (second, two, second_at_s)):
        assert [word["word"] for word in row["words"]] == [word.word for word in speech.words]
        errors = [
            abs(w["start_s"] - t.start_s - at_s) for w, t in zip(row["words"], speech.words, strict=True)
        ]
        assert np.median(errors) < 0.04
        assert all(row["start_s"] <= w["start_s"] <= w["end_s"] <= row["end_s"] for w in row["words"])
    assert first["loudness_dbfs"] == pytest.approx(-18, abs=8)
    assert first["utterance_id"] != second["utterance_id"]


def test_one_caption_over_two_stretches_is_parted_where_the_words_are(lake: Lake, clip: MakeClip) -> None:
    audio, *_ = talk()
    rows = run(lake, clip(audio, srt((10.0, 10 + len(audio) / 16000, f"{ONE} {TWO}"))))
    assert [row["text"] for row in rows] == [ONE, TWO]
    assert [len(row["words"]) for row in rows] == [3, 4]


def test_a_language_without_a_voice_keeps_text_and_has_no_words(lake: Lake, clip: MakeClip) -> None:
    audio, *_ = talk()
    whole = srt((10.0, 10 + len(audio) / 16000, f"{ONE} {TWO}"))
    for settings, changes in (({}, {"language": "other"}), ({"align": False}, {})):
        rows = run(lake, clip(audio, whole, **changes), **settings)
        assert " ".join(row["text"] for row in rows) == f"{ONE} {TWO}"
        assert all(row["words"] == [] and row["aligner"] is None for row in rows)


@pytest.mark.parametrize("captions", [None, b"\x00\x01garbage", "1\n00:00:50,000 --> 00:00:52,000\nlater\n"])
def test_without_usable_captions_the_text_is_null_and_the_speech_stays(
    lake: Lake, clip: MakeClip, captions: bytes | str | None
) -> None:
    rows = run(lake, clip(talk()[0], captions))
    assert len(rows) == 2
    assert all(row["text"] is None and row["text_source"] is None and row["words"] == [] for row in rows)


def test_the_language_of_the_text_is_judged_whatever_the_source_declares(lake: Lake, clip: MakeClip) -> None:
    audio, _, two, second_at_s = talk()
    second = (10 + second_at_s, 10 + second_at_s + two.duration_s)
    said = srt((10.4, 12.9, ONE), (*second, "This one cannot make it lah."))
    rows = run(lake, clip(audio, said, language="ms"), align=False)
    assert [row["spoken_language"] for row in rows] == ["ko", "en-SG"]
    assert all(0.5 < row["spoken_confidence"] <= 1.0 for row in rows)
    assert [row["language"] for row in rows] == ["ms", "ms"]
    silent = run(lake, clip(audio, srt((*second, "Lah"))), align=False)
    assert (
        [row["spoken_language"] for row in silent]
        == [row["spoken_confidence"] for row in silent]
        == [None, None]
    )


def test_a_clip_without_sound_or_speech_has_no_utterances(lake: Lake, clip: MakeClip) -> None:
    noise = (np.random.default_rng(0).standard_normal(48000) * 0.01).astype(np.float32)
    assert run(lake, clip(noise)) == []
    assert run(lake, clip(np.zeros(16000, np.float32))) == []
    assert run(lake, clip(noise, has_audio=False, blob_id="missing")) == []


def test_very_quiet_speech_is_found_and_its_true_level_reported(lake: Lake, clip: MakeClip) -> None:
    loud = run(lake, clip(talk()[0]))
    quiet = run(lake, clip(talk()[0] * np.float32(0.01)))
    assert len(quiet) == 2
    for a, b in zip(loud, quiet, strict=True):
        assert b["loudness_dbfs"] == pytest.approx(a["loudness_dbfs"] - 40, abs=1.0)


def test_a_missing_blob_fails_the_row_and_not_the_batch(lake: Lake, clip: MakeClip) -> None:
    good = clip(talk()[0])
    bad = good | {"clip_id": "clip-2", "blob_id": "0" * 64 + ".wav"}
    rows, failed = split_results(InlineEngine().map_rows(FindUtterances(lake_root=lake.root), [bad, good]))
    assert [f.item_id for f in failed] == ["clip-2"]
    assert {row["clip_id"] for row in rows} == {"clip-1"}


@pytest.mark.slow
def test_a_worker_process_finds_the_same_as_this_one(lake: Lake, clip: MakeClip) -> None:
    row = clip(talk()[0], srt((10.0, 16.0, f"{ONE} {TWO}")))
    engine = PoolEngine(workers=1)
    try:
        apart, failed = split_results(engine.map_rows(FindUtterances(lake_root=lake.root), [row]))
    finally:
        engine.close()
    assert not failed
    assert apart == run(lake, row)


def test_a_transcript_belongs_to_a_clip_only_where_that_is_sure() -> None:
    whole = [Caption(0.0, math.inf, "satu dua tiga empat")]
    assert in_clip(whole, 0.0, 4.0, None) == [Caption(0.0, 4.0, "satu dua tiga empat")]
    assert in_clip(whole, 4.0, 8.0, None) == []
    assert in_clip([Caption(0.0, math.inf, "kata " * 100)], 0.0, 4.0, None) == []
    assert in_clip(whole, 4.0, 8.0, 8.0) == [Caption(0.0, 4.0, "tiga empat")]


def test_a_caption_that_reaches_out_of_the_clip_keeps_its_share_of_words() -> None:
    cut = in_clip([Caption(8.0, 12.0, "a b c d")], 10.0, 20.0, None)
    assert cut == [Caption(0.0, 2.0, "c d")]
    assert in_clip([Caption(0.0, 9.0, "before"), Caption(20.0, 21.0, "after")], 10.0, 20.0, None) == []


def test_captions_and_regions_are_put_together_by_overlap() -> None:
    regions = [(0.0, 2.0), (3.0, 5.0), (6.0, 8.0)]
    captions = [
        Caption(0.1, 1.0, "a"),
        Caption(1.0, 2.1, "b"),
        Caption(2.2, 2.8, "lost"),
        Caption(4.0, 7.0, "c d"),
    ]
    assert share_captions(captions, regions) == [
        Part(((0.0, 2.0),), "a b"),
        Part(((3.0, 5.0), (6.0, 8.0)), "c d"),
    ]
    assert share_captions([], regions) == [Part((region,), "") for region in regions]


def test_text_without_word_times_is_shared_by_duration() -> None:
    assert by_duration(Part(((0.0, 1.0), (2.0, 5.0)), "a b c d")) == ["a", "b c d"]
    assert by_duration(Part(((0.0, 1.0),), "")) == [""]
    assert by_duration(Part(((0.0, 0.3), (1.0, 9.0)), "word")) == ["", "word"]


def test_the_step_modules_load_without_the_heavy_libraries() -> None:
    code = (
        "import sys, haetae.voice.utterances, haetae.voice.cues, haetae.voice.signals, haetae.locales;"
        "heavy = 'torch librosa scipy silero_vad mediapipe lingua pyloudnorm'.split();"
        "print([m for m in heavy if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
