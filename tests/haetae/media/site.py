"""A web site on this machine that behaves as sites do, and counts every byte that it is asked for.

What must come of crawling it is told by the tests.
"""

from __future__ import annotations

import hashlib
import http.server
import re
import socket
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from haetae.engine import InlineEngine, split_results
from haetae.lake import Lake, Lineage
from haetae.media.crawl import Fetch
from haetae.media.hosts import Manners, state_folder
from haetae.media.intake import declare_sources, fetch_rows, open_batches
from haetae.params import Crawl
from haetae.provenance.sources import Source
from tests.haetae.media.broken import ffmpeg, make, picture, sound

MEDIA = (".mp4", ".ts", ".m4s", ".m4a", ".aac")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".xml": "application/rss+xml",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mpd": "application/dash+xml",
    ".vtt": "text/vtt",
    ".txt": "text/plain",
    ".jpg": "image/jpeg",
}
KOREAN = "WEBVTT\n\n00:00.200 --> 00:02.000\n안녕하세요, 뉴스입니다\n"


@dataclass(frozen=True)
class Asked:
    """One request as the site saw it."""

    at: float
    path: str
    range: str | None
    if_range: str | None
    agent: str

    @property
    def begins(self) -> int:
        """The first byte that was asked for."""
        return int((self.range or "bytes=0-").removeprefix("bytes=").removesuffix("-"))


@dataclass
class Site:
    """What the site has, how it behaves, and what was asked of it; `host` is `127.0.0.1:<port>`."""

    folder: Path
    host: str = ""
    asked: list[Asked] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    failures: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    """Answers that a path gives before it behaves: status and headers, one for each request."""
    always: dict[str, int] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    drop_at: dict[str, int] = field(default_factory=dict)
    """Where a path breaks the connection, once: bytes of its body."""
    hang_at: dict[str, int] = field(default_factory=dict)
    """Where a path stops and waits for `go_on`: bytes of its body."""
    hanging: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    slow_s: dict[str, float] = field(default_factory=dict)
    """Seconds between two KiB of a path's body."""
    types: dict[str, str] = field(default_factory=dict)
    careless: bool = False
    """Whether `If-Range` is not looked at."""
    busy: int = 0
    busiest: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def base(self) -> str:
        return f"http://{self.host}"

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    def media_bytes(self) -> int:
        return sum(n for path, n in self.sent.items() if path.endswith(MEDIA))

    def forget(self) -> None:
        """Start counting anew."""
        self.asked.clear()
        self.sent.clear()
        self.busiest = 0


