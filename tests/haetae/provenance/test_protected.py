"""The file of protected people: read strictly, told plainly, compared without regard to spelling."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from haetae.errors import UsageError
from haetae.provenance.policy import may_make, may_show
from haetae.provenance.protected import load_protected

TODAY = dt.date(2027, 3, 1)


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "protected.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_no_file_protects_nobody_and_an_empty_one_neither(tmp_path: Path) -> None:
    assert load_protected(None) == load_protected(written(tmp_path, "")) == ()


def test_names_meet_whatever_their_case_and_composition(tmp_path: Path) -> None:
    entries = load_protected(
        written(tmp_path, "- {identity: 한지민, reason: deny_list}\n- {identity: Siti  Nur, reason: minor}")
    )
    composed_otherwise = "\u1112\u1161\u11ab\u110c\u1175\u1106\u1175\u11ab"
    assert may_show([composed_otherwise], entries, TODAY).reasons == ("protected:deny_list",)
    assert may_show(["SITI NUR"], entries, TODAY).reasons == ("protected:minor",)
    assert may_show(["Siti", "한지"], entries, TODAY).allowed


def test_a_period_holds_on_its_first_and_its_last_day(tmp_path: Path) -> None:
    text = "- {identity: a, reason: election_candidate, starts: 2027-02-15, ends: 2027-03-09}"
    entries = load_protected(written(tmp_path, text))
    days = ("2027-02-14", "2027-02-15", "2027-03-09", "2027-03-10")
    assert [may_show(["a"], entries, dt.date.fromisoformat(day)).allowed for day in days] == [
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {identity: a, reason: rude}", "entry 0 reason"),
        ("- {identity: a, reason: minor}\n- {identity: b, reason: minor, age: 3}", "entry 1 age"),
        ("- {identity: a, reason: election_candidate}", "give the last day"),
        ("- {identity: a, reason: minor, starts: 2027-02-02, ends: 2027-02-01}", "ends lies before starts"),
        ("people: [a]", "the file"),
        ("- [", "not YAML"),
    ],
)
def test_a_wrong_entry_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_protected(written(tmp_path, text))


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"policy\.protected"):
        load_protected(str(tmp_path / "nowhere.yaml"))


@pytest.mark.parametrize(
    ("licences", "commercial", "reasons"),
    [
        (["CC-BY-NC-SA-4.0", "MIT"], False, ()),
        (["CC-BY-NC-SA-4.0", "MIT"], True, ("licence_non_commercial",)),
        (["LicenseRef-Non-Commercial"], True, ("licence_non_commercial",)),
        (["CC-BY-NC-ND-4.0"], True, ("licence_forbids_derivatives", "licence_non_commercial")),
        (["CC-BY-4.0", None], True, ()),
    ],
)
def test_the_strictest_of_all_licences_decides(
    licences: list[str | None], commercial: bool, reasons: tuple[str, ...]
) -> None:
    assert may_make(licences, commercial=commercial).reasons == reasons
