"""What is one item, when a source is looked at, and what a second look changes."""

from __future__ import annotations

import datetime as dt
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haetae.engine import InlineEngine, split_results
from haetae.lake import Lake, Lineage
from haetae.media.addresses import host_of, same_item, without_secrets
from haetae.media.crawl import Fetch
from haetae.media.download import name_of
from haetae.media.intake import declare_sources, fetch_rows, is_due, item_id_of, open_batches
from haetae.media.listing import Found
from haetae.media.partial import partial_folder, remember, remembered, sweep
from haetae.params import Crawl
from haetae.provenance.ids import content_id
from haetae.provenance.sources import Source
from tests.haetae.media.broken import make, picture, sound
from tests.haetae.media.site import declared
from tests.haetae.media.test_manifest import Signing, training

BASE = "https://media.example/watch"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{BASE}?v=a&X-Amz-Signature=1&X-Amz-Date=2", f"{BASE}?v=a&x-amz-signature=9&X-Amz-Date=8"),
        (f"{BASE}?v=a&token=one", f"{BASE}?token=two&v=a"),
        (f"{BASE}?v=a&Policy=x&Signature=y&Key-Pair-Id=z", f"{BASE}?v=a"),
        (f"{BASE}?v=a&sig=1&se=2026&sp=r&sv=1", f"{BASE}?v=a&sig=2&se=2027&sp=r&sv=2"),
        (f"{BASE}?v=a&hdnts=exp=1~hmac=2", f"{BASE}?v=a&HDNTS=exp=3~hmac=4"),
        (f"{BASE}?v=a&expires=1", f"{BASE}?v=a&Expires=2"),
        (f"{BASE}?v=a#t=10", f"{BASE}?v=a"),
        ("HTTPS://Media.Example:443/watch?v=a", f"{BASE}?v=a"),
        ("https://me:word@media.example/watch?v=a", f"{BASE}?v=a"),
    ],
)
def test_a_signed_address_is_the_same_item_whenever_it_was_signed(one: str, other: str) -> None:
    assert same_item(one) == same_item(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{BASE}?v=a", f"{BASE}?v=b"),
        (f"{BASE}?key=a", f"{BASE}?key=b"),
        (f"{BASE}?sp=1", f"{BASE}?sp=2"),
        (f"{BASE}/a", f"{BASE}/A"),
        ("https://media.example/", "https://media.example:8443/"),
        ("https://media.example/", "http://media.example/"),
    ],
)
def test_other_addresses_are_other_items(one: str, other: str) -> None:
    assert same_item(one) != same_item(other)


@given(st.text("abv=&?/:%[]@.#1é", max_size=40), st.text("abc0", min_size=1, max_size=8))
def test_any_path_and_query_has_a_name_that_no_token_changes(rest: str, token: str) -> None:
    address = f"https://media.example/{rest}"
    join = "&" if "?" in address.partition("#")[0] else "?"
    page = address.partition("#")[0]
    assert same_item(f"{page}{join}token={token}") == same_item(page)
    assert host_of(page) == "media.example"


def test_messages_lose_queries_and_credentials() -> None:
    told = without_secrets(
        "error at HTTPS://me:pw@x.example/a?token=s3cr3t and http://y.example/b#s3cr3t end"
    )
    assert told == "error at HTTPS://x.example/a and http://y.example/b end"


def test_a_video_is_known_by_its_site_and_id_whatever_its_address() -> None:
    source = declared("s", "channel", "https://media.example/")
    ids = {item_id_of(source, Found(f"{BASE}?v={n}", name="Site:a1")) for n in "ab"}
    assert len(ids) == 1
    assert item_id_of(source, Found(f"{BASE}?v=a", name="Site:a2")) not in ids


def test_an_id_that_was_made_up_from_the_address_names_nothing() -> None:
    one, two = (f"https://a.example/{folder}/film.mp4" for folder in "xy")
    for extractor in ("Generic", "HTML5MediaEmbed", None):
        entry = {"id": "film", "extractor_key": extractor}
        assert name_of(entry, one) != name_of(entry, two)
    assert name_of({"id": "a1", "ie_key": "Site"}, one) == name_of({"id": "a1", "extractor_key": "Site"}, two)


def test_ids_of_local_items_are_those_of_before(tmp_path: Path) -> None:
    source = declared("s", "folder", str(tmp_path))
    assert item_id_of(source, Found(f"{tmp_path}/a/b.mp4", sha256="ff")) == content_id(
        "item", "s", "a/b.mp4", "ff"
    )


