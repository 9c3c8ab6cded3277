"""Fakes that miss a threshold on their measured quality: out of the data set, and nothing else is made anew."""

from __future__ import annotations

import datetime as dt
from typing import Any

import dagster as dg
import pytest

from assets.dataset import samples
from assets.quality import knobs_of
from assets.recipes import RECIPES, fingerprint
from haetae.dataset.assemble import assemble
from haetae.errors import UsageError
from haetae.lake import Lake
from haetae.params import FakeThresholds, Params, parse_params
from haetae.quality.fakes import FakeQuality
from haetae.quality.thresholds import RULES, misses
from tests.assets.test_links import WHO, clip, filled

GENERATOR = "self_blend@1"
MEASURED: dict[str, dict[str, float | None]] = {
    "plain": {},
    "steady": {"flicker": 1.0, "seam": 0.5, "loudness_change_lu": -1.0, "duration_change_s": 0.0},
    "flickering": {"flicker": 9.5, "seam": 0.5},
    "hard": {"flicker": 9.5, "seam": 7.0},
    "soft": {"seam": -7.0},
    "quiet": {"loudness_change_lu": -12.0},
    "short": {"duration_change_s": -0.5},
    "late": {"sync_offset_s": 0.4, "sync_confidence": 0.7},
    "early": {"sync_offset_s": -0.4, "sync_confidence": 0.7},
    "unsure": {"sync_offset_s": 0.4, "sync_confidence": 0.1},
    "apart": {"sync_offset_s": 0.4, "sync_confidence": 0.7},
    "unswapped": {"identity_to_target": 0.9, "identity_to_donor": 0.1},
    "swapped": {"identity_to_target": 0.2, "identity_to_donor": 0.8},
    "lost": {"identity_to_target": 0.2},
    "kept": {"identity_to_target": 0.9},
}
"""What was measured of each fake, by its id; `apart` is labelled to be out of sync."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One clip, and a fake of it for each entry of `MEASURED`."""
    lake = Lake(tmp_path_factory.mktemp("poor") / "lake")
    source = filled(
        "sources", source_id="s", kind="folder", language="ko", licence="CC0-1.0", verdict="real", status="active",
        consent={"basis": "release", "ref": "r"}, purposes=["synthesis", "training", "benchmark"], identities=[],
    )  # fmt: skip
    lake.write("sources", None, [source], WHO)
    of = {"source_id": "s", "batch": "b"}
    lake.write(
        "media", "b", [filled("media", media_id="m1", training_allowed=True, identities=[], **of)], WHO
    )
    shown = {
        "source_id": "s",
        "kind": "video",
        "has_video": True,
        "has_audio": True,
        "declared_verdict": "real",
    }
    lake.write("clips", "b", [clip("c1", "m1") | shown], WHO)
    grouped = filled("groups", clip_id="c1", group_id="c1", batch="b", keys=["x"], split="test")
    lake.write("groups", "b", [grouped], WHO)
    lake.write("labels", "b", [label("c1", "video", "real"), label("c1", "audio", "real")], WHO)
    made = [
        filled(
            "fakes", fake_id=name, clip_id="c1", pair_id="c1", batch="b", generator=GENERATOR, family="face_swap",
            modalities=["video"], segments=[], regions=[], words=[], metrics="{}", language="ko", **measured,
        )
        for name, measured in MEASURED.items()
    ]  # fmt: skip
    lake.write("fakes", ("b", GENERATOR), made, WHO)
    said = [label(name, "video", "fake") for name in MEASURED]
    said += [label(name, "sync", "fake" if name == "apart" else "real") for name in MEASURED]
    lake.write("labels", ("b", GENERATOR), said, WHO)
    return lake


def label(sample: str, modality: str, verdict: str) -> dict[str, Any]:
    return filled(
        "labels", sample_id=sample, batch="b", modality=modality, verdict=verdict, segments=[], boxes=[],
        evidence="construction", author="a", confidence=1.0, labelled_at=dt.datetime.now(dt.UTC),
    )  # fmt: skip


