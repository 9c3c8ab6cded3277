"""What a request may be and how much of an answer is taken: a yt-dlp session within limits.

Which addresses may be connected to is decided in `egress`, and what is fetched at all in `download`.
"""

from __future__ import annotations

import functools
import http.client
import io
import time
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.response import addinfourl

from haetae.errors import Rejected
from haetae.media.egress import BudgetSpent, EgressRefused, Guard, current, refused_at

PIECE_BYTES = 64 << 10
ADDRESS_MAX_CHARS = 8192
PAGES_IN_BUDGET = 64
"""How many pages, playlists and subtitles of full size one address may lead to, beside the media."""
RATIO_FREE_BYTES = 1 << 20
MAX_RATIO = 200
"""Beyond the first MiB a body may unpack to this many times its size; text seldom reaches a tenth of it."""
REDIRECTS = (301, 302, 303, 307, 308)
_WBITS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16}


@dataclass(frozen=True)
class Limits:
    """page_bytes: of an answer that is read whole. media_bytes: of one that is read in pieces.

    deadline: a moment of `time.monotonic`, seconds.
    """

    page_bytes: int
    media_bytes: int
    deadline: float


def bound(session: Any, *, page_bytes: int, media_bytes: int, deadline: float) -> None:
    """Hold every request of a `yt_dlp.YoutubeDL` to http(s) and every answer to limits, to the end of its block.

    page_bytes: most bytes of a page, feed, playlist, key or subtitle, after unpacking. media_bytes: of one
    file. deadline: a moment of `time.monotonic`. Must run inside `egress.guarded`, whose budget it narrows
    too, so that the limits hold at the sockets. What is refused is raised as yt-dlp's `RequestError` with
    the `Rejected` as its cause (`bad_address`, `egress_refused`, `too_large`, `timeout`): no extractor takes
    it for a network error that may be passed over or tried again. Raises: RuntimeError without a guard.
    """
    guard = current()
    if guard is None:
        raise RuntimeError("wire.bound needs the egress guard: call it inside `guarded`")
    limits = Limits(page_bytes, media_bytes, deadline)
    guard.narrow(max_bytes=2 * media_bytes + PAGES_IN_BUDGET * page_bytes, deadline=deadline)
    _install(session, limits, guard)


def require_web(address: str) -> None:
    """Raises: Rejected `bad_address` unless it is an http(s) address with a host and without credentials."""
    if len(address) > ADDRESS_MAX_CHARS:
        raise Rejected("bad_address", f"longer than {ADDRESS_MAX_CHARS} characters")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Rejected("bad_address", "it has no host that can be read") from error
    if parts.scheme not in ("http", "https") or not host:
        kind = parts.scheme[:20] or "nothing"
        raise Rejected("bad_address", f"only http and https addresses are fetched, not {kind}:")
    if "@" in parts.netloc:
        raise Rejected("bad_address", "a name or password in an address is not sent; use a signed link")


def refusal_in(error: BaseException | None) -> Rejected | None:
    """The refusal that an exception of network code stems from; None where there is none."""
    while error is not None:
        if isinstance(error, Rejected):
            return error
        if isinstance(error, BudgetSpent):
            return error.why
        if isinstance(error, EgressRefused):
            return refused_at(str(error).partition(" is not")[0])
        error = error.__cause__ or error.__context__
    return None


def _install(session: Any, limits: Limits, guard: Guard) -> None:
    director = session._request_director
    for key in [key for key in director.handlers if key != "Urllib"]:
        director.handlers.pop(key).close()
    handler = director.handlers["Urllib"]
    handler._SUPPORTED_URL_SCHEMES = ("http", "https")
    handler._clear_instances()
    handler._create_instance = _strict_openers(handler._create_instance, limits)
    handler.send = _telling_refusals(handler.send, guard)
    # Credentials are checked here because yt-dlp turns them into a header before the handler sees them.
    session.urlopen = _checking_addresses(session.urlopen)


def _strict_openers(create: Callable[..., Any], limits: Limits) -> Callable[..., Any]:
    """Openers that know http and https only, follow no redirect elsewhere, and give bounded answers."""

    def opener(**options: Any) -> urllib.request.OpenerDirector:
        made: Any = create(**options)
        web: list[Any] = [h for h in made.handlers if isinstance(h, urllib.request.AbstractHTTPHandler)]
        unknown = made.handle_open.get("unknown", [])
        made.handle_open = {"http": web, "https": web, "unknown": unknown}
        for one in web:
            one.http_response = one.https_response = functools.partial(_bounded_answer, limits)
        for one in made.handlers:
            if isinstance(one, urllib.request.HTTPRedirectHandler):
                _make_strict(one)
        return made  # type: ignore[no-any-return]

    return opener