# Schedule


def at(hours: float, problem: str | None = None) -> dict[str, Any]:
    moment = dt.datetime(2026, 11, 21, tzinfo=dt.UTC) + dt.timedelta(hours=hours)
    return {"looked_at": moment, "problem": problem}


@pytest.mark.parametrize(
    ("every_h", "last", "due"),
    [
        (None, [at(23.99)], True),
        (24.0, [], True),
        (24.0, [at(1)], False),
        (24.0, [at(0)], True),
        (24.0, [at(23, "down")], True),
        (24.0, [at(23.9, "down")], False),
        (0.1, [at(23.8, "down")], True),
        (24.0, [at(30)], True),
    ],
)
def test_a_source_is_due_when_its_hours_are_over(every_h: float | None, last: list[Any], due: bool) -> None:
    source = declared("s", "page", BASE, every_h=every_h)
    assert is_due(source, last, at(24)["looked_at"]) is due


def test_a_source_that_is_not_due_is_passed_over_by_the_sensor_and_not_by_a_run(tmp_path: Path) -> None:
    lake, folder = Lake(tmp_path / "lake"), tmp_path / "films"
    folder.mkdir()
    source = declared("s", "folder", str(folder), every_h=24)
    declare_sources(lake, [source], "test", "r")
    assert open_batches(lake, [source], Crawl(), "r", only_due=True).batches == ()
    (folder / "a.mp4").write_bytes(b"x")
    assert open_batches(lake, [source], Crawl(), "r", only_due=True).batches == ()
    assert len(open_batches(lake, [source], Crawl(), "r").batches) == 1
    (visit,) = lake.rows("visits", "s")
    assert (visit["n_found"], visit["n_fresh"], visit["problem"]) == (1, 1, None)


def test_an_hour_that_is_no_number_above_0_is_told() -> None:
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="every_h"):
            declared("s", "page", BASE, every_h=wrong)


# What is fetched once


def test_a_new_signature_reaches_an_item_that_still_waits_and_stays_private(
    tmp_path: Path, monkeypatch
) -> None:
    lake = Lake(tmp_path / "lake")
    source = declared("s", "file", f"{BASE}?v=a&token=old")
    declare_sources(lake, [source], "test", "r")
    (batch,) = open_batches(lake, [source], Crawl(), "r").batches
    again = source.model_copy(update={"uri": f"{BASE}?v=a&token=new"})
    assert open_batches(lake, [again], Crawl(), "r").batches == ()
    (row,) = fetch_rows(lake, batch)
    assert row["address"] == f"{BASE}?v=a&token=new"
    assert row["uri"] == f"{BASE}?v=a&token=…"
    kept = Path(lake.root) / "intake" / f"{batch}.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    tables = b"".join(path.read_bytes() for path in (Path(lake.root) / "tables").rglob("*.parquet"))
    assert b"token=new" not in tables
    assert b"token=old" not in tables


