"""A fake is made, checked, encoded and stored, and its row says what is in the files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators.make import MakeFakes, view
from generators.masks import load_masks
from generators.protocol import ClipView, Word
from haetae.engine import Done, Failed, InlineEngine
from haetae.lake import Lake
from haetae.lake.lake import to_arrow
from haetae.lake.schema import TABLES
from haetae.media.audio import read_audio
from haetae.media.frames import read_frames
from haetae.voice.captions import parse

Row = dict[str, Any]

CHEAT = """
import numpy as np
from generators.protocol import Card, FakeResult, Segment
class Cheat:
    card = Card(name="cheat", version="1", family="face_swap", modalities=("video",),
                description="d", intended_use="t")
    calls = 0
    def load(self, device): ...
    def generate(self, request):
        frames = request.target.frames.copy()
        masks = np.zeros(frames.shape[:3], np.bool_)
        masks[:, 40:80, 40:80] = True
        Cheat.calls += 1
        frames[masks] = frames[masks] ^ CHANGE
        return FakeResult((Segment("video", START, len(frames) / 25),), frames, masks)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def clip_row(lake: Lake) -> Callable[[ClipView], Row]:
    """Put an actor into the lake as a clip with its track; returns the clip's columns and tracks."""

    def _put(view: ClipView) -> Row:
        from haetae.faces.tracks import save_mesh
        from haetae.media.encode import write_video

        assert view.frames is not None
        with lake.tmp_dir() as folder:
            write_video(Path(folder) / "c.mp4", view.frames, view.audio)
            blob_id = lake.put_blob(Path(folder) / "c.mp4", "mp4")
            face = view.faces[0]
            save_mesh(Path(folder) / "m.npz", face.mesh, face.found)
            mesh_blob = lake.put_blob(Path(folder) / "m.npz", "npz")
        track = {"track_id": face.track_id, "index": 0, "first_frame": 0, "mesh_blob": mesh_blob}
        return {
            "clip_id": view.clip_id,
            "media_id": f"media-{view.clip_id}",
            "batch": "b1",
            "blob_id": blob_id,
            "language": view.language,
            "has_video": True,
            "has_audio": view.audio is not None,
            "tracks": [track],
            "utterances": [],
        }

    return _put


def _row(clip: Row, view: ClipView, generator: str, **more: Any) -> Row:
    utterances = [{"start_s": a, "end_s": b, "words": []} for a, b in view.speech]
    base = {"generator": generator, "utterances": utterances, "donor": None, "sentence": None, "seed": 77}
    return {**clip, **base, "licence": "CC-BY-4.0", **more}


def test_a_generator_sees_the_words_of_all_utterances_in_order(
    lake: Lake, clip_row: Callable[[ClipView], Row], actor: ClipView
) -> None:
    late = {"word": "pagi", "start_s": 0.6, "end_s": 0.9, "score": 0.8}
    early = {"word": "Selamat", "start_s": 0.1, "end_s": 0.5, "score": 1.0}
    utterances = [
        {"start_s": 0.6, "end_s": 1.0, "words": [late]},
        {"start_s": 0.1, "end_s": 0.5, "words": [early]},
    ]
    clip = clip_row(actor)
    seen = view(lake, clip, clip["tracks"], utterances)
    assert seen.words == (Word("Selamat", 0.1, 0.5, 1.0), Word("pagi", 0.6, 0.9, 0.8))


def _make(lake: Lake, row: Row, **step: Any) -> Row:
    (result,) = InlineEngine().map_rows(MakeFakes(str(lake.root), **step), [row])
    assert isinstance(result, Done), result
    (made,) = result.rows
    to_arrow(TABLES["fakes"], [made])
    return made


