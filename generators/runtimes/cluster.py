"""A Kubernetes Job that answers the requests of an exchange folder, as a manifest; nothing is sent from here.

The exchange folder lies on the volume of the lake, which the Job mounts: read-only, but for the results. The same
worker under the same guard runs in it; the code comes along in the folder, so the image needs only the plug-in,
numpy, pydantic and, to report, dagster-pipes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generators.protocol import Card
from generators.runtimes.commands import WORKER, Command, Resources, guard_arguments, lay_code
from generators.runtimes.exchange import Exchange
from haetae.errors import UsageError
from haetae.provenance.ids import digest

Manifest = dict[str, Any]
CODE = "packages"
KEEP_FINISHED_S = 3600
START_UP_S = 1800
"""Time to find a node and pull an image, beyond that of the work."""


@dataclass(frozen=True)
class Cluster:
    """Where Jobs run. claim: the lake's volume claim, mounted at `lake` by whoever reads and writes the folder."""

    namespace: str = "haetae"
    claim: str = "haetae-lake"
    lake: Path = Path("/lake")
    user: int = 10001
    gpu_pool: str = "gpu"
    tmp_gib: int = 4


def job_manifest(
    card: Card, image: str, exchange: Exchange, resources: Resources, cluster: Cluster | None = None
) -> Manifest:
    """A `batch/v1` Job for the planned requests; the code that it needs is laid into the exchange folder.

    image: with a tag or, better, a digest. Raises: UsageError for an exchange folder that is not on the lake's
    volume.
    """
    cluster = cluster or Cluster()
    lay_code(exchange.folder / CODE, copied=True)
    name = f"haetae-{card.name.replace('_', '-')[:30]}-{digest(card.key, str(exchange.folder))[:12]}"
    labels = {"app.kubernetes.io/name": "haetae-generator", "haetae.io/generator": card.name}
    most_s = START_UP_S + resources.load_s + resources.request_s * max(1, len(exchange.asked()))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": cluster.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": math.ceil(most_s),
            "ttlSecondsAfterFinished": KEEP_FINISHED_S,
            "template": {
                "metadata": {"labels": labels},
                "spec": _pod(card, image, exchange, resources, cluster),
            },
        },
    }


def network_policy(cluster: Cluster | None = None) -> Manifest:
    """A NetworkPolicy by which the pods of generators reach nothing and are reached by nobody."""
    cluster = cluster or Cluster()
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "haetae-generators", "namespace": cluster.namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "haetae-generator"}},
            "policyTypes": ["Ingress", "Egress"],
        },
    }


def _pod(card: Card, image: str, exchange: Exchange, resources: Resources, cluster: Cluster) -> Manifest:
    where = _on_the_volume(exchange.folder, cluster)
    device = "cuda" if resources.gpus else "cpu"
    folder = cluster.lake / where
    worker = Command(
        ["python", *WORKER, "run", str(folder), card.key, "--device", device],
        {"PYTHONPATH": str(folder / CODE)},
        bounded=True,
    )
    limits: dict[str, str] = {"memory": str(resources.memory_bytes), "cpu": f"{resources.cpus:g}"}
    limits |= {"nvidia.com/gpu": str(resources.gpus)} if resources.gpus else {}
    container = {
        "name": "worker",
        "image": image,
        "command": ["python"],
        "args": guard_arguments(folder / "results", folder / "results" / "ended.json", worker, resources),
        "env": [
            {"name": name, "value": value}
            for name, value in (("PYTHONPATH", str(folder / CODE)), ("HOME", "/tmp"), ("TMPDIR", "/tmp"))  # noqa: S108 - the pod's own
        ],
        "resources": {"limits": limits, "requests": limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "lake", "mountPath": str(folder), "subPath": str(where), "readOnly": True},
            {"name": "lake", "mountPath": str(folder / "results"), "subPath": str(where / "results")},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": cluster.user,
            "runAsGroup": cluster.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "lake", "persistentVolumeClaim": {"claimName": cluster.claim}},
            {"name": "tmp", "emptyDir": {"sizeLimit": f"{cluster.tmp_gib}Gi"}},
        ],
        **_gpu_nodes(resources, cluster),
    }


def _gpu_nodes(resources: Resources, cluster: Cluster) -> Manifest:
    if not resources.gpus:
        return {}
    return {
        "nodeSelector": {"haetae.io/pool": cluster.gpu_pool},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    }


def _on_the_volume(folder: Path, cluster: Cluster) -> Path:
    try:
        return folder.resolve().relative_to(cluster.lake.resolve())
    except ValueError:
        raise UsageError(
            f"{folder} is not below {cluster.lake}, where the volume {cluster.claim} is mounted, so a Job"
            " cannot reach it; run this beside the lake of the cluster"
        ) from None
