"""What reading commands tell a person: of a thing, what it was made from and became; of a mistake, what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from haetae.lake import Lake
from tests.assets.test_links import WHO, filled
from tests.dagster_project.conftest import InProcess

FAKE = "fake-1"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A fake of a target and a donor of two sources, in fifteen snapshots."""
    made = Lake(tmp_path / "lake")
    sources = [
        filled("sources", source_id=one, purposes=[], identities=[]) for one in ("of-target", "of-donor")
    ]
    made.write("sources", None, sources, WHO)
    edges = [("of-target", "clip-t", "cut_from"), ("of-donor", "clip-d", "cut_from")]
    edges += [("clip-t", FAKE, "target_of"), ("clip-d", FAKE, "donor_of")]
    edges += [(FAKE, f"s-{n:02}", "frozen_in") for n in range(15)]
    made.write("fakes", "b~g@1", [], WHO, edges)
    return made


def test_a_trace_names_target_donor_sources_and_what_came_of_it(lake: Lake, in_process: InProcess) -> None:
    code, said, _ = in_process("--lake", lake.root, "trace", FAKE)
    assert code == 0
    out = [" ".join(line.split()) for line in said.splitlines()]
    assert "sources: of-donor, of-target" in out
    above = out[out.index("made from:") + 1 : out.index("became:")]
    assert {"target_of clip clip-t", "donor_of clip clip-d"} <= set(above)
    below = out[out.index("became:") + 1 :]
    assert below[0] == "frozen_in snapshot s-00"
    assert below[-1] == "… 3 more; --json prints all"


def test_a_hint_names_the_lake_that_was_asked(lake: Lake, in_process: InProcess) -> None:
    code, _, said = in_process("--lake", lake.root, "trace", "nobody")
    assert code == 2
    assert f'list ids with: haetae --lake {lake.root} sql "SELECT' in " ".join(said.split())


@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_query_is_answered_with_one_to_type(lake: Lake, in_process: InProcess, query: str) -> None:
    code, _, said = in_process("--lake", lake.root, "sql", query)
    assert code == 2
    assert f'give a query, for example: haetae --lake {lake.root} sql "SHOW TABLES"' in " ".join(said.split())


@pytest.mark.parametrize("words", [("sql", "SELECT 1"), ("gallery",), ("run",), ("trace", "x")])
@pytest.mark.parametrize("below", ["", "lake/deeper"])
def test_a_file_in_the_place_of_a_lake_is_bad_usage(
    tmp_path: Path, in_process: InProcess, words: tuple[str, ...], below: str
) -> None:
    (tmp_path / "notes.txt").write_text("no lake")
    code, out, said = in_process("--lake", tmp_path / "notes.txt" / below, *words)
    assert (code, out) == (2, "")
    assert f"{tmp_path / 'notes.txt'} is a file, and a lake is a folder" in " ".join(said.split())
    assert (tmp_path / "notes.txt").read_text() == "no lake"


@pytest.mark.parametrize("command", ["run", "refresh"])
def test_the_help_says_that_no_promotion_is_no_failure_and_where_its_limits_stand(
    in_process: InProcess, command: str
) -> None:
    code, said, _ = in_process(command, "--help")
    told = " ".join(said.replace("│", " ").split())
    assert code == 0
    assert "not promoted is a result, with exit code 0" in told
    assert "the gate's limits are `promote` in params.yaml" in told
