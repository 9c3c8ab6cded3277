"""Reports: what is kept of them, what is not, and how far each is."""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from haetae.engine import Failed
from haetae.errors import Rejected, UsageError
from haetae.lake import Lake, Lineage
from haetae.lake.schema import TABLES
from haetae.media.crawl import Fetch
from haetae.media.reports import pending, report_media, report_source, report_state
from haetae.provenance.policy import may_use
from tests.haetae.media.broken import make, picture

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
SECRET = "https://example.org/clip.mp4?id=7&X-Amz-Signature=s3cr3t&X-Amz-Expires=60"
RUN = Lineage("test", "run-1", "1")


def report(lake: Lake, uri: str | None = None, **changes: Any) -> str:
    about: dict[str, Any] = {
        "language": "ko", "use_case": "news", "note": None, "reporter": None, "now": NOON,
    } | changes  # fmt: skip
    return report_media(lake, uri=uri, **about)


def sent_file(folder: Path, content: bytes = b"RIFF\0\0\0\0WAVE and so on") -> Path:
    path = folder / "sent"
    path.write_bytes(content)
    return path


def put_in_a_batch(lake: Lake, batch: str, rows: list[dict[str, Any]]) -> None:
    columns = ("item_id", "source_id", "uri", "sha256", "size_bytes")
    lake.write(
        "items", batch, [{**{name: row[name] for name in columns}, "batch": batch} for row in rows], RUN
    )


def everything_written(lake: Lake, below: str) -> str:
    files = [path for path in (Path(lake.root) / below).rglob("*") if path.is_file()]
    return "".join(path.read_bytes().decode("latin-1") for path in files)


def test_a_report_is_one_row_in_a_partition_of_its_own(lake):
    report_id = report(lake, "https://example.org/a", note="the lips are late", reporter="Kim")
    (row,) = lake.rows("reports", report_id)
    assert (row["uri"], row["note"], row["reporter"]) == ("https://example.org/a", "the lips are late", "Kim")
    assert (row["language"], row["use_case"], row["blob_id"]) == ("ko", "news", None)
    assert row["reported_at"] == NOON


def test_reports_that_arrive_together_are_all_kept(lake):
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: report(lake, f"https://example.org/{n}"), range(24)))
    assert sorted(ids) == lake.partitions("reports")
    assert len(pending(lake)) == 24


def test_what_is_secret_in_an_address_is_only_where_its_owner_may_read(lake):
    report_id = report(lake, SECRET)
    assert "s3cr3t" not in everything_written(lake, "tables")
    path = Path(lake.root) / "intake" / f"{report_id}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"address": SECRET}
    (row,) = pending(lake)
    assert row["address"] == SECRET
    assert "s3cr3t" not in row["uri"]


def test_the_same_thing_reported_again_is_one_item(lake, tmp_path):
    report(lake, SECRET)
    report(lake, SECRET.replace("s3cr3t", "0ther"), now=NOON + dt.timedelta(seconds=1), language="ms")
    report(lake, "https://example.org/clip.mp4?id=8", now=NOON + dt.timedelta(seconds=2))
    for second in (3, 4):
        later = NOON + dt.timedelta(seconds=second)
        report(lake, file=sent_file(tmp_path), name=f"{second}.wav", now=later)
    rows = pending(lake)
    assert [(row["uri"].rsplit("/", 1)[-1][:8], row["language"]) for row in rows] == [
        ("clip.mp4", "ko"), ("clip.mp4", "ko"), ("3.wav", "ko"),
    ]  # fmt: skip
    assert len({row["item_id"] for row in rows}) == 3
    put_in_a_batch(lake, "b-1", rows[:1])
    assert pending(lake) == rows[1:]


def test_a_file_that_was_sent_is_copied_into_the_lake(lake, tmp_path):
    path = sent_file(tmp_path)
    content = path.read_bytes()
    report_id = report(lake, file=path, name="C:\\fakepath\\../../목소리\x1b[31m.wav")
    (row,) = lake.rows("reports", report_id)
    assert row["uri"] == "목소리[31m.wav"
    assert row["blob_id"].endswith(".wav")
    assert lake.open_local(row["blob_id"]).read_bytes() == content
    assert path.read_bytes() == content
    (waiting,) = pending(lake)
    assert waiting["address"] == str(lake.open_local(row["blob_id"]))
    assert waiting["sha256"] == row["blob_id"][:64]
    assert waiting["size_bytes"] == len(content)


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "/etc/passwd", "http://a:b@example.org/", "ftp://a/", ""]
)
def test_addresses_that_are_not_of_the_web_are_not_taken(lake, address):
    with pytest.raises(Rejected) as no:
        report(lake, address)
    assert no.value.reason == "bad_address"
    assert lake.partitions("reports") == []


def test_what_cannot_be_a_report_is_refused_and_nothing_is_kept(lake, tmp_path):
    with pytest.raises(Rejected, match="empty"):
        report(lake, file=sent_file(tmp_path, b""))
    for wrong in ({"language": "fr"}, {"use_case": "fun"}, {"note": "x" * 2001}, {"reporter": "x" * 201}):
        with pytest.raises(UsageError):
            report(lake, "https://example.org/a", **wrong)
    with pytest.raises(UsageError, match="either"):
        report(lake)
    with pytest.raises(UsageError, match="either"):
        report(lake, "https://example.org/a", file=sent_file(tmp_path))
    assert not (Path(lake.root) / "tables").exists()


