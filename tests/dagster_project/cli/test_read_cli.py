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
