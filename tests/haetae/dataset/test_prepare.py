"""Preparing samples: even aligned crops, sound and mouth in step, labels where they belong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from haetae.dataset.items import GRID, Item, decode_crop
from haetae.dataset.prepare import PrepareSample, even_frames, truths_of
from haetae.dataset.shards import unpack
from haetae.engine import InlineEngine, split_results
from haetae.faces.regions import LEFT_EYE, RIGHT_EYE
from haetae.faces.tracks import FollowFaces
from haetae.lake import Lake
from haetae.media.encode import write_video, write_wav
from haetae.voice.espeak import speak

Row = dict[str, Any]
N = 50
CHANGED = {"start_s": 0.5, "end_s": 1.5}


def moving(portrait: NDArray[np.uint8], shift_px: int = 0, n: int = N) -> NDArray[np.uint8]:
    """The portrait at 384 px, drifting to the right by 24 px."""
    small = cv2.resize(portrait, (384, 384), interpolation=cv2.INTER_AREA)
    maps = [np.float32([[1, 0, shift_px + 24 * t / n], [0, 1, 10]]) for t in range(n)]
    return np.stack([cv2.warpAffine(small, m, (384, 384), borderMode=cv2.BORDER_REPLICATE) for m in maps])


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    said = speak("The quick brown fox jumps over the lazy dog today.", "en-SG").audio
    return np.resize(said, N * 640).astype(np.float32)


@pytest.fixture(scope="module")
def clip(lake: Lake, portrait: NDArray[np.uint8], speech: NDArray[np.float32]) -> Row:
    with lake.tmp_dir() as folder:
        write_video(folder / "clip.mp4", moving(portrait), speech)
        blob = lake.put_blob(folder / "clip.mp4", "mp4")
    return {
        "clip_id": "clip-1",
        "batch": "b",
        "blob_id": blob,
        "has_video": True,
        "fps": 25.0,
        "identities": [],
    }


@pytest.fixture(scope="module")
def tracks(lake: Lake, clip: Row) -> list[Row]:
    rows, failed = split_results(InlineEngine().map_rows(FollowFaces(lake_root=lake.root), [clip]))
    assert not failed and len(rows) == 1
    return rows


def label(modality: str, verdict: str, track_id: str | None = None, **more: Any) -> Row:
    return {
        "modality": modality,
        "track_id": track_id,
        "verdict": verdict,
        "segments": [],
        "boxes": [],
        **more,
    }


def prepare(lake: Lake, row: Row, **options: Any) -> tuple[list[Item], Row]:
    rows, failed = split_results(InlineEngine().map_rows(PrepareSample(lake.root, **options), [row]))
    assert not failed, failed
    return unpack(lake.open_local(rows[0]["features_blob"])), rows[0]


def sample(clip: Row, tracks: list[Row], labels: list[Row], **more: Any) -> Row:
    base = {
        "sample_id": "sample-1",
        "split": "train",
        "blob_id": clip["blob_id"],
        "modality": "av",
        "kind": "clip",
    }
    return {**base, "tracks": tracks, "labels": labels, **more}


REAL = [label("video", "real"), label("audio", "real"), label("sync", "real")]


@given(st.integers(0, 500), st.integers(1, 500), st.integers(1, 40))
def test_frames_are_spread_evenly_over_the_whole_track(first: int, n: int, wanted: int) -> None:
    index = even_frames(first, n, wanted)
    assert len(index) == wanted and index[0] == first and index.max() <= first + n - 1
    if wanted > 1:
        assert index[-1] == first + n - 1
        steps = np.diff(index)
        assert steps.min() >= 0 and steps.max() - steps.min() <= 1


def test_an_untouched_clip_gives_one_item_with_everything(lake: Lake, clip: Row, tracks: list[Row]) -> None:
    (item,), row = prepare(lake, sample(clip, tracks, REAL))
    assert row == {"sample_id": "sample-1", "features_blob": row["features_blob"], "n_items": 1}
    assert item.item_id == "sample-1.0" and item.track_id == tracks[0]["track_id"]
    assert item.has == {"video": True, "audio": True, "sync": True}
    assert item.verdicts == {"video": "real", "audio": "real", "sync": "real"}
    assert len(item.frames) == 16 and item.frame_index[0] == 0 and item.frame_index[-1] == N - 1
    assert item.frame_fake == (False,) * 16 and not item.regions.any()
    assert item.audio_segments == () and item.sync_segments == ()
    assert item.mel.dtype == np.float16 and item.mel.shape == (N * 4 + 1, 64) and item.mel_step_s == 0.01
    assert len(item.mouth) == len(item.envelope) == N


def test_crops_are_level_centred_and_leave_a_margin(lake: Lake, clip: Row, tracks: list[Row]) -> None:
    from haetae.faces.tracks import load_mesh

    (item,), _ = prepare(lake, sample(clip, tracks, REAL))
    mesh, _ = load_mesh(lake.open_local(tracks[0]["mesh_blob"]))
    for i, t in enumerate(item.frame_index):
        points = mesh[t, :468, :2] @ item.to_crop[i][:, :2].T + item.to_crop[i][:, 2]
        low, high = points.min(axis=0), points.max(axis=0)
        assert np.allclose((low + high) / 2, 63.5, atol=1)
        assert max(high - low) == pytest.approx(128 / 1.3, rel=0.02)
        assert points[LEFT_EYE, 1].mean() == pytest.approx(points[RIGHT_EYE, 1].mean(), abs=1)
    assert item.to_crop[0][0, 2] - item.to_crop[-1][0, 2] > 10, "the crop follows the face to the right"


def test_crops_show_the_face_in_its_colours(
    lake: Lake, clip: Row, tracks: list[Row], portrait: NDArray[np.uint8]
) -> None:
    (item,), _ = prepare(lake, sample(clip, tracks, REAL), crop_px=128)
    crop = decode_crop(item.frames[0]).astype(float)
    expected = cv2.warpAffine(
        moving(portrait)[0], item.to_crop[0], (128, 128), borderMode=cv2.BORDER_REPLICATE
    )
    assert np.abs(crop - expected).mean() < 6
    middle = crop[40:90, 40:90].mean(axis=(0, 1))
    assert middle[0] > middle[2] + 10, "skin is redder than blue: channels are RGB"


def test_the_same_sample_gives_the_same_bytes(lake: Lake, clip: Row, tracks: list[Row]) -> None:
    assert prepare(lake, sample(clip, tracks, REAL))[1] == prepare(lake, sample(clip, tracks, REAL))[1]


def test_a_fake_is_labelled_where_and_when_it_was_changed(lake: Lake, clip: Row, tracks: list[Row]) -> None:
    track = tracks[0]["track_id"]
    x1, y1, x2, y2 = tracks[0]["boxes"][0]
    half = [[x1 + 24 * t / N, (y1 + y2) / 2, x2 + 24 * t / N, y2] for t in range(12, 38)]
    region = {"track_id": track, "first_frame": 12, "boxes": half}
    fake = label("video", "fake", track, segments=[CHANGED], boxes=[region])
    labels = [label("video", "fake", segments=[CHANGED]), fake, label("audio", "real"), label("sync", "real")]
    (item,), _ = prepare(lake, sample(clip, tracks, labels))
    inside = np.array([0.5 <= (t + 0.5) / 25 < 1.5 for t in item.frame_index])
    assert np.array_equal(item.frame_fake, inside) and inside.any() and not inside.all()
    assert not item.regions[~inside].any()
    for grid in item.regions[inside]:
        assert grid[: GRID // 2 - 1].max() == 0, "the upper half of the face was not touched"
        assert grid[GRID // 2 + 2 : 12, 5:11].min() == 255
    assert item.verdicts["audio"] == "real" and item.audio_segments == ()


def test_only_the_changed_face_is_fake_and_only_it_has_the_sound(
    lake: Lake, clip: Row, tracks: list[Row]
) -> None:
    other = {**tracks[0], "track_id": "track-other", "index": 1}
    labels = [
        label("video", "fake", segments=[CHANGED]),
        label("video", "real", tracks[0]["track_id"]),
        label("video", "fake", "track-other", segments=[CHANGED]),
        label("audio", "fake", segments=[CHANGED]),
        label("sync", "unknown"),
    ]
    (main, second), _ = prepare(lake, sample(clip, [tracks[0], other], labels))
    assert (main.item_id, main.track_id) == ("sample-1.0", "track-other")
    assert main.verdicts == {"video": "fake", "audio": "fake", "sync": "unknown"}
    assert main.audio_segments == ((0.5, 1.5),) and main.sync_segments is None
    assert main.regions is None, "fake, but nobody said where"
    assert (second.item_id, second.track_id) == ("sample-1.1", tracks[0]["track_id"])
    assert second.verdicts == {"video": "real", "audio": None, "sync": None}
    assert second.mel is None and second.frame_fake == (False,) * 16


def test_a_fake_face_is_measured_on_the_fake_and_not_on_its_target(
    lake: Lake, clip: Row, tracks: list[Row], portrait: NDArray[np.uint8], speech: NDArray[np.float32]
) -> None:
    with lake.tmp_dir() as folder:
        write_video(folder / "fake.mp4", moving(portrait, shift_px=9), speech)
        blob = lake.put_blob(folder / "fake.mp4", "mp4")
    labels = [label("video", "fake", tracks[0]["track_id"], segments=[CHANGED]), label("audio", "real")]
    (moved,), _ = prepare(lake, sample(clip, tracks, labels, blob_id=blob))
    (still,), _ = prepare(lake, sample(clip, tracks, REAL))
    centres = [
        np.array([cv2.invertAffineTransform(m) @ (63.5, 63.5, 1) for m in item.to_crop])
        for item in (moved, still)
    ]
    apart_px = centres[0] - centres[1]
    assert np.allclose(np.median(apart_px, axis=0), (9, 0), atol=1), "the crop is where the fake's face is"


def test_sound_alone_is_an_item_and_silence_has_no_mouth_to_agree_with(
    lake: Lake, clip: Row, tracks: list[Row], speech: NDArray[np.float32], portrait: NDArray[np.uint8]
) -> None:
    with lake.tmp_dir() as folder:
        write_wav(folder / "sound.wav", speech)
        write_video(folder / "silent.mp4", moving(portrait), np.zeros(N * 640, np.float32))
        wav, silent = lake.put_blob(folder / "sound.wav", "wav"), lake.put_blob(folder / "silent.mp4", "mp4")
    (item,), _ = prepare(lake, sample(clip, [], [label("audio", "fake")], blob_id=wav, modality="audio"))
    assert item.has == {"video": False, "audio": True, "sync": False}
    assert item.verdicts == {"video": None, "audio": "fake", "sync": None}
    assert item.audio_segments is None, "fake, but nobody said when"
    (item,), _ = prepare(lake, sample(clip, tracks, REAL, blob_id=silent))
    assert item.has == {"video": True, "audio": True, "sync": False}
    assert item.verdicts["sync"] is None


def test_neither_face_nor_sound_is_refused(lake: Lake, clip: Row, portrait: NDArray[np.uint8]) -> None:
    with lake.tmp_dir() as folder:
        write_video(folder / "mute.mp4", moving(portrait), None)
        mute = lake.put_blob(folder / "mute.mp4", "mp4")
    row = sample(clip, [], [label("video", "real")], blob_id=mute, modality="video")
    rows, failed = split_results(InlineEngine().map_rows(PrepareSample(lake.root), [row]))
    assert rows == [] and [one.reason for one in failed] == ["nothing_to_learn"]


def test_an_unlabelled_modality_is_unknown() -> None:
    truths = truths_of([label("video", "unknown")])
    assert truths["video", None].verdict == "unknown" and truths["video", None].segments is None


def test_a_name_with_dots_stays_one_sample_in_a_shard(
    lake: Lake, clip: Row, tracks: list[Row], tmp_path: Path
) -> None:
    from haetae.dataset.shards import read_shards, write_shards

    items, _ = prepare(lake, sample(clip, tracks, REAL, sample_id="a.b.c"))
    write_shards(items, tmp_path)
    (back,) = read_shards(tmp_path, ["train"])
    assert back.item_id == "a.b.c.0" and len(back.frames) == 16


def test_a_clip_and_an_unchanged_copy_called_a_fake_look_alike(
    lake: Lake, clip: Row, tracks: list[Row]
) -> None:
    """What a generator left alone must not differ from an original by how it was encoded or measured."""
    from haetae.media.audio import read_audio
    from haetae.media.frames import read_frames

    path = lake.open_local(clip["blob_id"])
    with lake.tmp_dir() as folder:
        write_video(folder / "copy.mp4", read_frames(path), read_audio(path))
        copy = lake.put_blob(folder / "copy.mp4", "mp4")
    (original,), _ = prepare(lake, sample(clip, tracks, REAL))
    (fake,), _ = prepare(lake, sample(clip, tracks, REAL, blob_id=copy, kind="fake"))
    assert original.frames == fake.frames
    assert np.array_equal(original.mel, fake.mel)
    assert np.array_equal(original.mouth, fake.mouth)
