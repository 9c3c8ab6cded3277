"""What leaves the store is marked three times over, and what was done to it afterwards shows."""

from __future__ import annotations

import json
import random
import shlex
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from haetae.errors import GateClosed, Rejected, UsageError
from haetae.marks import verify as verifying
from haetae.marks.beside import of_masks, read_sidecar
from haetae.marks.credentials import Credentials, development_credentials
from haetae.marks.export import (
    Exported,
    Parts,
    export,
    finished,
    masks_of,
    sidecar_of,
)
from haetae.marks.headline import headline
from haetae.marks.signing import FAKE_ASSERTION
from haetae.marks.stated import read_stated
from haetae.marks.verify import verify
from haetae.media.encode import write_video, write_wav
from haetae.media.manifest import read_manifest
from haetae.provenance.ids import file_sha256
from haetae.provenance.policy import Verdict
from tests.haetae.marks.conftest import recode

FAKE_ID = "fake-3f9a0123456789abcdef"
MARK = FAKE_ID[5:21]
ALLOWED = Verdict(True, ())


def fake_row(**changes: Any) -> dict[str, Any]:
    row = {
        "fake_id": FAKE_ID, "clip_id": "clip-00112233445566778899", "donor_id": None, "track_id": "track-1",
        "pair_id": "clip-00112233445566778899", "generator": "mesh_swap@1.0", "family": "face_swap",
        "modalities": ["video"], "segments": [{"modality": "video", "start_s": 0.0, "end_s": 2.2}],
        "regions": [], "masks_blob": "0" * 64 + ".npz", "seed": 2**62 + 1, "params": '{"blend":0.5}',
        "licence": "CC-BY-4.0", "language": "ms", "text": None, "words": [], "duration_s": 2.2, "n_frames": 55,
    }  # fmt: skip
    return row | changes


@pytest.fixture(scope="module")
def films(moving, spoken, tmp_path_factory) -> dict[str, Path]:
    """A fake as the lake keeps it, the clip it was made from, and a fake voice."""
    folder = tmp_path_factory.mktemp("lake")
    paths = {name: folder / name for name in ("fake.mp4", "clip.mp4", "fake.wav", "fake.png", "masks.npz")}
    np.savez_compressed(paths["masks.npz"], bits=np.zeros((55, 384, 48), np.uint8))
    write_video(paths["fake.mp4"], iter(moving(n=55)), spoken(2.2))
    write_video(paths["clip.mp4"], iter(moving(n=10, seed=1)), spoken(0.4))
    write_wav(paths["fake.wav"], spoken(3.0))
    cv2.imwrite(str(paths["fake.png"]), moving(n=1)[0])
    return paths


@pytest.fixture(scope="module")
def exported(films, credentials, tmp_path_factory) -> Exported:
    out = tmp_path_factory.mktemp("out") / "release.mp4"
    return export(
        _parts(films), fake_row(), out, verdict=ALLOWED, card_digest="d" * 64, credentials=credentials,
    )  # fmt: skip


def _parts(films: dict[str, Path]) -> Parts:
    return Parts(films["fake.mp4"], films["clip.mp4"], films["masks.npz"])


@pytest.fixture
def copy(exported, tmp_path) -> Path:
    shutil.copy(exported.path, tmp_path / "release.mp4")
    shutil.copy(exported.sidecar, tmp_path / "release.mp4.json")
    shutil.copy(exported.masks, tmp_path / "release.mp4.masks.npz")
    return tmp_path / "release.mp4"


def test_an_export_carries_every_mark_and_all_agree(exported, credentials):
    report = verify(exported.path, anchors_pem=credentials.anchors_pem)
    assert report.conclusion == "marked", report
    assert (report.mark, report.fake_id, report.sidecar) == (MARK, FAKE_ID, "agrees")
    assert report.video.mark == report.audio.mark == MARK
    assert report.intact is True
    assert report.manifest["state"] == "trusted"
    assert report.manifest["fake"]["seed"] == str(2**62 + 1)
    assert exported.watermarks == ("video", "audio")
    assert exported.psnr_db >= 40.0 and exported.snr_db >= 22.0
    json.dumps(report.as_json())