def test_bytes_that_the_lake_holds_are_measured_again_and_not_fetched_again(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    make(tmp_path / "a.mp4", picture("160x120", 1), sound(1))
    local = declared("s", "file", str(tmp_path / "a.mp4"))
    declare_sources(lake, [local], "test", "r")
    (batch,) = open_batches(lake, [local], Crawl(), "r").batches
    step = Fetch(str(lake.root))
    step.setup()
    (row,) = fetch_rows(lake, batch)
    (media,) = step(row)
    lake.write("media", batch, [media], Lineage("media", "r", "1"))
    (known,) = fetch_rows(lake, batch)
    # Nobody answers there: a request would fail.
    away = {**known, "address": "http://127.0.0.1:9/a.mp4", "purposes": []}
    (again,) = step(away)
    assert again == {**media, "training_allowed": False}


def test_a_finished_item_is_remembered_until_its_batch_is_written(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    inputs = {
        "item_id": "item-1",
        "language": "ko",
        "address": "https://x.example/?token=s3cr3t",
        "known": None,
    }
    made = {"item_id": "item-1", "fetched_at": dt.datetime.now(dt.UTC), "title": "t"}
    with partial_folder(lake, "item-1", 1.0) as folder:
        (folder / "media.mp4").write_bytes(b"x")
        remember(folder, inputs, made)
        assert [path.name for path in folder.iterdir()] == ["done.json"]
        assert b"s3cr3t" not in (folder / "done.json").read_bytes()
        assert remembered(folder, {**inputs, "address": "https://x.example/?token=other"}) == made
        assert remembered(folder, {**inputs, "language": "ta"}) is None
    assert sweep(lake) == 0
    item = {
        "item_id": "item-1",
        "batch": "b",
        "source_id": "s",
        "uri": "u",
        "sha256": None,
        "size_bytes": None,
    }
    lake.write("items", "b", [item], Lineage("items", "r", "1"))
    lake.write("media", "b", [], Lineage("media", "r", "1"))
    assert sweep(lake) == 1


# Archives


def test_a_folder_with_archives_gives_their_members_and_tells_what_is_refused(tmp_path: Path) -> None:
    films, lake = tmp_path / "films", Lake(tmp_path / "lake")
    films.mkdir()
    make(tmp_path / "a.mp4", picture("160x120", 1), sound(1))
    make(tmp_path / "b.mp4", picture("160x120", 2))
    subtitles = "1\n00:00:00,000 --> 00:00:01,000\n안녕하세요\n"
    with zipfile.ZipFile(films / "one.zip", "w") as archive:
        archive.write(tmp_path / "a.mp4", "뉴스/a.mp4")
        archive.writestr("뉴스/a.srt", subtitles)
        archive.writestr("../out.mp4", b"x")
    with tarfile.open(films / "two.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "b.mp4", "b.mp4")
    (films / "three.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(40))
    source = declared("s", "folder", str(films))
    declare_sources(lake, [source], "test", "r")
    (batch,) = open_batches(lake, [source], Crawl(), "r").batches
    rows = fetch_rows(lake, batch)
    media, failed = split_results(InlineEngine().map_rows(Fetch(str(lake.root)), rows))
    by_title = {row["title"]: row for row in media}
    assert sorted(by_title) == ["a.mp4", "b.mp4"]
    assert by_title["a.mp4"]["origin_url"].endswith("one.zip!/뉴스/a.mp4")
    assert by_title["a.mp4"]["captions_kind"] == "sidecar"
    assert "안녕하세요" in lake.open_local(by_title["a.mp4"]["captions_blob"]).read_text()
    assert {one.reason for one in failed} == {"path_escape", "unsupported_archive"}
    assert all(one.detail for one in failed)
    lake.write("media", batch, media, Lineage("media", "r", "1"))
    assert open_batches(lake, [source], Crawl(), "r").batches == ()


def test_frames_and_masks_of_a_data_set_are_fetched_with_their_item(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    frames = tmp_path / "frames"
    frames.mkdir()
    make(frames / "%03d.png", picture("160x120", 1), name_as_it_is=False)
    make(tmp_path / "mask.mp4", picture("160x120", 1))
    (tmp_path / "broken.mp4").write_text("no film")
    step = Fetch(str(lake.root))
    step.setup()
    source = Source(id="s", uri=str(tmp_path), kind="folder", language="ko")
    declare_sources(lake, [source], "test", "r")
    row = {name: value for name, value in lake.rows("sources")[0].items() if name != "uri"}
    row |= {
        "item_id": "i",
        "batch": "b",
        "uri": "frames/",
        "sha256": None,
        "size_bytes": None,
        "kind": "file",
    }
    row["address"] = f"{frames}/"
    (media,) = step({**row, "mask": str(tmp_path / "mask.mp4")})
    assert (media["has_video"], media["fps"]) == (True, 25.0)
    assert lake.open_local(media["masks_blob"]).exists()
    (bad,) = step({**row, "mask": str(tmp_path / "broken.mp4")})
    assert bad["media_id"] == media["media_id"]
    assert bad["masks_blob"] is None


def test_a_manifest_that_forbids_training_is_obeyed_whatever_the_source_says(tmp_path: Path) -> None:
    lake, films = Lake(tmp_path / "lake"), tmp_path / "films"
    films.mkdir()
    make(films / "plain.mp4", picture("160x120", 1))
    forbidding = {"cawg.training-mining": training(ai_generative_training="notAllowed")}
    Signing().sign(films / "plain.mp4", films / "signed.mp4", forbidding)
    source = declared("s", "folder", str(films))
    declare_sources(lake, [source], "test", "r")
    (batch,) = open_batches(lake, [source], Crawl(), "r").batches
    media, _ = split_results(InlineEngine().map_rows(Fetch(str(lake.root)), fetch_rows(lake, batch)))
    found = {row["title"]: row for row in media}
    assert (found["plain.mp4"]["training_allowed"], found["plain.mp4"]["c2pa"]) == (True, None)
    assert found["signed.mp4"]["training_allowed"] is False
    assert "notAllowed" in found["signed.mp4"]["c2pa"], "with the evidence"
