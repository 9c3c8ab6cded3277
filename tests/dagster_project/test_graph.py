"""The graph itself: every change to it shows here, and loading it is cheap."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import dagster as dg
import pytest

from tests.conftest import REPOSITORY

PICTURE = REPOSITORY / "tests" / "dagster_project" / "graph.json"


def graph() -> dict[str, dict[str, Any]]:
    """Every asset with what it reads, its partitions, condition, checks and what the page shows of it."""
    from dagster_project.definitions import defs

    assets = defs.resolve_asset_graph()
    checks = sorted(assets.asset_check_keys, key=str)
    found = {}
    for key in sorted(assets.get_all_asset_keys(), key=str):
        node = assets.get(key)
        condition = node.automation_condition
        found[key.to_user_string()] = {
            "reads": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitions": _partitions(node.partitions_def),
            "condition": condition.get_label() if condition else None,
            "checks": [c.name for c in checks if c.asset_key == key],
            "group": node.group_name,
            "kinds": sorted(node.kinds),
            "owners": list(node.owners),
            "code_version": node.code_version,
            "description": (node.description or "").split("\n")[0],
        }
    return found


def _partitions(definition: dg.PartitionsDefinition[Any] | None) -> str | None:
    if isinstance(definition, dg.MultiPartitionsDefinition):
        return " × ".join(sorted(dimension.name for dimension in definition.partitions_defs))
    return definition.name if isinstance(definition, dg.DynamicPartitionsDefinition) else None


def test_the_graph_is_the_one_that_was_reviewed() -> None:
    if os.environ.get("HAETAE_UPDATE_GRAPH"):
        PICTURE.write_text(json.dumps(graph(), indent=2, ensure_ascii=False) + "\n")
    assert graph() == json.loads(PICTURE.read_text()), (
        "the asset graph changed; look at the change, then run the test once with HAETAE_UPDATE_GRAPH=1"
    )


def test_every_asset_has_what_a_person_looks_for() -> None:
    for name, node in graph().items():
        assert node["description"], name
        assert node["owners"], name
        assert node["kinds"], name
        assert node["condition"] or name in ("items", "imports"), name


def test_every_stage_of_the_house_is_there_and_connected() -> None:
    stages = "sources media clips tracks utterances cues fakes labels samples snapshot candidate scorecard champion"
    found = graph()
    assert set(stages.split()) <= set(found)
    reached, todo = {"champion"}, ["champion"]
    while todo:
        for parent in found[todo.pop()]["reads"]:
            if parent not in reached:
                reached.add(parent)
                todo.append(parent)
    assert {
        "sources",
        "items",
        "media",
        "clips",
        "tracks",
        "utterances",
        "groups",
        "fakes",
        "labels",
    } <= reached


def test_blocking_checks_stand_behind_clips_fakes_labels_and_samples() -> None:
    from assets.quality import checks

    blocking = {
        spec.asset_key.to_user_string() for one in checks for spec in one.check_specs if spec.blocking
    }
    assert {"clips", "fakes", "labels", "samples"} <= blocking


def test_recipes_and_assets_agree_on_what_is_read() -> None:
    from assets.recipes import RECIPES

    found = graph()
    written_by = {recipe.table: name for name, recipe in RECIPES.items() if name != "original_labels"}
    for name, recipe in RECIPES.items():
        assert found[name]["code_version"] == recipe.code_version
        read = {one if one in found else written_by.get(one, one) for one in recipe.reads} - {
            "checks",
            "sources",
            "items",
        }
        missing = read - set(found[name]["reads"])
        assert not missing, f"{name} has {missing} in its fingerprint but the graph does not show it"


@pytest.mark.parametrize(
    "heavy", ["torch", "great_expectations", "mlflow", "mediapipe", "sklearn", "librosa"]
)
def test_loading_the_definitions_imports_nothing_heavy(heavy: str, loaded: dict[str, Any]) -> None:
    assert heavy not in loaded["modules"]


def test_loading_the_definitions_is_quick(loaded: dict[str, Any]) -> None:
    assert loaded["seconds"] <= 4.0


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    """What importing the definitions costs a fresh interpreter; the best of three, as machines are noisy.

    Processor time, which is what the wall clock shows on a machine that does nothing else.
    """
    code = (
        "import json, sys, time; began = time.process_time(); import dagster_project.definitions;"
        "took = time.process_time() - began;"
        "print(json.dumps({'seconds': took, 'modules': [m for m in sys.modules if '.' not in m]}))"
    )
    runs = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code], capture_output=True, check=True, cwd=REPOSITORY
            ).stdout
        )
        for _ in range(3)
    ]
    return min(runs, key=lambda run: run["seconds"])
