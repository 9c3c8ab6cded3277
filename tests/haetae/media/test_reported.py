"""From the queue of reports to batches, and on to what may be done with them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from haetae.engine import Failed
from haetae.lake import Lake, Lineage
from haetae.media.egress import refused_at
from haetae.media.intake import fetch_rows
from haetae.media.reported import open_reported
from haetae.media.reports import report_media
from haetae.provenance.policy import may_use

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def report(lake: Lake, minute: int = 0, **what: object) -> str:
    about = {"language": "ms", "use_case": "news", "note": None, "reporter": None}
    return report_media(lake, **{**about, "now": NOW + dt.timedelta(minutes=minute), **what})


def test_without_reports_no_batch_is_opened(lake):
    assert open_reported(lake, 10, "run") == ()
    assert lake.partitions("sources") == []


def test_reports_become_items_of_sources_that_allow_nothing_but_review(lake, tmp_path):
    sent = tmp_path / "voice.wav"
    sent.write_bytes(b"RIFF\x00\x00\x00\x00WAVE")
    report(lake, uri="https://media.example/clip.mp4?token=abc")
    report(lake, 1, file=sent, language="ko", use_case="voice_biometrics")
    (key,) = open_reported(lake, 10, "run")
    rows = {row["source_id"]: row for row in fetch_rows(lake, key)}
    assert set(rows) == {"reports.ms.news", "reports.ko.voice_biometrics"}
    assert rows["reports.ms.news"]["address"] == "https://media.example/clip.mp4?token=abc"
    assert Path(rows["reports.ko.voice_biometrics"]["address"]).read_bytes() == sent.read_bytes()
    assert {row["verdict"] for row in rows.values()} == {"unknown"}
    for source in lake.rows("sources"):
        for purpose in ("synthesis", "training", "benchmark", "release"):
            assert not may_use(source, purpose).allowed


def test_what_is_secret_in_a_reported_address_is_in_no_table(lake):
    report(lake, uri="https://media.example/clip.mp4?token=abc123")
    (key,) = open_reported(lake, 10, "run")
    for path in Path(lake.root).glob("tables/**/*.parquet"):
        assert b"abc123" not in path.read_bytes()
    secret = Path(lake.root, f"intake/{key}.json")
    assert "abc123" in json.dumps(json.loads(secret.read_text()))
    assert secret.stat().st_mode & 0o077 == 0


def test_a_second_look_and_a_second_report_of_the_same_open_nothing(lake):
    report(lake, uri="https://media.example/clip.mp4?X-Amz-Signature=1")
    assert len(open_reported(lake, 10, "run")) == 1
    report(lake, 5, uri="https://media.example/clip.mp4?X-Amz-Signature=2", reporter="another")
    assert open_reported(lake, 10, "run") == ()


def test_a_batch_holds_no_more_than_its_size(lake):
    for k in range(5):
        report(lake, k, uri=f"https://media.example/{k}.mp4")
    assert [len(lake.rows("items", key)) for key in open_reported(lake, 2, "run")] == [2, 2, 1]


def test_a_report_refused_for_a_private_host_is_fetched_once_that_host_is_allowed(lake):
    report(lake, uri="http://127.0.0.1:8799/clip.mp4")
    (first,) = open_reported(lake, 10, "run")
    (item,) = lake.rows("items", first)
    no = refused_at("127.0.0.1:8799")
    refused = [Failed(item["item_id"], "media", no.reason, f"clip.mp4: {no.detail}")]
    lake.write("media", first, [], Lineage("media", "run", "1"), failed=refused)
    assert open_reported(lake, 10, "run", ["127.0.0.1:879", "example.org:80"]) == ()
    (second,) = open_reported(lake, 10, "run", ["127.0.0.1:8799"])
    assert second != first
    assert [row["item_id"] for row in lake.rows("items", second)] == [item["item_id"]]
    assert open_reported(lake, 10, "run", ["127.0.0.1:8799"]) == (), "it waits in a batch already"
    elsewhere = refused_at("10.0.0.1:80")
    refused = [Failed(item["item_id"], "media", elsewhere.reason, f"clip.mp4: {elsewhere.detail}")]
    lake.write("media", second, [], Lineage("media", "run", "1"), failed=refused)
    assert open_reported(lake, 10, "run", ["127.0.0.1:8799"]) == (), "another host is in its way now"
