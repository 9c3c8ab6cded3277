"""Tracing: from anything to all it came from and all that came of it, and to nothing else."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from haetae.audit.trace import trace
from haetae.errors import UsageError
from haetae.lake import Lake, Lineage

M1, M2 = "1" * 64, "2" * 64


def _write(lake: Lake, asset: str, partition: str, edges: list[tuple[str, str, str]]) -> None:
    lake.write("cues", f"{asset}-{partition}", [], Lineage(asset, "run", "0.1.1"), edges)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two media; a fake of the first with a donor from the second; a snapshot; a promoted model."""
    lake = Lake(tmp_path)
    _write(lake, "media", "b1", [("src-a", M1, "crawled_from"), ("src-b", M2, "crawled_from")])
    _write(
        lake,
        "clips",
        "b1",
        [(M1, "clip-1", "cut_from"), (M2, "clip-2", "cut_from"), (M2, "clip-3", "cut_from")],
    )
    made = [
        ("clip-1", "fake-1", "target_of"),
        ("clip-2", "fake-1", "donor_of"),
        ("mesh_swap@1", "fake-1", "made"),
    ]
    _write(lake, "fakes", "b1", made)
    _write(lake, "snapshot", "s1", [("clip-1", "s-1", "frozen_in"), ("fake-1", "s-1", "frozen_in")])
    _write(lake, "candidate", "s1", [("s-1", "model-1", "trained_on")])
    _write(lake, "champion", "s1", [("model-1", "promotion-1", "decided")])
    sources = [_source("src-a"), _source("src-b")]
    lake.write("sources", None, sources, Lineage("sources", "run", "1"))
    now = dt.datetime.now(dt.UTC)
    snapshot = {
        "snapshot_id": "s-1",
        "created_at": now,
        "code_version": "1",
        "params_hash": "p",
        "n": 2,
        "digest": "d",
    }
    lake.write(
        "snapshots",
        "s-1",
        [{**snapshot, "path": "snapshots/s-1", "n_shards": 1, "size_bytes": 1, "dvc_hash": None}],
        Lineage("snapshot", "run", "1"),
    )
    promotion = {
        "promotion_id": "promotion-1",
        "model_id": "model-1",
        "snapshot_id": "s-1",
        "promoted": True,
        "previous_model_id": None,
        "reasons": [],
        "ledger_id": "entry-1",
    }
    lake.write("promotions", "s-1", [promotion], Lineage("champion", "run", "1"))
    return lake


def _source(source_id: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("country", "licence", "consent", "generator", "retention_until"))
    known = {
        "uri": "x",
        "kind": "file",
        "language": "ko",
        "use_case": "news",
        "verdict": "real",
        "status": "active",
    }
    return {
        "source_id": source_id,
        **nothing,
        **known,
        "purposes": [],
        "identities": [],
        "declared_by": "test",
        "declared_at": dt.datetime.now(dt.UTC),
    }


def _of_type(found: dict[str, list[dict[str, str]]], kind: str) -> set[str]:
    return {node["id"] for node in found["nodes"] if node["type"] == kind}


def test_the_champion_leads_to_every_source_generator_and_code_version(lake: Lake) -> None:
    found = trace(lake, "champion")
    assert _of_type(found, "source") == {"src-a", "src-b"}
    assert _of_type(found, "generator") == {"mesh_swap@1"}
    assert _of_type(found, "media") == {M1, M2}
    assert _of_type(found, "code") == {
        f"code:{a}@0.1.1" for a in ("media", "clips", "fakes", "snapshot", "candidate", "champion")
    }
    assert "clip-3" not in _of_type(found, "clip")


def test_a_source_leads_to_the_champion_but_not_to_its_neighbour(lake: Lake) -> None:
    found = trace(lake, "src-b")
    assert _of_type(found, "promotion") == {"promotion-1"}
    assert _of_type(found, "fake") == {"fake-1"}
    assert "src-a" not in {node["id"] for node in found["nodes"]}
    assert {"parent": "clip-2", "child": "fake-1", "relation": "donor_of"} in found["edges"]


def test_an_unknown_id_is_bad_usage_and_no_champion_says_so(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing in the lake is called 'clip-9'"):
        trace(lake, "clip-9")
    with pytest.raises(UsageError, match="no model was promoted yet"):
        trace(Lake(tmp_path / "empty"), "champion")
