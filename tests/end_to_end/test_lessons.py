"""A generator that learns: taught once on the train split, its fakes traced to the clips that taught it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from haetae.lake import Lake
from tests.end_to_end.conftest import PEOPLE, Haetae, copied
from tests.generators.mean_face import mean_face

pytestmark = pytest.mark.slow


@pytest.fixture
def learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mean_face`, installed where the command and its workers find it."""
    folder = tmp_path / "site"
    info = folder / "mean_package-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "mean_package.py").write_text(mean_face())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mean_package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[haetae.generators]\nmean_face = mean_package:MeanFace\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_it_is_taught_once_and_its_fakes_trace_to_their_teachers(
    learner: None, calm: Haetae, tmp_path: Path, haetae: Callable[[Path], Haetae]
) -> None:
    lake = copied(calm, tmp_path / "lake", haetae)
    words = ("refresh", "--generator", "mean_face", "--until", "labels")
    lake(*words)
    (lesson,) = lake.sql("FROM lessons")
    train = {row["clip_id"] for row in lake.sql("SELECT clip_id FROM groups WHERE split = 'train'")}
    assert set(lesson["clips"]) == train
    assert (lesson["n_people"], lesson["effort"]) == (len(train), 0.2)
    fakes = lake.sql("SELECT fake_id, lesson_id FROM fakes WHERE generator = 'mean_face@1'")
    assert len(fakes) == 2 * len(PEOPLE)
    assert {row["lesson_id"] for row in fakes} == {lesson["lesson_id"]}
    found = json.loads(lake("trace", fakes[0]["fake_id"], "--json").stdout)
    parents = {edge["parent"] for edge in found["edges"] if edge["child"] == lesson["lesson_id"]}
    assert train < parents
    assert {"id": lesson["lesson_id"], "type": "lesson"} in found["nodes"]

    tables = lake.files("tables")
    assert "nothing to do" in lake(*words).stdout
    assert lake.files("tables") == tables, "finished work is not done again"
    said = lake("generators", "learn", "mean_face", "--again").stdout
    assert f"{lesson['n_faces']} faces of {len(train)} people" in said
    assert "distance: " in said
    assert Lake(lake.lake).digest("lessons", "mean_face@1"), "the same lesson has the same content"
    assert lake.sql("SELECT lesson_id FROM lessons") == [{"lesson_id": lesson["lesson_id"]}]
    assert "does not learn" in lake("generators", "learn", "self_blend", exits=2).stderr
