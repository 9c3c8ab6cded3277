"""Attacked copies are found, other media are not, and a lake that grows finds the same as one seen whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.duplicates import (
    AUDIO_ATTACKS,
    VIDEO_ATTACKS,
    attacked,
    make_film,
    many,
    write_film,
)
from haetae.engine import InlineEngine, Row, split_results
from haetae.errors import UsageError
from haetae.fingerprints.align import best_line
from haetae.fingerprints.duplicates import Limits, clusters, find_duplicates
from haetae.fingerprints.fingerprint import Fingerprint
from haetae.fingerprints.index import PictureIndex
from haetae.fingerprints.prints import Prints
from haetae.lake import Lake, Lineage

Copies = Callable[[str], list[Row]]
Taken = Callable[..., Row]


def told(pairs: list[Row]) -> set[tuple[str, str, str]]:
    return {(pair["clip_id"], pair["other_id"], pair["modality"]) for pair in pairs}


@pytest.mark.parametrize("attack", [*VIDEO_ATTACKS, *AUDIO_ATTACKS])
def test_every_copy_is_found_and_nothing_else(attack: str, known: list[Row], copies: Copies) -> None:
    fresh = copies(attack)
    pairs = find_duplicates(fresh, known)
    modality = "audio" if attack in AUDIO_ATTACKS else "video"
    assert {(p["clip_id"], p["other_id"]) for p in pairs if p["modality"] == modality} == {
        (row["clip_id"], row["clip_id"].split("|")[0]) for row in fresh
    }
    assert all(pair["clip_id"].split("|")[0] == pair["other_id"] for pair in pairs)


def test_originals_that_share_nothing_make_no_pair(known: list[Row]) -> None:
    assert find_duplicates(known, known) == []


def test_a_mirrored_copy_says_so(known: list[Row], copies: Copies) -> None:
    pairs = find_duplicates(copies("mirrored"), known)
    assert {pair["mirrored"] for pair in pairs if pair["modality"] == "video"} == {True}
    assert {pair["mirrored"] for pair in pairs if pair["modality"] == "audio"} == {False}


def test_the_sound_tells_the_speed_of_a_copy(known: list[Row], copies: Copies) -> None:
    """The pictures of 4 s cannot: they drift by 0.08 s, less than the 0.2 s between two of them."""
    pairs = find_duplicates(copies("speed 1.02"), known)
    heard = [pair["speed"] for pair in pairs if pair["modality"] == "audio"]
    assert len(heard) == 2
    assert heard == pytest.approx([1.02, 1.02], abs=0.0101)


def test_a_later_cut_tells_where_it_begins(
    originals: dict[str, Path], known: list[Row], taken: Taken, tmp_path: Path
) -> None:
    late = attacked(originals["film0"], ("-ss", "1.2"), tmp_path / "late.mp4")
    pairs = find_duplicates([taken(late, "late")], known)
    assert told(pairs) == {("late", "film0", "video"), ("late", "film0", "audio")}
    for pair in pairs:
        assert pair["offset_s"] == pytest.approx(1.2, abs=0.1)
        assert pair["overlap_s"] == pytest.approx(2.6, abs=0.5)
        assert pair["similarity"] > 0.9


def test_a_still_is_found_in_the_film_it_was_taken_from(
    known: list[Row], taken: Taken, tmp_path: Path
) -> None:
    frame = make_film(1, 51)[50]
    cv2.imwrite(str(tmp_path / "taken.png"), frame[:, :, ::-1])
    (pair,) = find_duplicates([taken(tmp_path / "taken.png", "taken")], known)
    assert (pair["other_id"], pair["overlap_s"]) == ("film1", 0.2)
    assert pair["offset_s"] == pytest.approx(2.0, abs=0.4)


@pytest.mark.parametrize("share", [0.94, 0.955, 0.97])
def test_a_still_without_its_edges_is_found_by_its_inner_part(
    known: list[Row], taken: Taken, tmp_path: Path, share: float
) -> None:
    """A picture that says something in every pixel, so that a crop moves most of what is hashed."""
    rng = np.random.default_rng(3)
    whole = cv2.resize(rng.integers(0, 255, (13, 17, 3), np.uint8), (680, 520), interpolation=cv2.INTER_CUBIC)
    cut_y, cut_x = (round(side * (1 - share) / 2) for side in whole.shape[:2])
    cv2.imwrite(str(tmp_path / "whole.png"), whole)
    cv2.imwrite(str(tmp_path / "inner.png"), whole[cut_y:-cut_y, cut_x:-cut_x][:, ::-1])
    (pair,) = find_duplicates(
        [taken(tmp_path / "inner.png", "inner")], [*known, taken(tmp_path / "whole.png", "whole")]
    )
    assert (pair["other_id"], pair["mirrored"], pair["overlap_s"]) == ("whole", True, 0.2)


def test_another_take_at_the_same_place_is_no_copy(taken: Taken, tmp_path: Path) -> None:
    """Same background, same shapes, other movement: alike in every picture, and not the same film."""
    still = make_film(7, 1)[0]
    rows = []
    for take, (across, down, hz) in enumerate(((50, 0, 0.5), (0, 45, 0.8), (40, 25, 1.3))):
        frames = []
        for turn in 2 * np.pi * hz * np.arange(100) / 25:
            frame = still.copy()
            middle = (int(160 + across * np.sin(turn)), int(120 + down * np.sin(turn + take)))
            cv2.circle(frame, middle, 45, (250, 240, 230), -1)
            frames.append(frame)
        rows.append(taken(write_film(tmp_path / f"take{take}.mp4", frames, None), f"take{take}"))
    loose = find_duplicates(rows, rows, Limits(min_motion_agreement=-1.0))
    assert len(loose) >= 2, "the takes must look alike for this to test anything"
    assert find_duplicates(rows, rows, Limits()) == []


def test_black_pictures_and_silence_are_like_nothing(taken: Taken, tmp_path: Path) -> None:
    rows = []
    for number, shade in enumerate((0, 2)):
        frames = [np.full((120, 160, 3), shade, np.uint8)] * 75
        path = write_film(tmp_path / f"{number}.mp4", frames, np.zeros(48_000, np.float32))
        rows.append(taken(path, f"black{number}"))
    assert len(rows[0]["video_hashes"]) == 15
    assert not any(rows[0]["audio_hashes"])
    assert find_duplicates(rows, rows) == []


def test_a_lake_seen_batch_by_batch_has_the_pairs_of_one_seen_whole(known: list[Row], copies: Copies) -> None:
    batches = [known, copies("CRF 38"), copies("mirrored"), copies("opus 16 kbit/s")]
    seen: list[Row] = []
    grown: list[Row] = []
    for number, batch in enumerate(batches):
        batch = [row | {"batch": f"b{number}"} for row in batch]
        seen += batch
        found = find_duplicates(batch, seen)
        assert {pair["batch"] for pair in found} <= {f"b{number}"}
        grown += found
    whole = find_duplicates(seen, seen)
    assert {frozenset(pair[:2]) for pair in told(grown)} == {frozenset(pair[:2]) for pair in told(whole)}
    assert all(pair["clip_id"] > pair["other_id"] for pair in whole)
    assert clusters(grown) == clusters(whole)
    assert clusters(grown)["film0|mirrored"] == "film0"
    assert len(set(clusters(grown).values())) == 6
    assert find_duplicates(seen[::-1], seen[::-1]) == whole


def test_cuts_of_one_media_file_are_not_paired(known: list[Row], copies: Copies) -> None:
    old = [row | {"media_id": row["clip_id"]} for row in known]
    new = [row | {"media_id": row["clip_id"].split("|")[0]} for row in copies("CRF 38")]
    assert find_duplicates(new, old) == []
    assert find_duplicates([row | {"media_id": "other"} for row in new[:1]], old)


@pytest.mark.parametrize(("steps", "paired"), [(34, False), (94, True)])
def test_what_agrees_for_a_second_only_must_agree_better(steps: int, paired: bool) -> None:
    """Seven bits of ten: over 1.1 s two different voices reached nearly that, over 3 s none did."""
    random = np.random.default_rng(4)
    (row,) = many(1)
    sound = np.array(row["audio_hashes"][:steps], np.uint32)
    flips = np.packbits(random.random((steps, 32)) < 0.3, axis=1).view("<u4")[:, 0]
    one = row | {"video_hashes": [], "video_quality": [], "audio_hashes": sound.tolist()}
    pairs = find_duplicates([one | {"clip_id": "z", "audio_hashes": (sound ^ flips).tolist()}], [one])
    assert [pair["clip_id"] for pair in pairs] == ["z"] * paired
    assert all(0.68 < pair["similarity"] < 0.72 for pair in pairs)


def test_many_cuts_of_one_media_file_do_not_crowd_out_a_copy(known: list[Row], copies: Copies) -> None:
    film = next(row for row in known if row["clip_id"] == "film0")
    (copy,) = [row for row in copies("logo") if row["clip_id"].startswith("film0")]
    own = [film | {"clip_id": f"cut{number:03}", "media_id": "m"} for number in range(60)]
    pairs = find_duplicates([film | {"clip_id": "fresh", "media_id": "m"}], [*own, copy])
    assert told(pairs) == {("fresh", copy["clip_id"], "video"), ("fresh", copy["clip_id"], "audio")}


def test_hashes_of_another_method_are_not_compared(known: list[Row], copies: Copies) -> None:
    assert find_duplicates([row | {"method": "older"} for row in copies("CRF 38")], known) == []


def test_the_rows_fit_their_tables_and_come_out_equal_twice(
    lake: Lake, known: list[Row], copies: Copies, originals: dict[str, Path]
) -> None:
    by = Lineage("fingerprints", "r", "c")
    film = {"clip_id": "c", "batch": "b", "kind": "video", "has_video": True, "has_audio": True}
    film["blob_id"] = lake.put_blob(originals["film0"].read_bytes(), "mp4")
    rows, failed = split_results(InlineEngine().map_rows(Fingerprint(str(lake.root)), [film, film]))
    assert not failed
    assert rows[0] == rows[1]
    assert len(rows[0]["video_hashes"]) == len(rows[0]["video_quality"]) == 20
    lake.write("fingerprints", "b0", known, by)
    lake.write("duplicates", "b1", find_duplicates(copies("CRF 38"), lake.rows("fingerprints")), by)
    assert len(lake.rows("duplicates", "b1")) >= 4
    assert lake.rows("fingerprints", "b0")[0].keys() == known[0].keys()


def test_a_clip_that_is_no_media_is_refused(lake: Lake) -> None:
    bad = {"clip_id": "c", "batch": "b", "blob_id": lake.put_blob(b"not a film", "mp4")}
    engine = InlineEngine()
    step = Fingerprint(str(lake.root))
    _, failed = split_results(
        engine.map_rows(step, [bad | {"kind": "video", "has_video": True, "has_audio": False}])
    )
    assert [one.reason for one in failed] == ["decode_failed"]


def test_clusters_follow_links_and_take_the_smallest_name() -> None:
    pairs = [{"clip_id": a, "other_id": b} for a, b in (("d", "c"), ("b", "a"), ("c", "b"), ("z", "y"))]
    assert clusters(pairs) == {"a": "a", "b": "a", "c": "a", "d": "a", "y": "y", "z": "y"}
    assert clusters([]) == {}


def test_limits_below_chance_are_refused() -> None:
    with pytest.raises(UsageError, match="min_audio_similarity"):
        Limits(min_audio_similarity=0.4)


@pytest.mark.parametrize(("offset", "speed"), [(0, 1.0), (37, 1.0), (-20, 1.03), (12, 0.96)])
def test_the_line_of_a_planted_copy_is_found(offset: int, speed: float) -> None:
    random = np.random.default_rng(5)
    apart = random.normal(0.45, 0.05, (220, 200)).astype(np.float32)
    steps = np.arange(200)
    under = offset + np.round(steps * speed).astype(int)
    inside = (under >= 0) & (under < 220)
    apart[under[inside], steps[inside]] = 0.1
    line = best_line(apart, 0.3)
    assert line is not None
    assert line.apart == pytest.approx(0.1, abs=0.03)
    assert line.offset_steps == pytest.approx(offset, abs=2)
    assert line.speed == pytest.approx(speed, abs=0.006)
    assert best_line(np.full((4, 5), np.nan, np.float32), 0.3) is None


def test_among_many_only_few_are_compared_and_the_copy_is_one_of_them() -> None:
    stored = many(500)
    prints = Prints.of(stored)
    index = PictureIndex(prints)
    random = np.random.default_rng(0)
    for clip in range(0, 500, 50):
        lanes, telling = prints.pictures_of(clip)
        noise = np.packbits(random.random((len(lanes), 256)) < 0.12, axis=1).view(np.uint64)
        candidates = index.candidates(lanes ^ noise, telling, np.ones(500, bool), most=32)
        assert candidates[0].clip == clip
        assert len(candidates) <= 32
    began = time.perf_counter()
    assert find_duplicates(many(10, seed=9), stored) == []
    assert time.perf_counter() - began < 30
