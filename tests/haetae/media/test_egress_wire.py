"""A yt-dlp session within limits: what it may ask for, and how much of an answer it takes."""

from __future__ import annotations

import gzip
import http.server
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from haetae.errors import Rejected
from haetae.media.egress import guarded
from haetae.media.wire import MAX_RATIO, bound, refusal_in, require_web

TEXT = b"Haetae tells true from false. " * 400
PAGE, MEDIA = 100_000, 3_000_000


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


Answer = tuple[int, dict[str, Any], bytes]
ANSWERS: dict[str, Answer] = {
    "/plain": (200, {}, TEXT),
    "/gzip": (200, {"Content-Encoding": "gzip"}, gzip.compress(TEXT)),
    "/x-gzip": (200, {"Content-Encoding": "X-GZIP"}, gzip.compress(TEXT)),
    "/zlib": (200, {"Content-Encoding": "deflate"}, zlib.compress(TEXT)),
    "/raw": (200, {"Content-Encoding": "deflate"}, raw_deflate(TEXT)),
    "/unknown-coding": (200, {"Content-Encoding": "aws-chunked"}, TEXT),
    "/empty-gzip": (200, {"Content-Encoding": "gzip"}, b""),
    "/cut-gzip": (200, {"Content-Encoding": "gzip"}, gzip.compress(TEXT)[:-30]),
    "/not-gzip": (200, {"Content-Encoding": "gzip"}, TEXT),
    "/cut": (200, {"Content-Length": 2 * len(TEXT)}, TEXT),
    "/long": (200, {}, b"x" * (PAGE + 1)),
    "/longest-page": (200, {}, b"x" * PAGE),
    "/media": (200, {}, b"x" * MEDIA),
    "/too-much": (200, {"Content-Length": MEDIA + 1}, b"x"),
    "/dense": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"\0" * (MEDIA - 1))),
    "/error": (404, {"Content-Length": MEDIA + 1}, b"x"),
    "/gone": (404, {}, b"x" * (PAGE + 1)),
}


