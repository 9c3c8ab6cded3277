"""The Dagster instance that lives beside a lake, and what a killed command left behind in it.

What runs on the instance is not known here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from haetae.errors import UsageError
from haetae.lake import Lake

PROCESS_TAG = "haetae/process"
NO_COMPUTE_LOGS = {
    "module": "dagster._core.storage.noop_compute_log_manager",
    "class": "NoOpComputeLogManager",
}
_UNFINISHED = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED]


def process_tag() -> dict[str, str]:
    """The run tag that tells which process of which machine works on a run."""
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}


@contextmanager
def instance_of(lake: Lake) -> Iterator[dg.DagsterInstance]:
    """The instance at DAGSTER_HOME, or below the lake's own `dagster` folder, which is made when missing.

    Runs of commands that were killed are closed first, so that they hold no pool slot and show as failed.
    """
    home = Path(os.environ["DAGSTER_HOME"]) if os.environ.get("DAGSTER_HOME") else prepare_home(lake)
    # The command shows its own progress; capturing its output would only start helpers that outlive a Ctrl-C.
    ref = InstanceRef.from_dir(str(home), overrides={"compute_logs": NO_COMPUTE_LOGS})
    with dg.DagsterInstance.from_ref(ref) as instance:
        _close_orphans(instance)
        yield instance


def prepare_home(lake: Lake) -> Path:
    """`<lake>/dagster` with its dagster.yaml."""
    home = lake.local_path("dagster")
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(_template(), home / "dagster.yaml")
    return home


@contextmanager
def only_writer(lake: Lake) -> Iterator[None]:
    """Hold the lake's run lock. Raises: UsageError when another command holds it."""
    path = lake.local_path("run.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UsageError(
                f"another `haetae run` (process {file.read().strip() or 'unknown'}) works on {lake.root};"
                " wait for it to end, or give another --lake"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _template() -> Path:
    packaged = Path(__file__).with_name("dagster.local.yaml")
    return packaged if packaged.exists() else Path(__file__).parent.parent / "infra" / "dagster.local.yaml"


def _close_orphans(instance: dg.DagsterInstance) -> None:
    """Fail the runs of this machine whose command is gone."""
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        host, _, pid = run.tags.get(PROCESS_TAG, "").rpartition(":")
        if host != socket.gethostname() or _is_running(int(pid)):
            continue
        instance.report_run_failed(run, "the command that ran it was ended; running it again does the rest")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()
