"""A whole site is crawled, once more for nothing, and once more after a kill: over real sockets, by real yt-dlp."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from haetae.errors import Rejected
from haetae.lake import Lake
from haetae.media.download import PIECE_BYTES, DownloadLimits, download
from haetae.media.hosts import USER_AGENT, Manners
from haetae.media.manifest import read_manifest
from haetae.media.partial import prepare
from haetae.provenance.ids import file_sha256
from tests.conftest import REPOSITORY
from tests.haetae.media.broken import make, picture, sound
from tests.haetae.media.site import (
    KOREAN,
    Asked,
    Crawled,
    Site,
    crawl,
    declared,
    furnish,
    serve,
    sources_of,
)
from tests.haetae.media.test_manifest import Signing, training


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    furnish(folder)
    site = Site(folder, moved={"/moved.mp4": "/target.mp4"})
    server = serve(site)
    yield site
    site.go_on.set()
    server.shutdown()


class Seen(NamedTuple):
    lake: Lake
    crawled: Crawled
    asked: list[Asked]

    def one(self, source: str) -> dict[str, Any]:
        (row,) = self.crawled.media[source]
        return row


@pytest.fixture(scope="module")
def seen(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The site after one full crawl, with everything that goes wrong at sites going wrong."""
    site.failures = {"/busy.mp4": [(429, {"Retry-After": "1"}), (503, {})]}
    site.always = {"/down.mp4": 503}
    site.drop_at = {"/large.mp4": 200_000}
    site.slow_s = {"/drip.mp4": 0.01}
    site.types = {"/typed.mp4": "text/plain", "/note.mp4": "video/mp4"}
    lake = Lake(tmp_path_factory.mktemp("crawled") / "lake")
    crawled = crawl(lake, site.host, sources_of(site))
    return Seen(lake, crawled, list(site.asked))


def test_everything_on_the_site_is_fetched_or_refused_with_its_reason(seen: Seen) -> None:
    counts = {source: len(rows) for source, rows in seen.crawled.media.items()}
    once = dict.fromkeys(("page", "poster", "moved", "busy", "drip", "typed", "large", "hls", "dash"), 1)
    assert counts == once | {"two": 2, "feed": 2}
    assert seen.crawled.reasons == {
        "note": "not_media",
        "gone": "download_failed",
        "down": "download_failed",
    }
    (problem,) = seen.crawled.problems
    assert problem.startswith("source closed:")
    assert "robots_disallowed" in problem
    assert seen.lake.read("media").num_rows == 13


def test_the_bytes_are_those_of_the_site(site: Site, seen: Seen) -> None:
    same = {name: name for name in ("page", "busy", "drip", "typed", "large")}
    for source, file in {**same, "moved": "target"}.items():
        assert seen.one(source)["media_id"] == file_sha256(site.folder / f"{file}.mp4"), source


def test_a_host_that_asks_for_time_is_given_it(seen: Seen) -> None:
    first, second = [one.at for one in seen.asked if one.path == "/busy.mp4"][:2]
    assert second - first >= 0.99


def test_a_host_that_stays_down_is_asked_again_and_then_left(seen: Seen) -> None:
    assert [one.path for one in seen.asked].count("/down.mp4") == 3, "once, and twice more"


def test_what_a_page_has_beside_its_film_is_kept(seen: Seen) -> None:
    page = seen.one("page")
    assert page["title"].startswith("Morning news")
    assert seen.lake.open_local(page["captions_blob"]).read_text() == KOREAN
    assert page["captions_kind"] == "manual"
    assert seen.lake.open_local(page["thumbnail_blob"]).suffix == ".jpg"
    told = json.loads(page["origin_info"])
    assert told["title"] == page["title"]
    assert told["webpage_url"].endswith("/page.html")
    assert told["n_subtitles"] == 2
    assert page["bit_rate_bps"] > 1000
    assert page["encoder"]


def test_a_preview_picture_that_cannot_be_read_is_left_out_and_told(seen: Seen) -> None:
    page = seen.one("poster")
    assert page["thumbnail_blob"] is None
    (left_out,) = json.loads(page["origin_info"])["left_out"]
    assert left_out.startswith("thumbnail: ")


