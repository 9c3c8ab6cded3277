"""dvc.yaml as DVC reads it: its stages, what each depends on, and what a changed knob makes stale.

What the stages do when they run is tested with the command line and the assets.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from haetae.lake import Lake
from haetae.lake.lake import Lineage

ORDER = ["fakes", "snapshot", "champion"]


def _dvc(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", "dvc", *arguments]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, f"dvc {' '.join(arguments)}:\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def pipeline(repository: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((repository / "dvc.yaml").read_text())
    return content


@pytest.fixture
def copy(repository: Path, pipeline: dict[str, Any], tmp_path: Path) -> Path:
    """A DVC repository with our dvc.yaml and params.yaml, and a small file for each dependency and output."""
    _dvc(tmp_path, "init", "--no-scm", "--quiet")
    shutil.copy(repository / ".dvc" / "config", tmp_path / ".dvc" / "config")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(repository / name, tmp_path / name)
    with (tmp_path / ".dvc" / "config").open("a") as config:
        config.write("    no_scm = True\n")
    for stage in pipeline["stages"].values():
        outputs = [path for out in stage["outs"] for path in out]
        for path in (*stage["deps"], *outputs):
            inside = path if Path(path).suffix else f"{path}/part.parquet"
            (tmp_path / inside).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / inside).write_text(path)
        for metric in stage.get("metrics", []):
            for path in metric:
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).write_text(json.dumps({"pooled": {"auc": {"all": 0.75}}}))
    return tmp_path


def test_every_stage_watches_sections_that_params_yaml_has(
    repository: Path, pipeline: dict[str, Any]
) -> None:
    params = yaml.safe_load((repository / "params.yaml").read_text())
    named = {name for stage in pipeline["stages"].values() for name in stage["params"]}
    assert named <= set(params), f"not in params.yaml: {sorted(named - set(params))}"
    assert set(params) - named <= {"engine", "sample", "marks"}, (
        "a knob that changes results is watched by no stage"
    )


def test_what_stages_depend_on_is_in_the_repository(repository: Path, pipeline: dict[str, Any]) -> None:
    outputs = {path for stage in pipeline["stages"].values() for out in stage["outs"] for path in out}
    needed = (
        {path for stage in pipeline["stages"].values() for path in stage["deps"]} - outputs - {"sources.yaml"}
    )
    assert [path for path in sorted(needed) if not (repository / path).exists()] == []


def test_stages_name_tables_that_the_lake_declares(pipeline: dict[str, Any]) -> None:
    from haetae.lake.schema import TABLES

    outputs = {path for stage in pipeline["stages"].values() for out in stage["outs"] for path in out}
    assert {path.removeprefix("data/tables/") for path in outputs} <= set(TABLES)


@pytest.mark.slow
def test_a_changed_knob_makes_only_the_stages_that_read_it_stale(copy: Path) -> None:
    assert [line.split()[0] for line in _dvc(copy, "stage", "list").splitlines()] == ORDER
    graph = _dvc(copy, "dag", "--dot")
    assert '"fakes" -> "snapshot"' in graph
    assert '"snapshot" -> "champion"' in graph

    _dvc(copy, "commit", "--force", "--quiet")
    assert json.loads(_dvc(copy, "status", "--json")) == {}

    params = yaml.safe_load((copy / "params.yaml").read_text())
    params["detector"]["epochs"] += 1
    params["engine"]["workers"] += 1
    (copy / "params.yaml").write_text(yaml.safe_dump(params))
    assert set(json.loads(_dvc(copy, "status", "--json"))) == {"champion"}

    shown = json.loads(_dvc(copy, "metrics", "show", "--json"))
    assert shown[""]["data"]["data/report/metrics.json"]["data"]["pooled"]["auc"]["all"] == 0.75


def _row(table: str, **known: object) -> dict[str, object]:
    from haetae.lake.schema import TABLES

    return {column.name: known.get(column.name) for column in TABLES[table].columns}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two snapshots with a model each; the newer one has an undefined slice."""
    made = Lake(tmp_path / "lake")
    lineage = Lineage(asset="scorecard", run_id="r", code_version="c")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for age, (snapshot, auc) in enumerate([("s-new", 0.9), ("s-old", 0.6)]):
        then = start - timedelta(days=age)
        model = f"m-{snapshot}"
        made.write("snapshots", snapshot, [_row("snapshots", snapshot_id=snapshot, created_at=then)], lineage)
        made.write(
            "models",
            snapshot,
            [_row("models", model_id=model, snapshot_id=snapshot, trained_at=then)],
            lineage,
        )
        figures = [("all", auc), ("language=ko", None)]
        rows = [
            _row(
                "evaluations",
                model_id=model,
                snapshot_id=snapshot,
                protocol="pooled",
                metric="auc",
                slice=s,
                value=v,
            )
            for s, v in figures
        ]
        made.write("evaluations", snapshot, rows, lineage)
    return made


def _write_metrics(repository: Path, lake_root: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, repository / "infra" / "scorecard_metrics.py", lake_root, target]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True)


def test_the_metrics_file_is_the_newest_scorecard(repository: Path, lake: Lake, tmp_path: Path) -> None:
    target = tmp_path / "report" / "metrics.json"
    ran = _write_metrics(repository, tmp_path / "lake", target)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(target.read_text()) == {"pooled": {"auc": {"all": 0.9}}}


def test_a_lake_without_a_scorecard_is_told_what_to_run(repository: Path, tmp_path: Path) -> None:
    ran = _write_metrics(repository, tmp_path / "empty", tmp_path / "metrics.json")
    assert ran.returncode == 2
    assert "haetae --lake" in ran.stderr
    assert not (tmp_path / "metrics.json").exists()
