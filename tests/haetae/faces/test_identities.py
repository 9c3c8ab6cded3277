"""Clustering tracks into people, on embeddings whose people are known."""

from __future__ import annotations

import time
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haetae.faces.identities import cluster, people, seen_together
from haetae.lake.schema import TABLES


def faces(
    n_people: int, each: int, spread: float = 0.6, seed: int = 1
) -> tuple[np.ndarray, list[str], list[int]]:
    """Unit vectors around random centres; cosine within a person about 1 / (1 + spread²)."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_people, 512)) / np.sqrt(512)
    who = np.repeat(np.arange(n_people), each)
    values = centres[who] + spread * rng.normal(size=(len(who), 512)) / np.sqrt(512)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    order = rng.permutation(len(who))
    ids = [f"t{k:05d}" for k in rng.permutation(len(who))]
    return values[order].astype(np.float32), ids, who[order].tolist()


def _persons(rows: list[dict]) -> dict[str, str]:
    return {row["track_id"]: row["person_id"] for row in rows}


def test_tracks_of_one_person_get_one_id_and_others_another():
    values, ids, who = faces(12, 6)
    rows = cluster(values, ids, [None] * len(ids))
    true = dict(zip(ids, who, strict=True))
    members = defaultdict(set)
    for row in rows:
        members[row["person_id"]].add(row["track_id"])
    assert len(members) == 12
    for person, tracks in members.items():
        assert person == min(tracks), "a person is named by the smallest track"
        assert len({true[t] for t in tracks}) == 1
    assert all(row["similarity"] > 0.8 for row in rows)


def test_strangers_stay_alone():
    values, ids, _ = faces(40, 1)
    rows = cluster(values, ids, [None] * 40)
    assert all(row["person_id"] == row["track_id"] for row in rows)
    assert all(row["similarity"] == pytest.approx(1) for row in rows)


def test_two_faces_of_one_frame_are_never_one_person_however_alike():
    values, ids, _ = faces(1, 5, spread=0.05)
    rows = cluster(values, ids, [None] * 5, apart=[(ids[0], ids[3])])
    persons = _persons(rows)
    assert persons[ids[0]] != persons[ids[3]]
    assert len(set(persons.values())) == 2, "everybody else goes with one of them"
    known = dict.fromkeys(ids, min(ids))
    parted = _persons(cluster(values, ids, [None] * 5, apart=[(ids[0], ids[3])], known=known))
    assert parted[ids[0]] != parted[ids[3]], "an earlier mistake does not hold them together"


def test_a_chain_of_look_alikes_does_not_make_one_person_of_its_ends():
    angles = np.arange(0, 180, 15)
    values = np.zeros((len(angles), 512), np.float32)
    values[:, 0], values[:, 1] = np.cos(np.radians(angles)), np.sin(np.radians(angles))
    persons = _persons(cluster(values, [f"t{a:03d}" for a in angles], [None] * len(angles), 0.9))
    assert persons["t000"] != persons["t090"] != persons["t165"]


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(24)))
def test_the_order_of_the_tracks_changes_nothing(order):
    values, ids, _ = faces(5, 5, spread=1.0)
    values, ids = values[:24], ids[:24]
    apart = [(ids[0], ids[1]), (ids[5], ids[9])]
    expected = cluster(values, ids, [None] * 24, 0.4, apart)
    mixed = cluster(values[list(order)], [ids[k] for k in order], [None] * 24, 0.4, apart[::-1])
    assert mixed == expected


def test_who_was_one_person_stays_one_when_tracks_are_added():
    values, ids, _ = faces(8, 10, spread=1.1)
    first = _persons(cluster(values[:40], ids[:40], [None] * 40, 0.45))
    later = _persons(cluster(values, ids, [None] * 80, 0.45, known=first))
    together = defaultdict(set)
    for track, person in first.items():
        together[person].add(track)
    assert any(len(tracks) > 1 for tracks in together.values())
    for tracks in together.values():
        assert len({later[track] for track in tracks}) == 1


def test_rows_of_tracks_become_rows_that_fit_the_table():
    values, ids, _ = faces(1, 3, spread=0.1)
    tracks = [
        {
            "track_id": t,
            "clip_id": c,
            "first_frame": a,
            "last_frame": b,
            "identity": name,
            "embedding": v.tolist(),
        }
        for t, c, a, b, name, v in zip(
            ids, "xxy", (0, 50, 0), (60, 99, 9), ("lee", None, None), values, strict=True
        )
    ]
    tracks.append({**tracks[0], "track_id": "without", "embedding": None})
    assert seen_together(tracks[:3]) == [(ids[0], ids[1])]
    rows = people(tracks)
    table = pa.Table.from_pylist(rows, schema=TABLES["identities"].schema)
    assert table.num_rows == 3
    persons = _persons(rows)
    assert persons[ids[0]] != persons[ids[1]]
    assert persons[ids[2]] in (persons[ids[0]], persons[ids[1]])
    assert {row["track_id"]: row["declared"] for row in rows}[ids[0]] == "lee"
    assert people([tracks[-1]]) == []
    assert people([]) == []


def test_values_that_are_no_embeddings_are_refused():
    values, ids, _ = faces(2, 2)
    for wrong in ((values * 2, ids), (values[:3], ids), (values, [ids[0]] * 4)):
        with pytest.raises(ValueError, match=r"unit|embeddings|twice"):
            cluster(wrong[0], wrong[1], [None] * 4)


def test_thousands_of_tracks_are_clustered_in_seconds():
    values, ids, who = faces(300, 10)
    began = time.process_time()
    rows = cluster(values, ids, [None] * len(ids))
    assert time.process_time() - began < 15
    true = dict(zip(ids, who, strict=True))
    assert len({(row["person_id"], true[row["track_id"]]) for row in rows}) == 300