def with_thresholds(**thresholds: float | None) -> Params:
    none = dict.fromkeys(FakeThresholds.model_fields)
    return parse_params({"quality": {"fakes": {**none, **thresholds}}})


@pytest.mark.parametrize(
    ("threshold", "bound", "missed"),
    [
        ("max_flicker", 5.0, {"flickering", "hard"}),
        ("max_flicker", 9.5, set()),
        ("max_seam", 3.0, {"hard"}),
        ("max_identity_to_target", 0.5, {"unswapped"}),
        ("min_identity_to_donor", 0.5, {"unswapped"}),
        ("min_identity_kept", 0.5, {"lost"}),
        ("max_sync_offset_s", 0.2, {"late", "early"}),
        ("min_sync_confidence", 0.5, {"unsure"}),
        ("max_loudness_change_lu", 6.0, {"quiet"}),
        ("max_duration_change_s", 0.04, {"short"}),
    ],
)
def test_a_threshold_keeps_out_those_that_miss_it_and_nobody_else(
    lake: Lake, threshold: str, bound: float, missed: set[str]
) -> None:
    rows, left_out = assemble(lake, with_thresholds(**{threshold: bound}), dt.date.today())
    assert {one.item_id: one.reason for one in left_out} == dict.fromkeys(missed, f"missed_{threshold}")
    assert {row["sample_id"] for row in rows} == {"c1", *MEASURED} - missed


def test_a_fake_that_misses_several_is_refused_once_and_told_all(lake: Lake) -> None:
    _, left_out = assemble(lake, with_thresholds(max_flicker=5, max_seam=3), dt.date.today())
    told = {one.item_id: (one.stage, one.reason, one.detail) for one in left_out}
    assert told["hard"] == (
        "samples",
        "missed_max_flicker",
        "flicker 9.5, quality.fakes.max_flicker is 5; seam 7, quality.fakes.max_seam is 3",
    )


def test_without_thresholds_every_fake_is_a_sample(lake: Lake) -> None:
    rows, left_out = assemble(lake, with_thresholds(), dt.date.today())
    assert len(rows) == 1 + len(MEASURED)
    assert left_out == []
    assert misses(lake, with_thresholds().quality.fakes) == {}


def test_every_threshold_has_a_rule_on_a_measured_column_and_a_range() -> None:
    assert [rule.threshold for rule in RULES] == list(FakeThresholds.model_fields)
    assert {rule.column for rule in RULES} <= set(FakeQuality().as_columns())
    with pytest.raises(UsageError, match=r"quality\.fakes\.max_flicker"):
        with_thresholds(max_flicker=-1)


def test_the_asset_counts_them_by_reason_and_puts_them_in_quarantine(lake: Lake) -> None:
    params = with_thresholds(max_flicker=5, max_loudness_change_lu=6)
    result = dg.materialize(
        [samples], resources={"lake": lake, "params": params}, raise_on_error=True, selection=[samples]
    )
    (made,) = result.asset_materializations_for_node("samples")
    assert made.metadata["left out: missed_max_flicker"].value == 2
    assert made.metadata["left out: missed_max_loudness_change_lu"].value == 1
    found = lake.sql(
        "SELECT item_id, reason FROM quarantine WHERE stage = 'samples' ORDER BY item_id"
    ).to_pylist()
    assert [row["item_id"] for row in found] == ["flickering", "hard", "quiet"]


def test_a_changed_threshold_makes_nothing_stale_but_the_samples(lake: Lake) -> None:
    strict, lax = with_thresholds(max_flicker=5), with_thresholds(max_flicker=50)
    partitions = {"samples": (), "fakes": ("b", GENERATOR), "labels": ("b", GENERATOR)}
    stale = {
        asset
        for asset, key in partitions.items()
        if fingerprint(lake, strict, RECIPES[asset], key) != fingerprint(lake, lax, RECIPES[asset], key)
    }
    assert stale == {"samples"}
    # Nor is a check of theirs made again: what it compares with is the same.
    assert knobs_of(strict) == knobs_of(lax)
