"""Listing and fetching: folders, and a web server on this machine that is not always friendly."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from haetae.engine import InlineEngine, split_results
from haetae.errors import Rejected, UsageError
from haetae.lake import Lake
from haetae.lake.lake import to_arrow
from haetae.lake.schema import TABLES
from haetae.media.crawl import Fetch, discover, find_sidecar
from haetae.media.cut import CutAndNormalise
from haetae.media.download import choose_captions
from haetae.provenance.ids import file_sha256
from haetae.provenance.sources import Source
from tests.haetae.media.broken import ffmpeg, make, picture, sound


def source(kind: str, uri: str | Path) -> Source:
    return Source(id="s-1", uri=str(uri), kind=kind, language="ko")


def item(address: str | Path, **changes: Any) -> dict[str, Any]:
    row = {
        "item_id": f"item-{address}",
        "batch": "b-1",
        "source_id": "s-1",
        "uri": str(address),
        "address": str(address),
        "sha256": None,
        "size_bytes": None,
        "language": "ko",
        "use_case": "news",
        "identities": ["a", "b"],
        "verdict": "real",
        "generator": None,
        "licence": "CC-BY-4.0",
        "purposes": ["training"],
        "kind": "folder",
    }
    return row | changes


def fetch(lake: Lake, row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    step = Fetch(str(lake.root), **{"requests_per_s": 1000.0, "retries": 1, "backoff_s": 0.01, **changes})
    step.setup()
    (media,) = step(row)
    return media


class Web(NamedTuple):
    base: str
    host: str
    asked: list[str]
    folder: Path


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    make(folder / "a.mp4", picture("320x240", 3), sound(3))
    make(folder / "b.mp4", picture("160x120", 4), sound(4))
    with (folder / "long.mp4").open("wb") as long:
        long.write((folder / "a.mp4").read_bytes())
        long.truncate(40 << 20)
    (folder / "page.html").write_text(
        "<html><head><title>Interview</title></head><video src='a.mp4'></video></html>"
    )
    (folder / "two.html").write_text(
        "<html><title>Two</title><video src='a.mp4'></video><video src='b.mp4'></video></html>"
    )
    asked: list[str] = []
    away = {
        "/to-metadata": "http://169.254.169.254/latest/meta-data/",
        "/to-file": "file:///etc/passwd",
        "/to-inside": "http://10.0.0.1/a.mp4",
    }

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            return None

        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path in away:
                self.send_response(302)
                self.send_header("Location", away[self.path])
                self.end_headers()
            elif self.path.startswith("/endless"):
                self.send_response(200)
                self.send_header("Content-Type", "video/mp4")
                self.end_headers()
                with_head = (folder / "a.mp4").read_bytes()
                try:
                    while True:
                        self.wfile.write(with_head)
                except OSError:
                    return
            else:
                try:
                    super().do_GET()
                except OSError:
                    return

        do_HEAD = do_GET

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            return None

    server = Quiet(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_address[1]}"
    enclosures = "".join(
        f"<item><title>{name}</title><guid>{name}</guid>"
        f"<enclosure url='http://{host}/{name}.mp4?token=s3cr3t' type='video/mp4'/></item>"
        for name in "ab"
    )
    (folder / "feed.xml").write_text(
        f"<?xml version='1.0'?><rss version='2.0'><channel>{enclosures}</channel></rss>"
    )
    yield Web(f"http://{host}", host, asked, folder)
    server.shutdown()


# Listing


def test_a_folder_lists_its_media_sorted_without_hidden_files_and_sidecars(tmp_path):
    for name in (
        "b.mp4",
        "a/x.wav",
        "a/x.srt",
        "a/x.txt",
        ".hidden.mp4",
        ".git/y.mp4",
        "x.info.json",
        "sources.yaml",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    found = discover(source("folder", tmp_path))
    assert [Path(f.uri).relative_to(tmp_path).as_posix() for f in found] == ["b.mp4", "a/x.wav"]
    assert found[0].sha256 == file_sha256(tmp_path / "b.mp4")
    assert found[0].size_bytes == 5


def test_links_that_leave_the_folder_are_told_and_never_fetched(tmp_path, lake):
    secret = tmp_path / "secret.mp4"
    make(secret, picture("160x120", 3))
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(secret, folder / "own.mp4")
    (folder / "out.mp4").symlink_to(secret)
    (folder / "inside.mp4").symlink_to(folder / "own.mp4")
    (folder / "up").symlink_to(tmp_path)
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    found = {Path(f.uri).name: f for f in discover(source("folder", folder))}
    assert sorted(found) == ["gone.mp4", "out.mp4", "own.mp4", "up"], "a link inside stands for its file"
    assert "leads out" in found["out.mp4"].error
    assert "leads out" in found["up"].error
    assert found["own.mp4"].error is None
    reasons = {name: reason_for(lake, item(f.uri)) for name, f in found.items() if f.error}
    assert reasons == {"gone.mp4": "unreadable", "out.mp4": "symlink_refused", "up": "symlink_refused"}


def reason_for(lake: Lake, row: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(Rejected) as no:
        fetch(lake, row, **changes)
    return no.value.reason


def test_a_missing_file_or_folder_is_found_with_its_error(tmp_path):
    assert "No such file" in discover(source("file", tmp_path / "x.mp4"))[0].error
    assert "no such folder" in discover(source("folder", tmp_path / "x"))[0].error


def test_a_kind_that_is_imported_says_how(tmp_path):
    with pytest.raises(UsageError, match="haetae import"):
        discover(source("dataset:fakeavceleb", tmp_path))


def test_a_page_a_feed_and_a_file_address_are_listed(web):
    allow = {"allow_hosts": (web.host,)}
    assert [f.uri for f in discover(source("page", f"{web.base}/page.html"), **allow)] == [
        f"{web.base}/page.html"
    ]
    long = source("page", f"{web.base}/long.mp4")
    assert [f.uri for f in discover(long, **allow)] == [long.uri], (
        "a medium declared as a page is that medium"
    )
    assert "too_large" in discover(long, max_bytes=30 << 20, **allow)[0].error
    assert [Path(f.uri).name for f in discover(source("page", f"{web.base}/two.html"), **allow)] == [
        "a.mp4",
        "b.mp4",
    ]
    feed = discover(source("feed", f"{web.base}/feed.xml"), **allow)
    assert [f.uri for f in feed] == [f"{web.base}/{n}.mp4?token=s3cr3t" for n in "ab"]
    assert len(discover(source("feed", f"{web.base}/feed.xml"), limit=1, **allow)) == 1
    assert [f.uri for f in discover(source("file", f"{web.base}/a.mp4"), **allow)] == [f"{web.base}/a.mp4"]


def test_a_site_that_cannot_be_listed_is_found_with_its_error(web):
    (gone,) = discover(source("page", f"{web.base}/missing"), allow_hosts=(web.host,))
    assert "404" in gone.error
    (kept_in,) = discover(source("page", f"{web.base}/page.html"))
    assert kept_in.error.startswith(f"egress_refused: {web.host} is not public")
    assert "crawl.allow_hosts" in kept_in.error


# Fetching from the disk


def test_a_local_file_becomes_a_media_row_that_fits_the_table(tmp_path, lake):
    path = tmp_path / "a__talk.mp4"
    make(path, picture("320x240", 3), sound(3))
    sha = file_sha256(path)
    media = fetch(lake, item(path, sha256=sha, purposes=["benchmark"]))
    assert to_arrow(TABLES["media"], [media]).num_rows == 1
    assert media["media_id"] == sha
    assert media["blob_id"] == f"{sha}.mp4"
    assert lake.open_local(media["blob_id"]).read_bytes() == path.read_bytes()
    assert (media["title"], media["identities"]) == ("a__talk.mp4", ["a"])
    assert media["training_allowed"] is False


def test_a_wrong_extension_is_corrected_in_the_lake(tmp_path, lake):
    path = tmp_path / "film.avi"
    make(path, picture("160x120", 3), "-f", "matroska")
    assert fetch(lake, item(path))["blob_id"].endswith(".mkv")


@pytest.mark.parametrize(
    ("beside", "language", "taken"),
    [
        (["t.srt", "t.ko.vtt", "t.en.srt", "t.txt"], "ko", "t.ko.vtt"),
        (["t.srt", "t.en.srt", "t.txt"], "ko", "t.srt"),
        (["t.en.srt", "t.en-SG.vtt"], "en-SG", "t.en-SG.vtt"),
        (["t.en.srt"], "en-SG", "t.en.srt"),
        (["t.en.srt"], "ta", None),
        (["t.txt"], "ms", "t.txt"),
        (["other.srt"], "ms", None),
    ],
)
def test_the_sidecar_in_the_language_of_the_source_is_taken(tmp_path, beside, language, taken):
    for name in beside:
        (tmp_path / name).write_text("1\n00:00:00,000 --> 00:00:01,000\nx\n")
    found = find_sidecar(tmp_path / "t.mp4", language)
    assert (found and found.name) == taken


def test_captions_are_kept_beside_the_media(tmp_path, lake):
    make(tmp_path / "t.mp4", picture("160x120", 3), sound(3))
    (tmp_path / "t.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n안녕하세요\n")
    media = fetch(lake, item(tmp_path / "t.mp4"))
    assert media["captions_kind"] == "sidecar"
    assert media["captions_blob"].endswith(".srt")
    assert "안녕하세요" in lake.open_local(media["captions_blob"]).read_text()


def test_a_file_that_changed_after_it_was_listed_is_told(tmp_path, lake):
    make(tmp_path / "t.mp4", picture("160x120", 3))
    assert reason_for(lake, item(tmp_path / "t.mp4", sha256="0" * 64)) == "changed"


def test_a_file_that_is_too_big_is_not_copied(tmp_path, lake):
    make(tmp_path / "t.mp4", picture("160x120", 3))
    assert reason_for(lake, item(tmp_path / "t.mp4"), max_bytes=1000) == "too_large"


def test_a_refused_file_leaves_nothing_in_the_lake(tmp_path, lake):
    (tmp_path / "page.mp4").write_text("<html></html>")
    assert reason_for(lake, item(tmp_path / "page.mp4")) == "not_media"
    assert [p for p in Path(lake.root).rglob("*") if p.is_file()] == []


@pytest.mark.slow
def test_every_broken_file_ends_as_foretold_and_the_rest_of_the_batch_goes_on(broken, lake):
    """Listing, fetching and cutting the whole collection, as a run does it."""
    folder, outcome = broken
    found = discover(source("folder", folder))
    assert {Path(f.uri).name for f in found} == set(outcome)
    engine = InlineEngine()
    items = [item(f.uri, sha256=f.sha256) for f in found]
    media, failed = split_results(engine.map_rows(Fetch(str(lake.root)), items))
    names = {row["media_id"]: row["title"] for row in media}
    reasons = {Path(f.item_id).name: f.reason for f in failed}
    clips, uncut = split_results(engine.map_rows(CutAndNormalise(str(lake.root)), media))
    reasons |= {names[f.item_id]: f.reason for f in uncut}
    handled = {names[clip["media_id"]] for clip in clips}
    got = {name: f"quarantine:{reason}" for name, reason in reasons.items()} | dict.fromkeys(
        handled, "handled"
    )
    assert got == outcome
    assert all(f.detail for f in [*failed, *uncut]), "each refusal says what was wrong"


# Fetching from the web


def test_media_are_fetched_from_an_address_and_from_a_page(web, lake):
    for path, title in (("/a.mp4", "a"), ("/page.html", "Interview")):
        media = fetch(lake, item(web.base + path), allow_hosts=(web.host,))
        assert media["media_id"] == file_sha256(web.folder / "a.mp4")
        assert media["title"].startswith(title)
        assert media["captions_blob"] is None


def test_what_is_secret_in_an_address_stays_out_of_the_row(web, lake):
    (found, _) = discover(source("feed", f"{web.base}/feed.xml"), allow_hosts=(web.host,))
    media = fetch(lake, item(found.uri, uri="given redacted", item_id="i"), allow_hosts=(web.host,))
    assert "/a.mp4?token=s3cr3t" in web.asked
    assert "s3cr3t" not in str(media)
    for address, reason in (
        (f"{web.base}/missing.mp4?token=s3cr3t", "download_failed"),
        (f"http://user:s3cr3t@{web.host}/a.mp4", "bad_address"),
    ):
        with pytest.raises(Rejected) as no:
            fetch(lake, item(address), allow_hosts=(web.host,))
        assert no.value.reason == reason
        assert "s3cr3t" not in str(no.value)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/to-metadata", "egress_refused"),
        ("/to-inside", "egress_refused"),
        ("/to-file", "bad_address"),
        ("/missing.mp4", "download_failed"),
        ("/two.html", "many_media"),
    ],
)
def test_what_must_not_or_cannot_be_fetched_is_rejected(web, lake, path, reason):
    assert reason_for(lake, item(web.base + path), allow_hosts=(web.host,)) == reason


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("file:///etc/passwd", "bad_address"),
        ("ftp://127.0.0.1/a.mp4", "bad_address"),
        ("http:///a.mp4", "bad_address"),
        ("http://169.254.169.254/latest/meta-data/", "egress_refused"),
        ("http://[::1]:80/a.mp4", "egress_refused"),
        ("http://[::ffff:10.0.0.1]/a.mp4", "egress_refused"),
        ("http://localhost:1/a.mp4", "egress_refused"),
        ("http://2130706433/a.mp4", "egress_refused"),
    ],
)
def test_addresses_outside_the_open_web_are_refused(lake, address, reason):
    assert reason_for(lake, item(address)) == reason


def test_without_the_allow_list_this_machine_is_not_asked(web, lake):
    web.asked.clear()
    assert reason_for(lake, item(f"{web.base}/a.mp4")) == "egress_refused"
    assert web.asked == []


def test_a_stated_size_beyond_the_limit_is_not_downloaded(web, lake):
    assert reason_for(lake, item(f"{web.base}/a.mp4"), allow_hosts=(web.host,), max_bytes=1000) == "too_large"


def test_a_download_that_never_ends_is_stopped_at_the_limit(web, lake):
    limits = {"allow_hosts": (web.host,), "max_bytes": 2_000_000}
    assert reason_for(lake, item(f"{web.base}/endless.mp4"), **limits) == "too_large"


def test_a_film_that_is_too_long_is_rejected(web, lake):
    assert (
        reason_for(lake, item(f"{web.base}/b.mp4"), allow_hosts=(web.host,), max_duration_s=3.5) == "too_long"
    )


def test_a_segmented_stream_is_fetched_whole_and_merged_to_the_same_bytes_each_time(web, lake):
    folder = web.folder / "hls"
    folder.mkdir()
    ffmpeg(
        "-i", str(web.folder / "b.mp4"), "-map", "0:v", "-map", "0:a", "-c", "copy", "-f", "hls", "-hls_time", "2",
        "-hls_list_size", "0", "-var_stream_map", "v:0,agroup:a a:0,agroup:a", "-master_pl_name", "all.m3u8",
        str(folder / "s%v.m3u8"),
    )  # fmt: skip
    rows = [fetch(lake, item(f"{web.base}/hls/all.m3u8"), allow_hosts=(web.host,)) for _ in range(2)]
    assert rows[0]["media_id"] == rows[1]["media_id"]
    assert (rows[0]["has_video"], rows[0]["has_audio"]) == (True, True)
    assert rows[0]["duration_s"] == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize(
    ("segment", "reason"),
    [("http://169.254.169.254/a.ts", "egress_refused"), ("file:///etc/passwd", "bad_address")],
)
def test_a_stream_whose_segments_point_inside_is_refused(web, lake, segment, reason):
    playlist = web.folder / "evil.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{segment}\n#EXT-X-ENDLIST\n")
    assert reason_for(lake, item(f"{web.base}/evil.m3u8"), allow_hosts=(web.host,)) == reason


def test_an_encrypted_stream_starts_no_other_program(web, lake, monkeypatch):
    started: list[Any] = []
    monkeypatch.setattr("subprocess.Popen.__init__", lambda *a, **_: started.append(a) or 1 / 0)
    playlist = web.folder / "sealed.m3u8"
    key = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://key",KEYFORMAT="com.apple.streamingkeydelivery"'
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n{key}\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n")
    assert reason_for(lake, item(f"{web.base}/sealed.m3u8"), allow_hosts=(web.host,)) == "download_failed"
    assert not any("ffmpeg" in str(args) and web.base in str(args) for args in started)


def test_proxies_of_the_environment_are_not_used(web, lake, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert fetch(lake, item(f"{web.base}/a.mp4"), allow_hosts=(web.host,))["has_video"]


# Subtitles of sites


def track(ext: str, name: str = "") -> dict[str, str]:
    return {"ext": ext, "url": f"https://example.org/{name}.{ext}"}


@pytest.mark.parametrize(
    ("tracks", "language", "automatic", "taken"),
    [
        ({"ko": [track("json3"), track("vtt", "ko")]}, "ko", False, "ko.vtt"),
        ({"ko-KR": [track("srt", "ko-KR")]}, "ko", False, "ko-KR.srt"),
        ({"en": [track("vtt", "en")], "en-SG": [track("vtt", "sg")]}, "en-SG", False, "sg.vtt"),
        ({"en": [track("vtt", "en")]}, "ta", False, None),
        ({"ko": [track("vtt", "translated")], "en-orig": [track("vtt", "heard")]}, "ko", True, None),
        ({"ko": [track("vtt", "translated")], "ko-orig": [track("vtt", "heard")]}, "ko", True, "heard.vtt"),
        ({"ms": [track("vtt", "ms")]}, "ms", True, "ms.vtt"),
        ({"ms": [track("ttml", "ms")]}, "ms", True, None),
        ({"ko": [track("vtt", "ko")]}, "other", False, None),
    ],
)
def test_subtitles_are_those_of_the_speech(tracks, language, automatic, taken):
    chosen = choose_captions(tracks, language, automatic=automatic)
    assert (chosen and os.path.basename(chosen["url"])) == taken
