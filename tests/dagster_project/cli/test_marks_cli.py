"""`haetae export` and `haetae verify`: exit codes, what is printed, what the ledger is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haetae import engine
from haetae.lake import Lake
from haetae.media.encode import write_wav
from haetae.provenance.ledger import Ledger
from tests.dagster_project.conftest import InProcess
from tests.haetae.marks.conftest import spoken
from tests.haetae.marks.lake import LINEAGE, fill, ids, put

__all__ = ["spoken"]  # a fixture
Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def lake(tmp_path: Path, spoken: Callable[..., Any]) -> Lake:
    made = fill(Lake(tmp_path / "lake"), [spoken(2.0, 0), spoken(2.0, 1)])
    rows = [{**row, "generator": "espeak_tts@1"} for row in made.rows("fakes")]
    made.write("fakes", "b1~g@1", rows, LINEAGE)
    return made


@pytest.fixture
def haetae(lake: Lake, monkeypatch: pytest.MonkeyPatch, in_process: InProcess) -> Run:
    """The command in this process, its workers too: exit code, standard output (read as JSON), standard error."""
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.delenv("HAETAE_PARAMS", raising=False)

    def _run(*words: object, inline: bool = True) -> tuple[int, Any, str]:
        if inline:
            monkeypatch.setattr(engine, "PoolEngine", lambda *_, **__: engine.InlineEngine())
        code, out, err = in_process("--lake", lake.root, *words)
        return code, json.loads(out) if "--json" in words and out else out, err

    return _run


def test_what_is_exported_can_be_verified_and_is_in_the_ledger(
    haetae: Run, lake: Lake, tmp_path: Path
) -> None:
    out = tmp_path / "release"
    code, told, _ = haetae("export", "--out", out, ids("fake"), "--json")
    assert code == 0
    (row,) = told["written"]
    assert row["fake_id"] == ids("fake") and Path(row["file"]).is_file()
    code, report, _ = haetae("verify", row["file"], "--json")
    assert (code, report["conclusion"], report["intact"]) == (0, "marked", True)
    assert report["manifest"]["state"] == "trusted"
    assert [one["fake_id"] for one in report["resolves_to"]] == [ids("fake")]
    entries = Ledger(lake.local_path("ledger.jsonl")).entries()
    assert [(one.kind, one.decision, one.subject) for one in entries] == [
        ("release", "exported", ids("fake"))
    ]
    code, said, _ = haetae("verify", row["file"])
    assert code == 0 and "every byte as it was exported" in said and "trusted" in said and ids("fake") in said


def test_all_of_a_generator_are_exported_and_the_second_time_left_as_they_are(
    haetae: Run, tmp_path: Path
) -> None:
    out = tmp_path / "release"
    code, told, _ = haetae("export", "--out", out, "--generator", "espeak_tts", "--json")
    assert code == 0 and len(told["written"]) == 2
    code, told, _ = haetae("export", "--out", out, "--where", "seed = 7 AND language = 'ms'", "--json")
    assert code == 0 and not told["written"] and len(told["unchanged"]) == 2
    assert "subtitles" not in haetae("export", "--out", tmp_path / "other", "--where", "true")[1]
    code, said, _ = haetae("export", "--out", out, "--generator", "espeak_tts@1")
    assert code == 0 and "0 written, 2 unchanged, 0 refused, 0 failed" in said


def test_the_gate_closes_with_exit_code_3_and_its_reasons(haetae: Run, lake: Lake, tmp_path: Path) -> None:
    sources = [dict(row) for row in lake.rows("sources")]
    for row in sources:
        row["purposes"] = ["synthesis", "training"]
    put(lake, "sources", None, sources)
    out = tmp_path / "release"
    code, told, _ = haetae("export", "--out", out, "--where", "true", "--json")
    assert code == 3 and not list(out.iterdir())
    assert {one["detail"] for one in told["refused"]} == {"purpose_not_declared:release"}
    entries = Ledger(lake.local_path("ledger.jsonl")).entries()
    assert [one.decision for one in entries] == ["refused", "refused"]


def test_some_refused_and_some_exported_is_fine_and_a_failure_is_not(
    haetae: Run, lake: Lake, tmp_path: Path
) -> None:
    rows = [dict(row) for row in lake.rows("fakes")]
    rows[0]["licence"] = "CC-BY-ND-4.0"
    lake.write("fakes", "b1~g@1", rows, LINEAGE)
    code, told, _ = haetae("export", "--out", tmp_path / "a", "--where", "true", "--json")
    assert (code, len(told["written"]), len(told["refused"])) == (0, 1, 1)
    rows.append({**rows[1], "fake_id": ids("fake", 5), "blob_id": f"{'0' * 64}.wav"})
    lake.write("fakes", "b1~g@1", rows, LINEAGE)
    code, told, _ = haetae("export", "--out", tmp_path / "b", "--where", "true", "--json")
    assert (code, [one["reason"] for one in told["failed"]]) == (1, ["unreadable"])


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--where", "true"), "where to?"),
        (("--out", "x"), "which?"),
        (("--out", "x", "fake-0000"), "no such fake: fake-0000"),
        (("--out", "x", "--generator", "espeak_tts", "--where", "false"), "no fake is chosen"),
        (("--out", "x", "--where", "no such column"), "the query failed"),
    ],
)
def test_bad_usage_is_told(haetae: Run, tmp_path: Path, monkeypatch, words, fault) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = haetae("export", *words)
    assert code == 2 and fault in err
    assert not (tmp_path / "x").exists()


def test_an_unknown_generator_is_named_as_such_with_those_that_there_are(haetae: Run, tmp_path: Path) -> None:
    for words in (("export", "--out", tmp_path / "x"), ("gallery",)):
        code, _, err = haetae(*words, "--generator", "nope")
        assert code == 2 and "no generator nope is in this lake's fakes" in err, words
        assert "espeak_tts@1 (2)" in err, words
    assert not (tmp_path / "x").exists()
    code, _, err = haetae("gallery", "--generator", "espeak_tts", "--language", "ko")
    assert code == 2 and "no fake of generator espeak_tts and language ko" in err


def test_a_fake_that_is_there_but_not_among_those_chosen_is_told_as_such(
    haetae: Run, lake: Lake, tmp_path: Path
) -> None:
    rows = [dict(row) for row in lake.rows("fakes")]
    rows[1]["generator"] = "world_voice@1"
    lake.write("fakes", "b1~g@1", rows, LINEAGE)
    mine, other = rows[0]["fake_id"], rows[1]["fake_id"]
    asked = ("export", "--out", tmp_path / "x", mine, other)
    code, _, err = haetae(*asked, "--generator", "espeak_tts")
    assert code == 2 and "no such fake" not in err
    told = "is there, but world_voice@1 made it, so it is not among those of --generator espeak_tts"
    assert f"{other} {told}" in err and f"{mine} is there" not in err
    code, _, err = haetae(*asked, "fake-0000", "--where", "generator = 'espeak_tts@1'")
    assert code == 2 and "no such fake: fake-0000;" in err
    assert f"{other} of world_voice@1 is there, but it does not fit --where" in err
    assert not (tmp_path / "x").exists()


def test_a_name_that_is_nearly_a_generators_is_answered_with_it(haetae: Run, tmp_path: Path) -> None:
    for words in (("export", "--out", tmp_path / "x"), ("gallery",)):
        assert "(did you mean espeak_tts?)" in haetae(*words, "--generator", "espeak_tss")[2], words
        assert "(did you mean espeak_tts@1?)" in haetae(*words, "--generator", "espeak_tts@2")[2], words
        assert "did you mean" not in haetae(*words, "--generator", "nope")[2], words


def test_changed_subtitles_are_exported_as_cues_that_can_be_read_in_time(
    haetae: Run, lake: Lake, tmp_path: Path
) -> None:
    rows = [dict(row) for row in lake.rows("fakes")]
    times = [(0.1, 0.4), (0.4, 0.7), (1.4, 1.8)]
    words = [
        {"word": w, "start_s": a, "end_s": b, "score": 1.0}
        for w, (a, b) in zip(["봄꽃", "축제가", "목요일에"], times, strict=True)
    ]
    rows[0] |= {"modalities": ["text"], "family": "text", "text": "봄꽃 축제가 목요일에", "words": words}
    lake.write("fakes", "b1~g@1", rows, LINEAGE)
    code, told, _ = haetae("export", "--out", tmp_path / "r", rows[0]["fake_id"], "--json")
    assert code == 0
    shown = Path(told["written"][0]["subtitles"])
    assert shown.read_text(encoding="utf-8") == (
        "1\n00:00:00,100 --> 00:00:00,700\n봄꽃 축제가\n\n2\n00:00:01,400 --> 00:00:01,800\n목요일에\n"
    )
    told_of = json.loads(Path(told["written"][0]["sidecar"]).read_text(encoding="utf-8"))
    assert (told_of["language"], told_of["subtitles"]["language"]) == ("ms", "ko"), "spoken, and written"
    _, said, _ = haetae("export", "--out", tmp_path / "again", rows[0]["fake_id"])
    line = next(one for one in said.splitlines() if rows[0]["fake_id"] in one)
    assert line.endswith(f"; its subtitles: {tmp_path / 'again' / shown.name}")
    shown.write_text("1\n00:00:00,100 --> 00:00:00,700\n봄꽃\n", encoding="utf-8")
    _, report, _ = haetae("verify", f"{told['written'][0]['file']}.json", "--json")
    assert report["changed"] == ["subtitles"]
    _, said, _ = haetae("verify", told["written"][0]["file"])
    assert "its subtitles are not what was exported with it; the file itself is as it was exported" in said


def _of_text(haetae: Run, lake: Lake, out: Path) -> tuple[Path, Path]:
    """Exports of two fakes: the first changes subtitles and has masks, the second only masks."""
    rows = [dict(row) for row in lake.rows("fakes")]
    for row in rows:
        row["masks_blob"] = lake.put_blob(row["fake_id"].encode(), "npz")
    rows[0] |= {"modalities": ["text"], "family": "text", "text": "봄꽃"}
    lake.write("fakes", "b1~g@1", rows, LINEAGE)
    code, told, _ = haetae("export", "--out", out, *(row["fake_id"] for row in rows), "--json")
    assert code == 0
    file_of = {row["fake_id"]: Path(row["file"]) for row in told["written"]}
    return file_of[rows[0]["fake_id"]], file_of[rows[1]["fake_id"]]


def _row(said: str, label: str) -> str:
    (line,) = (one for one in said.splitlines() if one.startswith(f"{label} "))
    return line.removeprefix(label).strip()


def test_changed_masks_and_subtitles_do_not_make_the_sidecar_a_changed_one(
    haetae: Run, lake: Lake, tmp_path: Path
) -> None:
    file, _ = _of_text(haetae, lake, tmp_path / "r")
    file.with_suffix(".srt").write_text("x", encoding="utf-8")
    Path(f"{file}.masks.npz").write_bytes(b"x")
    _, report, _ = haetae("verify", file, "--json")
    assert (report["sidecar"], report["changed"]) == ("agrees", ["masks", "subtitles"])
    assert _row(haetae("verify", file)[1], "sidecar") == "agrees"
    Path(f"{file}.json").write_text("{")
    _, report, _ = haetae("verify", file, "--json")
    assert _row(haetae("verify", file)[1], "sidecar") == report["sidecar"] == "differs"


def test_what_is_missing_beside_a_whole_file_is_said_in_headline_and_notes(
    haetae: Run, lake: Lake, tmp_path: Path
) -> None:
    file, _ = _of_text(haetae, lake, tmp_path / "r")
    Path(f"{file}.masks.npz").unlink()
    _, report, _ = haetae("verify", file, "--json")
    here = "marked, every byte of what is here as it was exported; its masks"
    assert (report["intact"], report["headline"]) == (True, f"{here} are missing")
    assert [one.split(":")[0] for one in report["notes"]] == ["masks_missing"]
    file.with_suffix(".srt").unlink()
    _, report, _ = haetae("verify", file, "--json")
    assert (report["intact"], report["headline"]) == (True, f"{here} and its subtitles are missing")


def test_the_sidecar_of_another_fake_says_nothing_of_masks_and_subtitles(
    haetae: Run, lake: Lake, tmp_path: Path
) -> None:
    subtitled, other = _of_text(haetae, lake, tmp_path / "r")
    Path(f"{subtitled}.json").replace(f"{other}.json")
    _, report, _ = haetae("verify", other, "--json")
    words = [one.split(":")[0] for one in report["disagreements"]]
    assert words == ["sidecar_differs", "sidecar_names_another"] and report["sidecar"] == "differs"
    assert report["notes"] == []


def test_a_master_of_the_lake_is_known_by_its_bytes(haetae: Run, lake: Lake, tmp_path: Path) -> None:
    row = next(one for one in lake.rows("fakes") if one["fake_id"] == ids("fake"))
    master = tmp_path / "found.wav"
    master.write_bytes(lake.open_local(row["blob_id"]).read_bytes())
    _, report, _ = haetae("verify", master, "--json")
    assert (report["conclusion"], report["intact"], report["mark"]) == ("unmarked", None, None)
    assert [one["fake_id"] for one in report["resolves_to"]] == [ids("fake")]
    assert report["headline"] == f"unmarked, but these bytes are the master of {ids('fake')} in this lake"
    _, said, _ = haetae("verify", master)
    assert _row(said, "in this lake").startswith(f"{ids('fake')}: espeak_tts@1 of {ids('target')}")
    master.write_bytes(master.read_bytes() + b"\0\0")
    _, report, _ = haetae("verify", master, "--json")
    assert (report["headline"], report["resolves_to"]) == ("unmarked", [])


def test_a_master_of_several_fakes_is_said_to_be_one_and_the_number_of_others(
    haetae: Run, lake: Lake
) -> None:
    rows = [dict(row) for row in lake.rows("fakes")]
    rows[1]["blob_id"] = rows[0]["blob_id"]
    lake.write("fakes", "b1~g@1", rows, LINEAGE)
    _, report, _ = haetae("verify", lake.open_local(rows[0]["blob_id"]), "--json")
    assert report["headline"].endswith(" and 1 more in this lake") and len(report["resolves_to"]) == 2


def test_a_clip_whose_bytes_fakes_of_text_keep_is_no_master_and_they_are_counted(
    haetae: Run, lake: Lake
) -> None:
    clip = next(one for one in lake.rows("clips") if one["clip_id"] == ids("target"))
    rows = [{**row, "modalities": ["text"], "blob_id": clip["blob_id"]} for row in lake.rows("fakes")]
    lake.write("fakes", "b1~g@1", rows, LINEAGE)
    _, report, _ = haetae("verify", lake.open_local(clip["blob_id"]), "--json")
    assert (report["conclusion"], report["resolves_to"], report["text_fakes"]) == ("unmarked", [], 2)
    shared = "unmarked; these bytes are a clip's of this lake, and"
    assert report["headline"] == f"{shared} 2 fakes of text alone have this file, unchanged, as their own"
    lake.write("fakes", "b1~g@1", rows[:1], LINEAGE)
    _, said, _ = haetae("verify", lake.open_local(clip["blob_id"]))
    assert f"{shared} 1 fake of text alone has this file" in said
    lake.write("fakes", "b1~g@1", [], LINEAGE)
    _, report, _ = haetae("verify", lake.open_local(clip["blob_id"]), "--json")
    assert (report["headline"], report["text_fakes"]) == ("unmarked", 0)


def test_what_a_manifest_states_that_does_not_hold_is_printed_as_a_claim(
    haetae: Run, lake: Lake, tmp_path: Path
) -> None:
    _, file = _of_text(haetae, lake, tmp_path / "r")
    _, said, _ = haetae("verify", file)
    assert _row(said, "  generator") == "espeak_tts@1" and "claims" not in said
    content = bytearray(file.read_bytes())
    content[content.index(b"data") + 4000] ^= 1
    file.write_bytes(content)
    _, said, _ = haetae("verify", file)
    assert "C2PA manifest" in said and _row(said, "  claims generator") == "espeak_tts@1"
    assert not [one for one in said.splitlines() if one.startswith(("  fake_id", "  licence"))]
    assert not _row(said, "in this lake").startswith("it is;"), "only a manifest that holds can say so"


@pytest.mark.parametrize("columns", [40, 80, 240])
def test_digests_and_ids_stay_whole_in_a_narrow_terminal(
    haetae: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    _, told, _ = haetae("export", "--out", tmp_path / "release", ids("fake"), "--json")
    file = told["written"][0]["file"]
    _, report, _ = haetae("verify", file, "--json")
    monkeypatch.setenv("COLUMNS", str(columns))
    _, said, _ = haetae("verify", file)
    made = report["manifest"]["fake"]
    for value in (*made.values(), report["mark"]):
        assert value in said, value
    longest = max(len(line) for line in said.splitlines())
    assert columns == 40 or longest <= columns
    assert said.count(made["media_sha256"]) == 1 and said.count(made["clip_id"]) == 1


def test_a_broken_sidecar_does_not_make_the_file_a_changed_one(haetae: Run, tmp_path: Path) -> None:
    _, told, _ = haetae("export", "--out", tmp_path / "release", ids("fake"), "--json")
    file = told["written"][0]["file"]
    Path(f"{file}.json").write_text("{")
    code, said, _ = haetae("verify", file)
    first = said.splitlines()[0]
    assert code == 0 and "its sidecar is not what was exported with it" in first
    assert "the file itself is as it was exported" in first and "file was changed" not in said


def test_a_folder_that_cannot_hold_an_export_is_told_and_the_store_stays_as_it_is(
    haetae: Run, lake: Lake, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a letter", encoding="utf-8")
    code, _, err = haetae("export", "--out", tmp_path / "taken", ids("fake"))
    assert (code, "cannot be the folder of an export" in err) == (2, True)
    for inside in (Path(lake.root), Path(lake.root) / "media", Path(lake.root) / "new" / "folder"):
        before = sorted(Path(lake.root).rglob("*"))
        code, _, err = haetae("export", "--out", inside, ids("fake"))
        assert (code, "lies in the lake" in err) == (2, True)
        assert sorted(Path(lake.root).rglob("*")) == before


def test_a_hint_names_the_lake_that_the_command_was_about(haetae: Run, lake: Lake, tmp_path: Path) -> None:
    code, _, err = haetae("export", "--out", tmp_path / "release", "fake-nope")
    assert code == 2
    assert f'haetae --lake {lake.root} sql "SELECT' in err


def test_rows_too_wide_for_the_terminal_are_printed_whole_one_below_the_other(
    haetae: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "SELECT fake_id, generator, language, licence, clip_id FROM fakes"
    _, wide, _ = haetae("sql", query)
    monkeypatch.setenv("COLUMNS", "60")
    _, narrow, _ = haetae("sql", query)
    for said in (wide, narrow):
        assert ids("fake") in said
        assert "espeak_tts@1" in said
    assert "row 1" in narrow.splitlines()[0]
    assert "row 1" not in wide


def test_a_file_that_cannot_be_read_is_bad_input_and_an_unmarked_one_a_finding(
    haetae: Run, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("nothing to look at")
    for name in ("none.mp4", "notes.txt", "."):
        code, _, err = haetae("verify", tmp_path / name)
        assert code == 2 and "unreadable" in err, name
    write_wav(tmp_path / "plain.wav", np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32))
    code, report, _ = haetae("verify", tmp_path / "plain.wav", "--json")
    assert (code, report["conclusion"], report["intact"]) == (0, "unmarked", None)


def test_a_file_is_read_in_a_process_of_its_own_and_no_lake_is_needed(
    haetae: Run, tmp_path: Path, monkeypatch
) -> None:
    write_wav(tmp_path / "plain.wav", np.zeros(16_000, np.float32))
    monkeypatch.setenv("HAETAE_LAKE", str(tmp_path / "nowhere"))
    code, report, _ = haetae(
        "--lake", tmp_path / "nowhere", "verify", tmp_path / "plain.wav", "--json", inline=False
    )
    assert (code, report["conclusion"], report["resolves_to"]) == (0, "unmarked", None)
    told = (
        f"no_lake: there is no lake at {tmp_path / 'nowhere'}, so marks were not looked up, and 'valid' says"
    )
    assert len(report["notes"]) == 1 and report["notes"][0].startswith(told)
    _, said, _ = haetae("--lake", tmp_path / "nowhere", "verify", tmp_path / "plain.wav")
    assert "no_lake: there is no lake at" in said
    assert not (tmp_path / "nowhere").exists()
