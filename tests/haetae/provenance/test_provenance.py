"""Ids, sources, ledger and policy: what is declared, what follows from it, and that it is not changed unseen."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haetae.errors import UsageError
from haetae.provenance.ids import content_id, seed_of
from haetae.provenance.ledger import Ledger
from haetae.provenance.policy import may_use, meet
from haetae.provenance.sources import identities_of, load_all_sources, load_sources, redact

LICENCES = [
    "CC0-1.0",
    "MIT",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-4.0",
    None,
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(JSON, JSON)
def test_ids_are_equal_only_for_equal_content(one: Any, two: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (content_id("clip", one) == content_id("clip", two)) == same
    assert 0 <= seed_of(one) < 2**63


def test_ids_do_not_change_between_versions() -> None:
    assert content_id("clip", "a") == GOLDEN_ID
    assert content_id("fake", "a") != content_id("clip", "a").replace("clip", "fake")


GOLDEN_ID = "clip-be401a6c9e84517ac394"

GOOD = """
- id: kr-news
  uri: clips
  kind: folder
  language: ko
  country: KR
  use_case: news
  licence: CC-BY-4.0
  consent: {basis: licence, ref: "terms of 2026"}
  purposes: [synthesis, training, benchmark]
  verdict: real
  identities: [kim, lee]
  retention_until: 2030-01-31
