"""The lake: schemas are kept, writes are whole, lineage comes with them, SQL sees everything and changes nothing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from haetae.engine import Failed
from haetae.errors import UsageError
from haetae.lake import Lake, Lineage, SchemaMismatch
from haetae.lake.schema import TABLES

WHO = Lineage("cues", "run1", "0.1", "print1")


def cue(sample_id: str = "clip-1", value: float = 0.5, batch: str = "b1") -> dict[str, Any]:
    return {
        "sample_id": sample_id,
        "batch": batch,
        "cue": "av_offset",
        "value": value,
        "unit": "s",
        "track_id": None,
    }


@pytest.fixture(params=["folder", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake" if request.param == "folder" else f"memory://{tmp_path.name}-{os.getpid()}")


def test_what_is_written_is_read_back_with_its_edges_and_refusals(lake: Lake) -> None:
    failed = [Failed("clip-9", "cues", "no_mouth", "lips not found")]
    lake.write("cues", "b1", [cue("clip-2"), cue("clip-1")], WHO, [("clip-1", "c1", "measured_on")], failed)
    assert [row["sample_id"] for row in lake.rows("cues", "b1")] == ["clip-1", "clip-2"]
    assert lake.partitions("cues") == ["b1"]
    assert lake.fingerprint("cues", "b1") == "print1"
    edge = lake.sql("SELECT * FROM edges").to_pylist()[0]
    assert edge == {
        "parent_id": "clip-1",
        "child_id": "c1",
        "relation": "measured_on",
        "asset": "cues",
        "run_id": "run1",
        "code_version": "0.1",
    }
    refused = lake.sql("SELECT item_id, batch, stage, reason, detail, run_id FROM quarantine").to_pylist()
    assert refused == [
        {
            "item_id": "clip-9",
            "batch": "b1",
            "stage": "cues",
            "reason": "no_mouth",
            "detail": "lips not found",
            "run_id": "run1",
        }
    ]


def test_writing_a_partition_again_replaces_it_and_what_belongs_to_it(lake: Lake) -> None:
    lake.write("cues", "b1", [cue()], WHO, [("a", "b", "r")], [Failed("x", "cues", "bad", "")])
    lake.write("cues", "b2", [cue("clip-7", batch="b2")], WHO)
    lake.write("cues", "b1", [cue(value=0.7)], WHO)
    found = lake.sql("SELECT batch, value FROM cues ORDER BY batch").to_pylist()
    assert [(r["batch"], r["value"]) for r in found] == [("b1", 0.7), ("b2", 0.5)]
    assert lake.sql("SELECT * FROM edges").num_rows == 0
    assert lake.sql("SELECT * FROM quarantine").num_rows == 0


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({**cue(), "colour": "red"}, "no such column: colour"),
        ({k: v for k, v in cue().items() if k != "unit"}, "column missing: unit"),
        ({**cue(), "value": "much"}, "cues"),
    ],
)
def test_rows_that_do_not_fit_the_schema_fail_before_a_byte_is_written(
    tmp_path: Path, row: dict[str, Any], complaint: str
) -> None:
    lake = Lake(tmp_path)
    with pytest.raises(SchemaMismatch, match=complaint):
        lake.write("cues", "b1", [row], WHO, [("a", "b", "r")])
    assert not list(tmp_path.rglob("*.parquet"))


def test_the_same_key_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match="duplicate key"):
        Lake(tmp_path).write("cues", "b1", [cue(), cue(value=1.0)], WHO)


def test_the_digest_ignores_volatile_columns_and_row_order_but_nothing_else(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("cues", "b1", [cue("clip-1"), cue("clip-2")], WHO)
    first = lake.digest("cues", "b1")
    lake.write("cues", "b1", [cue("clip-2"), cue("clip-1")], Lineage("cues", "run2", "0.2"))
    assert lake.digest("cues", "b1") == first
    lake.write("cues", "b1", [cue("clip-2"), cue("clip-1", value=0.51)], WHO)
    assert lake.digest("cues", "b1") != first


def test_blobs_are_named_by_their_content_and_kept_once(lake: Lake, tmp_path: Path) -> None:
    sha = hashlib.sha256(b"frames").hexdigest()
    assert lake.put_blob(b"frames", ".mp4") == f"{sha}.mp4"
    file = tmp_path / "x.mp4"
    file.write_bytes(b"frames")
    assert lake.put_blob(file, "mp4") == f"{sha}.mp4"
    assert lake.open_local(f"{sha}.mp4").read_bytes() == b"frames"


def test_a_file_of_somebody_else_is_copied_and_only_scratch_is_moved(lake: Lake, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.mp4"
    for content in (b"one", b"one", b"two"):  # also when the lake has it already
        theirs.write_bytes(content)
        blob = lake.put_blob(theirs, "mp4")
        assert theirs.read_bytes() == lake.open_local(blob).read_bytes() == content
    with lake.tmp_dir() as folder:
        made = folder / "made.mp4"
        made.write_bytes(b"three")
        lake.put_blob(made, "mp4")
        assert made.exists() != lake.files.is_local


@pytest.mark.parametrize("blob", ["../../etc/passwd", "x.mp4", "A" * 64 + ".mp4", "a" * 64 + "./../x"])
def test_a_blob_id_cannot_name_another_file(tmp_path: Path, blob: str) -> None:
    with pytest.raises(ValueError, match="not a blob id"):
        Lake(tmp_path).open_local(blob)


@pytest.mark.parametrize("key", ["../x", "a/b", "", ".hidden", "a b"])
def test_a_partition_key_cannot_leave_its_table(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a partition key"):
        Lake(tmp_path).write("cues", key, [cue()], WHO)


def test_a_killed_write_leaves_the_old_partition_and_only_scratch(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("cues", "b1", [cue()], WHO)
    pid = os.fork()
    if pid == 0:
        real = os.replace

        def die_before_the_commit(src: Any, dst: Any) -> None:
            if "tables/cues" in str(dst):
                os.kill(os.getpid(), 9)
            real(src, dst)

        os.replace = die_before_the_commit  # type: ignore[assignment]
        lake.write("cues", "b1", [cue(value=9.0)], WHO)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == 9
    assert lake.rows("cues", "b1")[0]["value"] == 0.5
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    assert lake.files.sweep() == 1
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{folder}/x.csv'",
        "SELECT * FROM read_text('{folder}/secret.txt')",
        "ATTACH '{folder}/x.db'",
        "SET enable_external_access = true",
        "nonsense",
    ],
)
def test_a_query_reads_tables_and_nothing_else(tmp_path: Path, query: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    with pytest.raises(UsageError, match="the query failed"):
        Lake(tmp_path).sql(query.format(folder=tmp_path))


def test_every_table_can_be_queried_before_anything_is_written(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for name, table in TABLES.items():
        found = lake.sql(f"SELECT * FROM {name}")
        assert found.num_rows == 0
        assert found.column_names == [c.name for c in table.columns] + [c.name for c, _ in table.derived]


def test_show_tables_tells_of_the_tables_of_the_catalogue_and_no_others(tmp_path: Path) -> None:
    told = Lake(tmp_path).sql("SHOW TABLES")["name"].to_pylist()
    assert sorted(told) == sorted([*TABLES, "current_labels"])


def test_every_column_is_documented_in_the_file_itself(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("cues", "b1", [cue()], WHO)
    schema = pq.read_schema(tmp_path / "tables" / "cues" / "b1.parquet")
    assert all(schema.field(c.name).metadata[b"doc"].decode() == c.doc for c in TABLES["cues"].columns)
    assert all(column.doc for table in TABLES.values() for column in table.columns)


def test_the_strongest_and_then_the_latest_label_wins(tmp_path: Path) -> None:
    import datetime as dt

    def label(verdict: str, evidence: str, author: str, minute: int) -> dict[str, Any]:
        at = dt.datetime(2026, 1, 1, 0, minute, tzinfo=dt.UTC)
        empty: dict[str, Any] = {"track_id": None, "segments": [], "boxes": [], "captions": None}
        said = {"verdict": verdict, "evidence": evidence, "author": author, "labelled_at": at}
        return {"sample_id": "s", "batch": "b1", "modality": "video", "confidence": 1.0, **empty, **said}

    rows = [
        label("fake", "predicted", "model", 9),
        label("real", "imported", "source", 1),
        label("unknown", "reviewed", "ann", 2),
        label("fake", "reviewed", "bob", 3),
    ]
    lake = Lake(tmp_path)
    lake.write("labels", "b1", rows, WHO)
    won = lake.sql("SELECT verdict, author FROM current_labels").to_pylist()
    assert won == [{"verdict": "fake", "author": "bob"}]


def test_an_unknown_table_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no table 'clip'; there are: sources"):
        Lake(tmp_path).read("clip")