def test_the_manifest_states_what_the_file_is_and_what_it_was_made_from(exported):
    manifest = read_manifest(exported.path)
    summary = json.loads(manifest.summary_json)
    assert (summary["state"], summary["title"], summary["n_ingredients"]) == ("valid", FAKE_ID, 1)
    assert [one["action"] for one in summary["actions"]] == [
        "c2pa.created",
        "c2pa.placed",
        "c2pa.watermarked.bound",
    ]
    assert summary["actions"][0]["source_type"] == "compositeWithTrainedAlgorithmicMedia"
    made = manifest.assertions[FAKE_ASSERTION]
    assert made["card_digest"] == "d" * 64 and made["watermarks"] == ["video", "audio"]
    binding = next(
        data for label, data in manifest.assertions.items() if label.startswith("c2pa.soft-binding")
    )
    assert binding["blocks"][0]["value"] == MARK
    assert binding["alg"].startswith("org.haetae.watermark.")


def test_the_sidecar_tells_how_the_fake_was_made(exported):
    told = json.loads(exported.sidecar.read_text())
    assert told["fake_id"] == FAKE_ID and told["sha256"] == exported.sha256
    assert told["parents"]["clip_id"] == "clip-00112233445566778899"
    assert told["parameters"] == {"blend": 0.5} and told["seed"] == 2**62 + 1
    assert told["masks"] == {"file": "release.mp4.masks.npz", "sha256": file_sha256(exported.masks)}
    assert told["segments"] and told["licence"] and told["card_digest"]


def test_what_the_documentation_lets_one_try_leaves_the_watermarks_and_takes_the_manifest(exported, tmp_path):
    text = (Path(__file__).parents[3] / "docs" / "marks.md").read_text(encoding="utf-8")
    (command,) = (line for line in text.splitlines() if line.startswith("ffmpeg "))
    _, _, given, *options, _ = shlex.split(command)
    assert given == "fake-….mp4"
    report = verify(recode(exported.path, tmp_path / "back.mp4", *options))
    assert (report.video.mark, report.audio.mark, report.manifest) == (MARK, MARK, None)
    assert report.headline == "marked, the file was changed since it was exported"


@pytest.mark.parametrize("where", ["media", "manifest", "end"])
def test_one_changed_byte_is_detected(copy, where):
    content = bytearray(copy.read_bytes())
    at = {"media": content.rindex(b"mdat") + 4000, "manifest": content.index(FAKE_ID.encode()), "end": -1}[
        where
    ]
    content[at] ^= 1
    copy.write_bytes(content)
    report = verify(copy)
    assert report.conclusion == "disagrees"
    assert any(one.startswith("manifest_") for one in report.disagreements), report.disagreements
    assert any(one.startswith("sidecar_differs") for one in report.disagreements)
    assert report.fake_id is None
    assert report.manifest["state"] not in ("valid", "trusted")
    assert report.changed == ("file",) and "the file was changed since" in report.headline


def test_the_watermarks_outlive_a_platform_that_strips_the_manifest(copy, tmp_path):
    options = (
        "-vf",
        "scale=trunc(iw*0.75/2)*2:-2",
        "-c:v",
        "libx264",
        "-crf",
        "28",
        "-c:a",
        "aac",
        "-b:a",
        "64k",
    )
    report = verify(recode(copy, tmp_path / "reposted.mp4", *options))
    assert (report.conclusion, report.mark, report.manifest, report.fake_id) == ("marked", MARK, None, None)
    assert report.intact is False and report.notes[0].startswith("manifest_missing")
    assert report.changed == ("file",) and "the file was changed since" in report.headline
    assert report.video.mark == report.audio.mark == MARK


def test_a_manifest_moved_to_another_fake_is_found_out(films, credentials, tmp_path):
    """The manifest of one file on the pictures of another: a signature over the whole forbids it."""
    other = fake_row(fake_id="fake-ffff0123456789abcdef")
    out = tmp_path / "other.wav"
    first = tmp_path / "first.wav"
    for row, path in ((other, out), (fake_row(), first)):
        export(Parts(films["fake.wav"]), row, path, verdict=ALLOWED, card_digest="d", credentials=credentials)
    shutil.copy(sidecar_of(first), sidecar_of(out))
    report = verify(out)
    assert report.conclusion == "disagrees"
    assert any(one.startswith("sidecar_names_another") for one in report.disagreements)
    assert report.changed == ("sidecar",), "the manifest of the file holds"


