"""`haetae run` on the embedded sample: what a person gets, and that a second run costs nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from haetae.lake import Lake
from haetae.sample.plan import plan
from tests.end_to_end.conftest import ONE_OF_EACH, SOME_GENERATORS, Haetae

pytestmark = pytest.mark.slow

TEXT = {"caption_edit@1", "subtitle_swap@1"}
GENERATORS = {f"{name}@1" for name in SOME_GENERATORS}
SEEN_OR_HEARD = GENERATORS - TEXT


@pytest.fixture(scope="module")
def first_run(
    sample: Path, tmp_path_factory: pytest.TempPathFactory, haetae_with_few_fakes: Callable[[Path], Haetae]
) -> tuple[Haetae, str]:
    """A lake on which the whole graph has run once, and what was printed."""
    made = haetae_with_few_fakes(tmp_path_factory.mktemp("whole") / "lake")
    return made, made("run", "--sources", sample / "sources.yaml").stdout


@pytest.fixture(scope="module")
def done(first_run: tuple[Haetae, str]) -> Haetae:
    return first_run[0]


def test_the_sample_has_every_file_of_its_plan(sample: Path) -> None:
    expected = {name for spec in plan() for name in spec.outputs()} | {"sample.json", "sources.yaml"}
    assert {str(path.relative_to(sample)) for path in sample.rglob("*") if path.is_file()} == expected


def test_it_ends_with_a_champion_and_says_where_to_look(first_run: tuple[Haetae, str]) -> None:
    done, said = first_run
    (decision,) = done.sql("SELECT promoted, model_id, reasons FROM promotions")
    assert decision["promoted"]
    assert decision["model_id"] in said
    assert "report/index.html" in said
    assert (done.lake / "report" / "index.html").stat().st_size > 10_000


def test_every_stage_wrote_rows_and_the_broken_file_is_in_quarantine(done: Haetae) -> None:
    counts = {
        name: done.sql(f"SELECT count(*) AS n FROM {name}")[0]["n"]
        for name in (
            "sources",
            "media",
            "clips",
            "tracks",
            "utterances",
            "cues",
            "signals",
            "fingerprints",
            "fakes",
            "labels",
            "samples",
            "edges",
        )
    }
    assert all(counts.values()), counts
    assert counts["media"] == 14
    assert counts["clips"] == 15
    assert counts["tracks"] == 16
    (refused,) = done.sql("SELECT stage, reason, detail FROM quarantine WHERE stage = 'media'")
    assert refused["reason"] == "truncated"
    assert "daniel__3.mp4" in refused["detail"]


def test_every_generator_made_fakes_in_every_language(done: Haetae) -> None:
    made = done.sql("SELECT generator, list(DISTINCT language) AS languages FROM fakes GROUP BY ALL")
    assert {row["generator"] for row in made} == GENERATORS
    for row in made:
        # Words are lent within a language and a split, and few people of the sample share both.
        if row["generator"] != "subtitle_swap@1":
            assert set(row["languages"]) == {"ko", "en-SG", "ms", "ta"}, row


def test_fakes_are_as_long_as_their_targets_and_faces_are_found_in_them_again(done: Haetae) -> None:
    rows = done.sql(
        "SELECT f.fake_id, f.duration_s AS fake_s, c.duration_s AS clip_s, f.metrics "
        "FROM fakes f JOIN clips c USING (clip_id)"
    )
    assert rows
    assert all(abs(row["fake_s"] - row["clip_s"]) <= 0.0401 for row in rows)
    found = [json.loads(row["metrics"]).get("face_found_again") for row in rows]
    measured = [value for value in found if value is not None]
    assert len(measured) >= 15
    assert float(np.mean([value >= 0.95 for value in measured])) >= 0.95


def test_labels_agree_with_what_was_changed(done: Haetae) -> None:
    rows = done.sql(
        "SELECT f.fake_id, f.family, f.modalities, f.segments, f.track_id, l.modality, l.track_id AS face, l.verdict, "
        "l.segments AS said FROM fakes f JOIN labels l ON l.sample_id = f.fake_id"
    )
    for row in rows:
        if row["modality"] in ("video", "audio") and row["face"] is None:
            assert (row["verdict"] == "fake") == (row["modality"] in row["modalities"])
            changed = [
                (s["start_s"], s["end_s"]) for s in row["segments"] if s["modality"] == row["modality"]
            ]
            assert [(s["start_s"], s["end_s"]) for s in row["said"]] == changed
        if row["face"] is not None and row["face"] != row["track_id"]:
            assert row["verdict"] == "real"
    assert any(row["face"] is not None and row["face"] != row["track_id"] for row in rows)


def test_nobody_is_in_two_splits(done: Haetae) -> None:
    people = done.sql(
        "SELECT identity, count(DISTINCT split) AS n FROM samples WHERE identity IS NOT NULL GROUP BY ALL"
    )
    assert len(people) >= 12
    assert {row["n"] for row in people} == {1}
    donors = done.sql(
        "SELECT count(*) AS n FROM fakes f JOIN groups a ON a.clip_id = f.clip_id "
        "JOIN groups b ON b.clip_id = f.donor_id WHERE a.split <> b.split"
    )
    assert donors == [{"n": 0}]


def test_the_scorecard_has_every_language_with_intervals(done: Haetae) -> None:
    rows = done.sql(
        "SELECT slice, value, ci_low, ci_high, n FROM evaluations WHERE metric = 'auc' AND protocol = 'sample'"
    )
    found = {row["slice"]: row for row in rows}
    assert {"all", "language=ko", "language=en-SG", "language=ms", "language=ta"} <= set(found)
    whole = found["all"]
    assert whole["ci_low"] <= whole["value"] <= whole["ci_high"]
    assert whole["n"] == done.sql("SELECT count(*) AS n FROM samples WHERE split = 'test'")[0]["n"]


def test_the_champion_traces_to_every_source_generator_and_code_version(done: Haetae) -> None:
    found = json.loads(done("trace", "champion", "--json").stdout)
    by_type: dict[str, set[str]] = {}
    for node in found["nodes"]:
        by_type.setdefault(node["type"], set()).add(node["id"])
    assert by_type["source"] == {row["source_id"] for row in done.sql("SELECT source_id FROM sources")}
    assert by_type["generator"] == SEEN_OR_HEARD, "subtitles alone make no sample"
    assert by_type["lesson"] == {row["lesson_id"] for row in done.sql("SELECT lesson_id FROM lessons")}
    stages = {node.split(":")[1].split("@")[0] for node in by_type["code"]}
    assert {"media", "clips", "fakes", "snapshot", "candidate", "scorecard", "champion"} <= stages
    assert "unknown" not in by_type


def test_every_source_traces_to_the_champion(done: Haetae) -> None:
    champion = done.sql("SELECT promotion_id FROM promotions")[0]["promotion_id"]
    found = json.loads(done("trace", "sample-ta", "--json").stdout)
    assert champion in {node["id"] for node in found["nodes"]}


def test_a_second_run_rewrites_nothing(done: Haetae, sample: Path) -> None:
    before = done.files("tables", "media", "snapshots", "report", "models")
    began = time.monotonic()
    said = done.in_a_program_of_its_own("run", "--sources", sample / "sources.yaml")
    assert time.monotonic() - began <= 25
    assert "nothing to do" in said
    assert done.files("tables", "media", "snapshots", "report", "models") == before


def test_who_learns_is_taught_once_on_the_train_split_and_its_fakes_trace_to_their_teachers(
    done: Haetae,
) -> None:
    (lesson,) = done.sql("FROM lessons")
    train = {row["clip_id"] for row in done.sql("SELECT clip_id FROM groups WHERE split = 'train'")}
    assert lesson["clips"]
    assert set(lesson["clips"]) <= train
    assert lesson["effort"] == ONE_OF_EACH["generate"]["learn"]["effort"]
    fakes = done.sql("SELECT fake_id, lesson_id FROM fakes WHERE generator = 'mean_face@1'")
    assert {row["lesson_id"] for row in fakes} == {lesson["lesson_id"]}
    found = json.loads(done("trace", fakes[0]["fake_id"], "--json").stdout)
    parents = {edge["parent"] for edge in found["edges"] if edge["child"] == lesson["lesson_id"]}
    assert set(lesson["clips"]) < parents
    assert {"id": lesson["lesson_id"], "type": "lesson"} in found["nodes"]

    digest = Lake(done.lake).digest("lessons", "mean_face@1")
    said = done("generators", "learn", "mean_face", "--again").stdout
    assert f"{lesson['n_faces']} faces of {lesson['n_people']} people" in said
    assert "distance: " in said
    assert Lake(done.lake).digest("lessons", "mean_face@1") == digest, "the same lesson has the same content"
    assert "does not learn" in done("generators", "learn", "self_blend", exits=2).stderr


def test_detect_keeps_its_contract_on_a_fake_of_the_lake(done: Haetae) -> None:
    (fake,) = done.sql(
        "SELECT f.blob_id FROM fakes f JOIN clips c USING (clip_id) "
        "WHERE f.generator = 'dubbed@1' AND c.n_tracks = 1 ORDER BY f.fake_id LIMIT 1"
    )
    file = done.lake / "media" / fake["blob_id"][:2] / fake["blob_id"]
    found = json.loads(done("detect", file, "--json").stdout)
    assert set(found) >= {"verdict", "score", "modalities", "tracks", "segments", "captions"}
    assert (found["verdict"] == "fake") == (found["score"] >= found["threshold"])
    assert "trained on" in found["caveat"]
    assert found["marks"]["fake_id"] is None, "masters carry no mark"
    assert found["verdict"] in ("real", "fake")
    assert 0 <= found["score"] <= 1
    assert set(found["modalities"]) == {"video", "audio", "sync", "text"}
    assert set(found["captions"]) == {"ko", "en", "ms", "ta"}
    (track,) = found["tracks"]
    assert set(track) >= {"track_id", "score", "boxes"}
    for segment in found["segments"]:
        assert set(segment) == {"modality", "start_s", "end_s", "score"}


def test_the_ledger_is_whole_and_tells_of_policy_and_promotion(done: Haetae) -> None:
    assert json.loads(done("ledger", "verify", "--json").stdout)["faults"] == []
    kinds = {entry["kind"] for entry in json.loads(done("ledger", "show", "--json").stdout)}
    assert {"synthesis", "promotion"} <= kinds


def test_sql_prints_a_json_list_of_rows(done: Haetae) -> None:
    found = json.loads(done("sql", "SELECT clip_id, n_tracks FROM clips ORDER BY clip_id", "--json").stdout)
    assert found == done.sql("SELECT clip_id, n_tracks FROM clips ORDER BY clip_id")
    assert len(found) == 15


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--sources", "nowhere.yaml"), "cannot read nowhere.yaml"),
        (("run", "--until", "clip"), "no such stage; the stages are: sources, media, clips"),
        (("run", "--generators", "magic"), "no generator magic is installed; there are: caption_edit@1"),
        (("sql", "SELECT nothing"), "the query failed"),
        (("trace", "clip-none"), "nothing in the lake is called"),
        (("detect", "nowhere.mp4"), "no such file"),
    ],
)
def test_bad_usage_exits_with_two_and_says_what_would_be_right(
    done: Haetae, words: tuple[str, ...], message: str
) -> None:
    assert message in done(*words, exits=2).stderr.replace("\n", " ")
