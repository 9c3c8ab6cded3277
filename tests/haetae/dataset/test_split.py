"""Splits: linked clips stay together, known groups stay where they are, every language is tested."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haetae.dataset.split import assign_groups

Row = dict[str, Any]

KEYS = st.sampled_from([f"identity:{c}" for c in "abcdefgh"] + [f"media:{i}" for i in range(12)])
CLIPS = st.lists(
    st.tuples(st.sets(KEYS, min_size=1, max_size=3), st.sampled_from(["ko", "en-SG", "ms", "ta"])),
    max_size=25,
).map(lambda many: [_clip(f"clip-{i:02}", sorted(keys), lang) for i, (keys, lang) in enumerate(many)])


def _clip(clip_id: str, keys: list[str], language: str = "ko") -> Row:
    return {"clip_id": clip_id, "keys": keys, "language": language}


def _as_known(rows: list[Row], clips: list[Row]) -> list[Row]:
    language = {clip["clip_id"]: clip["language"] for clip in clips}
    return [{**row, "language": language[row["clip_id"]]} for row in rows if row["split"] is not None]


@given(CLIPS)
def test_no_key_is_in_two_splits(clips: list[Row]) -> None:
    splits = defaultdict(set)
    for row in assign_groups(clips, []):
        assert row["split"] in ("train", "val", "test")
        for key in row["keys"]:
            splits[key].add(row["split"])
    assert all(len(found) == 1 for found in splits.values())


@given(CLIPS, CLIPS, st.randoms())
def test_the_order_of_rows_changes_nothing(first: list[Row], second: list[Row], rng: random.Random) -> None:
    second = [{**clip, "clip_id": "later-" + clip["clip_id"]} for clip in second]
    known = _as_known(assign_groups(first, []), first)
    expected = assign_groups(second, known)
    for rows in (second, known):
        rng.shuffle(rows)
    assert assign_groups(second, known) == expected


@given(CLIPS, CLIPS)
def test_known_groups_never_move_and_new_clips_join_them(first: list[Row], second: list[Row]) -> None:
    second = [{**clip, "clip_id": "later-" + clip["clip_id"]} for clip in second]
    before = assign_groups(first, [])
    after = assign_groups(second, _as_known(before, first))
    group_split = {row["group_id"]: row["split"] for row in before}
    split_of_key = {key: row["split"] for row in before for key in row["keys"]}
    for row in after:
        touched = {split_of_key[key] for key in row["keys"] if key in split_of_key}
        if row["split"] is None:
            assert row["reason"] == "bridges_splits"
            continue
        assert touched <= {row["split"]}
        assert group_split.get(row["group_id"], row["split"]) == row["split"]
        for key in row["keys"]:
            assert split_of_key.setdefault(key, row["split"]) == row["split"]


@given(CLIPS)
def test_a_second_run_over_the_same_clips_gives_the_same_rows(clips: list[Row]) -> None:
    once = assign_groups(clips, [])
    assert assign_groups(clips, _as_known(once, clips)) == once


@given(st.integers(3, 12), st.integers(0, 10_000))
def test_three_groups_of_each_language_reach_train_and_test(n: int, salt: int) -> None:
    languages = ["ko", "en-SG", "ms", "ta"]
    clips = [
        _clip(f"{lang}-{i}", [f"identity:{salt}-{lang}-{i}"], lang) for lang in languages for i in range(n)
    ]
    splits = defaultdict(Counter)
    for row in assign_groups(clips, []):
        splits[row["clip_id"].rsplit("-", 1)[0]][row["split"]] += 1
    for found in splits.values():
        assert min(found["train"], found["val"], found["test"]) >= 1
        assert abs(found["train"] - 0.5 * n) <= 1


@given(st.integers(3, 8))
def test_one_group_per_language_still_fills_every_split(n: int) -> None:
    clips = [_clip(f"c{i}", [f"identity:{i}"], f"lang{i}") for i in range(n)]
    found = Counter(row["split"] for row in assign_groups(clips, []))
    assert set(found) == {"train", "val", "test"}


def test_shares_hold_on_many_groups() -> None:
    clips = [_clip(f"c{i:04}", [f"identity:{i}"]) for i in range(1000)]
    found = Counter(row["split"] for row in assign_groups(clips, []))
    assert found == {"train": 500, "val": 200, "test": 300}


def test_groups_that_arrive_one_by_one_keep_the_shares() -> None:
    known: list[Row] = []
    for i in range(60):
        clip = _clip(f"c{i:02}", [f"identity:{i}"])
        known += _as_known(assign_groups([clip], known), [clip])
    found = Counter(row["split"] for row in known)
    assert abs(found["train"] - 30) <= 1 and abs(found["val"] - 12) <= 1 and abs(found["test"] - 18) <= 1


def test_a_clip_that_bridges_two_splits_is_marked_and_its_neighbours_are_not() -> None:
    known = [
        {"keys": ["identity:a"], "group_id": "identity:a", "split": "train"},
        {"keys": ["identity:b"], "group_id": "identity:b", "split": "test"},
    ]
    rows = assign_groups(
        [
            _clip("bridge", ["identity:a", "identity:b", "media:1"]),
            _clip("of-a", ["identity:a", "media:2"]),
            _clip("of-b", ["identity:b", "media:3"]),
        ],
        known,
    )
    assert [(r["clip_id"], r["split"], r["reason"]) for r in rows] == [
        ("bridge", None, "bridges_splits"),
        ("of-a", "train", None),
        ("of-b", "test", None),
    ]
    assert rows[1]["group_id"] == "identity:a"


def test_a_chain_of_new_clips_that_bridges_two_splits_is_marked_whole() -> None:
    known = [
        {"keys": ["identity:a"], "group_id": "identity:a", "split": "train"},
        {"keys": ["identity:b"], "group_id": "identity:b", "split": "test"},
    ]
    rows = assign_groups(
        [_clip("x", ["identity:a", "media:1"]), _clip("y", ["media:1", "identity:b"])],
        known,
    )
    assert [row["split"] for row in rows] == [None, None]


def test_contradictions_are_errors() -> None:
    with pytest.raises(ValueError, match="known in both"):
        assign_groups(
            [],
            [
                {"keys": ["media:1"], "group_id": "media:1", "split": "train"},
                {"keys": ["media:1"], "group_id": "media:0", "split": "test"},
            ],
        )
    with pytest.raises(ValueError, match="no key"):
        assign_groups([_clip("c", [])], [])
