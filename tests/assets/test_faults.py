"""A partition of fakes in which its generator only failed is made again; one that has a fake, or refusals, is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets.recipes import RECIPES, faults_alone, fingerprint, is_current
from haetae.engine import Failed
from haetae.lake import Lake, Lineage
from haetae.params import Params
from tests.assets.test_links import filled

PARTITION = ("b", "self_blend@1")


def _is_current(lake: Lake, fakes: list[str], *reasons: str) -> bool:
    """Whether a partition with these fakes and these failures counts as made."""
    params = Params()
    print_ = fingerprint(lake, params, RECIPES["fakes"], PARTITION)
    rows = [filled("fakes", fake_id=one, batch="b", generator="self_blend@1") for one in fakes]
    failed = [Failed(f"clip-{n}", "fakes", reason, "told") for n, reason in enumerate(reasons)]
    lake.write("fakes", PARTITION, rows, Lineage("fakes", "run", "1", print_), failed=failed)
    return is_current(lake, params, RECIPES["fakes"], PARTITION)


@pytest.mark.parametrize("reason", ["error", "contract_broken", "worker_died"])
def test_faults_alone_are_tried_again(tmp_path: Path, reason: str) -> None:
    lake = Lake(tmp_path)
    assert not _is_current(lake, [], "no_face", reason)
    assert [row["reason"] for row in faults_alone(lake, PARTITION)] == [reason]


def test_a_fake_or_refusals_of_clips_are_not(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert _is_current(lake, [])
    assert _is_current(lake, [], "no_face", "face_lost")
    assert _is_current(lake, ["fake-1"], "error")
    assert faults_alone(lake, PARTITION) == []
