"""One row of signals for each clip, measured on the clip and on the same stretch of its original."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from haetae.engine import InlineEngine, PoolEngine, split_results
from haetae.lake import Lake
from haetae.lake.lake import to_arrow
from haetae.lake.schema import TABLES
from haetae.media.encode import write_video, write_wav
from haetae.media.ffmpeg import exe
from haetae.media.probe import probe
from haetae.media.traces import Blocks, Spectrum
from haetae.voice.signals import PICTURE, SOUND, MeasureSignals, codec_history, spoken_in_clip
from haetae.voice.spoken import LanguageJudge

RATE_HZ = 44_100


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def talk() -> NDArray[np.float32]:
    """Noise bursts that stand for speech from 1 to 3 s, 30 dB above what is around them; 4 s at 44.1 kHz."""
    rng = np.random.default_rng(3)
    audio = rng.standard_normal(4 * RATE_HZ) * 0.1 * 10 ** (-30 / 20)
    audio[RATE_HZ : 3 * RATE_HZ] += rng.standard_normal(2 * RATE_HZ) * 0.1
    audio[: RATE_HZ // 2] = audio[-RATE_HZ // 4 :] = 0.0
    return audio.astype(np.float32)


def pictures(n: int = 100, step_px: int = 4) -> NDArray[np.uint8]:
    """A smooth texture that moves `step_px` a picture: uint8 [n, 240, 320, 3]."""
    drawn = cv2.GaussianBlur(np.random.default_rng(4).standard_normal((240, 1200)), (0, 0), 4)
    wide = np.clip(128 + 60 * drawn / drawn.std(), 0, 255).astype(np.uint8)
    shown = [wide[:, i * step_px : i * step_px + 320] for i in range(n)]
    return np.repeat(np.stack(shown)[..., None], 3, axis=3)


def convert(source: Path, made: Path, *options: str) -> Path:
    subprocess.run(
        [exe(), "-nostdin", "-loglevel", "error", "-i", str(source), *options, str(made)], check=True
    )
    return made


def media_row(lake: Lake, path: Path) -> dict[str, Any]:
    info = probe(path)
    return {
        "media_id": path.stem,
        "blob_id": lake.put_blob(path.read_bytes(), path.suffix),
        "video_codec": info.video_codec,
        "audio_codec": info.audio_codec,
        "container": info.container,
        "encoder": "a camera",
    }


def clip_row(
    lake: Lake, clip: Path, media: dict[str, Any], *said: tuple[float, float, str | None]
) -> dict[str, Any]:
    info = probe(clip)
    return {
        "clip_id": f"clip-{clip.stem}",
        "batch": "b1",
        "blob_id": lake.put_blob(clip.read_bytes(), clip.suffix),
        "start_s": 0.0,
        "end_s": info.duration_s or 0.04,
        "has_video": info.width is not None,
        "has_audio": info.has_audio,
        "media": media,
        "utterances": [{"start_s": a, "end_s": b, "text": text} for a, b, text in said],
    }


def measure(lake: Lake, row: dict[str, Any], **settings: Any) -> dict[str, Any]:
    rows, failed = split_results(
        InlineEngine().map_rows(MeasureSignals(lake_root=lake.root, **settings), [row])
    )
    assert not failed, failed
    to_arrow(TABLES["signals"], rows)
    (measured,) = rows
    return measured


def test_sound_alone_has_levels_silence_and_the_traces_of_mp3(lake: Lake, tmp_path: Path) -> None:
    write_wav(tmp_path / "recorded.wav", talk(), RATE_HZ)
    mp3 = convert(tmp_path / "recorded.wav", tmp_path / "spread.mp3", "-b:a", "32k")
    original = convert(mp3, tmp_path / "original.wav")
    clip = convert(tmp_path / "recorded.wav", tmp_path / "clip.wav", "-ar", "16000")
    row = measure(lake, clip_row(lake, clip, media_row(lake, original), (1.0, 3.0, None)))
    assert row["snr_db"] == pytest.approx(30.0, abs=1.0)
    assert row["leading_silence_s"] == pytest.approx(0.5, abs=0.02)
    assert row["trailing_silence_s"] == pytest.approx(0.25, abs=0.02)
    assert row["speech_fraction"] == pytest.approx(0.5, abs=0.01)
    assert row["loudness_lufs"] == pytest.approx(-23, abs=4)
    assert row["clipped_fraction"] == 0.0
    assert 7_000 < row["audio_bandwidth_hz"] < 12_000
    cut = f"measured:audio:lowpass_{round(row['audio_bandwidth_hz'], -2):.0f}hz"
    assert row["codec_history"] == [
        cut, "stated:audio:pcm_s16le", "stated:container:wav", "stated:encoder:a camera"
    ]  # fmt: skip
    assert all(row[name] is None for name in (*PICTURE, "spoken_language", "singlish_score"))


def test_a_film_has_motion_bits_and_the_grid_of_what_it_was_cut_from(lake: Lake, tmp_path: Path) -> None:
    write_video(tmp_path / "recorded.mp4", pictures(), None, crf=12)
    jpegs = convert(tmp_path / "recorded.mp4", tmp_path / "jpegs.avi", "-c:v", "mjpeg", "-q:v", "12", "-an")
    original = convert(jpegs, tmp_path / "original.mkv", "-vf", "crop=300:220:2:6", "-c:v", "ffv1", "-an")
    clip = convert(original, tmp_path / "clip.mp4", "-c:v", "libx264", "-crf", "18", "-an")
    row = measure(lake, clip_row(lake, clip, media_row(lake, original)))
    assert "measured:video:grid_8px_6_2" in row["codec_history"]
    assert row["codec_history"][-3:] == [
        "stated:video:ffv1",
        "stated:container:matroska",
        "stated:encoder:a camera",
    ]
    assert row["bits_per_pixel"] == pytest.approx(8 * original.stat().st_size / (300 * 220 * 100), rel=0.05)
    assert row["motion"] > 10
    assert all(row[name] is None for name in SOUND)
    uncut = measure(lake, clip_row(lake, clip, media_row(lake, jpegs)))
    assert uncut["blockiness"] > 2.0 * row["blockiness"] > 2.0
    assert not [step for step in uncut["codec_history"] if step.startswith("measured")]


def test_motion_is_the_change_from_picture_to_picture(lake: Lake, tmp_path: Path) -> None:
    still = np.full((50, 96, 160, 3), 60, np.uint8)
    flicker = still.copy()
    flicker[1::2] += 40
    values = []
    for name, frames in (("still", still), ("flicker", flicker)):
        write_video(tmp_path / f"{name}.mp4", frames, None)
        media = media_row(lake, tmp_path / f"{name}.mp4")
        values.append(measure(lake, clip_row(lake, tmp_path / f"{name}.mp4", media))["motion"])
    assert values[0] == pytest.approx(0.0, abs=0.05)
    assert values[1] == pytest.approx(40.0, abs=2.0)


def test_a_picture_is_a_clip_of_one_frame_without_motion(lake: Lake, tmp_path: Path) -> None:
    shown = pictures(1)[0]
    cv2.imwrite(str(tmp_path / "original.jpg"), shown, [cv2.IMWRITE_JPEG_QUALITY, 20])
    cv2.imwrite(str(tmp_path / "clip.png"), shown)
    original = tmp_path / "original.jpg"
    row = measure(lake, clip_row(lake, tmp_path / "clip.png", media_row(lake, original)))
    assert row["motion"] is None
    assert row["blockiness"] > 1.5
    assert row["bits_per_pixel"] == pytest.approx(8 * original.stat().st_size / (320 * 240), abs=1e-3)


def test_clipping_is_seen_in_the_original_although_the_clip_is_resampled(lake: Lake, tmp_path: Path) -> None:
    write_wav(tmp_path / "original.wav", np.clip(talk() * 12, -1, 1), RATE_HZ)
    clip = convert(tmp_path / "original.wav", tmp_path / "clip.wav", "-ar", "16000", "-af", "volume=0.5")
    row = measure(lake, clip_row(lake, clip, media_row(lake, tmp_path / "original.wav")))
    share = float(np.mean(np.abs(talk() * 12) >= 0.999))
    assert row["clipped_fraction"] == pytest.approx(share, abs=0.005)
    assert row["peak_dbfs"] < -3


def test_silence_has_no_level_and_is_silent_all_through(lake: Lake, tmp_path: Path) -> None:
    write_wav(tmp_path / "clip.wav", np.zeros(2 * 16_000, np.float32))
    row = measure(lake, clip_row(lake, tmp_path / "clip.wav", media_row(lake, tmp_path / "clip.wav")))
    assert row["leading_silence_s"] == row["trailing_silence_s"] == 2.0
    assert row["loudness_lufs"] is row["peak_dbfs"] is row["snr_db"] is row["audio_bandwidth_hz"] is None
    assert row["speech_fraction"] == row["clipped_fraction"] == 0.0


def test_what_is_said_gives_the_language_of_the_clip(lake: Lake, tmp_path: Path) -> None:
    write_wav(tmp_path / "clip.wav", np.zeros(8_000, np.float32))
    row = measure(
        lake,
        clip_row(
            lake, tmp_path / "clip.wav", media_row(lake, tmp_path / "clip.wav"),
            (0.0, 3.0, "We went to the market this morning."),
            (3.5, 5.0, "The fish very fresh leh."),
            (5.5, 6.0, None),
        ),
    )  # fmt: skip
    assert row["spoken_language"] == "en-SG"
    assert 0 < row["singlish_score"] < 0.5
    assert 0.5 < row["spoken_confidence"] <= 1.0


def test_most_seconds_decide_and_not_most_sentences() -> None:
    judge = LanguageJudge()
    mostly = [
        (0.0, 9.0, "회의가 두 시로 미뤄졌다고 합니다."),
        (9.0, 10.0, "We left early."),
        (10.0, 11.0, "It was late."),
    ]
    rows = [{"start_s": a, "end_s": b, "text": text} for a, b, text in mostly]
    spoken = spoken_in_clip(judge, rows)
    assert spoken is not None
    assert spoken.language == "ko"
    assert spoken.confidence == pytest.approx(9 / 11, abs=0.02)
    assert spoken_in_clip(judge, []) is None
    assert spoken_in_clip(judge, [{"start_s": 0.0, "end_s": 1.0, "text": None}]) is None
    halves = [
        {"start_s": i, "end_s": i + 1, "text": text} for i, text in enumerate(("Can", "lah", "go", "home"))
    ]
    together = spoken_in_clip(judge, halves)
    assert together is not None and together.language == "en-SG"


@pytest.mark.parametrize(
    ("codec", "hz", "noted"),
    [
        ("pcm_s16le", 16_000.0, True),
        ("flac", 16_000.0, True),
        ("aac", 16_000.0, False),
        ("aac", 3_900.0, True),
    ],
)
def test_a_cut_that_the_stated_codec_makes_is_not_history(codec: str, hz: float, noted: bool) -> None:
    media = {"audio_codec": codec, "video_codec": None, "container": "mov"}
    history = codec_history(media, Spectrum(hz, True), None, 1.4)
    assert (history[0] == f"measured:audio:lowpass_{hz:.0f}hz") == noted
    assert codec_history(media, Spectrum(hz, False), None, 1.4)[0] == f"stated:audio:{codec}"


def test_a_grid_that_the_stated_codec_makes_is_not_history() -> None:
    media = {"audio_codec": None, "video_codec": "h264", "container": "mov"}
    for corner, strength, noted in (((4, 4), 3.0, False), ((6, 4), 3.0, True), ((6, 4), 1.5, False)):
        history = codec_history(media, None, Blocks(1.0, corner, strength), 1.4)
        assert (history[0] == "measured:video:grid_8px_6_4") == noted


def test_a_clip_whose_original_is_missing_fails_alone(lake: Lake, tmp_path: Path) -> None:
    write_wav(tmp_path / "clip.wav", talk(), RATE_HZ)
    good = clip_row(lake, tmp_path / "clip.wav", media_row(lake, tmp_path / "clip.wav"))
    bad = good | {"clip_id": "clip-2", "media": good["media"] | {"blob_id": "0" * 64 + ".wav"}}
    rows, failed = split_results(InlineEngine().map_rows(MeasureSignals(lake_root=lake.root), [bad, good]))
    assert [f.item_id for f in failed] == ["clip-2"]
    assert [row["clip_id"] for row in rows] == ["clip-clip"]


@pytest.mark.slow
def test_a_worker_process_measures_the_same_as_this_one(lake: Lake, tmp_path: Path) -> None:
    write_wav(tmp_path / "clip.wav", talk(), RATE_HZ)
    row = clip_row(
        lake, tmp_path / "clip.wav", media_row(lake, tmp_path / "clip.wav"), (1.0, 3.0, "Can lah, go.")
    )
    engine = PoolEngine(workers=1)
    try:
        apart, failed = split_results(engine.map_rows(MeasureSignals(lake_root=lake.root), [row]))
    finally:
        engine.close()
    assert not failed
    assert apart == [measure(lake, row)]


def test_real_media_give_plausible_values(lake: Lake, dev_media: Path) -> None:
    row = None
    for name, expect in (("audio/sg_real_singlish3.wav", (-70, -50)), ("audio/other_zh_509.wav", (-20, -14))):
        path = dev_media / name
        if path.is_file():
            row = measure(lake, clip_row(lake, path, media_row(lake, path)))
            assert expect[0] < row["loudness_lufs"] < expect[1]
    path = dev_media / "image" / "real_facerec_rose_train_img1.jpg"
    if path.is_file():
        row = measure(lake, clip_row(lake, path, media_row(lake, path)))
        assert row["blockiness"] > 2.5
    if row is None:
        pytest.skip("none of these development media are here")