def test_reported_media_may_be_looked_at_and_nothing_may_be_made_of_them(lake):
    report(lake, "https://example.org/a", language="ta", use_case="social_media")
    (waiting,) = pending(lake)
    (stored,) = lake.rows("reports")
    source = report_source(waiting)
    assert source == report_source(stored)
    assert source.id == waiting["source_id"] == "reports.ta.social_media"
    assert (source.verdict, source.language, source.purposes) == ("unknown", "ta", ())
    row = source.row("reports", NOON)
    assert [may_use(row, purpose).allowed for purpose in ("synthesis", "training", "release")] == [False] * 3


def fetched(lake: Lake, row: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    step = Fetch(str(lake.root))
    step.setup()
    kept = (
        "kind",
        "language",
        "country",
        "use_case",
        "licence",
        "purposes",
        "verdict",
        "generator",
        "identities",
    )
    (media,) = step({**row, "batch": "b-1", **{name: source[name] for name in kept}})
    return media


def clip_of(media: dict[str, Any]) -> dict[str, Any]:
    blank = {column.name: None for column in TABLES["clips"].columns}
    return blank | {"clip_id": "clip-1", "media_id": media["media_id"], "batch": "b-1"}


def label(verdict: str, evidence: str, modality: str) -> dict[str, Any]:
    blank = {column.name: None for column in TABLES["labels"].columns}
    said = {"sample_id": "clip-1", "batch": "b-1", "modality": modality, "verdict": verdict}
    return blank | said | {"evidence": evidence, "author": "somebody", "labelled_at": NOON}


def test_a_reported_file_is_fetched_and_the_report_tells_what_became_of_it(lake, tmp_path):
    make(tmp_path / "clip.mp4", picture("160x120", 3))
    report_id = report(lake, file=tmp_path / "clip.mp4", name="clip.mp4")
    assert report_state(lake, report_id).state == "waiting"
    (row,) = pending(lake)
    put_in_a_batch(lake, "b-1", [row])
    assert pending(lake) == []
    assert report_state(lake, report_id).state == "waiting"
    media = fetched(lake, row, report_source(row).row("reports", NOON))
    assert (media["title"], media["declared_verdict"], media["training_allowed"]) == (
        f"{row['sha256']}.mp4", "unknown", False,
    )  # fmt: skip
    lake.write("media", "b-1", [media], RUN)
    state = report_state(lake, report_id)
    assert (state.state, state.media_id, state.verdict) == ("fetched", media["media_id"], "unknown")
    lake.write("clips", "b-1", [clip_of(media)], RUN)
    for labels, verdict in (
        ([label("fake", "predicted", "video")], "unknown"),
        ([label("real", "reviewed", "video"), label("fake", "predicted", "audio")], "real"),
        ([label("real", "reviewed", "video"), label("fake", "reviewed", "audio")], "fake"),
        ([label("real", "reviewed", "video"), label("unknown", "reviewed", "audio")], "unknown"),
    ):
        lake.write("labels", "b-1", labels, RUN)
        assert report_state(lake, report_id).verdict == verdict
    lake.write("labels", "b-1", [label("real", "imported", "video")], RUN)
    state = report_state(lake, report_id)
    assert (state.verdict, state.declared) == ("unknown", "real"), (
        "what a source declares nobody has looked at"
    )


def test_a_reported_copy_leads_to_the_file_that_was_there_before(lake):
    report_id = report(lake, "https://example.org/a")
    put_in_a_batch(lake, "b-1", pending(lake))
    (item,) = lake.rows("items")
    detail = "https://example.org/a has the same bytes as media abc of batch b-0"
    lake.write("clips", "b-1", [clip_of({"media_id": "abc"})], RUN)
    lake.write("labels", "b-1", [label("fake", "imported", "video")], RUN)
    lake.write("media", "b-1", [], RUN, failed=[Failed(item["item_id"], "media", "duplicate", detail)])
    state = report_state(lake, report_id)
    assert (state.state, state.reason, state.media_id) == ("fetched", "duplicate", "abc")
    assert (state.verdict, state.declared) == ("unknown", "fake")


@pytest.mark.parametrize(
    ("reason", "state"),
    [("download_failed", "refused"), ("egress_refused", "refused"), ("duplicate", "fetched")],
)
def test_a_refusal_is_told_with_its_reason(lake, reason, state):
    report_id = report(lake, "https://example.org/a")
    put_in_a_batch(lake, "b-1", pending(lake))
    (item,) = lake.rows("items")
    lake.write("media", "b-1", [], RUN, failed=[Failed(item["item_id"], "media", reason, "detail")])
    found = report_state(lake, report_id)
    assert (found.state, found.reason) == (state, reason)


def test_there_is_nothing_to_tell_of_a_report_that_nobody_made(lake):
    report(lake, "https://example.org/a")
    assert report_state(lake, "report-0") is None
    assert report_state(lake, "../sources/all") is None


def test_a_report_whose_secret_file_is_gone_goes_on_without_it(lake):
    report_id = report(lake, SECRET)
    os.unlink(Path(lake.root) / "intake" / f"{report_id}.json")
    (row,) = pending(lake)
    assert row["address"] == row["uri"]
    assert report_state(lake, report_id).state == "waiting"
