"""A file whose manifest forbids training: nothing is made of it, and it is in no split."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from assets.desk import Desk
from generators.registry import find
from haetae.dataset.assemble import assemble
from haetae.lake import Lake
from haetae.params import Params
from tests.assets.test_links import WHO, clip, filled, rows_of

FORBIDS = json.dumps({"forbids_training": True, "state": "valid"})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two clips of one source that allows everything; the file of the second one forbids training."""
    lake = Lake(tmp_path / "lake")
    source = filled(
        "sources", source_id="s", kind="folder", language="ko", licence="CC0-1.0", verdict="real", status="active",
        consent={"basis": "release", "ref": "r"}, purposes=["synthesis", "training", "benchmark"], identities=[],
    )  # fmt: skip
    lake.write("sources", None, [source], WHO)
    media = [("m1", None), ("m2", FORBIDS)]
    about = {"source_id": "s", "batch": "b", "identities": []}
    files = [filled("media", media_id=m, c2pa=c, training_allowed=c is None, **about) for m, c in media]
    lake.write("media", "b", files, WHO)
    clips = [
        clip(f"c{k}", f"m{k}")
        | {
            "source_id": "s",
            "kind": "video",
            "has_video": True,
            "has_audio": False,
            "declared_verdict": "real",
        }
        for k in (1, 2)
    ]
    lake.write("clips", "b", clips, WHO)
    grouped = {"batch": "b", "keys": ["x"], "split": "test"}
    groups = [filled("groups", clip_id=c["clip_id"], group_id=c["clip_id"], **grouped) for c in clips]
    lake.write("groups", "b", groups, WHO)
    labels = [
        filled(
            "labels", sample_id=c["clip_id"], batch="b", modality="video", verdict="real", segments=[], boxes=[],
            evidence="imported", author="a", confidence=1.0, labelled_at=dt.datetime.now(dt.UTC),
        )
        for c in clips
    ]  # fmt: skip
    lake.write("labels", "b", labels, WHO)
    return lake


def test_it_is_in_no_split_not_even_to_be_tested_on(lake):
    rows, left_out = assemble(lake, Params(), dt.date.today())
    assert [row["sample_id"] for row in rows] == ["c1"]
    assert [(one.item_id, one.reason) for one in left_out] == [("c2", "training_forbidden")]


def test_no_generator_is_asked_to_change_it(lake):
    names = ("media", "clips", "tracks", "utterances", "groups", "sources")
    tables = {name: rows_of(name, *lake.rows(name)) for name in names}
    desk = Desk(lake, Params(), find("self_blend@1").card, "b", *tables.values())
    requests, passed_over = desk.requests()
    assert requests == []
    assert passed_over == {"forbidden_by_manifest": 1, "no_face": 1}