class Site:
    def __init__(self) -> None:
        self.told: dict[str, str | None] = {}
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                return None

            def do_GET(self) -> None:
                site.told[self.path] = self.headers.get("Authorization")
                if self.path.startswith("/away"):
                    status, headers, body = 302, {"Location": site.away[self.path]}, b""
                else:
                    status, headers, body = ANSWERS[self.path]
                self.send_response(status)
                for name, value in ({"Content-Length": len(body)} | headers).items():
                    self.send_header(name, str(value))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.host = f"127.0.0.1:{self._server.server_port}"
        other = f"localhost:{self._server.server_port}"
        self.away = {"/away-same": f"http://{self.host}/plain", "/away-other": f"http://{other}/plain"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@contextmanager
def bounded(site: Site, timeout_s: float = 20, allow: tuple[str, ...] = ("localhost",)) -> Iterator[Any]:
    import yt_dlp

    with guarded((site.host, *allow)), yt_dlp.YoutubeDL({"quiet": True, "proxy": ""}) as session:
        bound(session, page_bytes=PAGE, media_bytes=MEDIA, deadline=time.monotonic() + timeout_s)
        yield session


@pytest.fixture
def ask(site: Site) -> Iterator[Callable[[str], Any]]:
    with bounded(site) as session:
        yield lambda path: session.urlopen(f"http://{site.host}{path}")


def in_pieces(answer: Any, size: int = 777) -> bytes:
    got = b""
    while piece := answer.read(size):
        assert len(piece) <= size
        got += piece
    return got


@pytest.mark.parametrize("path", ["/plain", "/gzip", "/x-gzip", "/zlib", "/raw", "/unknown-coding"])
def test_a_body_is_unpacked_whole_and_in_pieces(ask, path):
    assert ask(path).read() == TEXT
    assert in_pieces(ask(path)) == TEXT


def test_an_empty_body_is_empty_in_any_coding(ask):
    assert ask("/empty-gzip").read() == b""


@pytest.mark.parametrize("path", ["/cut-gzip", "/not-gzip", "/cut"])
def test_a_body_that_breaks_off_is_a_network_error_that_may_be_tried_again(ask, path):
    from yt_dlp.networking.exceptions import TransportError

    with pytest.raises(TransportError) as error:
        ask(path).read()
    assert refusal_in(error.value) is None


def test_a_page_may_be_as_long_as_the_limit_and_no_longer(ask):
    assert len(ask("/longest-page").read()) == PAGE
    with pytest.raises(Exception) as error:
        ask("/long").read()
    assert refusal_in(error.value).reason == "too_large"


def test_what_is_read_in_pieces_may_be_as_long_as_media(ask):
    assert len(in_pieces(ask("/media"), 1 << 16)) == MEDIA


def test_a_stated_length_beyond_the_limit_is_refused_before_the_body(ask):
    with pytest.raises(Exception) as error:
        ask("/too-much")
    assert refusal_in(error.value).reason == "too_large"


def test_a_stated_length_without_a_body_is_no_matter(site):
    from yt_dlp.networking import HEADRequest

    with bounded(site) as session:
        answer = session.urlopen(HEADRequest(f"http://{site.host}/too-much"))
        assert answer.headers["Content-Length"] == str(MEDIA + 1)


def test_what_unpacks_to_far_more_than_was_sent_is_refused_below_the_limit_too(ask):
    packed = len(ANSWERS["/dense"][2])
    assert packed * MAX_RATIO < MEDIA
    with pytest.raises(Exception) as error:
        in_pieces(ask("/dense"), 1 << 16)
    assert refusal_in(error.value).reason == "too_large"


def test_bodies_of_errors_are_bounded_too(ask):
    from yt_dlp.networking.exceptions import HTTPError

    with pytest.raises(Exception) as error:
        ask("/error")
    assert refusal_in(error.value).reason == "too_large"
    with pytest.raises(HTTPError) as gone:
        ask("/gone")
    with pytest.raises(Exception) as error:
        gone.value.response.read()
    assert refusal_in(error.value).reason == "too_large"


def test_a_refusal_is_no_network_error_so_no_extractor_passes_over_it(site):
    """Extractors may go on without a page that cannot be had; they must not without one that is refused."""
    from yt_dlp.networking.exceptions import TransportError

    with bounded(site, allow=()) as session:
        for address in (f"http://localhost:{site.host[10:]}/plain", "http://10.0.0.1/", "ftp://10.0.0.1/"):
            with pytest.raises(Exception) as error:
                session.urlopen(address)
            assert not isinstance(error.value, TransportError)
            assert refusal_in(error.value).reason in ("egress_refused", "bad_address")


def test_once_the_time_is_over_nothing_more_is_asked(site):
    with bounded(site, timeout_s=0.05) as session:
        time.sleep(0.1)
        site.told.clear()
        with pytest.raises(Exception) as error:
            session.urlopen(f"http://{site.host}/plain")
        assert refusal_in(error.value).reason == "timeout"
        assert site.told == {}


def test_a_password_for_one_host_is_not_carried_to_another(site):
    from yt_dlp.networking import Request

    with bounded(site) as session:
        for path, carried in (("/away-same", "Bearer s3cr3t"), ("/away-other", None)):
            request = Request(f"http://{site.host}{path}", headers={"Authorization": "Bearer s3cr3t"})
            assert session.urlopen(request).read() == TEXT
            assert site.told == {path: "Bearer s3cr3t", "/plain": carried} | site.told
            assert site.told["/plain"] == carried


def test_a_session_cannot_be_bound_where_nobody_guards():
    import yt_dlp

    with yt_dlp.YoutubeDL({"quiet": True}) as session, pytest.raises(RuntimeError, match="guard"):
        bound(session, page_bytes=1, media_bytes=1, deadline=time.monotonic() + 1)


@pytest.mark.parametrize(
    "address",
    [
        "", "a.mp4", "/etc/passwd", "file:///etc/passwd", "ftp://example.org/a", "data:,x", "http:///a", "http://",
        "gopher://example.org", "javascript:alert(1)", "http://user@example.org/", "http://user:word@example.org/",
        "https://:word@example.org/", "http://[::1", "http://example.org:port/", "http://example.org:99999/",
        "http://example.org/" + "a" * 9000,
    ],
)  # fmt: skip
def test_addresses_that_are_never_asked_for(address):
    with pytest.raises(Rejected) as no:
        require_web(address)
    assert no.value.reason == "bad_address"
    assert "word@" not in str(no.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org",
        "https://example.org:8443/a@b?c=d@e#f",
        "HTTP://EXAMPLE.org/",
        "http://[2606::1]/",
    ],
)
def test_addresses_that_may_be_asked_for(address):
    require_web(address)
