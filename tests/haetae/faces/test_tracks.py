"""The tracks stage: clip rows in, track rows and mesh files out."""

from __future__ import annotations

import hashlib
import pickle

import cv2
import numpy as np
import pyarrow as pa
import pytest

from haetae.engine import Failed, InlineEngine, Step
from haetae.errors import Rejected, UsageError
from haetae.faces import regions
from haetae.faces.detect import FaceDetector
from haetae.faces.tracks import FollowFaces, load_mesh, mesh_bytes, name_tracks, save_mesh
from haetae.lake import Lake
from haetae.lake.schema import TABLES
from haetae.media.encode import write_video


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def clip_of(lake, tmp_path):
    """Encode frames as a clip of the lake and return its row."""

    def make(frames: np.ndarray, **columns: object) -> dict:
        path = tmp_path / "clip.mp4"
        write_video(path, frames, None)
        row = {
            "clip_id": "clip-1",
            "batch": "b1",
            "blob_id": lake.put_blob(path, "mp4"),
            "fps": 25.0,
            "n_frames": len(frames),
            "has_video": True,
            "identities": [],
        }
        return row | columns

    return make


@pytest.fixture
def step(lake) -> FollowFaces:
    return FollowFaces(lake_root=str(lake.root))


def test_two_people_give_two_rows_that_fit_the_table(step, lake, clip_of, two_heads):
    rows = step(clip_of(two_heads, identities=["lee", "tan"]))
    table = pa.Table.from_pylist(list(rows), schema=TABLES["tracks"].schema)
    assert table.num_rows == 2
    assert set(rows[0]) == set(TABLES["tracks"].schema.names)
    large, small = rows
    assert (large["index"], small["index"]) == (0, 1)
    assert large["size_px"] > 1.1 * small["size_px"]
    assert (large["identity"], small["identity"]) == ("tan", "lee"), "declared from left to right"
    assert large["track_id"] != small["track_id"]
    for row in rows:
        assert (row["first_frame"], row["last_frame"], len(row["boxes"])) == (0, 29, 30)
        assert row["found_fraction"] == 1.0
        assert row["blur"] > 10
        mesh, found = load_mesh(lake.open_local(row["mesh_blob"]))
        assert mesh.shape == (30, 478, 3)
        assert found.all()
        assert np.allclose(regions.face_box(mesh), row["boxes"], atol=1e-3)


def test_the_measures_of_a_track_are_those_of_its_face(step, clip_of, portrait, portrait_mesh):
    (row,) = step(clip_of(np.stack([portrait] * 20)))
    yaw, pitch, roll = (float(a) for a in regions.head_pose(portrait_mesh))
    assert row["yaw_deg"] == pytest.approx(yaw, abs=2)
    assert row["pitch_deg"] == pytest.approx(pitch, abs=3)
    assert row["roll_deg"] == pytest.approx(roll, abs=2)
    assert row["mouth_open"] == pytest.approx(float(regions.mouth_openness(portrait_mesh)), abs=0.05)
    assert row["size_px"] == pytest.approx(107, abs=4)

    soft = cv2.GaussianBlur(portrait, (0, 0), 3)
    (blurred,) = step(clip_of(np.stack([soft] * 20)))
    assert blurred["blur"] < 0.3 * row["blur"]


def test_the_five_points_are_where_the_detector_sees_them_in_every_frame(step, clip_of, two_heads):
    rows = step(clip_of(two_heads[:20]))
    for row in rows:
        points = np.asarray(row["points"], np.float32)
        assert points.shape == (20, 10)
        five = points[10].reshape(5, 2)
        seen = max(
            FaceDetector().detect_one(two_heads[10]), key=lambda d: regions.iou(d.box, row["boxes"][10])
        )
        assert np.abs(five - seen.points).max() < 0.08 * row["size_px"]


def test_exposure_tells_a_dark_face_from_a_burnt_out_one(step, clip_of, portrait):
    levels = []
    for change in (lambda x: x * 0.3, lambda x: x, lambda x: x * 1.2 + 40):
        frames = np.stack([np.clip(change(portrait.astype(float)), 0, 255).astype(np.uint8)] * 16)
        (row,) = step(clip_of(frames))
        levels.append(row["exposure"])
    assert levels[0] < 0.3 < levels[1] < 0.7 < levels[2]


def test_every_face_of_a_picture_is_a_track_of_one_frame(step, lake, two_heads, tmp_path):
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), two_heads[0][..., ::-1])
    picture = {"clip_id": "p", "batch": "b1", "kind": "image", "fps": 25.0, "n_frames": 1, "has_video": True}
    rows = step(picture | {"blob_id": lake.put_blob(path, "png"), "identities": []})
    assert [(r["first_frame"], r["last_frame"], len(r["boxes"]), r["found_fraction"]) for r in rows] == [
        (0, 0, 1, 1.0),
        (0, 0, 1, 1.0),
    ]
    assert load_mesh(lake.open_local(rows[0]["mesh_blob"]))[0].shape == (1, 478, 3)
    cv2.imwrite(str(path), np.full((200, 200, 3), 90, np.uint8))
    with pytest.raises(Rejected, match="no_face"):
        step(picture | {"blob_id": lake.put_blob(path, "png")})


