"""infra/compose*.yaml against the Compose specification's schema, and against the rest of the repository.

No container is started here: what runs in them is tested where it lives.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(:[?-][^}]*)?\}")
OURS = "${HAETAE_IMAGE:-haetae:0.1.0}"
Compose = dict[str, Any]


def _schema_errors(path: Path) -> list[str]:
    asked = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "-o",
        "json",
        path,
    ]
    ran = subprocess.run(asked, capture_output=True, text=True)
    assert ran.stdout, ran.stderr
    report = json.loads(ran.stdout)
    problems = [*report.get("errors", []), *report.get("parse_errors", [])]
    assert (report["status"] == "ok") == (not problems)
    return [f"{problem.get('path')}: {problem.get('message')}" for problem in problems]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_the_compose_schema_accepts_the_file(repository: Path, name: str) -> None:
    assert _schema_errors(repository / "infra" / name) == []


def test_the_compose_schema_would_refuse_a_misspelt_key(repository: Path, tmp_path: Path) -> None:
    text = (repository / "infra" / "compose.yaml").read_text()
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(text.replace("start_period:", "start_perod:", 1))
    assert any("start_perod" in error for error in _schema_errors(wrong))


def test_everything_that_the_deployment_needs_is_a_service(compose: Compose) -> None:
    assert set(compose["services"]) == {
        *("postgres", "objects", "buckets", "mlflow", "instance"),
        *("code", "webserver", "daemon", "ray-head", "ray-worker"),
    }


def test_a_service_waits_only_for_what_can_become_healthy_or_end(compose: Compose) -> None:
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services, f"{name} waits for {needed}, which is not there"
            if how["condition"] == "service_healthy":
                assert services[needed].get("healthcheck", {}).get("test"), f"{needed} cannot become healthy"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert services[needed]["restart"] == "no", f"{needed} would start again instead of ending"


def test_no_service_waits_for_itself(compose: Compose) -> None:
    waits = {name: set(service.get("depends_on", {})) for name, service in compose["services"].items()}
    while ready := {name for name, needed in waits.items() if not needed & set(waits)}:
        waits = {name: needed for name, needed in waits.items() if name not in ready}
    assert waits == {}, f"these wait for each other: {sorted(waits)}"


def test_every_volume_and_network_is_declared_and_used(compose: Compose) -> None:
    mounts = [m.split(":")[0] for s in compose["services"].values() for m in s.get("volumes", [])]
    assert {m for m in mounts if not m.startswith((".", "/"))} == set(compose["volumes"])
    joined = {network for service in compose["services"].values() for network in service["networks"]}
    assert joined == set(compose["networks"])


def test_files_that_are_mounted_exist(repository: Path, compose: Compose) -> None:
    mounts = [m.split(":")[0] for s in compose["services"].values() for m in s.get("volumes", [])]
    files = [m for m in mounts if m.startswith(".")]
    assert files
    assert [f for f in files if not (repository / "infra" / f).is_file()] == []


def test_services_that_speak_to_each_other_share_a_network(compose: Compose) -> None:
    services = compose["services"]
    for name, service in services.items():
        said = json.dumps([service.get("environment", {}), service.get("command", [])])
        hosts = {host for host in services if re.search(rf"(//|@|\"|=){re.escape(host)}(:|\")", said)} - {
            name
        }
        for host in hosts | set(service.get("depends_on", {})) - {"instance", "buckets"}:
            assert set(service["networks"]) & set(services[host]["networks"]), f"{name} cannot reach {host}"


def test_only_the_two_user_interfaces_are_published_and_only_on_this_host(compose: Compose) -> None:
    published = {
        name: service["ports"] for name, service in compose["services"].items() if "ports" in service
    }
    assert set(published) == {"webserver", "mlflow"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_storage_has_no_way_out(compose: Compose) -> None:
    assert compose["networks"]["storage"]["internal"] is True
    for name in ("postgres", "objects"):
        assert compose["services"][name]["networks"] == ["storage"]


def test_foreign_images_are_pinned_and_ours_drop_every_privilege(compose: Compose) -> None:
    for name, service in compose["services"].items():
        if service["image"] == OURS:
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
        else:
            tag = service["image"].partition(":")[2]
            assert re.match(r"v?\d+(\.\d+)*", tag), f"{name}: {service['image']} is not pinned to a version"


def test_every_service_has_a_limit_on_memory_and_processors(compose: Compose) -> None:
    for name, service in compose["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory"}, name


def test_the_example_environment_names_exactly_the_variables_that_are_used(repository: Path) -> None:
    text = (repository / "infra" / "compose.yaml").read_text()
    used = dict(VARIABLE.findall(text))
    example = dict(
        line.split("=", 1)
        for line in (repository / "infra" / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert set(example) == set(used)
    for name, value in example.items():
        required = used[name].startswith(":?")
        assert required == (value == ""), (
            f"{name}: required ones are left empty, the others show their default"
        )
        if not required:
            assert used[name] == f":-{value}"


def test_no_secret_has_a_value_in_the_repository(compose: Compose) -> None:
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN$|ACCESS_KEY", variable):
                assert VARIABLE.fullmatch(str(value)), f"{name}: {variable} is written out"


def test_every_variable_of_dagsters_storage_is_set_where_dagster_runs(
    repository: Path, compose: Compose
) -> None:
    asked = set(re.findall(r"env: (\w+)", (repository / "infra" / "dagster.postgres.yaml").read_text()))
    asked |= set(re.findall(r"env: (\w+)", (repository / "infra" / "workspace.yaml").read_text()))
    assert asked
    for name in ("instance", "code", "webserver", "daemon"):
        assert asked <= set(compose["services"][name]["environment"]), name


def test_what_our_services_start_is_installed_by_the_lock(compose: Compose) -> None:
    scripts = Path(sys.executable).parent
    for name, service in compose["services"].items():
        if service["image"] != OURS:
            continue
        starts = [service.get("command", ["dagster"])[0]]
        check = service.get("healthcheck", {})
        starts += check["test"][1:2] if "test" in check else []
        assert [s for s in starts if not (scripts / s).exists()] == [], name


def test_the_lock_holds_what_the_addresses_ask_for(compose: Compose, lock: dict[str, str]) -> None:
    mlflow = compose["services"]["mlflow"]["environment"]
    assert mlflow["MLFLOW_BACKEND_STORE_URI"].startswith("postgresql+psycopg2://")
    assert "psycopg2-binary" in lock
    assert mlflow["MLFLOW_ARTIFACTS_DESTINATION"].startswith("s3://")
    assert "boto3" in lock, "MLflow reaches S3 through boto3: add the extra s3 and run make lock"
    assert "dagster-postgres" in lock
    assert "ray" in lock


def test_the_bucket_of_mlflow_is_the_one_that_is_made(compose: Compose) -> None:
    bucket = compose["services"]["mlflow"]["environment"]["MLFLOW_ARTIFACTS_DESTINATION"].removeprefix(
        "s3://"
    )
    assert f"s3.bucket.create -name {bucket}'" in compose["services"]["buckets"]["command"][0]


def test_the_gpu_file_extends_services_that_exist(repository: Path, compose: Compose) -> None:
    extra = yaml.safe_load((repository / "infra" / "compose.gpu.yaml").read_text())
    assert set(extra["services"]) <= set(compose["services"])
    for service in extra["services"].values():
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]


def test_a_file_with_real_secrets_is_never_committed(repository: Path) -> None:
    asked = ["git", "check-ignore", "--no-index", "infra/.env", "infra/.env.example"]
    ignored = subprocess.run(asked, cwd=repository, capture_output=True, text=True).stdout.split()
    assert ignored == ["infra/.env"]
