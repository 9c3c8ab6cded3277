"""The offset between a followed mouth and the voice becomes two cue rows per face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haetae.engine import InlineEngine, split_results
from haetae.faces.canonical import canonical_points
from haetae.faces.regions import mouth_openness
from haetae.faces.tracks import mesh_bytes
from haetae.lake import Lake
from haetae.lake.lake import to_arrow
from haetae.lake.schema import TABLES
from haetae.media.encode import write_wav
from haetae.voice.cues import MeasureSync
from haetae.voice.envelope import speech_envelope
from haetae.voice.espeak import speak

LOWER_LIP = [
    14,
    15,
    16,
    17,
    78,
    84,
    85,
    86,
    87,
    88,
    95,
    178,
    179,
    180,
    181,
    314,
    315,
    316,
    317,
    318,
    324,
    402,
]
TEXT = "Selamat pagi semua. Hari ini cuaca baik, tetapi esok hujan lebat. Terima kasih."


def talking_mesh(strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """The canonical face, 200 px between the eyes; the lower lip goes down with the strength of the voice."""
    face = np.vstack([canonical_points(), np.zeros((10, 3), np.float32)]) * 200 + 256
    mesh = np.repeat(face[None], len(strength), axis=0).astype(np.float32)
    opened = 40 * np.clip(strength - 0.1, 0, None) / strength.max()
    mesh[:, LOWER_LIP, 1] += opened[:, None]
    return mesh


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def voice() -> NDArray[np.float32]:
    quiet = np.zeros(12800, np.float32)
    return np.concatenate([quiet, speak(TEXT, "ms", variant="m3").audio, quiet])


def clip(lake: Lake, tmp_path: Path, audio: NDArray[np.float32], **changes: Any) -> dict[str, Any]:
    write_wav(tmp_path / "clip.wav", audio)
    blob_id = lake.put_blob((tmp_path / "clip.wav").read_bytes(), "wav")
    row = {"clip_id": "clip-1", "batch": "b1", "has_audio": True, "fps": 25.0, "blob_id": blob_id}
    return row | changes


def track(lake: Lake, name: str, mesh: NDArray[np.float32], first_frame: int = 0) -> dict[str, Any]:
    found = np.ones(len(mesh), bool)
    found[5:8] = False
    blob = lake.put_blob(mesh_bytes(mesh, found), "npz")
    last = first_frame + len(mesh) - 1
    return {"track_id": name, "first_frame": first_frame, "last_frame": last, "mesh_blob": blob}


def run(lake: Lake, row: dict[str, Any]) -> dict[tuple[str, str], float]:
    rows, failed = split_results(InlineEngine().map_rows(MeasureSync(lake_root=lake.root), [row]))
    assert not failed
    to_arrow(TABLES["cues"], rows)
    assert {(r["cue"], r["unit"]) for r in rows} <= {("av_offset", "s"), ("av_confidence", "1")}
    assert {(r["sample_id"], r["batch"]) for r in rows} <= {("clip-1", "b1")}
    return {(r["track_id"], r["cue"]): r["value"] for r in rows}


@pytest.mark.parametrize("shift_s", [-0.2, 0.0, 0.3])
def test_sound_that_was_shifted_is_measured_on_the_face(lake: Lake, tmp_path: Path, shift_s: float) -> None:
    audio = voice()
    mesh = talking_mesh(speech_envelope(audio))
    assert 0.2 < np.percentile(mouth_openness(mesh), 95) < 1.0
    late = np.roll(audio, round(shift_s * 16000))
    cues = run(lake, clip(lake, tmp_path, late, tracks=[track(lake, "t", mesh)]))
    assert cues["t", "av_offset"] == pytest.approx(shift_s, abs=0.02)
    assert cues["t", "av_confidence"] > 0.5


def test_of_two_faces_the_one_that_speaks_is_the_surer(lake: Lake, tmp_path: Path) -> None:
    audio = voice()
    speaking = talking_mesh(speech_envelope(audio))
    nodding = talking_mesh((0.5 + 0.3 * np.sin(np.arange(len(speaking)) * 0.9)).astype(np.float32))
    row = clip(lake, tmp_path, audio, tracks=[track(lake, "a", speaking), track(lake, "b", nodding)])
    cues = run(lake, row)
    assert cues["a", "av_confidence"] > cues["b", "av_confidence"] + 0.2


def test_a_track_that_begins_later_is_compared_with_its_own_stretch(lake: Lake, tmp_path: Path) -> None:
    audio = voice()
    mesh = talking_mesh(speech_envelope(audio))[30:]
    cues = run(lake, clip(lake, tmp_path, audio, tracks=[track(lake, "t", mesh, first_frame=30)]))
    assert cues["t", "av_offset"] == pytest.approx(0.0, abs=0.02)


def test_without_speech_sound_or_enough_of_a_face_there_is_no_cue(lake: Lake, tmp_path: Path) -> None:
    audio = voice()
    mesh = talking_mesh(speech_envelope(audio))
    noise = (np.random.default_rng(0).standard_normal(len(audio)) * 0.02).astype(np.float32)
    assert run(lake, clip(lake, tmp_path, noise, tracks=[track(lake, "t", mesh)])) == {}
    assert run(lake, clip(lake, tmp_path, audio, tracks=[track(lake, "t", mesh[:30])])) == {}
    assert run(lake, clip(lake, tmp_path, audio, tracks=[])) == {}
    still = np.repeat(mesh[:1], len(mesh), axis=0)
    assert run(lake, clip(lake, tmp_path, audio, tracks=[track(lake, "t", still)])) == {}
    silent = clip(lake, tmp_path, audio, has_audio=False, tracks=[track(lake, "t", mesh)])
    assert run(lake, silent) == {}


def test_a_damaged_mesh_refuses_the_clip(lake: Lake, tmp_path: Path) -> None:
    audio = voice()
    broken = track(lake, "t", talking_mesh(speech_envelope(audio)))
    broken["mesh_blob"] = lake.put_blob(b"not a mesh", "npz")
    step = MeasureSync(lake_root=lake.root)
    rows, failed = split_results(
        InlineEngine().map_rows(step, [clip(lake, tmp_path, audio, tracks=[broken])])
    )
    assert (rows, [f.reason for f in failed]) == ([], ["bad_mesh"])
