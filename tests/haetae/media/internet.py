"""A small internet on this machine: names and addresses of the open web, a hostile site, and a canary inside.

Sockets and HTTP are real; only where a name and an address lead is arranged. Every address but those of
the site leads to the canary, so whatever reaches it would have reached something inside.
"""

from __future__ import annotations

import gzip
import http.server
import ipaddress
import socket
import threading
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

SITE, DEAD = "93.184.216.34", "93.184.216.99"
MEBI = 1 << 20
WHOLE_BYTES = 16 * MEBI
"""What an answer without end amounts to here; far more than the buffers of sockets hold."""
DRIP_S = 1.4
CLIP = b"\0\0\0\x18ftypisom\0\0\0\1isomavc1" + b"\0\0\0\x08free" * 200

_KEY = '#EXT-X-KEY:METHOD=AES-128,URI="http://127.0.0.1/key"'
_MAP = '#EXT-X-MAP:URI="http://127.0.0.1/init.mp4"'
_VARIANT = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nhttp://127.0.0.1/variant.m3u8\n"
_SUBTITLES = (
    '#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="x",LANGUAGE="ko",URI="http://127.0.0.1/s.m3u8"\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=1000,SUBTITLES="s"\nfine.m3u8\n'
)
_DASH = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S">
<Period><AdaptationSet mimeType="video/mp4"><Representation id="v" bandwidth="1000" width="16" height="16">
<BaseURL>{base}</BaseURL><SegmentList duration="4"><SegmentURL media="{segment}"/></SegmentList>
</Representation></AdaptationSet></Period></MPD>"""


def playlist(segment: str, *lines: str) -> str:
    head = "\n".join(("#EXTM3U", "#EXT-X-TARGETDURATION:4", *lines))
    return f"{head}\n#EXTINF:4,\n{segment}\n#EXT-X-ENDLIST\n"


def page(video: str) -> str:
    return f"<html><head><title>Interview</title></head><body>{video}</body></html>"


def plain_pages(secret: Path) -> dict[str, tuple[str, str]]:
    """Path to content type and text; `secret` is a file of this machine that nobody may read."""
    hls, html = "application/vnd.apple.mpegurl", "text/html"
    return {
        "/page.html": (html, page('<video src="/clip.mp4"></video>')),
        "/fine.m3u8": (hls, playlist("/clip.mp4")),
        "/segment.m3u8": (hls, playlist("http://127.0.0.1/s.ts")),
        "/file-segment.m3u8": (hls, playlist(secret.as_uri())),
        "/key.m3u8": (hls, playlist("/clip.mp4", _KEY)),
        "/map.m3u8": (hls, playlist("/clip.mp4", _MAP)),
        "/variant.m3u8": (hls, _VARIANT),
        "/subtitles.m3u8": (hls, _SUBTITLES),
        "/dash.mpd": ("application/dash+xml", _DASH.format(base="http://127.0.0.1/", segment="a.m4s")),
        "/file-dash.mpd": ("application/dash+xml", _DASH.format(base="/", segment=secret.as_uri())),
        "/track.html": (html, page('<video src="/clip.mp4"><track kind="subtitles" srclang="ko" '
                                   'src="http://127.0.0.1/a.vtt"></video>')),
        "/file-track.html": (html, page('<video src="/clip.mp4"><track kind="subtitles" srclang="ko" '
                                        f'src="{secret.with_suffix(".vtt").as_uri()}"></video>')),
        "/poster.html": (html, page('<video src="/clip.mp4" poster="http://127.0.0.1/p.jpg"></video>')),
        "/inside.html": (html, page('<video src="http://10.0.0.1/a.mp4"></video>')),
    }  # fmt: skip


REDIRECTS = {
    "/to-loopback": "http://127.0.0.1/a.mp4",
    "/to-metadata": "http://169.254.169.254/latest/meta-data/",
    "/to-metadata-6": "http://[fd00:ec2::254]/latest/meta-data/",
    "/to-name": "http://intranet.example/a.mp4",
    "/to-ftp": "ftp://10.0.0.1/a.mp4",
    "/to-public-ftp": f"ftp://{DEAD}/a.mp4",
    "/to-file": "file:///etc/passwd",
    "/to-data": "data:text/html,<video src=a.mp4>",
    "/to-credentials": f"http://user:s3cr3t@{SITE}/clip.mp4",
}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        return None


class Internet:
    """Names, routes, and the two servers; `asked` counts paths at the site, `hits` connections inside."""

    def __init__(self, secret: Path) -> None:
        self.asked: Counter[str] = Counter()
        self.told: list[str] = []
        self.taken_whole: list[str] = []
        self.hits: list[str] = []
        self.pages = plain_pages(secret)
        self.names: dict[str, list[list[str]]] = {}
        self._lookup, self._connect = socket.getaddrinfo, socket.socket.connect
        self._site = self._serve(_site_handler(self))
        self._canary = self._serve(_canary_handler())
        self.forget()

    def _serve(self, handler: type[http.server.BaseHTTPRequestHandler]) -> _Server:
        server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def close(self) -> None:
        for server in (self._site, self._canary):
            server.shutdown()
            server.server_close()

    def forget(self) -> None:
        """As if nobody had asked anything; the last answer for a name is the one that it keeps giving."""
        for record in (self.asked, self.told, self.hits):
            record.clear()
        self.taken_whole = []  # a list of its own: an answer of before may still be under way
        self.names = {
            "site.example": [[SITE]],
            "intranet.example": [["10.1.2.3"]],
            "localhost": [["127.0.0.1"]],
            "rebind.example": [[SITE], ["127.0.0.1"]],
            "rebind6.example": [[SITE], ["::1"]],
            "both.example": [[DEAD, "127.0.0.1"]],
        }

    def getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in self.names:
            answers = self.names[name]
            return [_answer(one, int(port)) for one in (answers.pop(0) if len(answers) > 1 else answers[0])]
        if not _is_number(name):
            raise socket.gaierror(socket.EAI_NONAME, "no such name on this internet")
        return self._lookup(host, port, *args, **kwargs)

    def connect(self, sock: socket.socket, address: Any) -> None:
        host = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if str(host) == DEAD:
            self.hits += [str(host)] if address[1] == 21 else []
            raise ConnectionRefusedError("nobody is there")
        if str(host) != SITE:
            self.hits.append(str(host))
        server = self._site if str(host) == SITE else self._canary
        here = "127.0.0.1" if sock.family == socket.AF_INET else "::ffff:127.0.0.1"
        self._connect(sock, (here, server.server_port))


def _answer(address: str, port: int) -> Any:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = (address, port, 0, 0) if family == socket.AF_INET6 else (address, port)
    return (family, socket.SOCK_STREAM, 6, "", where)


def _is_number(name: str) -> bool:
    try:
        socket.inet_aton(name)
    except OSError:
        return ":" in name
    return True


def _canary_handler() -> type[http.server.BaseHTTPRequestHandler]:
    class Canary(http.server.BaseHTTPRequestHandler):
        timeout = 0.3

        def log_message(self, *_: object) -> None:
            return None

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html><title>inside</title></html>")

    return Canary


def _site_handler(net: Internet) -> type[http.server.BaseHTTPRequestHandler]:
    end = playlist("/reached.ts").encode()
    start, rest = end[:8], end[8:]
    filler = b"#" + b"." * 126 + b"\n"
    long = start + filler * (WHOLE_BYTES // len(filler)) + rest
    raw = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = {
        "/bomb-gzip.m3u8": ("gzip", gzip.compress(long, 9)),
        "/bomb-zlib.m3u8": ("deflate", zlib.compress(long, 9)),
        "/bomb-raw.m3u8": ("deflate", raw.compress(long) + raw.flush()),
        "/bomb-twice.m3u8": ("gzip, gzip", gzip.compress(gzip.compress(long, 9), 9)),
    }

    class Site(http.server.BaseHTTPRequestHandler):
        timeout = 10

        def setup(self) -> None:
            # Little is on its way at any time, so that what was sent was mostly taken.
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
            super().setup()

        def log_message(self, *_: object) -> None:
            return None

        def head(self, status: int = 200, kind: str = "", **headers: object) -> None:
            self.send_response(status)
            if kind:
                self.send_header("Content-Type", kind)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()

        def all_of(self, body: bytes) -> None:
            taken_whole = net.taken_whole
            for at in range(0, len(body), MEBI):
                self.wfile.write(body[at : at + MEBI])
            taken_whole.append(self.path)

        def drip(self, piece: bytes, after: bytes) -> None:
            """Until somebody waited for it; who comes again then gets all of it at once."""
            taken_whole = net.taken_whole
            ends = time.monotonic() + (0.0 if self.path in taken_whole else DRIP_S)
            while time.monotonic() < ends:
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(0.05)
            # Before the last bytes: who has as many as were promised hangs up, and writing on would fail.
            taken_whole.append(self.path)
            self.wfile.write(after)

        def do_GET(self) -> None:
            net.asked[self.path] += 1
            net.told += [value for name, value in self.headers.items() if name.lower() == "authorization"]
            try:
                self.answer()
            except OSError:
                self.close_connection = True

        def answer(self) -> None:
            hls = "application/vnd.apple.mpegurl"
            if self.path in REDIRECTS:
                self.head(302, Location=REDIRECTS[self.path])
            elif self.path in net.pages:
                kind, text = net.pages[self.path]
                self.head(kind=kind)
                self.wfile.write(text.encode())
            elif self.path in packed:
                coding, body = packed[self.path]
                self.head(kind=hls, Content_Encoding=coding, Content_Length=len(body))
                self.wfile.write(body)
            elif self.path == "/endless.m3u8":
                self.head(kind=hls)
                self.all_of(long)
            elif self.path == "/huge.m3u8":
                self.head(kind=hls, Content_Length=2 * 10**9)
                self.all_of(long)
            elif self.path == "/endless-redirect":
                self.head(302, Location="/reached.ts")
                self.all_of(long)
            elif self.path == "/endless-key.m3u8":
                self.head(kind=hls)
                key = '#EXT-X-KEY:METHOD=AES-128,URI="/endless.m3u8"'
                self.wfile.write(playlist("/clip.mp4", key).encode())
            elif self.path == "/drip-body.m3u8":
                self.head(kind=hls)
                self.wfile.write(start)
                self.drip(b"#", b"\n" + rest)
            elif self.path == "/drip-head.m3u8":
                self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n")
                self.drip(b"X-A: b\r\n", b"\r\n" + end)
            elif self.path == "/drip.mp4":
                self.head(kind="video/mp4", Content_Length=2 * len(CLIP))
                self.wfile.write(CLIP)
                self.drip(b"\0", b"\0" * len(CLIP))
            else:
                self.head(kind="video/mp4", Content_Length=len(CLIP))
                self.wfile.write(CLIP)

    return Site
