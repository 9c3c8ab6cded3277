"""The PostgreSQL profile, really run: Dagster's storage and MLflow's registry on a server started here.

Whether the files are well formed is tested beside this module, without a server.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterInstance

from tests.infra.postgres_server import PASSWORD, Postgres, free_port

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

MLFLOW_PASSWORD = "mlflowmadeforthistest"


@pytest.fixture(scope="module")
def databases(postgres: Postgres, repository: Path) -> Postgres:
    """The two databases, made as the PostgreSQL container makes them: POSTGRES_DB, then our script."""
    client = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGPASSWORD": PASSWORD}
    createdb = [postgres.binaries / "createdb", "--username", "dagster", "dagster"]
    subprocess.run(createdb, env=client, check=True)
    script = {"POSTGRES_USER": "dagster", "POSTGRES_DB": "dagster", "MLFLOW_DB_PASSWORD": MLFLOW_PASSWORD}
    for _ in range(2):
        subprocess.run(
            ["sh", repository / "infra" / "postgres" / "create-databases.sh"],
            env={**client, **script, "PATH": f"{postgres.binaries}:{os.environ['PATH']}"},
            check=True,
            capture_output=True,
        )
    return postgres


@pytest.fixture
def home(databases: Postgres, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME with the file that the image carries, and the variables that compose sets."""
    for name, value in databases.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copy(repository / "infra" / "dagster.postgres.yaml", tmp_path / "dagster.yaml")
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.from_config(str(home)) as made:
        yield made


batch = dg.DynamicPartitionsDefinition(name="profile_batch")


@dg.asset(partitions_def=batch, pool="encode")
def profile_media(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata={"rows": len(context.partition_key)})


@dg.asset(partitions_def=batch, deps=[profile_media])
def profile_clips(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    if context.partition_key == "broken":
        raise ValueError("a batch that cannot be cut")
    return dg.MaterializeResult(metadata={"rows": 3})


def test_runs_events_and_partitions_are_read_back_by_another_instance(
    instance: DagsterInstance, home: Path
) -> None:
    instance.add_dynamic_partitions("profile_batch", ["b1", "broken"])
    done = dg.materialize([profile_media, profile_clips], partition_key="b1", instance=instance)
    failed = dg.materialize(
        [profile_media, profile_clips], partition_key="broken", instance=instance, raise_on_error=False
    )

    with DagsterInstance.from_config(str(home)) as other:
        kinds = {
            type(store).__name__
            for store in (other.run_storage, other.event_log_storage, other.schedule_storage)
        }
        assert kinds == {"PostgresRunStorage", "PostgresEventLogStorage", "PostgresScheduleStorage"}
        assert set(other.get_dynamic_partitions("profile_batch")) == {"b1", "broken"}
        statuses = {run.run_id: run.status for run in other.get_runs()}
        assert statuses[done.run_id] is dg.DagsterRunStatus.SUCCESS
        assert statuses[failed.run_id] is dg.DagsterRunStatus.FAILURE
        assert other.get_materialized_partitions(profile_media.key) == {"b1", "broken"}
        assert other.get_materialized_partitions(profile_clips.key) == {"b1"}
        event = other.get_latest_materialization_event(profile_clips.key)
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata["rows"].value == 3


def test_the_instance_job_sets_the_pools_and_may_run_again(home: Path, repository: Path) -> None:
    environment = {**os.environ, "HAETAE_GPU_SLOTS": "2"}
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, repository / "infra" / "prepare_instance.py"],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr[-2000:]

    with DagsterInstance.from_config(str(home)) as instance:
        limits = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
        assert limits["gpu"] == 2
        assert limits["encode"] == 1
        config = instance.get_concurrency_config()
        assert config.pool_config.default_pool_limit == 1


def test_the_daemon_sees_run_monitoring_that_frees_the_slots_of_ended_runs(instance: DagsterInstance) -> None:
    assert instance.run_monitoring_enabled
    assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] == 60
    assert not instance.telemetry_enabled
    assert type(instance.run_launcher).__name__ == "DefaultRunLauncher"


def test_mlflow_keeps_runs_and_the_champion_alias_on_the_same_server(
    databases: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    store = databases.url("mlflow", MLFLOW_PASSWORD, "mlflow")
    before = mlflow.get_tracking_uri()
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(store)
    try:
        mlflow.create_experiment("profile", artifact_location=(tmp_path / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=mlflow.get_experiment_by_name("profile").experiment_id) as run:
            mlflow.log_metric("auc", 0.875)
            mlflow.log_param("backbone", "haetae_small")
            mlflow.log_text("weights", "model/weights.txt")
        client = mlflow.MlflowClient()
        client.create_registered_model("haetae-detector")
        for _ in range(2):
            client.create_model_version("haetae-detector", f"{run.info.artifact_uri}/model", run.info.run_id)
        client.set_registered_model_alias("haetae-detector", "champion", "1")
        client.set_registered_model_alias("haetae-detector", "champion", "2")

        other = mlflow.MlflowClient(tracking_uri=store, registry_uri=store)
        assert other.get_run(run.info.run_id).data.metrics == {"auc": 0.875}
        champion = other.get_model_version_by_alias("haetae-detector", "champion")
        assert str(champion.version) == "2"
        assert champion.run_id == run.info.run_id
    finally:
        mlflow.set_tracking_uri(before)


def test_mlflows_role_cannot_enter_dagsters_tables(databases: Postgres, home: Path) -> None:
    import psycopg2

    with DagsterInstance.from_config(str(home)):
        pass
    where = {"host": "127.0.0.1", "port": databases.port, "user": "mlflow", "password": MLFLOW_PASSWORD}
    connection = psycopg2.connect(dbname="dagster", **where)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        connection.cursor().execute("SELECT * FROM runs")
    connection.close()


@pytest.fixture(scope="module")
def tracking_server(
    databases: Postgres, compose: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The `mlflow` service of infra/compose.yaml as a process; artifacts go to a folder."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    port = free_port()
    service = compose["services"]["mlflow"]
    command = [*service["command"]]
    command[command.index("0.0.0.0")] = "127.0.0.1"
    command[command.index("5000")] = str(port)
    command[command.index("--workers") + 1] = "1"
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": databases.url("mlflow", MLFLOW_PASSWORD, "mlflow"),
        "MLFLOW_ARTIFACTS_DESTINATION": (folder / "artifacts").as_uri(),
        "MLFLOW_SERVER_ALLOWED_HOSTS": service["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"],
    }
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [Path(sys.executable).with_name("mlflow"), *command[1:]],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        for _ in range(90):
            if server.poll() is not None or _answers(port):
                break
            try:
                server.wait(timeout=1)
            except subprocess.TimeoutExpired:
                continue
        assert _answers(port), (folder / "log").read_text()[-3000:]
        yield port
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(timeout=20)


def test_the_tracking_server_answers_the_name_that_compose_gives_it(tracking_server: int) -> None:
    asked = _search(tracking_server, host="mlflow:5000")
    names = [experiment["name"] for experiment in asked["experiments"]]
    assert "Default" in names


def test_the_tracking_server_refuses_a_name_it_was_not_told_of(tracking_server: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        _search(tracking_server, host="elsewhere.example:5000")
    assert refused.value.code == 403


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _search(port: int, host: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=10"
    request = urllib.request.Request(url, headers={"Host": host})
    with urllib.request.urlopen(request, timeout=20) as reply:
        found: dict[str, Any] = json.load(reply)
        return found
