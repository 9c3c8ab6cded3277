"""Parameters: what is wrong is named by its key, with what would be allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from haetae.errors import UsageError
from haetae.params import Params, load_params, parse_params
from tests.conftest import REPOSITORY


def test_the_file_of_the_project_holds_every_knob_and_only_the_defaults() -> None:
    found = load_params(REPOSITORY / "params.yaml")
    assert found == Params()
    text = (REPOSITORY / "params.yaml").read_text()
    for section, field in Params.model_fields.items():
        assert section in text
        for knob in getattr(field.annotation, "model_fields", {}):
            assert f"  {knob}:" in text


@pytest.mark.parametrize(
    ("bad", "key", "allowed"),
    [
        ({"ingest": {"crf": 99}}, "ingest.crf", "≤ 51"),
        ({"ingest": {"cfr": 18}}, "ingest.cfr", "crf"),
        ({"detektor": {}}, "detektor", "detector"),
        ({"generate": {"profile": "huge"}}, "generate.profile", "embedded | full"),
        ({"tracks": {"detections_per_s": 0}}, "tracks.detections_per_s", "> 0"),
        ({"dataset": {"train": 0.9}}, "dataset", "add up to 1"),
        ({"ingest": {"max_clip_s": 4}}, "ingest", "at least twice"),
    ],
)
def test_a_fault_names_the_key_and_what_is_allowed(bad: object, key: str, allowed: str) -> None:
    with pytest.raises(UsageError) as fault:
        parse_params(bad)
    assert f"params.yaml: {key}:" in str(fault.value)
    assert allowed in str(fault.value)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(UsageError) as fault:
        parse_params({"ingest": {"crf": 99}, "seed": -1})
    assert len(str(fault.value).splitlines()) == 2


def test_a_missing_file_and_broken_yaml_are_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load_params(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(UsageError, match="not YAML"):
        load_params(tmp_path / "broken.yaml")