"""


def test_a_good_file_is_read_and_its_paths_start_at_its_folder(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(GOOD)
    (source,) = load_sources(tmp_path / "s.yaml")
    assert source.uri == str(tmp_path / "clips")
    row = source.row("s.yaml", dt.datetime.now(dt.UTC))
    assert row["retention_until"] == "2030-01-31"
    assert row["consent"] == {"basis": "licence", "ref": "terms of 2026"}


@pytest.mark.parametrize(
    ("change", "line", "field", "fix"),
    [
        (("language: ko", "language: kr"), 5, "language", "'ko', 'en-SG'"),
        (("kind: folder", "kind: dir"), 4, "kind", "use page, feed"),
        (("licence: CC-BY-4.0", 'licence: "CC BY"'), 8, "licence", "SPDX"),
        (("basis: licence", "basis: hope"), 9, "consent.basis", "release"),
        (("  verdict: real\n", "  verdikt: real\n"), 11, "verdikt", "remove it"),
        (("  uri: clips\n", ""), 2, "uri", "add 'uri: …'"),
        (("[kim, lee]", "[kim, 'a+b']"), 12, "identities", "correct"),
        (("2030-01-31", "soon"), 13, "retention_until", "2027-12-31"),
        (("benchmark]", "fun]"), 10, "purposes.2", "synthesis"),
    ],
)
def test_a_fault_names_line_field_and_fix(
    tmp_path: Path, change: tuple[str, str], line: int, field: str, fix: str
) -> None:
    path = tmp_path / "s.yaml"
    assert change[0] in GOOD
    path.write_text(GOOD.replace(*change))
    with pytest.raises(UsageError) as fault:
        load_sources(path)
    assert str(fault.value).startswith(f"{path}:{line}: {field}: ")
    assert fix in str(fault.value).split("fix: ")[1]


def test_two_sources_with_one_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(GOOD + GOOD)
    with pytest.raises(UsageError, match="already declared at line 2"):
        load_sources(tmp_path / "s.yaml")


def test_one_id_in_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD)
    assert len(load_all_sources([tmp_path / "a.yaml"])) == 1
    with pytest.raises(UsageError, match=r"b\.yaml: 'kr-news' is already declared in .*a\.yaml"):
        load_all_sources([tmp_path / "a.yaml", tmp_path / "b.yaml"])


def test_secrets_do_not_leave_an_address() -> None:
    assert redact("https://me:pw@host:8/a/b?sig=abc&t=1#x") == "https://host:8/a/b?sig=…&t=…"
    assert redact("/data/a?b") == "/data/a?b"


def test_people_are_taken_from_file_names_only_where_declared() -> None:
    assert identities_of("kim__1.mp4", ["kim", "lee"]) == ["kim"]
    assert identities_of("kim+lee__1.mp4", ["kim", "lee"]) == ["kim", "lee"]
    assert identities_of("bob__1.mp4", ["kim", "lee"]) == []
    assert identities_of("x.mp4", ["kim"]) == ["kim"]
    assert identities_of("x.mp4", ["kim", "lee"], kind="file") == ["kim", "lee"]


def _source(**changes: Any) -> dict[str, Any]:
    base = {
        "status": "active",
        "licence": "CC-BY-4.0",
        "consent": {"basis": "release", "ref": "r"},
        "purposes": ["synthesis", "training"],
        "retention_until": None,
    }
    return {**base, **changes}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"licence": None}, "licence_missing"),
        ({"consent": None}, "consent_missing"),
        ({"consent": {"basis": "none", "ref": None}}, "consent_none"),
        ({"licence": "CC-BY-ND-4.0"}, "licence_forbids_derivatives"),
        ({"purposes": ["training"]}, "purpose_not_declared:synthesis"),
        ({"retention_until": "2026-01-01"}, "retention_expired"),
        ({"status": "withdrawn"}, "source_withdrawn"),
        (
            {"licence": "all-rights-reserved", "consent": {"basis": "licence", "ref": "x"}},
            "all_rights_reserved_without_release",
        ),
    ],
)
def test_synthesis_is_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    today = dt.date(2026, 6, 1)
    assert may_use(_source(), "synthesis", today).allowed
    assert may_use(_source(**changes), "synthesis", today).reasons == (reason,)


@given(st.lists(st.sampled_from(LICENCES), min_size=1, max_size=5), st.sampled_from(LICENCES))
def test_a_fake_inherits_the_strictest_licence(some: list[str | None], more: str | None) -> None:
    assert meet(some) == meet(list(reversed(some))) == meet(some + some)
    assert meet([meet([one]) for one in some]) == meet(some)
    order = [meet([one]) for one in LICENCES]
    joined = meet([*some, more])
    assert max(order.index(part) for part in joined.split(" AND ")) >= order.index(meet([more]))


def test_the_strictest_of_attribution_and_non_commercial_is_non_commercial() -> None:
    assert meet(["CC-BY-4.0", "CC-BY-NC-4.0", "CC0-1.0"]) == "CC-BY-NC-4.0"
    assert meet(["CC-BY-4.0", None]) == "all-rights-reserved"


def test_the_ledger_records_once_and_shows_what_was_changed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    first = ledger.record("synthesis", "kr-news", "allowed", {"generator": "mesh_swap@1"})
    assert ledger.record("synthesis", "kr-news", "allowed", {"generator": "mesh_swap@1"}) == first
    ledger.record("promotion", "model-1", "refused", {})
    ledger.record("promotion", "model-2", "promoted", {})
    assert len(ledger.entries()) == 3
    assert ledger.verify() == []
    lines = (tmp_path / "ledger.jsonl").read_text().splitlines()
    (tmp_path / "ledger.jsonl").write_text(
        "\n".join([lines[0], lines[1].replace("refused", "promoted"), lines[2]]) + "\n"
    )
    assert ["entry 2" in fault for fault in ledger.verify()] == [True]
    (tmp_path / "ledger.jsonl").write_text("\n".join([lines[0], lines[2]]) + "\n")
    assert "does not follow" in ledger.verify()[0]


def test_a_line_that_a_killed_writer_left_unfinished_is_dropped(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.record("a", "b", "c", {"누구": "값"})
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"entry_id": "half')
    assert len(ledger.entries()) == 1
    ledger.record("a", "b", "d", {})
    assert [entry.decision for entry in ledger.entries()] == ["c", "d"]
    assert ledger.verify() == []


def _write_many(path: Path) -> None:
    for number in range(20):
        Ledger(path).record("k", f"{os.getpid()}-{number}", "d", {})


def test_several_writers_keep_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(path,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(Ledger(path).entries()) == 60
    assert Ledger(path).verify() == []
