"""infra/dagster.*.yaml against Dagster's own configuration schema, and what we rely on in them.

That the PostgreSQL one works is shown on a running server, in test_postgres_profile.
"""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.errors import DagsterInvalidConfigError
from dagster._core.instance.config import dagster_instance_config
from dagster._core.workspace.config_schema import process_workspace_config

POSTGRES_VARIABLES = {
    "DAGSTER_POSTGRES_HOST",
    "DAGSTER_POSTGRES_PORT",
    "DAGSTER_POSTGRES_USER",
    "DAGSTER_POSTGRES_PASSWORD",
    "DAGSTER_POSTGRES_DB",
}


@pytest.fixture(params=["dagster.local.yaml", "dagster.postgres.yaml"])
def settings(
    request: pytest.FixtureRequest, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A file's settings as Dagster reads them: validated, with its defaults filled in."""
    for name in POSTGRES_VARIABLES:
        monkeypatch.setenv(name, "5432")
    validated, _ = dagster_instance_config(str(repository / "infra"), request.param)
    return dict(validated)


def test_dagster_accepts_the_file_and_frees_the_pool_slots_of_ended_runs(settings: dict[str, Any]) -> None:
    monitoring = settings["run_monitoring"]
    assert monitoring["enabled"] is True
    assert monitoring["free_slots_after_run_end_seconds"] == 60
    assert monitoring["max_runtime_seconds"] >= 3600


def test_a_pool_that_nobody_configured_lets_one_step_in_at_a_time(settings: dict[str, Any]) -> None:
    assert settings["concurrency"]["pools"] == {"granularity": "op", "default_limit": 1}
    assert 1 <= settings["concurrency"]["runs"]["max_concurrent_runs"] <= 10


def test_nothing_is_sent_home_and_skipped_ticks_are_purged(settings: dict[str, Any]) -> None:
    assert settings["telemetry"] == {"enabled": False}
    assert settings["retention"]["sensor"]["purge_after_days"]["skipped"] <= 7


def test_a_misspelt_key_would_be_refused(repository: Path, tmp_path: Path) -> None:
    text = (repository / "infra" / "dagster.local.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(
        text.replace("free_slots_after_run_end_seconds", "free_slots_after_seconds")
    )
    with pytest.raises(DagsterInvalidConfigError, match="free_slots_after_seconds"):
        dagster_instance_config(str(tmp_path))


@dg.asset(pool="gpu")
def needs_a_gpu() -> None:
    return None


def test_the_local_instance_keeps_runs_in_sqlite_below_its_home(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text((repository / "infra" / "dagster.local.yaml").read_text())
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        done = dg.materialize([needs_a_gpu], instance=instance)
    with DagsterInstance.from_config(str(tmp_path)) as again:
        assert [run.run_id for run in again.get_runs()] == [done.run_id]
        assert again.get_latest_materialization_event(needs_a_gpu.key) is not None
        assert again.get_concurrency_config().pool_config.default_pool_limit == 1
    assert list(tmp_path.rglob("*.db")), "the storage is not SQLite below the instance's own folder"


def test_the_postgres_file_takes_every_credential_from_the_environment(repository: Path) -> None:
    settings = yaml.safe_load((repository / "infra" / "dagster.postgres.yaml").read_text())
    database = settings["storage"]["postgres"]["postgres_db"]
    named = {value["env"] for value in database.values() if isinstance(value, dict) and "env" in value}
    assert named == POSTGRES_VARIABLES


def test_every_pool_that_an_asset_is_in_is_explained(repository: Path) -> None:
    code = "".join(file.read_text() for file in (repository / "assets").glob("*.py"))
    used = set(re.findall(r'pool="(\S+?)"', code))
    guide = (repository / "infra" / "README.md").read_text()
    explained = set(re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE))
    assert used
    assert used <= explained


def test_the_workspace_names_the_code_location_by_its_service(
    repository: Path, compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = compose["services"]["webserver"]["environment"]["HAETAE_CODE_HOST"]
    assert host in compose["services"]
    monkeypatch.setenv("HAETAE_CODE_HOST", host)
    workspace = yaml.safe_load((repository / "infra" / "workspace.yaml").read_text())
    checked = process_workspace_config(workspace)
    assert checked.success, checked.errors
    (location,) = workspace["load_from"]
    serves = (repository / "infra" / "Dockerfile").read_text()
    assert f'"-p", "{location["grpc_server"]["port"]}", "-m", "dagster_project.definitions"' in serves