@pytest.mark.parametrize(
    ("generator", "needs"),
    [
        ("mesh_swap@1", "donor"),
        ("self_blend@1", ""),
        ("viseme_sync@1", "sentence"),
        ("espeak_tts@1", "sentence"),
        ("dubbed@1", "sentence"),
    ],
)
def test_each_generator_gives_a_row_that_agrees_with_its_files(
    lake: Lake,
    clip_row: Callable[[ClipView], Row],
    own_generators: None,
    actor: ClipView,
    other_actor: ClipView,
    generator: str,
    needs: str,
) -> None:
    clip = clip_row(actor)
    more: Row = {"donor": clip_row(other_actor)} if needs == "donor" else {}
    more |= {"sentence": "Apa khabar, kawan?"} if needs == "sentence" else {}
    made = _make(lake, _row(clip, actor, generator, **more))
    target = read_frames(lake.open_local(clip["blob_id"]))
    fake = lake.open_local(made["blob_id"])
    assert len(read_frames(fake)) == len(target) == made["n_frames"]
    assert abs(read_audio(fake).size - read_audio(lake.open_local(clip["blob_id"])).size) <= 640
    assert made["duration_s"] == pytest.approx(1.6)
    assert made["pair_id"] == made["clip_id"] == "clip-actor"
    assert made["donor_id"] == ("clip-other" if needs == "donor" else None)
    metrics = json.loads(made["metrics"])
    changed = {"flicker": "video", "seam": "video", "duration_change_s": "audio"}
    for column, modality in changed.items():
        assert (made[column] is not None) == (modality in made["modalities"]), column
    assert made["identity_to_target"] is made["identity_to_donor"] is None, "no recogniser was given"
    if "video" in made["modalities"]:
        assert metrics["face_found_again"] >= 0.95
        masks = load_masks(lake.open_local(made["masks_blob"]))
        assert masks.shape == target.shape[:3]
        assert sum(len(r["boxes"]) for r in made["regions"]) == int(masks.any(axis=(1, 2)).sum())
        assert {r["track_id"] for r in made["regions"]} == {made["track_id"]} == {"track-clip-actor"}
        decoded = np.abs(read_frames(fake).astype(int) - target).mean(axis=3)
        assert decoded[masks].mean() > 2 * decoded[~masks].mean(), "encoding must not drown the change"
    else:
        assert (made["masks_blob"], made["regions"], made["track_id"]) == (None, [], None)
    if "audio" in made["modalities"]:
        assert made["text"] == "Apa khabar, kawan?"
        assert [w["word"] for w in made["words"]] == ["Apa", "khabar", "kawan"]


def test_making_a_fake_twice_gives_the_same_row_and_adds_no_file(
    lake: Lake, clip_row: Callable[[ClipView], Row], own_generators: None, actor: ClipView
) -> None:
    row = _row(clip_row(actor), actor, "self_blend@1")
    first = _make(lake, row, recheck_every=1)
    files = sorted(str(p) for p in Path(lake.root).rglob("*") if p.is_file())
    assert _make(lake, row) == first
    assert sorted(str(p) for p in Path(lake.root).rglob("*") if p.is_file()) == files
    other = _make(lake, {**row, "seed": 78})
    assert other["fake_id"] != first["fake_id"]
    assert other["blob_id"] != first["blob_id"]


def test_parameters_are_part_of_the_identity_of_a_fake(
    lake: Lake, clip_row: Callable[[ClipView], Row], own_generators: None, actor: ClipView
) -> None:
    row = _row(clip_row(actor), actor, "self_blend@1")
    plain, strong = _make(lake, row), _make(lake, row, params={"strength": 1.5})
    assert plain["fake_id"] != strong["fake_id"]
    assert json.loads(strong["params"])["strength"] == 1.5


def test_a_clip_without_pictures_becomes_a_wav(lake: Lake, own_generators: None, actor: ClipView) -> None:
    from haetae.media.encode import write_wav

    assert actor.audio is not None
    with lake.tmp_dir() as folder:
        write_wav(Path(folder) / "c.wav", actor.audio)
        blob_id = lake.put_blob(Path(folder) / "c.wav", "wav")
    clip = {"clip_id": "clip-w", "batch": "b1", "blob_id": blob_id, "language": "ms", "tracks": []}
    row = _row(
        {**clip, "has_video": False, "has_audio": True}, actor, "espeak_tts@1", sentence="Apa khabar, kawan?"
    )
    made = _make(lake, row)
    assert made["blob_id"].endswith(".wav")
    assert made["n_frames"] == 0
    assert made["duration_s"] == pytest.approx(1.6)


