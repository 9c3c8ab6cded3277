"""The plan names fifteen files, and its sources file is one that the pipeline accepts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from haetae.errors import UsageError
from haetae.provenance.sources import identities_of, load_sources
from haetae.sample.cast import cast
from haetae.sample.plan import ClipSpec, SampleParams, plan, sources


def test_fifteen_files_cover_every_actor_and_every_odd_case() -> None:
    specs = plan()
    assert len(specs) == 15
    assert len({name for spec in specs for name in spec.outputs()}) == sum(len(s.outputs()) for s in specs)
    assert Counter(spec.kind for spec in specs) == {
        "talk": 11,
        "two_shots": 1,
        "two_faces": 1,
        "silent": 1,
        "truncated": 1,
    }
    talking = [spec for spec in specs if spec.kind in ("talk", "two_shots")]
    assert sorted(spec.identities[0] for spec in talking) == sorted(look.identity for look in cast())
    assert Counter(spec.captions for spec in talking) == {"srt": 7, "txt": 4, "none": 1}


def test_the_sources_file_is_valid_and_gives_every_file_its_people(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(yaml.safe_dump(sources(SampleParams())), encoding="utf-8")
    declared = {Path(source.uri).name: source for source in load_sources(path)}
    assert set(declared) == {"ko", "en-SG", "ms", "ta", "extras"}
    for source in declared.values():
        assert source.licence == "CC0-1.0"
        assert source.consent is not None
        assert source.consent.basis == "synthetic"
        assert set(source.purposes) == {"synthesis", "training", "benchmark", "release"}
        assert source.verdict == "real"
    assert {source.country for source in declared.values()} == {"KR", "SG", "MY", "IN"}
    for spec in plan():
        source = declared[spec.file.split("/")[0]]
        assert identities_of(spec.file, source.identities) == list(spec.identities)


def test_a_spec_survives_its_way_through_the_engine() -> None:
    assert all(ClipSpec.of(spec.row()) == spec for spec in plan())


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"seed": -1}, "seed"),
        ({"clip_s": 0.5}, "clip_s"),
        ({"clip_s": float("nan")}, "clip_s"),
        ({"size_px": 321}, "size_px"),
        ({"size_px": 64}, "size_px"),
    ],
)
def test_parameters_out_of_range_are_named_with_their_range(given: dict[str, float], word: str) -> None:
    with pytest.raises(UsageError, match=rf"sample\.{word}: .* (to|in) "):
        SampleParams(**given)  # type: ignore[arg-type]
