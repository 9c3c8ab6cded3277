"""What a run and a refresh say at their end: of their own work as theirs, of older work as older."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import pytest
from rich.console import Console

from dagster_project.cli.state import State
from dagster_project.cli.summary import print_summary
from dagster_project.refresh import Outcome
from haetae.lake import Lake
from tests.assets.test_links import WHO, filled

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two generators' fakes, a refused row of each of two runs, and a model that was promoted."""
    made = Lake(tmp_path / "lake")
    for generator in ("old@1", "new@1"):
        fake = filled("fakes", fake_id=f"fake-{generator}", generator=generator, language="ko")
        made.write("fakes", f"b~{generator}", [fake], WHO)
    refused = [
        filled("quarantine", item_id=run, batch="b", stage="fakes", reason=f"told_of_{run}", run_id=run)
        for run in ("run-1", "run-2")
    ]
    made.write("quarantine", "b", refused, WHO)
    made.write("snapshots", "s-1", [filled("snapshots", snapshot_id="s-1", created_at=NOW)], WHO)
    score = filled(
        "evaluations", model_id="model-1", snapshot_id="s-1", protocol="sample", slice="all", metric="auc"
    )
    others = [{**score, "value": 0.5, "n": 7}, {**score, "model_id": "model-0", "value": 0.25, "n": 7}]
    made.write("evaluations", "s-1", others, WHO)
    made.write("models", "s-1", [filled("models", model_id="model-1", snapshot_id="s-1")], WHO)
    decision = filled("promotions", promotion_id="p-1", snapshot_id="s-1", model_id="model-1", promoted=True)
    made.write("promotions", "s-1", [{**decision, "reasons": ["pass: it is better"]}], WHO)
    return made


def said(lake: Lake, outcome: Outcome) -> str:
    out = io.StringIO()
    print_summary(Console(file=out, width=200), State(str(lake.root), None), outcome, None, 1.0)
    return out.getvalue()


def test_a_refresh_tells_of_its_own_generator_and_run_only(lake: Lake) -> None:
    outcome = Outcome(until="fakes", only=("new@1",), run_ids=["run-2"])
    outcome.computed["fakes"] = 1
    told = said(lake, outcome)
    assert "new@1" in told
    assert "old@1" not in told
    assert "told_of_run-2" in told
    assert "told_of_run-1" not in told
    assert "scorecard of" not in told
    assert "pass: it is better" not in told
    assert "champion, as before: model-1" in told
    assert "not asked for: labels, samples, snapshot, candidate, scorecard, champion" in told
    assert f"haetae --lake {lake.root} refresh --generator new@1" in told


def test_a_run_tells_of_the_whole_lake_and_of_the_decision_that_it_made(lake: Lake) -> None:
    outcome = Outcome(run_ids=["run-2"])
    outcome.computed.update(("fakes", "scorecard", "champion"))
    told = said(lake, outcome)
    for word in ("old@1", "new@1", "told_of_run-1", "told_of_run-2", "scorecard", "pass: it is better"):
        assert word in told
    assert "model-1: promoted to champion" in told
    (line,) = [line.split() for line in told.splitlines() if "sample" in line and "auc" in line]
    assert [cell for cell in line if cell != "│"] == ["all", "sample", "auc", "0.500", "–", "7", "0.250"]
    assert "scorecard of model-1" in told
    assert "not asked for" not in told


@pytest.mark.parametrize(("until", "what"), [("champion", "the lake"), ("labels", "everything up to labels")])
def test_nothing_to_do_is_all_that_is_said_where_nothing_was_done(lake: Lake, until: str, what: str) -> None:
    told = said(lake, Outcome(until=until, only=("new@1",)))
    assert f"nothing to do: {what} is up to date" in told
    for word in ("new@1 ", "scorecard of", "promoted", "rows in the lake"):
        assert word not in told


def test_what_a_check_refused_is_not_called_up_to_date(lake: Lake) -> None:
    told = said(lake, Outcome(refused=["batch b: clips: its check failed"]))
    assert "up to date" not in told
    assert "refused by a check: batch b: clips" in told


def test_a_generator_that_failed_at_every_clip_is_told_of(lake: Lake) -> None:
    outcome = Outcome(barren=["new@1 on b: no fake was made, 9 clips failed; error: no weights"])
    outcome.computed["fakes"] = 1
    assert "failed at every clip: new@1 on b: no fake was made, 9 clips failed; error: no weights" in said(
        lake, outcome
    )