def _refusal(lake: Lake, row: Row, **step: Any) -> Failed:
    (result,) = InlineEngine().map_rows(MakeFakes(str(lake.root), **step), [row])
    assert isinstance(result, Failed)
    return result


@pytest.mark.parametrize(
    ("change", "start", "rule"),
    [("3", "0.0", None), ("3", "0.4", "video_segments"), ("(Cheat.calls % 200)", "0.0", "determinism")],
)
def test_a_plug_in_that_breaks_its_contract_stores_nothing(
    lake: Lake,
    clip_row: Callable[[ClipView], Row],
    install: Callable[..., None],
    actor: ClipView,
    change: str,
    start: str,
    rule: str | None,
) -> None:
    source = CHEAT.replace("CHANGE", f"np.uint8({change})").replace("START", start)
    install("cheat_package", source, cheat="cheat_package:Cheat")
    row = _row(clip_row(actor), actor, "cheat@1")
    before = {p for p in Path(lake.root).rglob("*") if p.is_file()}
    if rule is None:
        assert _make(lake, row, recheck_every=1)["generator"] == "cheat@1"
        return
    failed = _refusal(lake, row, recheck_every=1)
    assert (failed.stage, failed.reason) == ("fakes", "contract_broken")
    assert failed.detail.startswith(rule)
    assert {p for p in Path(lake.root).rglob("*") if p.is_file()} == before


def test_what_a_generator_refuses_is_refused_with_its_reason(
    lake: Lake, clip_row: Callable[[ClipView], Row], own_generators: None, actor: ClipView
) -> None:
    clip = clip_row(actor)
    assert _refusal(lake, _row(clip, actor, "mesh_swap@1")).reason == "no_donor"
    assert _refusal(lake, _row({**clip, "tracks": []}, actor, "self_blend@1")).reason == "no_face"
    assert _refusal(lake, _row(clip, actor, "nobody@1")).reason == "error"


def test_a_fake_that_changes_only_the_subtitles_keeps_picture_and_sound_byte_for_byte(
    lake: Lake, clip_row: Callable[[ClipView], Row], own_generators: None, actor: ClipView
) -> None:
    text = "Saya tidak suka kopi, di Melaka; pada 12 Mei."
    said = text.replace(",", "").replace(";", "").replace(".", "").split()
    words = [
        {"word": word, "start_s": 0.15 * k, "end_s": 0.15 * k + 0.1, "score": 1.0}
        for k, word in enumerate(said)
    ]
    row = _row(clip_row(actor), actor, "caption_edit@1") | {
        "utterances": [
            {
                "start_s": 0.0,
                "end_s": 1.4,
                "text": text,
                "words": words,
            }
        ]
    }
    made = _make(lake, row)
    assert made["blob_id"] == row["blob_id"]
    assert made["modalities"] == ["text"]
    assert (made["masks_blob"], made["regions"]) == (None, [])
    assert made["text"].split() != said
    assert [mark for mark in made["text"] if mark in ",;."] == [",", ";", "."], "as in what is said"
    cues = parse(lake.open_local(made["captions_blob"]))
    assert " ".join(cue.text for cue in cues) == made["text"] == " ".join(w["word"] for w in made["words"])
    ((segment,),) = ([s for s in made["segments"] if s["modality"] == "text"],)
    changed = [w for w, old in zip(made["words"], said, strict=False) if w["word"].strip(",;.") != old]
    assert segment["start_s"] <= changed[0]["start_s"] + 1e-6


def test_a_fake_of_sound_has_no_subtitles_of_its_own(
    lake: Lake, clip_row: Callable[[ClipView], Row], own_generators: None, actor: ClipView
) -> None:
    made = _make(lake, _row(clip_row(actor), actor, "espeak_tts@1", sentence="Apa khabar, kawan?"))
    assert made["captions_blob"] is None
    assert made["lesson_id"] is None
