"""A run without --sources goes on with what the lake has; only a new lake gets the embedded sample."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from dagster_project.cli.run import _known_sources
from haetae.lake import Lake
from haetae.media.reports import report_media
from tests.assets.test_links import WHO, filled


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def declared(lake: Lake, *places: str) -> None:
    rows = [
        filled("sources", source_id=f"s{k}", declared_by=place, purposes=[], identities=[])
        for k, place in enumerate(places)
    ]
    lake.write("sources", None, rows, WHO)


def test_a_new_lake_gets_the_sample_and_goes_on_with_it(lake: Lake) -> None:
    assert _known_sources(lake) is None
    declared(lake, str((lake.local_path("sample") / "sources.yaml").resolve()))
    assert _known_sources(lake) is None


def test_a_lake_of_own_sources_goes_on_with_their_files(lake: Lake, tmp_path: Path) -> None:
    mine = tmp_path / "sources.yaml"
    mine.write_text("[]")
    declared(lake, str(mine), str(tmp_path / "gone.yaml"))
    assert _known_sources(lake) == [mine]


def test_a_lake_of_an_import_or_of_reports_alone_needs_no_file(lake: Lake) -> None:
    now = dt.datetime.now(dt.UTC)
    report_media(
        lake, uri="https://example.org/a", language="ko", use_case="other", note=None, reporter=None, now=now
    )
    assert _known_sources(lake) == []
    declared(lake, "haetae import")
    assert _known_sources(lake) == []