def test_a_signature_of_strangers_is_valid_but_not_trusted(exported, tmp_path):
    stranger = development_credentials(tmp_path / "keys")
    report = verify(exported.path, anchors_pem=stranger.anchors_pem)
    assert (report.manifest["state"], report.fake_id, report.intact) == ("valid", None, False)
    assert [one.split(":")[0] for one in report.disagreements] == ["manifest_untrusted", "sidecar_untrusted"]
    assert report.changed == () and report.headline == "disagrees, signed by somebody who is not trusted here"


def test_a_changed_sidecar_is_told_apart_from_a_changed_file(copy, credentials):
    """The headline names what was changed, and says of the file only what is true of it."""
    sidecar, content = sidecar_of(copy), sidecar_of(copy).read_text()
    for broken, word in (
        (content.replace("mesh_swap", "mash_swap"), "sidecar_changed"),
        ("{", "sidecar_unreadable"),
    ):
        sidecar.write_text(broken)
        report = verify(copy, anchors_pem=credentials.anchors_pem)
        assert [one.split(":")[0] for one in report.disagreements] == [word]
        assert report.changed == ("sidecar",) and report.intact is False
        assert report.headline == (
            "disagrees, its sidecar is not what was exported with it; the file itself is as it was exported"
        )
    sidecar.write_text(content)
    masks_of(copy).write_bytes(b"other")
    report = verify(copy)
    assert report.changed == ("masks",) and "its masks are not what was exported" in report.headline


def test_what_is_wrong_with_several_is_said_of_each(films, tmp_path):
    """A picture that nothing marks beside a sidecar that is none of ours, and words for more than one part."""
    shutil.copy(films["fake.png"], tmp_path / "p.png")
    sidecar_of(tmp_path / "p.png").write_text("{}")
    report = verify(tmp_path / "p.png")
    assert report.changed == ("sidecar",) and "the file itself carries no mark" in report.headline
    said = headline("disagrees", False, ("file", "sidecar", "subtitles"), ["manifest_invalid: x"], None)
    assert (
        said
        == "disagrees, the file was changed since it was exported, and so were its sidecar and its subtitles"
    )
    assert headline("disagrees", False, (), ["watermark_missing: audio"], None).endswith(
        "contradict each other"
    )


def test_a_sidecar_or_masks_lead_to_the_file_that_they_lie_beside(copy):
    for beside in (sidecar_of(copy), masks_of(copy)):
        report = verify(beside)
        assert (report.file, report.conclusion) == (copy.name, "marked")
        assert report.notes == (f"read: {copy.name}, beside which {beside.name} lies",)
    copy.unlink()
    with pytest.raises(
        Rejected, match=r"release\.mp4\.json tells of release\.mp4, which does not lie beside it"
    ):
        verify(sidecar_of(copy))


def test_subtitles_without_their_clip_are_told_as_such(tmp_path):
    shown = tmp_path / "x.srt"
    shown.write_text(SHOWN, encoding="utf-8")
    for _ in range(2):
        with pytest.raises(Rejected, match=r"x\.srt: the clip that it belongs to does not lie beside it"):
            verify(shown)
        (tmp_path / "x.wav.json").write_text("{}")


SHOWN = "1\n00:00:00,320 --> 00:00:02,000\nதமிழ் <i> & 말하지 않았다\n"


@pytest.fixture
def subtitled(films, credentials, tmp_path) -> Exported:
    """A voice whose subtitles were changed."""
    row = fake_row(modalities=["text"], masks_blob=None, text="x", duration_s=3.0, n_frames=0)
    return export(
        Parts(films["fake.wav"], subtitles=SHOWN, subtitles_language="ta"), row, tmp_path / "s.wav",
        verdict=ALLOWED, card_digest="d", credentials=credentials,
    )  # fmt: skip


def test_changed_subtitles_lie_beside_the_clip_named_and_labelled_in_its_sidecar(subtitled):
    assert subtitled.subtitles == subtitled.path.with_suffix(".srt")
    assert subtitled.subtitles.read_bytes() == SHOWN.encode()
    told = json.loads(subtitled.sidecar.read_text())["subtitles"]
    assert told == {
        "file": "s.srt", "sha256": file_sha256(subtitled.subtitles), "language": "ta", "synthetic": True,
        "source_type": "compositeWithTrainedAlgorithmicMedia",
    }  # fmt: skip
    made = read_manifest(subtitled.path).assertions[FAKE_ASSERTION]
    assert made["subtitles_sha256"] == told["sha256"]
    assert verify(subtitled.path).intact is True
    assert finished(subtitled.path, FAKE_ID, "d", SHOWN)
    assert not finished(subtitled.path, FAKE_ID, "d", SHOWN + "\n")


