"""`haetae run` with Dagster's storage on PostgreSQL: the same command, another DAGSTER_HOME.

That the storage works at all is shown in test_postgres_profile, with assets of its own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster import DagsterInstance

from haetae.lake import Lake
from haetae.media.ffmpeg import exe
from tests.infra.postgres_server import PASSWORD, Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def home(postgres: Postgres, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME on a database of this test's own."""
    database = "haetae_run"
    client = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGPASSWORD": PASSWORD}
    subprocess.run(
        [postgres.binaries / "createdb", "--username", "dagster", database], env=client, check=True
    )
    for name, value in {**postgres.environment, "DAGSTER_POSTGRES_DB": database}.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(repository / "infra" / "dagster.postgres.yaml", folder / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """One declared folder with one clip of a test pattern, and one file that is no media."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    pattern = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x240:rate=25",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=220",
    ]
    subprocess.run([exe(), "-v", "error", *pattern, "-t", "4", folder / "pattern.mp4"], check=True)
    (folder / "page.mp4").write_text("<!doctype html><title>not a film</title>")
    declared = {
        "id": "patterns",
        "uri": str(folder),
        "kind": "folder",
        "language": "other",
        "country": "SG",
        "use_case": "other",
        "licence": "CC0-1.0",
        "consent": {"basis": "synthetic", "ref": "made by this test"},
        "purposes": ["training"],
        "verdict": "real",
        "identities": [],
    }
    path = tmp_path / "sources.yaml"
    path.write_text(yaml.safe_dump([declared]))
    return path


def test_a_run_leaves_its_events_on_the_server_and_its_rows_in_the_lake(
    home: Path, sources: Path, tmp_path: Path
) -> None:
    command = [Path(sys.executable).with_name("haetae"), "--lake", tmp_path / "lake", "run"]
    ran = subprocess.run(
        [*command, "--sources", sources, "--until", "media"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-3000:]

    lake = Lake(tmp_path / "lake")
    assert [row["title"] for row in lake.rows("media")] != []
    assert [row["stage"] for row in lake.rows("quarantine")] == ["media"]
    assert not (tmp_path / "lake" / "dagster" / "history").exists(), "events were also written to SQLite"

    with DagsterInstance.from_config(str(home)) as instance:
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
        event = instance.get_latest_materialization_event(dg.AssetKey("media"))
        assert event is not None
        assert event.run_id in {run.run_id for run in instance.get_runs()}
        (batch,) = lake.partitions("media")
        assert instance.get_materialized_partitions(dg.AssetKey("media")) == {batch}
