"""Rendered clips hold what the pipeline is going to look for in them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from haetae.errors import Rejected
from haetae.faces.mesh import MeshTracker, meshes_of_image, smooth_mesh
from haetae.faces.regions import eye_openness, mouth_openness
from haetae.media.audio import read_audio
from haetae.media.frames import read_frames
from haetae.media.probe import probe
from haetae.media.shots import find_shots
from haetae.sample.plan import ClipSpec
from haetae.voice.captions import parse
from haetae.voice.envelope import speech_envelope
from haetae.voice.level import frame_dbfs
from haetae.voice.sync import av_offset
from tests.haetae.sample.rendering import CLIP_S, SIZE_PX, SPECS, render, shape_distance


def _mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    mesh, found = MeshTracker().track(read_frames(path))
    return smooth_mesh(mesh, found), found


def test_a_face_is_found_in_every_frame_and_no_two_frames_are_equal(talking: Path) -> None:
    frames = read_frames(talking)
    assert frames.shape == (round(CLIP_S * 25), SIZE_PX, SIZE_PX, 3)
    assert _mesh(talking)[1].mean() >= 0.98
    assert all(np.any(a != b) for a, b in pairwise(frames))


def test_the_mouth_follows_the_voice_without_delay(talking: Path) -> None:
    mouth = mouth_openness(_mesh(talking)[0])
    audio = read_audio(talking)
    envelope = speech_envelope(audio)[: len(mouth)]
    measured = av_offset(mouth, audio)
    assert measured is not None
    assert abs(measured.offset_s) <= 1 / 25
    assert np.corrcoef(mouth[: len(envelope)], envelope)[0, 1] > 0.7
    assert mouth.max() > 0.2
    assert mouth.min() < 0.07


def test_the_actor_blinks_and_opens_the_eyes_again(talking: Path) -> None:
    eyes = eye_openness(_mesh(talking)[0])
    usual = float(np.median(eyes))
    closed = eyes < 0.5 * usual
    assert usual > 0.2
    assert 1 <= closed.sum() <= 0.25 * len(eyes)


def test_the_head_moves_but_keeps_facing_the_camera(talking: Path) -> None:
    nose = _mesh(talking)[0][:, 4, :2]
    travelled_px = np.ptp(nose, axis=0).max()
    assert 0.01 * SIZE_PX < travelled_px < 0.2 * SIZE_PX


def test_captions_and_words_tell_what_is_said_and_when(talking: Path) -> None:
    truth = json.loads(talking.with_name("sora__1.words.json").read_text(encoding="utf-8"))
    captions = parse(talking.with_name("sora__1.ko.srt"))
    assert " ".join(caption.text for caption in captions) == truth["text"]
    assert [word["word"] for word in truth["words"]] == [w.strip(".,?!") for w in truth["text"].split()]
    audio = read_audio(talking)
    level = frame_dbfs(audio, 0.01)
    spoken = np.zeros(len(level), bool)
    for word in truth["words"]:
        assert 0 < word["start_s"] < word["end_s"] <= captions[-1].end_s + 1e-3 < CLIP_S
        spoken[round(word["start_s"] * 100) : round(word["end_s"] * 100)] = True
    assert np.median(level[spoken]) > np.median(level[~spoken]) + 12


def test_the_same_parameters_give_the_same_bytes_and_another_seed_gives_others(
    talking: Path, tmp_path: Path
) -> None:
    spec = SPECS["ko/sora__1.mp4"]
    render(tmp_path / "again", spec)
    other = render(tmp_path / "other", spec, seed=1)
    for name in spec.outputs():
        assert (tmp_path / "again" / name).read_bytes() == (talking.parents[1] / name).read_bytes()
    assert other.read_bytes() != talking.read_bytes()


def test_in_the_clip_with_two_faces_only_the_right_one_speaks(two_faces: Path) -> None:
    frames = read_frames(two_faces)
    height, width = frames.shape[1:3]
    assert width == height * 3 // 2
    assert len(meshes_of_image(frames[0])) == 2
    halves = [np.ascontiguousarray(half) for half in np.split(frames, [width // 2], axis=2)]
    mouths = [mouth_openness(smooth_mesh(*MeshTracker().track(half))) for half in halves]
    assert np.ptp(mouths[1]) > 3 * np.ptp(mouths[0])
    measured = av_offset(mouths[1], read_audio(two_faces))
    assert measured is not None
    assert abs(measured.offset_s) <= 1 / 25


def test_the_two_actors_do_not_look_the_same(two_faces: Path) -> None:
    frame = read_frames(two_faces, last=0)[0]
    left, right = sorted(meshes_of_image(frame), key=lambda mesh: float(mesh[:, 0].mean()))
    cheeks = [frame[tuple(np.rint(mesh[50, 1::-1]).astype(int))].astype(float) for mesh in (left, right)]
    assert np.abs(cheeks[0] - cheeks[1]).max() > 15
    assert shape_distance(left, right) > 0.012


def test_the_clip_without_speech_has_room_tone_and_a_closed_mouth(tmp_path: Path) -> None:
    path = render(tmp_path, SPECS["extras/weiling__2.mp4"], clip_s=1.0)
    level = frame_dbfs(read_audio(path), 0.1)
    assert level.min() > -65
    assert level.max() < -38
    assert np.ptp(level) < 6
    assert mouth_openness(_mesh(path)[0]).max() < 0.12
    assert json.loads(path.with_name("weiling__2.words.json").read_text(encoding="utf-8"))["words"] == []


def test_the_broken_file_begins_like_a_video_and_cannot_be_decoded(tmp_path: Path) -> None:
    path = render(tmp_path, SPECS["extras/daniel__3.mp4"], clip_s=1.0)
    data = path.read_bytes()
    assert data[4:8] == b"ftyp"
    assert len(data) > 10_000
    with pytest.raises(Rejected):
        probe(path)
    with pytest.raises(Rejected):
        read_frames(path)


def test_the_clip_with_two_shots_has_one_hard_cut_in_its_middle(tmp_path: Path) -> None:
    spec = next(spec for spec in SPECS.values() if spec.kind == "two_shots")
    path = render(tmp_path, spec, clip_s=1.6, size_px=128)
    shots = find_shots(path, threshold=27.0)
    assert [round(shot.start_s, 2) for shot in shots] == [0.0, 1.6]
    assert len(parse(tmp_path / spec.outputs()[0])) == 2


def test_a_clip_shorter_than_any_sentence_still_says_something(tmp_path: Path) -> None:
    spec = ClipSpec("ta/arjun__9.mp4", "talk", ("arjun",), "ta", "news", "txt")
    path = render(tmp_path, spec, clip_s=1.0, size_px=128)
    truth = json.loads(path.with_name("arjun__9.words.json").read_text(encoding="utf-8"))
    assert len(truth["words"]) >= 1
    assert parse(path.with_name("arjun__9.txt"))[0].text == truth["text"]