def _make_strict(redirects: Any) -> None:
    """Follow redirects to http(s) only, and tell no site what another one was told."""
    make = redirects.redirect_request

    def redirect_request(req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _refusing(require_web, newurl)
        new = make(req, fp, code, msg, headers, newurl)
        if new is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            new.remove_header("Authorization")
        return new

    def checked(follow: Callable[..., Any], req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        # Python refuses some schemes by itself, later and without our reason.
        if target := headers.get("Location") or headers.get("URI"):
            _refusing(require_web, urljoin(req.full_url, target))
        return follow(req, fp, code, msg, headers)

    redirects.redirect_request = redirect_request
    for code in REDIRECTS:
        name = f"http_error_{code}"
        setattr(redirects, name, functools.partial(checked, getattr(redirects, name)))


def _checking_addresses(original: Callable[..., Any]) -> Callable[..., Any]:
    def urlopen(req: Any) -> Any:
        from yt_dlp.networking import Request

        request = Request(req) if isinstance(req, str) else req
        _refusing(require_web, getattr(request, "full_url", None) or request.url)
        return original(request)

    return urlopen


def _telling_refusals(original: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    def send(request: Any) -> Any:
        from yt_dlp.networking.exceptions import RequestError

        try:
            guard.require_budget()
            return original(request)
        except (RequestError, OSError) as error:
            if (no := refusal_in(error)) is not None:
                raise _request_error(no) from no
            raise

    return send


def _bounded_answer(limits: Limits, request: Any, answer: Any) -> addinfourl:
    """The answer with a body that unpacks itself within limits, in place of yt-dlp's unbounded unpacking."""
    most = max(limits.page_bytes, limits.media_bytes)
    stated = (answer.headers.get("Content-Length") or "").strip()
    if request.get_method() != "HEAD" and stated.isdecimal() and int(stated[:30]) > most:
        answer.close()
        raise _request_error(Rejected("too_large", f"{stated[:30]} bytes; at most {most}"))
    body: Any = _Body(answer, limits, _coding(answer.headers.get("Content-Encoding") or ""))
    bounded: Any = addinfourl(body, answer.headers, answer.url, answer.code)
    bounded.msg = answer.msg
    return bounded  # type: ignore[no-any-return]


def _coding(stated: str) -> str | None:
    """The coding that is to be undone: gzip, x-gzip or deflate; None for a body that is taken as it is."""
    known = [one for one in map(str.strip, stated.lower().split(",")) if one in (*_WBITS, "deflate")]
    if len(known) > 1:
        raise _request_error(Rejected("not_accepted", f"packed {len(known)} times over"))
    return known[0] if known else None


class _Body(io.RawIOBase):
    """The body of an answer: unpacked piece by piece, counted, and closed when it is at its end."""

    def __init__(self, answer: Any, limits: Limits, coding: str | None) -> None:
        super().__init__()
        self._answer, self._limits, self._coding = answer, limits, coding
        self._unpacker: Any = None
        self._taken = self._given = 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._answer.close()
        super().close()

    def read(self, size: int | None = -1) -> bytes:
        if self.closed:
            return b""
        try:
            return self._whole() if size is None or size < 0 else self._piece(size, self._limits.media_bytes)
        except BudgetSpent as spent:
            raise _request_error(spent.why) from spent

    def _whole(self) -> bytes:
        pieces = []
        while piece := self._piece(PIECE_BYTES, self._limits.page_bytes):
            pieces.append(piece)
        left = getattr(self._answer, "length", None)
        if self._coding is None and left:
            raise http.client.IncompleteRead(b"".join(pieces), left)
        return b"".join(pieces)

    def _piece(self, size: int, most: int) -> bytes:
        """At most `size` unpacked bytes; none at the end. Raises: RequestError for `too_large`, `timeout`."""
        if time.monotonic() > self._limits.deadline:
            raise _request_error(Rejected("timeout", "the time for this address is over"))
        piece = self._raw(size) if self._coding is None else self._unpacked(size)
        self._given += len(piece)
        if self._given > most:
            raise _request_error(Rejected("too_large", f"more than {most} bytes"))
        if self._given > RATIO_FREE_BYTES and self._given > MAX_RATIO * self._taken:
            detail = f"{self._taken} bytes unpacked to {self._given} and more"
            raise _request_error(Rejected("too_large", detail))
        if not piece and size:
            self.close()
        return piece

    def _raw(self, size: int) -> bytes:
        data: bytes = self._answer.read(size)
        self._taken += len(data)
        return data

    def _unpacked(self, size: int) -> bytes:
        size = max(1, size)
        while self._unpacker is None or not self._unpacker.eof:
            data = self._unpacker.unconsumed_tail if self._unpacker else b""
            data = data or self._raw(PIECE_BYTES)
            if not data and self._unpacker is None:
                return b""
            if self._unpacker is None:
                self._unpacker = zlib.decompressobj(_WBITS.get(self._coding or "") or _deflate_wbits(data))
            piece: bytes = self._unpacker.decompress(data, size)
            if piece:
                return piece
            if not data:
                raise zlib.error("incomplete or truncated stream")
        return b""


def _deflate_wbits(start: bytes) -> int:
    """Servers call two formats `deflate`: with the header of zlib, as it is declared, and without it."""
    has_header = len(start) > 1 and start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def _refusing(check: Callable[[str], None], address: str) -> None:
    try:
        check(address)
    except Rejected as no:
        raise _request_error(no) from no


def _request_error(no: Rejected) -> Exception:
    """A refusal in the form that yt-dlp lets through: not a transport error, so it is not tried again."""
    from yt_dlp.networking.exceptions import RequestError

    error: Exception = RequestError(str(no), cause=no)
    error.__cause__ = no
    return error