def test_a_stream_gives_its_best_variant_and_its_subtitles(seen: Seen) -> None:
    for source in ("hls", "dash"):
        row = seen.one(source)
        assert row["width"] == 320
        assert row["has_audio"]
        assert row["duration_s"] == pytest.approx(4.0, abs=0.15)
    assert "안녕하세요" in seen.lake.open_local(seen.one("hls")["captions_blob"]).read_text()


def test_one_path_with_two_ids_is_two_items_and_nothing_signed_is_written_down(seen: Seen) -> None:
    assert len({row["media_id"] for row in seen.crawled.media["feed"]}) == 2
    written = json.dumps(
        [*seen.lake.rows("items"), *seen.lake.rows("media")], default=str, ensure_ascii=False
    )
    assert "X-Amz-Signature=…" in written
    assert "X-Amz-Expires=60" not in written


def test_a_film_that_breaks_off_goes_on_where_it_was(seen: Seen) -> None:
    (resumed,) = [one for one in seen.asked if one.path == "/large.mp4" and one.range]
    assert resumed.begins > 0
    assert resumed.if_range


def test_the_crawler_says_who_it_is(seen: Seen) -> None:
    assert {one.agent for one in seen.asked} == {USER_AGENT}


def test_a_second_crawl_transfers_no_media_bytes_although_addresses_are_signed_anew(
    site: Site, seen: Seen
) -> None:
    site.forget()
    again = crawl(seen.lake, site.host, sources_of(site))
    assert again.media == {}
    assert site.media_bytes() == 0
    assert "/feed.xml" in site.paths()
    assert not any((Path(seen.lake.root) / "partial").iterdir()), "nothing waits that is done"
    assert set(again.reasons) == {"gone", "down"}, "what failed in passing is tried again, and nothing else"
    pages = (".html", ".xml")
    assert {path for path in site.paths() if not path.endswith(pages)} == {"/gone.mp4", "/down.mp4"}


def test_what_was_down_is_fetched_when_it_is_up_again_and_given_up_in_the_end(site: Site, seen: Seen) -> None:
    site.always.clear()
    shutil.copy(site.folder / "other.mp4", site.folder / "down.mp4")
    down = [source for source in sources_of(site) if source.id in ("down", "gone")]
    third = crawl(seen.lake, site.host, down)
    assert list(third.media) == ["down"]
    assert third.reasons == {"gone": "download_failed"}
    site.forget()
    fourth = crawl(seen.lake, site.host, down)
    assert (fourth.media, fourth.reasons, site.paths()) == ({}, {}, [])


def test_each_look_is_written_down(seen: Seen) -> None:
    visits = {row["source_id"]: row for row in seen.lake.rows("visits")}
    assert (visits["two"]["n_found"], visits["two"]["problem"]) == (2, None)
    assert visits["closed"]["n_found"] == 0
    assert "robots_disallowed" in visits["closed"]["problem"]


def test_a_manifest_in_a_part_that_a_film_was_merged_from_is_not_lost(site: Site, tmp_path: Path) -> None:
    folder = site.folder / "signed"
    folder.mkdir()
    make(tmp_path / "plain.mp4", picture("160x120", 2))
    forbidding = {"cawg.training-mining": training(ai_training="notAllowed")}
    Signing().sign(tmp_path / "plain.mp4", folder / "pictures.mp4", forbidding)
    make(folder / "sound.mp4", sound(2))
    for name in ("pictures", "sound"):
        lines = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{name}.mp4\n#EXT-X-ENDLIST\n"
        (folder / f"{name}.m3u8").write_text(lines)
    (folder / "all.m3u8").write_text(
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="k",DEFAULT=YES,URI="sound.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=160x120,CODECS="avc1.64,mp4a.40.2",AUDIO="a"\n'
        "pictures.m3u8\n"
    )
    lake = Lake(tmp_path / "lake")
    source = declared("signed", "file", f"{site.base}/signed/all.m3u8")
    ((row,),) = crawl(lake, site.host, [source]).media.values()
    assert (row["has_video"], row["has_audio"]) == (True, True)
    assert read_manifest(lake.open_local(row["blob_id"])) is None, "merging took it away"
    assert "notAllowed" in row["c2pa"]
    assert row["training_allowed"] is False


