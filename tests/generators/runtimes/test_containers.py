"""Containers and Jobs are built from the same card and worker, with no way out and nothing to write but results.

No container is started: a program in the engine's place is given the arguments and runs the worker itself.
"""

from __future__ import annotations

import copy
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from generators import registry
from generators.protocol import Card, FakeRequest
from generators.runtimes.cluster import Cluster, job_manifest, network_policy
from generators.runtimes.commands import Resources, describe_command, worker_command
from generators.runtimes.drive import Drive, launch_process
from generators.runtimes.environments import Environment, declared, environment_of
from generators.runtimes.exchange import Exchange, Exchanged
from generators.verify import same
from haetae.errors import UsageError

Ask = Callable[..., FakeRequest]
Put = Callable[..., Exchange]
IMAGE = "registry.example/invert@sha256:" + "ab" * 32

ENGINE = """#!{python}
import os, sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    print(" ".join(arguments), file=log)
if arguments[0] == "rm":
    sys.exit(0)
at = arguments.index({image!r})
mounts = dict(
    part.split(",target=") for part in (a.removeprefix("--mount=type=bind,source=").removesuffix(",readonly")
    for a in arguments if a.startswith("--mount="))
)
code = os.path.dirname(mounts[next(m for m in mounts if m.endswith("/generators"))])
os.makedirs({code!r}, exist_ok=True)
for source, target in mounts.items():
    if target.startswith("/opt/haetae/") and not os.path.lexists({code!r} + target.removeprefix("/opt/haetae")):
        os.symlink(source, {code!r} + target.removeprefix("/opt/haetae"))
passed = {{n: os.environ[n] for n in ("DAGSTER_PIPES_CONTEXT", "DAGSTER_PIPES_MESSAGES") if n in os.environ}}
os.chdir("/")
os.execve({inner!r}, [{inner!r}, *arguments[at + 1:]], {{"PYTHONPATH": {code!r}, **passed}})
"""