def serve(site: Site) -> http.server.ThreadingHTTPServer:
    """Serve a site from a thread until `shutdown`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            return None

        def setup(self) -> None:
            # Little is on its way unread, so that the bytes counted are about those that were taken.
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 << 10)
            super().setup()

        def do_GET(self) -> None:
            self.close_connection = True
            with site.lock:
                site.busy += 1
                site.busiest = max(site.busiest, site.busy)
            try:
                _answer(site, self)
            except OSError:
                return
            finally:
                with site.lock:
                    site.busy -= 1

        do_HEAD = do_GET

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            return None

    server = Server(("127.0.0.1", 0), Handler)
    site.host = f"127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _answer(site: Site, handler: Any) -> None:
    path = urlsplit(handler.path).path
    headers = handler.headers
    site.asked.append(
        Asked(
            time.monotonic(),
            path,
            headers.get("Range"),
            headers.get("If-Range"),
            headers.get("User-Agent", ""),
        )
    )
    waiting = site.failures.get(path)
    if path in site.always or waiting:
        status, more = (site.always[path], {}) if path in site.always else waiting.pop(0)
        return _head(handler, status, {"Content-Length": "0", **more})
    if path in site.moved:
        return _head(handler, 302, {"Location": site.moved[path], "Content-Length": "0"})
    key = parse_qs(urlsplit(handler.path).query).get("id")
    file = site.folder / (path.replace(".mp4", f".{key[0]}.mp4") if key else path).lstrip("/")
    if not file.is_file():
        return _head(handler, 404, {"Content-Length": "0"})
    content = file.read_bytes()
    if path.endswith(".xml"):
        content = content.replace(b"{base}", site.base.encode()).replace(
            b"{n}", str(len(site.asked)).encode()
        )
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    kind = site.types.get(path) or TYPES.get(file.suffix, "video/mp4")
    start, status, more = 0, 200, {"Content-Type": kind, "ETag": etag, "Accept-Ranges": "bytes"}
    wanted = re.fullmatch(r"bytes=(\d+)-", headers.get("Range") or "")
    if wanted and (site.careless or headers.get("If-Range", etag) == etag):
        start, status = int(wanted[1]), 206
        more["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    _head(handler, status, {**more, "Content-Length": str(len(content) - start)})
    if handler.command == "HEAD":
        return None
    return _body(site, handler, path, content, start)


def _head(handler: Any, status: int, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Connection", "close")
    handler.end_headers()


def _body(site: Site, handler: Any, path: str, content: bytes, start: int) -> None:
    step = 1024 if path in site.slow_s else 8192
    # A film is asked for twice: yt-dlp first looks at its head, and goes away.
    is_look = path.endswith(".mp4") and site.paths().count(path) == 1
    for at in range(start, len(content), step):
        if at >= site.drop_at.get(path, sys.maxsize) and not is_look:
            del site.drop_at[path]
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if at >= site.hang_at.get(path, sys.maxsize) and not is_look:
            site.hanging.set()
            site.go_on.wait(60)
        piece = content[at : at + step]
        handler.wfile.write(piece)
        site.sent[path] += len(piece)
        time.sleep(site.slow_s.get(path, 0))


def furnish(folder: Path) -> None:
    """Write what the site has: films, pages, a feed, streams with variants and subtitles, a rule for robots."""
    films = ("page", "first", "second", "target", "busy", "drip", "typed", "signed.a", "signed.b", "other")
    for number, name in enumerate(films):
        make(folder / f"{name}.mp4", picture("160x120", 2 + number / 10), sound(2 + number / 10))
    noise = ["-f", "lavfi", "-i", "nullsrc=s=320x240:r=25:d=4,geq=random(1)*255:128:128"]
    make(folder / "large.mp4", noise, sound(4), "-movflags", "+faststart", "-qp", "24")
    (folder / "note.mp4").write_text("<!doctype html><title>gone</title>" + "<p>not here any more</p>" * 200)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=640x360:d=1", "-frames:v", "1", str(folder / "preview.jpg"))
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(300))
    (folder / "ko.vtt").write_text(KOREAN)
    (folder / "page.html").write_text(
        "<html><head><title>Morning news</title></head><body><video src='page.mp4' poster='preview.jpg'>"
        "<track kind='subtitles' srclang='en' src='en.vtt'><track kind='subtitles' srclang='ko' src='ko.vtt'>"
        "</video></body></html>"
    )
    (folder / "two.html").write_text(
        "<html><title>Two</title><video src='first.mp4'></video><video src='second.mp4'></video></html>"
    )
    (folder / "poster.html").write_text(
        "<html><title>Poster</title><video src='other.mp4' poster='bad.jpg'></video></html>"
    )
    (folder / "private").mkdir()
    (folder / "private" / "list.html").write_text("<html><video src='/other.mp4'></video></html>")
    (folder / "robots.txt").write_text(
        "User-agent: *\nDisallow: /private/\n\nUser-agent: other\nDisallow: /\n"
    )
    (folder / "feed.xml").write_text(
        "<?xml version='1.0'?><rss version='2.0'><channel><title>Feed</title>"
        + "".join(
            f"<item><title>{title}</title><enclosure url='{{base}}/signed.mp4?id={key}&amp;X-Amz-Signature={{n}}"
            "&amp;X-Amz-Expires=60' type='video/mp4'/></item>"
            for title, key in (("One", "a"), ("Two", "b"))
        )
        + "</channel></rss>"
    )
    _streams(folder)


def _streams(folder: Path) -> None:
    for kind in ("hls", "dash"):
        (folder / kind).mkdir()
    films = [folder / f"{size}.film.mp4" for size in (120, 240)]
    for film, size in zip(films, ("160x120", "320x240"), strict=True):
        make(film, picture(size, 4), sound(4), "-g", "25", "-keyint_min", "25")
        cut = "-hls_time", "1", "-hls_list_size", "0", "-hls_segment_filename"
        segments, playlist = str(folder / "hls" / f"{size}-%d.ts"), str(folder / "hls" / f"{size}.m3u8")
        ffmpeg("-i", str(film), "-c", "copy", "-f", "hls", *cut, segments, playlist)
    (folder / "hls" / "ko.vtt").write_text(KOREAN)
    (folder / "hls" / "ko.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nko.vtt\n#EXT-X-ENDLIST\n"
    )
    (folder / "hls" / "all.m3u8").write_text(
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="Korean",LANGUAGE="ko",URI="ko.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=160x120,SUBTITLES="s"\n160x120.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=400000,RESOLUTION=320x240,SUBTITLES="s"\n320x240.m3u8\n'
    )
    ffmpeg(
        "-i",
        str(films[1]),
        "-c",
        "copy",
        "-f",
        "dash",
        "-seg_duration",
        "1",
        str(folder / "dash" / "all.mpd"),
    )
    for film in films:
        film.unlink()


def sources_of(site: Site) -> list[Source]:
    """The whole site as sources: a page, a list, a feed, and single files and streams."""
    pages = {
        "page": "page.html",
        "poster": "poster.html",
        "two": "two.html",
        "feed": "feed.xml",
        "closed": "private/list.html",
    }
    kinds = {"two": "channel", "feed": "feed"}
    files = ("moved", "busy", "drip", "typed", "large", "note", "gone", "down")
    found = [declared(name, kinds.get(name, "page"), f"{site.base}/{path}") for name, path in pages.items()]
    found += [declared(name, "file", f"{site.base}/{name}.mp4") for name in files]
    found += [declared("hls", "file", f"{site.base}/hls/all.m3u8")]
    return [*found, declared("dash", "file", f"{site.base}/dash/all.mpd")]


def declared(name: str, kind: str, uri: str, **changes: Any) -> Source:
    usual = {"language": "ko", "licence": "CC-BY-4.0", "purposes": ("training",), "verdict": "real"}
    return Source.model_validate({"id": name, "kind": kind, "uri": uri, **usual, **changes})


class Crawled(NamedTuple):
    """Media rows by source, reasons of what was refused by source, and what could not be listed."""

    media: dict[str, list[dict[str, Any]]]
    reasons: dict[str, str]
    problems: tuple[str, ...]


def crawl(lake: Lake, host: str, sources: list[Source]) -> Crawled:
    """Look at the sources and fetch what is fresh, as a run does."""
    declare_sources(lake, sources, "test", "r")
    manners = Manners(state_folder(lake), requests_per_s=500.0, retries=2, backoff_s=0.02)
    opened = open_batches(lake, sources, Crawl(allow_hosts=(host,)), "r", manners=manners)
    step = Fetch(
        str(lake.root), allow_hosts=(host,), requests_per_s=500.0, retries=2, backoff_s=0.02, timeout_s=60.0
    )
    media: dict[str, list[dict[str, Any]]] = {}
    reasons: dict[str, str] = {}
    for batch in lake.partitions("items"):
        if batch in lake.partitions("media"):
            continue
        rows = sorted(
            fetch_rows(lake, batch), key=lambda row: (row["source_id"] in ("large", "hls"), row["uri"])
        )
        made, failed = split_results(InlineEngine().map_rows(step, rows))
        once = {row["media_id"]: row for row in made}
        lake.write("media", batch, once.values(), Lineage("media", "r", "1"), failed=failed)
        for row in made:
            media.setdefault(row["source_id"], []).append(row)
        source_of = {row["item_id"]: row["source_id"] for row in rows}
        reasons |= {source_of[one.item_id]: one.reason for one in failed}
    return Crawled(media, reasons, opened.problems)


if __name__ == "__main__":
    root, host, *wanted = sys.argv[1:]
    served = Site(Path(), host)
    crawl(Lake(root), host, [one for one in sources_of(served) if not wanted or one.id in wanted])