def test_one_changed_letter_of_the_subtitles_is_noticed_by_clip_sidecar_and_subtitles(subtitled):
    subtitled.subtitles.write_bytes(SHOWN.replace("않", "안").encode())
    assert not finished(subtitled.path, FAKE_ID, "d", SHOWN)
    for path in (subtitled.path, subtitled.sidecar, subtitled.subtitles):
        report = verify(path)
        assert (report.file, report.intact, report.changed) == ("s.wav", False, ("subtitles",))
        assert report.disagreements == ("subtitles_differ: s.srt is not as it was exported",)
    subtitled.sidecar.unlink()
    report = verify(subtitled.path)
    assert report.changed == ("subtitles",), "the manifest in the clip knows their digest too"
    subtitled.subtitles.unlink()
    report = verify(subtitled.path)
    assert (report.conclusion, report.intact) == ("marked", True)
    assert [one.split(":")[0] for one in report.notes] == ["subtitles_missing"]


def test_two_exports_differ_only_in_their_signature(films, exported, credentials, tmp_path):
    again = export(
        _parts(films), fake_row(), tmp_path / "release.mp4", verdict=ALLOWED, card_digest="d" * 64,
        credentials=credentials,
    )  # fmt: skip
    assert again.media_sha256 == exported.media_sha256
    told, before = (json.loads(one.sidecar.read_text()) for one in (again, exported))
    assert {name for name in told if told[name] != before[name]} <= {"sha256", "seal"}


def test_sound_that_is_all_made_is_stated_as_made_and_pictures_alone_can_be_exported(
    films, credentials, tmp_path
):
    row = fake_row(
        modalities=["audio"], n_frames=0, duration_s=3.0, masks_blob=None,
        segments=[{"modality": "audio", "start_s": 0.0, "end_s": 3.0}],
    )  # fmt: skip
    voice = export(
        Parts(films["fake.wav"]),
        row,
        tmp_path / "v.wav",
        verdict=ALLOWED,
        card_digest="d",
        credentials=credentials,
    )
    report = verify(voice.path)
    assert report.conclusion == "marked" and report.video is None and report.audio.mark == MARK
    assert report.manifest["actions"][0]["source_type"] == "trainedAlgorithmicMedia"
    picture = export(
        Parts(films["fake.png"]),
        fake_row(),
        tmp_path / "p.png",
        verdict=ALLOWED,
        card_digest="d",
        credentials=credentials,
    )
    report = verify(picture.path)
    assert report.conclusion == "marked" and report.video.mark == MARK


