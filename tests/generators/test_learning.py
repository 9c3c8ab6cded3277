"""Faces are gathered from clips, a generator learns from them, and what it learned makes its fakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators.crops import cut, put_back
from generators.followed import follow
from generators.learned_file import packed, unpacked
from generators.learning import Material, faces_of, lesson_row, teach
from generators.make import MakeFakes
from generators.protocol import ClipView, Lesson
from generators.registry import find
from haetae.engine import Done, Failed, InlineEngine
from haetae.errors import UsageError
from haetae.faces.regions import LEFT_EYE, RIGHT_EYE
from haetae.faces.tracks import mesh_bytes
from haetae.lake import Lake
from haetae.lake.lake import to_arrow
from haetae.lake.schema import TABLES
from haetae.media.encode import write_video
from haetae.media.frames import read_frames
from tests.generators.mean_face import mean_face

Row = dict[str, Any]
MATERIAL = Material(crop_px=96, crops_per_track=8, min_face_px=40)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def put(lake: Lake, tmp_path: Path) -> Callable[..., Row]:
    """Put an actor into the lake as a clip; returns its row, with its track."""

    def _put(view: ClipView, identity: str | None = None) -> Row:
        assert view.frames is not None
        write_video(tmp_path / "c.mp4", view.frames, view.audio)
        face = view.faces[0]
        track = {
            "track_id": face.track_id,
            "index": 0,
            "first_frame": 0,
            "mesh_blob": lake.put_blob(mesh_bytes(face.mesh, face.found), "npz"),
            "size_px": float(np.ptp(face.mesh[0, :468, 1])),
            "found_fraction": 1.0,
            "identity": identity,
        }
        return {
            "clip_id": view.clip_id,
            "batch": "b1",
            "blob_id": lake.put_blob(tmp_path / "c.mp4", "mp4"),
            "language": view.language,
            "has_video": True,
            "has_audio": True,
            "tracks": [track],
        }

    return _put


def gathered(lake: Lake, clips: list[Row], material: Material = MATERIAL) -> Any:
    return faces_of(lake, clips, material, 0, lambda _done, _of: None)


def test_faces_are_level_centred_and_spread_over_the_clip(
    lake: Lake, put: Callable[..., Row], actor: ClipView, other_actor: ClipView
) -> None:
    clips = [put(actor, "hana"), put(other_actor)]
    found = gathered(lake, clips)
    faces = found.faces
    assert found.clips == ("clip-actor", "clip-other")
    assert faces.crops.shape == (16, 96, 96, 3)
    assert faces.person.tolist() == faces.track.tolist() == [0] * 8 + [1] * 8
    assert faces.frame[:8].tolist() == [0, 6, 11, 17, 22, 28, 33, 39]
    eyes = np.stack([faces.meshes[:, LEFT_EYE].mean(1), faces.meshes[:, RIGHT_EYE].mean(1)])
    assert np.abs(eyes[0, :, 1] - eyes[1, :, 1]).max() < 1.0, "eyes are level"
    middle = (faces.meshes[:, :468].min(1) + faces.meshes[:, :468].max(1)) / 2
    assert np.abs(middle - 47.5).max() < 1.5
    assert gathered(lake, clips[::-1]).faces.crops.tobytes() == faces.crops.tobytes(), "order does not matter"


def test_two_tracks_of_one_person_are_one_person(
    lake: Lake, put: Callable[..., Row], actor: ClipView, other_actor: ClipView
) -> None:
    faces = gathered(lake, [put(actor, "hana"), put(other_actor, "hana")]).faces
    assert set(faces.person.tolist()) == {0}
    assert set(faces.track.tolist()) == {0, 1}


def test_small_faces_are_left_out_and_crops_limited(
    lake: Lake, put: Callable[..., Row], actor: ClipView, other_actor: ClipView
) -> None:
    clips = [put(actor), put(other_actor)]
    assert len(gathered(lake, clips, replace(MATERIAL, min_face_px=1000)).faces.crops) == 0
    few = gathered(lake, clips, replace(MATERIAL, max_crops=10)).faces
    assert np.bincount(few.track).tolist() == [5, 5]
    one = gathered(lake, clips, replace(MATERIAL, max_crops=4))
    assert len(one.clips) == 1
    assert len(one.faces.crops) == 4


def test_a_clip_that_cannot_be_read_is_named_and_the_others_are_used(
    lake: Lake, put: Callable[..., Row], actor: ClipView, other_actor: ClipView
) -> None:
    broken = put(actor) | {"blob_id": lake.put_blob(b"no film", "mp4")}
    found = gathered(lake, [broken, put(other_actor)])
    assert found.clips == ("clip-other",)
    ((clip, error),) = found.refused
    assert clip == "clip-actor"
    assert error.reason


def test_what_was_cut_is_put_back_where_it_was(actor: ClipView) -> None:
    face = follow(actor)
    at = cut(face, 10, 256)
    frame, mask = face.frames[10].copy(), np.zeros(face.frames.shape[1:3], np.bool_)
    soft = np.zeros((256, 256), np.float32)
    soft[64:192, 64:192] = 1.0
    put_back(frame, mask, at, at.crop, soft)
    inside = np.abs(frame.astype(int) - face.frames[10])[mask]
    assert inside.mean() < 3.0, "the same pixels, interpolated twice"
    assert (frame[~mask] == face.frames[10][~mask]).all()
    corners = np.array([[63.5, 63.5], [191.5, 191.5]]) - at.matrix[:, 2]
    low, high = corners @ np.linalg.inv(at.matrix[:, :2]).T
    ys, xs = np.nonzero(mask)
    tilt_px = 12
    assert abs(xs.min() - low[0]) < tilt_px
    assert abs(ys.max() - high[1]) < tilt_px


def test_a_face_half_outside_of_the_frame_is_put_back_as_far_as_it_is_seen(actor: ClipView) -> None:
    face = follow(actor)
    shifted = replace(face, mesh=face.mesh - np.array([130, 0, 0], np.float32))
    at = cut(shifted, 5, 64)
    frame, mask = face.frames[5].copy(), np.zeros(face.frames.shape[1:3], np.bool_)
    put_back(frame, mask, at, np.full((64, 64, 3), 7, np.uint8), np.ones((64, 64), np.float32))
    assert mask[:, 0].any()
    assert (frame[mask] == 7).mean() > 0.9
    away = replace(face, mesh=face.mesh - np.array([2000, 0, 0], np.float32))
    untouched = face.frames[5].copy()
    put_back(
        untouched,
        np.zeros_like(mask),
        cut(away, 5, 64),
        np.zeros((64, 64, 3), np.uint8),
        np.ones((64, 64), np.float32),
    )
    assert (untouched == face.frames[5]).all()


def test_what_was_learned_is_kept_as_a_file_that_tells_what_it_is(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save

    content = packed({"b": torch.ones(2), "a": torch.zeros(3)}, {"width": 8})
    assert content == packed({"a": torch.zeros(3), "b": torch.ones(2)}, {"width": 8})
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    tensors, build = unpacked(path)
    assert build == {"width": 8}
    assert sorted(tensors) == ["a", "b"]
    path.write_bytes(save({"a": torch.zeros(3)}))
    with pytest.raises(UsageError, match="not written by a generator"):
        unpacked(path)
    path.write_bytes(content[:40])
    with pytest.raises(UsageError):
        unpacked(path)


def test_a_generator_is_taught_once_and_makes_fakes_of_what_it_learned(
    lake: Lake, put: Callable[..., Row], install: Callable[..., None], actor: ClipView, other_actor: ClipView
) -> None:
    install("mean_package", mean_face(), mean_face="mean_package:MeanFace")
    clips = [put(actor), put(other_actor)]
    found = gathered(lake, clips)
    told: list[tuple[int, int]] = []
    lesson = Lesson(7, tell=lambda done, of, _losses: told.append((done, of)))
    maker = find("mean_face@1")
    learned = teach(maker(), found.faces, lesson)
    assert told == [(n, 16) for n in range(1, 17)]
    row = lesson_row(
        lake, maker.card, learned, found.faces, lesson, clips=found.clips, licence="MIT", taught_with="x"
    )
    to_arrow(TABLES["lessons"], [row | {"taught_at": None, "taught_s": 1.0}])
    assert (row["n_faces"], row["n_people"], row["clips"]) == (16, 2, ["clip-actor", "clip-other"])
    request = clips[0] | {
        "generator": "mean_face@1", "utterances": [], "donor": None, "sentence": None, "seed": 1, "licence": "MIT",
        "lesson_id": row["lesson_id"], "learned_blob": row["weights_blob"],
    }  # fmt: skip
    (result,) = InlineEngine().map_rows(MakeFakes(str(lake.root)), [request])
    assert isinstance(result, Done), result
    (made,) = result.rows
    assert made["lesson_id"] == row["lesson_id"]
    fake, target = (read_frames(lake.open_local(one["blob_id"])) for one in (made, clips[0]))
    assert np.abs(fake.astype(int) - target).mean() > 1
    (untaught,) = InlineEngine().map_rows(MakeFakes(str(lake.root)), [request | {"learned_blob": None}])
    assert isinstance(untaught, Failed)
    assert "has not learned yet" in untaught.detail


def test_too_few_faces_are_said_by_the_generator(lake: Lake, install: Callable[..., None]) -> None:
    install("mean_package", mean_face(), mean_face="mean_package:MeanFace")
    with pytest.raises(UsageError, match="at least 4 faces"):
        teach(find("mean_face@1")(), gathered(lake, []).faces, Lesson(1))


def test_a_card_that_says_it_learns_without_doing_so_is_told(
    lake: Lake, install: Callable[..., None]
) -> None:
    install("idle_package", mean_face().replace("def learn", "def idle"), idle="idle_package:MeanFace")
    with pytest.raises(UsageError, match="has no `learn`"):
        teach(find("mean_face@1")(), gathered(lake, []).faces, Lesson(1))
