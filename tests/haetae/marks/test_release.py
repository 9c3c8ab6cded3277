"""Releasing many: the policy decides over every parent, refusals are collected, and what is there is left alone."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from haetae.engine import InlineEngine, Progress
from haetae.errors import UsageError
from haetae.lake import Lake
from haetae.marks.release import ReleaseGate, Signing, export_many, exports_of, resolve
from haetae.marks.verify import verify
from haetae.params import Params
from haetae.provenance.ledger import Ledger
from haetae.provenance.protected import Protected
from tests.haetae.marks.lake import FAKE, fill, ids, put

TODAY = dt.date(2027, 3, 1)
MINOR = Protected(identity="Ahn Sora", reason="minor")


@pytest.fixture
def lake(tmp_path: Path, spoken: Callable[..., Any]) -> Lake:
    return fill(Lake(tmp_path / "lake"), [spoken(2.0, which) for which in (0, 1)])


def gate(lake: Lake, *protected: Protected, commercial: bool = False) -> ReleaseGate:
    return ReleaseGate(lake, protected, commercial=commercial, today=TODAY)


def run(lake: Lake, out: Path, rows: list[Any] | None = None, **more: Any) -> Any:
    given: dict[str, Any] = {"gate": gate(lake), "engine": InlineEngine(), "signing": Signing()} | more
    asked = lake.rows("fakes") if rows is None else rows
    return export_many(
        lake, asked, out, given["engine"], given["gate"], given["signing"], cues_of=cues,
        language_of=lambda text, spoken: f"{spoken} of {text}", crf=18, timeout_s=60,
    )  # fmt: skip


def cues(words: Any) -> list[tuple[float, float, str]]:
    """One cue of all words."""
    return [(words[0]["start_s"], words[-1]["end_s"], " ".join(one["word"] for one in words))]


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, ()),
        ({"purposes": ["synthesis", "training"]}, ("purpose_not_declared:release",)),
        ({"licence": "CC-BY-ND-4.0"}, ("licence_forbids_derivatives",)),
        ({"consent": None}, ("consent_missing",)),
        ({"status": "withdrawn"}, ("source_withdrawn",)),
        ({"retention_until": "2027-02-28"}, ("retention_expired",)),
    ],
)
@pytest.mark.parametrize("of", ["open", "donors"])
def test_the_source_of_the_target_and_of_the_donor_must_allow_release(tmp_path, spoken, of, change, reasons):
    lake = fill(Lake(tmp_path / "lake"), [], sources={of: change})
    assert gate(lake).verdict({**FAKE, "donor_id": ids("donor")}).reasons == reasons


def test_people_licences_manifests_and_unknown_parents_forbid_release(tmp_path):
    lake = fill(Lake(tmp_path / "lake"), [], identities={"donor": ["ahn  SORA"]})
    with_donor = {**FAKE, "donor_id": ids("donor")}
    assert gate(lake, MINOR).verdict(with_donor).reasons == ("protected:minor",)
    assert gate(lake, MINOR).verdict(FAKE).allowed
    assert gate(lake).verdict({**FAKE, "licence": "CC-BY-NC-ND-4.0"}).reasons == (
        "licence_forbids_derivatives",
    )
    assert gate(lake, commercial=True).verdict({**FAKE, "licence": "CC-BY-NC-4.0"}).reasons == (
        "licence_non_commercial",
    )
    assert gate(lake).verdict({**FAKE, "clip_id": "clip-gone"}).reasons == ("parent_unknown",)
    told = json.dumps({"forbids_training": True})
    lake = fill(Lake(tmp_path / "told"), [], c2pa=told)
    assert gate(lake).verdict(FAKE).reasons == ("forbidden_by_manifest",)


def test_the_clips_that_taught_a_generator_must_allow_release_too(tmp_path):
    taught = {**FAKE, "lesson_id": "lesson-1"}
    for purposes, reasons in ((["release"], ()), (["training"], ("purpose_not_declared:release",))):
        lake = fill(Lake(tmp_path / purposes[0]), [], sources={"donors": {"purposes": purposes}})
        put(lake, "lessons", "g@1", [{"lesson_id": "lesson-1", "clips": [ids("donor")]}])
        assert gate(lake).verdict(taught).reasons == reasons
    assert gate(lake).verdict({**taught, "lesson_id": "lesson-2"}).reasons == ("parent_unknown",)


def test_a_person_who_is_only_known_by_the_face_is_protected_too(tmp_path):
    lake = fill(Lake(tmp_path / "lake"), [], faces={"target": "Ahn Sora"})
    assert gate(lake, MINOR).verdict(FAKE).reasons == ("protected:minor",)


def test_many_are_exported_once_and_what_is_refused_or_fails_is_told_and_in_the_ledger(lake, tmp_path):
    out = tmp_path / "release"
    moments: list[Progress] = []
    rows = [
        *lake.rows("fakes"),
        {**FAKE, "fake_id": ids("fake", 7), "licence": "CC-BY-ND-4.0"},
        {**FAKE, "fake_id": ids("fake", 8), "blob_id": "0" * 64 + ".wav"},
        {**FAKE, "fake_id": "../../escape"},
    ]
    done = run(lake, out, rows, engine=InlineEngine(moments.append))
    assert [one["watermarks"] for one in done.written] == [("audio",), ("audio",)]
    assert [(one.item_id, one.reason) for one in done.refused] == [(ids("fake", 7), "refused_by_policy")]
    assert [(one.item_id, one.reason) for one in done.failed] == [
        (ids("fake", 8), "unreadable"),
        ("../../escape", "cannot_export"),
    ]
    assert (moments[-1].done, moments[-1].total, moments[-1].failed) == (4, 4, 2)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{one['fake_id']}.wav{ending}" for one in done.written for ending in ("", ".json")
    )
    ledger = Ledger(lake.local_path("ledger.jsonl"))
    assert [entry.decision for entry in ledger.entries()] == [
        "refused",
        "exported",
        "exported",
        "failed",
        "failed",
    ]
    assert ledger.verify() == []
    for one in done.written:
        assert exports_of(lake, one["fake_id"]) == [one["sha256"]]


def test_a_stopped_export_goes_on_and_makes_only_what_is_not_whole(lake, tmp_path):
    out = tmp_path / "release"
    first = run(lake, out)
    kept, harmed = (Path(one["file"]) for one in first.written)
    before = kept.stat().st_mtime_ns
    harmed.write_bytes(harmed.read_bytes()[:-1])
    again = run(lake, out)
    assert [one["file"] for one in again.unchanged] == [str(kept)]
    assert [one["file"] for one in again.written] == [str(harmed)]
    assert kept.stat().st_mtime_ns == before
    Path(first.written[0]["sidecar"]).unlink()
    assert [one["file"] for one in run(lake, out).written] == [str(kept)]


def test_changed_subtitles_leave_with_the_clip_and_an_export_without_them_is_not_whole(lake, tmp_path):
    words = [{"word": "apa", "start_s": 0.2, "end_s": 0.5}, {"word": "kabar", "start_s": 0.5, "end_s": 1.25}]
    (row, _) = lake.rows("fakes")
    row = {**row, "modalities": ["text"], "family": "text", "text": "apa kabar", "words": words}
    out = tmp_path / "release"
    (written,) = run(lake, out, [row]).written
    shown = Path(written["subtitles"])
    assert shown == Path(written["file"]).with_suffix(".srt")
    assert shown.read_text(encoding="utf-8") == "1\n00:00:00,200 --> 00:00:01,250\napa kabar\n"
    told = json.loads(Path(written["sidecar"]).read_text(encoding="utf-8"))
    assert told["subtitles"]["language"] == f"{row['language']} of apa kabar"
    assert [one["subtitles"] for one in run(lake, out, [row]).unchanged] == [str(shown)]
    shown.write_text("1\n00:00:00,200 --> 00:00:01,250\napa khabar\n", encoding="utf-8")
    assert verify(Path(written["file"])).changed == ("subtitles",)
    (again,) = run(lake, out, [row]).written
    assert verify(Path(again["file"])).intact is True


def test_a_mark_resolves_to_the_fake_and_the_ledger_knows_its_bytes(lake, tmp_path):
    (row, _) = run(lake, tmp_path / "release").written
    path = Path(row["file"])
    report = verify(path, lake=lake)
    (found,) = report.resolves_to
    assert (found["fake_id"], found["source_id"], found["generator"]) == (row["fake_id"], "open", "g@1")
    assert report.conclusion == "marked" and report.intact
    # Without its sidecar, a byte that the manifest leaves out is still known to the ledger.
    content = bytearray(path.read_bytes())
    content[content.rindex(bytes(64))] ^= 1
    alone = tmp_path / "alone.wav"
    alone.write_bytes(content)
    assert verify(alone).conclusion == "marked"
    report = verify(alone, lake=lake)
    assert [one.split(":")[0] for one in report.disagreements] == ["differs_from_export"]
    assert report.intact is False
    empty = fill(Lake(tmp_path / "other"), [])
    report = verify(path, lake=empty)
    assert report.resolves_to == [] and report.notes[0].startswith("not_of_this_lake")
    assert resolve(lake, "0" * 16) == []


def test_keys_that_are_of_no_use_are_told_before_anything_is_written(lake, tmp_path):
    out = tmp_path / "release"
    for signing in (Signing(chain="c.pem"), Signing("none.pem", "none.pem"), Signing(secret="none")):
        with pytest.raises(UsageError):
            run(lake, out, signing=signing)
    short = tmp_path / "secret"
    short.write_bytes(b"short")
    with pytest.raises(UsageError, match="at least 16"):
        run(lake, out, signing=Signing(secret=str(short)))
    assert not out.exists()


def test_given_keys_and_a_secret_are_used_and_their_certificates_trusted(lake, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(os.urandom(32))
    Signing().credentials(lake)
    folder = lake.local_path("keys/marks")
    signing = Signing(str(folder / "chain.pem"), str(folder / "key.pem"), str(secret))
    (row, _) = run(lake, tmp_path / "release", signing=signing).written
    anchors = signing.anchors(lake)
    assert verify(Path(row["file"]), key=signing.watermark_key(), anchors_pem=anchors).intact
    report = verify(Path(row["file"]), anchors_pem=anchors)
    assert report.audio is None and report.disagreements == ("watermark_missing: audio",)


def test_reading_makes_no_keys(lake):
    assert Signing().anchors(lake) is None
    assert not lake.local_path("keys").exists()
    assert Params().marks.chain is None
