"""Official splits of public data sets: kept where they do not leak, and told where they do."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from haetae.dataset.official import checked_splits
from haetae.dataset.split import assign_groups


def item(
    name: str, split: str | None, people: tuple[str, ...] = (), pair: str | None = None
) -> dict[str, Any]:
    return {"item_id": name, "split": split, "identities": list(people), "pair_item_id": pair}


def test_splits_that_share_nobody_are_kept():
    rows = [item("a", "train", ("p",)), item("b", "test", ("q",)), item("c", "val"), item("d", None)]
    assert checked_splits(rows) == {
        "a": ("train", None),
        "b": ("test", None),
        "c": ("val", None),
        "d": (None, None),
    }


def test_a_person_in_train_and_test_stays_in_test_only():
    found = checked_splits(
        [item("a", "train", ("p",)), item("b", "test", ("p", "q")), item("c", None, ("q",))]
    )
    assert found["b"] == ("test", None)
    assert found["c"] == ("test", None)
    assert found["a"][0] is None
    assert "official split train, but linked to items in test" in found["a"][1]


def test_a_fake_goes_with_what_it_was_made_from():
    found = checked_splits([item("real", "val"), item("fake", None, pair="real")])
    assert found["fake"] == ("val", None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "train", "val", "test"]), st.sets(st.sampled_from("pqrst"), max_size=2)
        ),
        max_size=12,
    )
)
def test_no_person_is_ever_in_two_splits(drawn):
    rows = [item(str(k), split, tuple(sorted(people))) for k, (split, people) in enumerate(drawn)]
    found = checked_splits(rows)
    seen: dict[str, set[str]] = {}
    for row in rows:
        split, reason = found[row["item_id"]]
        if reason is None and split is not None:
            assert row["split"] in (None, split)
            for person in row["identities"]:
                seen.setdefault(person, set()).add(split)
    assert all(len(splits) == 1 for splits in seen.values())


def clip(name: str, keys: list[str], official: str | None = None) -> dict[str, Any]:
    return {"clip_id": name, "keys": keys, "language": "ko", "official": official}


def test_a_linked_set_gets_its_official_split_whatever_is_lacking():
    clips = [clip(f"c{k}", [f"media:{k}"], "val") for k in range(6)]
    assert {row["split"] for row in assign_groups(clips, [])} == {"val"}


def test_clips_that_a_likeness_ties_to_the_benchmark_are_left_out_of_train():
    rows = assign_groups([clip("a", ["m", "n"], "train"), clip("b", ["n"], "test")], [])
    assert {row["clip_id"]: (row["split"], row["reason"]) for row in rows} == {
        "a": (None, "official_split_taken"),
        "b": ("test", None),
    }


def test_a_group_that_has_a_split_keeps_it():
    known = [{"clip_id": "old", "group_id": "m", "keys": ["m"], "split": "train", "language": "ko"}]
    rows = assign_groups([clip("new", ["m", "n"], "test"), clip("other", ["n"])], known)
    assert {row["clip_id"]: row["split"] for row in rows} == {"new": None, "other": "train"}
