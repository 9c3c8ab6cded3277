"""Who may talk to the service, how much they may send, and the headers that every answer carries.

What the service does is in `service`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON_MAX_BYTES = 64 << 10
BODY_TIMEOUT_S = 600.0
PIECE_TIMEOUT_S = 30.0
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
# The rest of a body that nobody wants is not read either.
_CLOSE = {"Connection": "close"}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with it browsers would hide the origin of the form, which is checked.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Quota:
    """At most so many in any hour; asked from several threads."""

    def __init__(self, max_per_hour: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = max_per_hour, clock
        self._taken: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether one more is allowed now; if so, it is counted."""
        with self._lock:
            now = self._clock()
            while self._taken and self._taken[0] <= now - 3600:
                self._taken.popleft()
            if len(self._taken) >= self._most:
                return False
            self._taken.append(now)
            return True


class Doorkeeper:
    """ASGI middleware: checks host, origin and token, bounds the body in bytes and time, sets headers.

    token: None lets everybody in who asks for a loopback name; a page of the open web that made its own
    name point here (DNS rebinding) does not. max_body_bytes: of one request.
    """

    def __init__(self, app: Any, *, token: str | None, max_body_bytes: int, policy: str) -> None:
        self._app, self._token = app, token
        self._max_body_bytes = max_body_bytes
        self._headers = {**HEADERS, "Content-Security-Policy": policy}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name.lower().encode(): value.encode() for name, value in self._headers.items()}
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in ours]
                message["headers"] = [*kept, *ours.items()]
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if (no := self._refusal(scope["method"], headers)) is not None:
            await no(scope, receive, send_with_headers)
            return
        await self._app(scope, self._bounded(receive), send_with_headers)

    def _refusal(self, method: str, headers: Mapping[str, str]) -> Response | None:
        host = headers.get("host", "")
        if self._token is None and _hostname(host) not in LOOPBACK_NAMES:
            return _no(421, "ask for 127.0.0.1 or localhost; other names need a token")
        if self._token is not None and not _knows(headers.get("authorization", ""), self._token):
            # Basic is offered too, because browsers ask a person for its password.
            return _no(
                401, "a token is needed", {"WWW-Authenticate": 'Basic realm="haetae", charset="UTF-8"'}
            )
        if method not in ("GET", "HEAD", "POST"):
            return _no(405, "only GET and POST", {"Allow": "GET, POST"})
        if method == "POST" and not _same_origin(headers, host):
            return _no(403, "reports are not taken from pages of other sites")
        stated = headers.get("content-length", "0")
        if not stated.isdecimal() or int(stated[:30]) > self._max_body_bytes:
            return _no(413, f"at most {self._max_body_bytes} bytes")
        return None

    def _bounded(self, receive: Receive) -> Receive:
        """A way to receive that ends what is too large or too slow, whatever length was stated."""
        got = 0
        deadline = time.monotonic() + BODY_TIMEOUT_S

        async def bounded() -> Message:
            nonlocal got
            left = min(PIECE_TIMEOUT_S, deadline - time.monotonic())
            try:
                message = await asyncio.wait_for(receive(), max(0.001, left))
            except TimeoutError:
                raise HTTPException(408, "it was sent too slowly", _CLOSE) from None
            got += len(message.get("body", b""))
            if got > self._max_body_bytes:
                raise HTTPException(413, f"at most {self._max_body_bytes} bytes", _CLOSE)
            return message

        return bounded


def _no(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(
        {"problems": {"": detail}}, status, headers={**(headers or {}), "Connection": "close"}
    )


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _knows(authorization: str, token: str) -> bool:
    """Whether a header carries the token: `Bearer <token>`, or it is the password of `Basic`."""
    scheme, _, value = authorization.partition(" ")
    given = value.strip()
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    # Hashed first, so that the time it takes tells nothing of the length either.
    return hmac.compare_digest(
        hashlib.sha256(given.encode()).digest(), hashlib.sha256(token.encode()).digest()
    )


def _same_origin(headers: Mapping[str, str], host: str) -> bool:
    """Whether a browser says that its own page sends this; programs other than browsers say nothing."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