@pytest.fixture
def engine(own_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that takes the arguments of `docker` and runs the worker in the example's environment.

    Returns the file in which it writes down what it was told.
    """
    for name in [one for one in os.environ if one.startswith(("HAETAE_ENV_", "HAETAE_IMAGE_"))]:
        monkeypatch.delenv(name)
    log, program = tmp_path / "told.txt", tmp_path / "fake-docker"
    program.write_text(
        ENGINE.format(
            python=sys.executable,
            log=str(log),
            image=IMAGE,
            inner=str(own_python),
            code=str(tmp_path / "code"),
        )
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("HAETAE_CONTAINER_ENGINE", str(program))
    monkeypatch.setenv("HAETAE_IMAGE_INVERT_PATCH", IMAGE)
    return log


def test_a_generator_in_an_image_is_found_asked_and_answers_as_here(
    engine: Path, ask: Ask, exchange_of: Put, example: type[Any]
) -> None:
    card = registry.find("invert_patch@1").card
    assert card.runtime == "container"
    environment = environment_of(card)
    assert environment.kind == "image"
    exchange = exchange_of(card, ask())
    Drive(exchange, card, environment, Resources(request_s=20, load_s=30), launch_process).run()
    assert same(Exchanged(exchange).generate(ask()), example().generate(ask())) is None
    told = engine.read_text().splitlines()
    names = [one.split("--name=")[1].split()[0] for one in told if one.startswith("run ")]
    assert [one for one in told if one.startswith("rm ")] == [f"rm --force {name}" for name in names]


def test_a_container_has_no_way_out_and_writes_nothing_but_results(
    engine: Path, ask: Ask, exchange_of: Put, example: type[Any]
) -> None:
    exchange = exchange_of(example.card, ask())
    resources = Resources(memory_bytes=3 << 30, cpus=1.5, gpus=1)
    (environment,) = declared()
    argv = worker_command(environment, example.card, exchange, resources).argv
    options = argv[2 : argv.index(IMAGE)]
    for option in (
        "--rm",
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--user={os.getuid()}:{os.getgid()}",
        f"--memory={3 << 30}",
        f"--memory-swap={3 << 30}",
        "--cpus=1.5",
        "--gpus=1",
        "--pids-limit=512",
    ):
        assert option in options
    writable = [one for one in options if one.startswith("--mount=") and not one.endswith(",readonly")]
    assert writable == [f"--mount=type=bind,source={exchange.results},target={exchange.results}"]
    assert not any("privileged" in one for one in options if one != "--security-opt=no-new-privileges")
    assert argv[argv.index(IMAGE) + 1 :] == [
        *("-m", "generators.runtimes.worker", "run", str(exchange.folder), "invert_patch@1"),
        *("--device", "cuda"),
    ]
    assert "--gpus=1" not in worker_command(environment, example.card, exchange, Resources()).argv


@pytest.mark.parametrize("image", ["--privileged", "an image", "a\nb"])
def test_what_is_no_image_becomes_no_option(engine: Path, tmp_path: Path, image: str) -> None:
    with pytest.raises(UsageError, match="no reference of an image"):
        describe_command(Environment("x", "image", image), tmp_path)


def test_without_a_container_engine_there_is_a_word_about_it(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAETAE_CONTAINER_ENGINE", "no-such-engine")
    with pytest.raises(UsageError, match="install docker or podman"):
        describe_command(Environment("x", "image", IMAGE), tmp_path)
    (problem,) = [p for p in registry.problems() if p.entry_point == "invert_patch"]
    assert "install docker or podman" in problem.message


def _read(manifest: dict[str, Any], kind: str) -> dict[str, Any]:
    """A manifest as the cluster's own models read it: what they do not know is left out."""
    client = ApiClient()

    class Answer:
        data = json.dumps(manifest)

    read = client.deserialize(Answer(), kind)  # type: ignore[no-untyped-call]
    found: dict[str, Any] = client.sanitize_for_serialization(read)  # type: ignore[no-untyped-call]
    return found


def _job(
    ask: Ask, exchange_of: Put, card: Card, tmp_path: Path, gpus: int = 0
) -> tuple[dict[str, Any], Exchange]:
    exchange = exchange_of(card, ask(), ask(clip_id="clip-b"))
    cluster = Cluster(lake=tmp_path)
    return job_manifest(card, IMAGE, exchange, Resources(gpus=gpus, memory_bytes=2 << 30), cluster), exchange


def test_a_job_is_what_the_clusters_own_models_know(
    ask: Ask, exchange_of: Put, example: type[Any], tmp_path: Path
) -> None:
    job, _ = _job(ask, exchange_of, example.card, tmp_path, gpus=1)
    assert _read(job, "V1Job") == job
    assert _read(network_policy(), "V1NetworkPolicy") == network_policy()
    wrong = copy.deepcopy(job)
    wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRoot"] = True
    assert _read(wrong, "V1Job") != wrong, "the check would pass anything"
    missing = copy.deepcopy(job)
    del missing["spec"]["template"]["spec"]["containers"]
    with pytest.raises(ValueError, match="containers"):
        _read(missing, "V1Job")


def test_a_job_may_do_no_more_than_a_container(
    ask: Ask, exchange_of: Put, example: type[Any], tmp_path: Path
) -> None:
    job, exchange = _job(ask, exchange_of, example.card, tmp_path)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] == 1800 + 600 + 2 * 900
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"] == {"memory": str(2 << 30), "cpu": "1"}
    writable = [one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")]
    assert writable == [str(exchange.results), "/tmp"]
    assert "nodeSelector" not in pod
    policy = network_policy()["spec"]
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert "egress" not in policy
    with pytest.raises(UsageError, match="is not below"):
        job_manifest(example.card, IMAGE, exchange, Resources(), Cluster(lake=tmp_path / "other"))


def test_the_command_of_a_job_answers_its_requests_where_only_its_mounts_are(
    own_python: Path, ask: Ask, exchange_of: Put, example: type[Any], tmp_path: Path
) -> None:
    """The Job's own arguments, with the example's interpreter in the image's place and the code of the folder."""

    def launch(_: object) -> None:
        job = job_manifest(example.card, IMAGE, exchange, Resources(), Cluster(lake=tmp_path))
        (container,) = job["spec"]["template"]["spec"]["containers"]
        env = {one["name"]: one["value"] for one in container["env"]}
        arguments = [str(own_python) if one == "python" else one for one in container["args"]]
        subprocess.run([str(own_python), *arguments], env=env, cwd=tmp_path, check=True)

    exchange = exchange_of(example.card, ask())
    Drive(exchange, example.card, Environment("x", "interpreter", str(own_python)), Resources(), launch).run()
    assert (exchange.folder / "packages" / "generators" / "protocol.py").is_file()
    assert not any(path.is_symlink() for path in (exchange.folder / "packages").rglob("*"))
    assert same(Exchanged(exchange).generate(ask()), example().generate(ask())) is None