def test_what_may_not_be_released_leaves_no_file(films, credentials, tmp_path):
    refused = Verdict(False, ("consent_none", "licence_missing"))
    with pytest.raises(GateClosed, match="consent_none, licence_missing"):
        export(
            Parts(films["fake.wav"]), fake_row(), tmp_path / "v.wav", verdict=refused, card_digest="d",
            credentials=credentials,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_an_export_that_fails_leaves_no_file_and_the_master_as_it_was(films, spoken, credentials, tmp_path):
    master = films["fake.wav"].read_bytes()
    short = tmp_path / "short.wav"
    write_wav(short, spoken(0.5))
    out = tmp_path / "out"
    out.mkdir()
    tell: dict[str, Any] = {"verdict": ALLOWED, "card_digest": "d", "credentials": credentials}
    with pytest.raises(Rejected, match="mark_unreadable"):
        export(Parts(short), fake_row(), out / "v.wav", **tell)
    for wrong in (out / "v.mp4", out / "none" / "v.wav", films["fake.wav"]):
        with pytest.raises(UsageError):
            export(Parts(films["fake.wav"]), fake_row(), wrong, **tell)
    with pytest.raises(UsageError, match="cannot be marked"):
        export(films["fake.wav"], fake_row(fake_id="../x"), out / "v.wav", **tell)
    assert not list(out.iterdir())
    assert films["fake.wav"].read_bytes() == master


def test_an_unmarked_file_and_one_that_is_no_media_are_told_as_such(films, tmp_path):
    report = verify(films["fake.wav"])
    assert (report.conclusion, report.intact, report.mark) == ("unmarked", None, None)
    (tmp_path / "x.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + random.Random(0).randbytes(4000))
    for path in (tmp_path / "x.mp4", tmp_path / "none.mp4", tmp_path):
        with pytest.raises(Rejected, match="unreadable"):
            verify(path)
    (tmp_path / "notes.txt").write_text("nothing to look at")
    with pytest.raises(Rejected) as told:
        verify(tmp_path / "notes.txt")
    assert str(told.value).count("Invalid data") == 1 and str(told.value).count("notes.txt") == 1


def test_a_file_beyond_the_limits_is_refused_before_it_is_read(films, tmp_path, monkeypatch):
    with (tmp_path / "huge.mp4").open("wb") as file:
        file.truncate(verifying.MAX_BYTES + 1)
    with pytest.raises(Rejected, match="too_large"):
        verify(tmp_path / "huge.mp4")
    monkeypatch.setattr(verifying, "MAX_DECODE_S", -1.0)
    notes = verify(films["fake.mp4"]).notes
    assert [one for one in notes if one.startswith("pictures read for")]
    assert [one for one in notes if one.startswith("sound read for")]


def test_every_byte_of_file_sidecar_and_masks_is_under_a_signature(films, credentials, tmp_path):
    """Also those that the manifest leaves out: the head of the file, the labels and padding of its own boxes."""
    out = tmp_path / "v.wav"
    parts = Parts(films["fake.wav"], masks=films["masks.npz"])
    export(parts, fake_row(), out, verdict=ALLOWED, card_digest="d", credentials=credentials)
    rng = random.Random(1)
    for path in (out, sidecar_of(out), masks_of(out)):
        content = path.read_bytes()
        unsigned = [content.rindex(b"jumb") + 1, content.rindex(bytes(64))] if path == out else []
        for at in [0, len(content) - 1, *unsigned, *(rng.randrange(len(content)) for _ in range(12))]:
            changed = bytearray(content)
            changed[at] ^= 1 << rng.randrange(8)
            path.write_bytes(changed)
            if path == out:
                with suppress(Rejected):  # the very head of a file tells what it is
                    assert not _is_whole(out, credentials), at
            else:
                assert not _is_whole(out, credentials), (path.name, at)
            assert not finished(out, FAKE_ID, "d") or path == sidecar_of(out)
        path.write_bytes(content)
    assert _is_whole(out, credentials)
    assert finished(out, FAKE_ID, "d") and not finished(out, FAKE_ID, "e")


def _is_whole(path: Path, credentials: Credentials) -> bool:
    """As `verify` says, without the watermarks, which take their time."""
    sha256 = file_sha256(path)
    stated = read_stated(path, credentials.anchors_pem)
    sidecar = read_sidecar(path, sha256, credentials.anchors_pem)
    if stated is None or sidecar is None:
        return False
    return stated.holds and not sidecar.wrong and not of_masks(path, sidecar.masks)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"fake_id": 1}', "[" * 5000, '{"fake_id": {}, "sha256": []}']
)
def test_a_strange_sidecar_is_a_finding_and_no_crash(films, tmp_path, content):
    shutil.copy(films["fake.png"], tmp_path / "p.png")
    (tmp_path / "p.png.json").write_text(content)
    report = verify(tmp_path / "p.png")
    assert (report.conclusion, report.sidecar) == ("disagrees", "differs")


@pytest.mark.slow
def test_broken_and_odd_files_are_findings_or_refused(broken):
    """Whatever is sent, a report or a refusal comes of it."""
    folder, told = broken
    said = {}
    for name in told:
        try:
            said[name] = verify(folder / name).conclusion
        except Rejected as error:
            said[name] = error.reason
    assert set(said.values()) <= {"unmarked", "unreadable", "empty_file"}, said
    assert {"unmarked", "unreadable"} <= set(said.values())


@pytest.mark.parametrize("content", [b"not json", b"{}", b"[" * 100_000, b"\xff\xfe", b"null"])
def test_a_sidecar_that_is_none_is_not_taken_for_a_finished_export(films, tmp_path, content):
    shutil.copy(films["fake.wav"], tmp_path / "v.wav")
    sidecar_of(tmp_path / "v.wav").write_bytes(content)
    assert not finished(tmp_path / "v.wav", FAKE_ID, "d")
