"""What the policy gate refuses: nothing is asked of the generator, and the ledger tells why."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from assets.desk import Desk
from assets.lessons import teaching_clips
from assets.recipes import RECIPES, fingerprint
from generators.protocol import Card, Family, Weights
from generators.registry import find
from haetae.errors import UsageError
from haetae.lake import Lake
from haetae.params import FAMILIES, Params, parse_params
from haetae.provenance.ledger import Ledger
from tests.assets.test_links import WHO, clip, filled, rows_of

TODAY = dt.date.today()
DAY = dt.timedelta(days=1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """One clip of one person, whose source allows everything."""
    lake = Lake(tmp_path / "lake")
    declare(lake)
    lake.write(
        "media", "b", [filled("media", media_id="m1", source_id="s", batch="b", identities=["hana"])], WHO
    )
    shown = {
        "source_id": "s", "identities": ["hana"], "kind": "video", "has_video": True, "has_audio": False,
        "declared_verdict": "real",
    }  # fmt: skip
    lake.write("clips", "b", [clip("c1", "m1") | shown], WHO)
    lake.write(
        "groups",
        "b",
        [filled("groups", clip_id="c1", group_id="g", batch="b", keys=["x"], split="test")],
        WHO,
    )
    return lake


def declare(lake: Lake, **changes: Any) -> None:
    source = filled(
        "sources", source_id="s", kind="folder", language="ko", licence="CC-BY-4.0", verdict="real", status="active",
        consent={"basis": "release", "ref": "r"}, purposes=["synthesis", "training"], identities=["hana"],
    )  # fmt: skip
    lake.write("sources", None, [source | changes], WHO)


def passed_over(lake: Lake, params: Params | None = None, card: Card | None = None) -> dict[str, int]:
    names = ("media", "clips", "tracks", "utterances", "groups", "sources")
    tables = (rows_of(name, *lake.rows(name)) for name in names)
    card = card or find("self_blend@1").card
    requests, reasons = Desk(lake, params or Params(), card, "b", *tables).requests()
    assert requests == []
    return dict(reasons)


def refusals(lake: Lake) -> list[tuple[str, list[str]]]:
    entries = Ledger(lake.local_path("ledger.jsonl")).entries()
    return [(one.subject, one.detail["reasons"]) for one in entries if one.decision == "refused"]


def protecting(tmp_path: Path, *entries: dict[str, Any]) -> Params:
    path = tmp_path / "protected.yaml"
    path.write_text(yaml.safe_dump(list(entries)))
    return parse_params({"policy": {"protected": str(path)}})


def test_an_allowed_clip_is_only_passed_over_for_what_it_is(lake: Lake) -> None:
    assert passed_over(lake) == {"no_face": 1}
    assert refusals(lake) == []


@pytest.mark.parametrize(
    ("changes", "commercial", "reasons"),
    [
        ({"consent": None}, False, ["consent_missing"]),
        ({"consent": {"basis": "none", "ref": None}}, False, ["consent_none"]),
        ({"retention_until": str(TODAY - DAY)}, False, ["retention_expired"]),
        ({"licence": "CC-BY-NC-4.0"}, True, ["licence_non_commercial"]),
        ({"licence": "CC-BY-ND-4.0"}, False, ["licence_forbids_derivatives"]),
        ({"purposes": ["training"]}, False, ["purpose_not_declared:synthesis"]),
        ({"status": "withdrawn"}, False, ["source_withdrawn"]),
    ],
)
def test_a_source_that_does_not_allow_it_is_refused_with_the_reason(
    lake: Lake, changes: dict[str, Any], commercial: bool, reasons: list[str]
) -> None:
    declare(lake, **changes)
    params = parse_params({"policy": {"commercial": commercial}})
    assert passed_over(lake, params) == {"refused_by_policy": 1}
    assert refusals(lake) == [("s", reasons)]


def test_what_is_not_commercial_may_use_what_forbids_that(lake: Lake) -> None:
    declare(lake, licence="CC-BY-NC-4.0")
    assert passed_over(lake) == {"no_face": 1}


@pytest.mark.parametrize(
    ("licence", "reason"),
    [("CC-BY-NC-4.0", "licence_non_commercial"), ("CC-BY-ND-4.0", "licence_forbids_derivatives")],
)
def test_weights_that_do_not_allow_it_keep_their_generator_from_running(
    lake: Lake, licence: str, reason: str
) -> None:
    weights = Weights(repo="a/b", revision="1", filename="w.safetensors", sha256="0" * 64, licence=licence)
    card = find("self_blend@1").card.model_copy(update={"name": "heavy", "weights": (weights,)})
    commercial = parse_params({"policy": {"commercial": True}})
    assert passed_over(lake, commercial, card) == {"refused_by_policy": 1}
    assert refusals(lake) == [("heavy@1", [reason])]


@pytest.mark.parametrize("reason", ["minor", "deny_list", "election_candidate"])
def test_a_protected_person_is_refused_with_the_reason(lake: Lake, tmp_path: Path, reason: str) -> None:
    params = protecting(tmp_path, {"identity": " HANA", "reason": reason, "ends": TODAY})
    assert passed_over(lake, params) == {"protected_person": 1}
    assert refusals(lake) == [("c1", [f"protected:{reason}"])]


def test_a_person_known_by_face_alone_is_protected_too(lake: Lake, tmp_path: Path) -> None:
    lake.write("clips", "b", [{**lake.rows("clips")[0], "identities": []}], WHO)
    lake.write(
        "tracks",
        "b",
        [filled("tracks", track_id="t", clip_id="c1", batch="b", index=0, identity="hana")],
        WHO,
    )
    params = protecting(tmp_path, {"identity": "hana", "reason": "minor"})
    assert passed_over(lake, params) == {"protected_person": 1}


@pytest.mark.parametrize("period", [{"ends": TODAY - DAY}, {"starts": TODAY + DAY, "ends": TODAY + 2 * DAY}])
def test_outside_the_period_nobody_is_protected(
    lake: Lake, tmp_path: Path, period: dict[str, dt.date]
) -> None:
    params = protecting(tmp_path, {"identity": "hana", "reason": "election_candidate", **period})
    assert passed_over(lake, params) == {"no_face": 1}


def test_protecting_a_person_makes_fakes_of_that_person_stale_and_no_others(
    lake: Lake, tmp_path: Path
) -> None:
    def now(*entries: dict[str, Any]) -> str:
        return fingerprint(lake, protecting(tmp_path, *entries), RECIPES["fakes"], ("b", "self_blend@1"))

    other = {"identity": "minji", "reason": "deny_list"}
    before = fingerprint(lake, Params(), RECIPES["fakes"], ("b", "self_blend@1"))
    assert now(other) == before
    assert now(other, {"identity": "hana", "reason": "deny_list"}) != before


def test_a_generator_that_has_not_learned_yet_is_asked_for_nothing(lake: Lake) -> None:
    card = find("self_blend@1").card.model_copy(update={"learns": True})
    assert passed_over(lake, card=card) == {"not_learned": 1}


def test_what_is_over_the_budget_is_counted(lake: Lake) -> None:
    card = find("copy_synthesis@1").card.model_copy(update={"needs": (), "modalities": ("text",)})
    names = ("media", "clips", "tracks", "utterances", "groups", "sources")
    tables = [rows_of(name, *lake.rows(name)) for name in names]
    asked, _ = Desk(lake, Params(), card, "b", *tables).requests()
    assert [row["clip_id"] for row in asked] == ["c1"]
    params = parse_params({"generate": {"budget": {"speech": {"*": 0}}}})
    asked, reasons = Desk(lake, params, card, "b", *tables).requests()
    assert (asked, dict(reasons)) == ([], {"over_budget": 1})


@pytest.mark.parametrize("budget", [{"faces": {"*": 1}}, {"speech": {"xx": 1}}, {"speech": {"ko": -1}}])
def test_a_budget_of_nothing_known_is_refused(budget: dict[str, dict[str, int]]) -> None:
    with pytest.raises(UsageError, match="budget"):
        parse_params({"generate": {"budget": budget}})


def test_the_families_of_budgets_are_those_of_cards() -> None:
    assert set(FAMILIES) == set(get_args(Family))


def test_only_the_train_split_of_sources_that_allow_training_teaches(lake: Lake) -> None:
    card = find("self_blend@1").card

    def teaching(split: str, *purposes: str) -> list[str]:
        declare(lake, purposes=list(purposes))
        group = filled("groups", clip_id="c1", group_id="g", batch="b", keys=["x"], split=split)
        lake.write("groups", "b", [group], WHO)
        return [clip["clip_id"] for clip in teaching_clips(lake, Params(), card)[0]]

    assert teaching("train", "synthesis", "training") == ["c1"]
    assert teaching("test", "synthesis", "training") == []
    assert teaching("train", "synthesis") == []
    assert refusals(lake)[-1] == ("s", ["purpose_not_declared:training"])
    assert teaching("train", "training") == []