def test_with_weights_every_track_has_an_embedding_of_unit_length(lake, clip_of, two_heads, recogniser):
    weights, sha256 = recogniser
    step = FollowFaces(lake_root=str(lake.root), embedding_weights=str(weights), embedding_sha256=sha256)
    rows = pickle.loads(pickle.dumps(step))(clip_of(two_heads[:16]))
    values = np.array([row["embedding"] for row in rows], np.float32)
    assert values.shape == (2, 512)
    assert np.allclose(np.linalg.norm(values, axis=1), 1, atol=1e-5)
    assert step(clip_of(two_heads[:16])) == rows
    assert [row["embedding"] for row in FollowFaces(str(lake.root))(clip_of(two_heads[:16]))] == [None, None]


def test_wrong_weights_are_refused_before_any_clip_is_looked_at(lake, recogniser):
    weights, _ = recogniser
    with pytest.raises(UsageError, match="has the SHA-256"):
        FollowFaces(str(lake.root), embedding_weights=str(weights), embedding_sha256="0" * 64)
    with pytest.raises(UsageError, match="missing"):
        FollowFaces(str(lake.root), embedding_weights=str(weights))


def test_the_same_clip_gives_the_same_rows_and_the_same_mesh_bytes(lake, clip_of, two_heads):
    clip = clip_of(two_heads[:20])
    first, second = (FollowFaces(lake_root=str(lake.root))(clip) for _ in range(2))
    assert first == second


def test_a_clip_without_a_face_is_refused_with_its_reason(step, clip_of):
    rng = np.random.default_rng(4)
    frames = rng.integers(0, 255, (20, 120, 160, 3), dtype=np.uint8)
    with pytest.raises(Rejected) as refusal:
        step(clip_of(frames))
    assert refusal.value.reason == "no_face"
    (failed,) = InlineEngine().map_rows(step, [clip_of(frames)])
    assert isinstance(failed, Failed)
    assert (failed.item_id, failed.stage, failed.reason) == ("clip-1", "tracks", "no_face")


def test_a_face_seen_too_briefly_is_refused_and_says_how_briefly(step, clip_of, portrait):
    frames = np.stack([portrait if t < 10 else np.zeros_like(portrait) for t in range(40)])
    with pytest.raises(Rejected) as refusal:
        step(clip_of(frames))
    assert refusal.value.reason == "no_face"
    assert "10 frames" in refusal.value.detail


def test_a_clip_without_pictures_has_no_tracks(step):
    assert step({"clip_id": "clip-2", "has_video": False, "blob_id": "x"}) == []


def test_a_file_that_is_no_video_is_refused(step, lake):
    row = {"clip_id": "c", "batch": "b", "has_video": True, "fps": 25.0, "identities": None}
    with pytest.raises(Rejected):
        step(row | {"blob_id": lake.put_blob(b"<html>not a video</html>", "mp4")})


def test_the_step_travels_to_a_worker_and_keeps_the_contract(step):
    assert isinstance(step, Step)
    step.setup()
    fresh = FollowFaces(lake_root=step.lake_root)
    assert pickle.loads(pickle.dumps(fresh)) == fresh


@pytest.mark.parametrize(
    ("identities", "boxes", "expected"),
    [
        ([], [(0, 100)], [None]),
        (["a"], [], []),
        (["a"], [(0, 100)], ["a"]),
        (["a"], [(0, 200), (300, 100)], ["a", None]),
        (["a"], [(0, 110), (300, 100)], [None, None]),
        (["a", "b"], [(300, 200), (0, 100)], ["b", "a"]),
        (["a", "b"], [(0, 200)], [None]),
        (["a", "b"], [(0, 90), (200, 90), (400, 90)], [None, None, None]),
    ],
)
def test_identities_are_given_only_where_the_declaration_says(identities, boxes, expected):
    """boxes: left edge and side of a square face that does not move."""
    tracks = [np.array([[x, 0, x + side, side]] * 3, np.float32) for x, side in boxes]
    assert name_tracks(identities, tracks) == expected


def test_mesh_files_come_back_as_written_and_have_equal_bytes(tmp_path):
    mesh = np.random.default_rng(6).normal(100, 30, (7, 478, 3)).astype(np.float32)
    found = np.array([True] * 6 + [False])
    save_mesh(tmp_path / "mesh.npz", mesh, found)
    back, flags = load_mesh(tmp_path / "mesh.npz")
    assert (back == mesh).all()
    assert (flags == found).all()
    again = hashlib.sha256(mesh_bytes(mesh.copy(), found.copy())).digest()
    assert hashlib.sha256((tmp_path / "mesh.npz").read_bytes()).digest() == again


def test_what_is_not_a_mesh_file_is_refused(tmp_path):
    path = tmp_path / "mesh.npz"
    path.write_bytes(b"PK not really")
    with pytest.raises(Rejected, match="bad_mesh"):
        load_mesh(path)
    np.savez(path, mesh=np.zeros((3, 10, 3)), found=np.ones(3, bool))
    with pytest.raises(Rejected, match="bad_mesh"):
        load_mesh(path)
    np.savez(path, mesh=np.array([{"a": 1}], dtype=object), found=np.ones(1, bool))
    with pytest.raises(Rejected, match="bad_mesh"):
        load_mesh(path)