@pytest.mark.parametrize("careless", [False, True])
def test_a_cut_off_file_that_the_site_has_replaced_is_fetched_anew(
    site: Site, tmp_path: Path, careless: bool
) -> None:
    site.forget()
    site.careless = careless
    site.drop_at["/replaced.mp4"] = 24_576
    replaced = site.folder / "replaced.mp4"
    shutil.copy(site.folder / "page.mp4", replaced)
    limits = DownloadLimits(10_000_000, 60.0, 30.0, (site.host,))
    polite = Manners(tmp_path / "hosts", requests_per_s=500.0, retries=0)
    address = f"{site.base}/replaced.mp4"
    with pytest.raises(Rejected, match="download_failed"):
        download(address, tmp_path, "ko", limits, polite)
    assert [path.stat().st_size for path in tmp_path.glob("*.part")] == [24_576]
    shutil.copy(site.folder / "second.mp4", replaced)
    got = download(address, tmp_path, "ko", limits, polite)
    assert any(one.begins == 24_576 for one in site.asked if one.path == "/replaced.mp4")
    assert file_sha256(got.path) == file_sha256(replaced), "not half of one and half of the other"
    site.careless = False


def test_a_fragment_that_was_written_but_not_counted_is_taken_off(tmp_path: Path) -> None:
    for name, index, size, body in (
        ("counted", 2, 6, b"aaabbbccc"),
        ("short", 2, 6, b"aaa"),
        ("torn", 0, 0, b"a"),
    ):
        (tmp_path / f"{name}.mp4.part").write_bytes(body)
        state = {"downloader": {"current_fragment": {"index": index}, "size": size}}
        (tmp_path / f"{name}.mp4.ytdl").write_text("{" if name == "torn" else json.dumps(state))
    prepare(tmp_path)
    left = {path.name: path.read_bytes() for path in tmp_path.glob("*.part")}
    assert left == {"counted.mp4.part": b"aaabbb"}, "what cannot be trusted is begun anew"
    assert [path.name for path in tmp_path.glob("*.ytdl")] == ["counted.mp4.ytdl"]


def wait_until_still(folder: Path, still_s: float = 0.5) -> None:
    """Wait until nothing below a folder has grown for a while: what was sent has arrived."""
    known, since = -1, time.monotonic()
    while time.monotonic() - since < still_s:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if size != known:
            known, since = size, time.monotonic()
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wanted", "path", "at"), [("large", "/large.mp4", 400_000), ("hls", "/hls/320x240-2.ts", 8192)]
)
def test_a_crawl_that_is_killed_half_way_goes_on_without_fetching_anything_twice(
    site, tmp_path, wanted, path, at
):
    site.failures, site.slow_s, site.types, site.always = {}, {}, {}, {}
    site.forget()
    site.hanging.clear()
    site.go_on.clear()
    site.hang_at[path] = at
    lake = Lake(tmp_path / "lake")
    ids = ("moved", "drip", wanted)
    command = [sys.executable, "-m", "tests.haetae.media.site", str(lake.root), site.host, *ids]
    child = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)
    try:
        assert site.hanging.wait(60), "the child never came to the file"
        wait_until_still(Path(lake.root) / "partial")
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    site.hang_at.clear()
    site.go_on.set()
    assert lake.partitions("media") == []
    first = set(site.paths())
    site.forget()
    again = crawl(lake, site.host, [one for one in sources_of(site) if one.id in ids])
    assert again.reasons == {}
    assert set(again.media) == set(ids)
    finished = {"/target.mp4", "/drip.mp4"}
    assert finished <= first
    assert not finished & set(site.paths()), "finished files are not asked for"
    (row,) = again.media[wanted]
    if wanted == "large":
        assert row["media_id"] == file_sha256(site.folder / "large.mp4")
        (resumed,) = [one for one in site.asked if one.range]
        lost = at + 8192 - resumed.begins
        assert 0 <= lost <= 2 * PIECE_BYTES, "what had come before the kill is not asked for again"
    else:
        assert not {"/hls/320x240-0.ts", "/hls/320x240-1.ts"} & set(site.paths())
        whole = crawl(
            Lake(tmp_path / "whole"), site.host, [one for one in sources_of(site) if one.id == wanted]
        )
        assert row["media_id"] == whole.media[wanted][0]["media_id"], "as if it had come in one go"
