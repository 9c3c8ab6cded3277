"""Every kind of broken file in one folder with a good one: each ends with its reason, and the rest goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.conftest import Haetae

pytestmark = pytest.mark.slow


def test_each_broken_file_ends_with_its_reason_and_the_batch_goes_on(
    broken: tuple[Path, dict[str, str]], tmp_path: Path, haetae: Callable[[Path], Haetae]
) -> None:
    folder, expected = broken
    source = {
        "id": "broken",
        "uri": str(folder),
        "kind": "folder",
        "language": "ms",
        "licence": "CC0-1.0",
        "consent": {"basis": "synthetic", "ref": "made by the test"},
        "purposes": ["synthesis", "training", "benchmark"],
        "verdict": "real",
    }
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump([source]))
    lake = haetae(tmp_path / "lake")
    lake("run", "--sources", tmp_path / "sources.yaml", "--generators", "self_blend", "--until", "labels")

    name_of = {row["item_id"]: Path(row["uri"]).name for row in lake.sql("SELECT item_id, uri FROM items")}
    assert set(name_of.values()) == set(expected)
    reached = {
        row["name"]: row["clips"]
        for row in lake.sql(
            "SELECT parse_filename(i.uri) AS name, count(c.clip_id) AS clips FROM items i "
            "JOIN media m USING (item_id) LEFT JOIN clips c USING (media_id) GROUP BY ALL"
        )
    }
    reasons = _reasons(lake)
    for name, outcome in expected.items():
        if outcome == "handled":
            same_bytes = any(reason == "duplicate" for _, reason in reasons[name])
            assert reached.get(name) or same_bytes, f"{name}: {reasons[name]}"
        else:
            assert outcome.removeprefix("quarantine:") in {reason for _, reason in reasons[name]}, name
            assert not reached.get(name), name
    assert all(reason not in ("error", "worker_died") for found in reasons.values() for _, reason in found)
    faceless = lake.sql("SELECT count(*) AS n FROM quarantine WHERE stage = 'tracks' AND reason = 'no_face'")
    assert faceless[0]["n"] > 0


def _reasons(lake: Haetae) -> dict[str, set[tuple[str, str]]]:
    """Stage and reason of every refusal of a file or of its clips, by file name."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    rows = lake.sql(
        "SELECT q.stage, q.reason, parse_filename(i.uri) AS name FROM quarantine q "
        "LEFT JOIN clips c ON c.clip_id = q.item_id "
        "LEFT JOIN media m ON m.media_id = coalesce(c.media_id, q.item_id) "
        "JOIN items i ON i.item_id = coalesce(m.item_id, q.item_id)"
    )
    for row in rows:
        found[row["name"]].add((row["stage"], row["reason"]))
    return found
