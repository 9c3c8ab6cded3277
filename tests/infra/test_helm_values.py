"""infra/helm/*.values.yaml: field names against our own strict schema of Dagster's chart, and the pods that
they describe against the Kubernetes client's models.

The schema's names follow the chart's published values; nothing is sent to a cluster.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

Values = dict[str, Any]


def _values(repository: Path, name: str) -> Values:
    content: Values = yaml.safe_load((repository / "infra" / "helm" / name).read_text())
    return content


@pytest.fixture(scope="module")
def dagster(repository: Path) -> Values:
    return _values(repository, "values.yaml")


@pytest.fixture(scope="module")
def schema(repository: Path) -> Values:
    content: Values = json.loads(
        (repository / "tests" / "infra" / "schemas" / "dagster-helm-values.schema.json").read_text()
    )
    return content


def _launcher(values: Values) -> Values:
    launcher: Values = values["runLauncher"]["config"]["k8sRunLauncher"]
    return launcher


def test_the_charts_schema_accepts_our_values(dagster: Values, schema: Values) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(dagster, schema)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("dagsterDaemon", "runMonitoring", "freeSlotsAfterRunEndSecond"), 60),
        (("concurrency", "pools", "granularity"), "step"),
        (("runLauncher", "type"), "DefaultRunLauncher"),
        (("dagster-user-deployments", "deployments", 0, "image", "tag"), ""),
        (("telemetry", "enabled"), True),
    ],
)
def test_the_charts_schema_would_refuse_a_slip(
    dagster: Values, schema: Values, path: tuple[Any, ...], value: object
) -> None:
    wrong: Any = copy.deepcopy(dagster)
    inner = wrong
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_the_run_launcher_of_dagster_accepts_what_the_chart_renders(dagster: Values) -> None:
    from dagster._config import process_config, resolve_to_config_type
    from dagster_k8s import K8sRunLauncher

    given = _launcher(dagster)
    rendered = {
        "load_incluster_config": given["loadInclusterConfig"],
        "image_pull_policy": given["imagePullPolicy"],
        "fail_pod_on_run_failure": given["failPodOnRunFailure"],
        "job_namespace": "haetae",
        "service_account_name": "dagster",
        "dagster_home": "/opt/dagster/dagster_home",
        "instance_config_map": "dagster-instance",
        "postgres_password_secret": dagster["global"]["postgresqlSecretName"],
        "env_secrets": [secret["name"] for secret in given["envSecrets"]],
        "volumes": given["volumes"],
        "volume_mounts": given["volumeMounts"],
        "run_k8s_config": {_snake(key): value for key, value in given["runK8sConfig"].items()},
    }
    checked = process_config(resolve_to_config_type(K8sRunLauncher.config_type()), rendered)
    assert checked.success, checked.errors


def test_a_run_is_one_pod_with_one_gpu_and_the_lake(dagster: Values) -> None:
    given = _launcher(dagster)
    (deployment,) = dagster["dagster-user-deployments"]["deployments"]
    pod = _run_pod(given)
    (container,) = pod.containers

    assert container.resources.limits == {"memory": "32Gi", "nvidia.com/gpu": "1"}
    assert pod.node_selector == {"haetae.io/pool": "gpu"}
    assert [(t.key, t.operator, t.effect) for t in pod.tolerations] == [
        ("nvidia.com/gpu", "Exists", "NoSchedule")
    ]
    assert pod.security_context.run_as_non_root
    mounts = {mount.mount_path: mount.name for mount in container.volume_mounts}
    assert {"/lake", "/dev/shm"} <= set(mounts)
    assert set(mounts.values()) <= {volume.name for volume in pod.volumes}
    environment = {variable.name: variable.value for variable in container.env}
    assert {one["name"]: one["value"] for one in deployment["env"]}.items() <= environment.items()
    assert "haetae-runtime" in {source.secret_ref.name for source in container.env_from if source.secret_ref}


def test_the_code_locations_small_limits_do_not_reach_the_runs(dagster: Values) -> None:
    (deployment,) = dagster["dagster-user-deployments"]["deployments"]
    assert deployment["includeConfigInLaunchedRuns"] == {"enabled": False}
    assert deployment["resources"]["limits"]["memory"] == "4Gi"


def test_the_gpu_queue_admits_as_many_steps_as_runs(dagster: Values) -> None:
    concurrency = dagster["concurrency"]
    assert concurrency["pools"]["defaultLimit"] == concurrency["runs"]["maxConcurrentRuns"]
    queue = dagster["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert "maxConcurrentRuns" not in queue, "the chart refuses the limit in two places"


def test_the_code_location_is_ours_and_shares_the_lake(
    repository: Path, dagster: Values, lock: dict[str, str]
) -> None:
    from kubernetes import client

    (deployment,) = dagster["dagster-user-deployments"]["deployments"]
    dockerfile = (repository / "infra" / "Dockerfile").read_text()
    assert deployment["dagsterApiGrpcArgs"] == ["-m", "dagster_project.definitions"]
    assert '"dagster_project.definitions"' in dockerfile
    assert str(deployment["podSecurityContext"]["runAsUser"]) == re.findall(r"--uid (\d+)", dockerfile)[0]
    environment = {one["name"]: one["value"] for one in deployment["env"]}
    mounts = {mount["mountPath"] for mount in deployment["volumeMounts"]}
    assert environment["HAETAE_LAKE"] in mounts
    for volume in deployment["volumes"]:
        assert _model(client.V1Volume, volume).persistent_volume_claim.claim_name == "haetae-lake"
    assert "dagster-k8s" in lock, "a run's pod imports dagster-k8s: add the extra k8s and run make lock"
    assert "dagster-postgres" in lock


def test_database_names_are_those_that_our_script_makes(repository: Path, dagster: Values) -> None:
    script = (repository / "infra" / "postgres" / "create-databases.sh").read_text()
    mlflow = _values(repository, "mlflow.values.yaml")
    assert f"CREATE DATABASE {mlflow['backendStore']['postgres']['database']} " in script
    assert mlflow["backendStore"]["postgres"]["host"] == dagster["postgresql"]["postgresqlHost"]
    assert dagster["postgresql"]["enabled"] is False
    assert dagster["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"


def test_every_chart_starts_the_same_image_under_names_that_the_others_use(
    repository: Path, dagster: Values
) -> None:
    mlflow = _values(repository, "mlflow.values.yaml")
    ray = _values(repository, "ray-cluster.values.yaml")
    (deployment,) = dagster["dagster-user-deployments"]["deployments"]
    assert mlflow["image"] == ray["image"] == deployment["image"]
    environment = {one["name"]: one["value"] for one in deployment["env"]}
    assert (
        environment["MLFLOW_TRACKING_URI"]
        == f"http://{mlflow['fullnameOverride']}:{mlflow['service']['port']}"
    )
    assert environment["RAY_ADDRESS"] == f"http://{ray['fullnameOverride']}-head-svc:8265"
    assert mlflow["fullnameOverride"] in mlflow["extraEnvVars"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")


def test_ray_runs_the_locked_version_and_its_gpu_group_starts_empty(
    repository: Path, lock: dict[str, str]
) -> None:
    from kubernetes import client

    ray = _values(repository, "ray-cluster.values.yaml")
    assert ray["head"]["rayVersion"] == lock["ray"]
    gpu = ray["additionalWorkerGroups"]["gpu"]
    assert (gpu["minReplicas"], gpu["replicas"]) == (0, 0)
    assert gpu["resources"]["limits"]["nvidia.com/gpu"] == 1
    for group in (ray["head"], ray["worker"], gpu):
        claims = [_model(client.V1Volume, volume) for volume in group["volumes"]]
        assert {mount["name"] for mount in group["volumeMounts"]} == {claim.name for claim in claims}
        _model(client.V1ResourceRequirements, group["resources"])


def _run_pod(given: Values) -> Any:
    """The pod specification that Dagster makes for a run, as the Kubernetes client reads it."""
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job

    context = K8sContainerContext(
        env_secrets=[secret["name"] for secret in given["envSecrets"]],
        volumes=given["volumes"],
        volume_mounts=given["volumeMounts"],
        run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(
            {_snake(key): value for key, value in given["runK8sConfig"].items()}
        ),
    )
    job = construct_dagster_k8s_job(
        job_config=DagsterK8sJobConfig(job_image="haetae:0.1.0", dagster_home="/opt/dagster/dagster_home"),
        args=["dagster", "api", "execute_run"],
        job_name="dagster-run",
        pod_name="dagster-run",
        component="run_worker",
        user_defined_k8s_config=context.run_k8s_config,
    )
    assert job.spec.ttl_seconds_after_finished > 0
    return job.spec.template.spec


def _model(kind: type[Any], content: Values) -> Any:
    """As the Kubernetes client reads it. Raises for a field that Kubernetes does not know."""
    from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict

    return k8s_model_from_dict(kind, k8s_snake_case_dict(kind, content))


def _snake(name: str) -> str:
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
