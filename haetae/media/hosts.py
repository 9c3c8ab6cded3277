"""Politeness towards hosts: spacing, concurrency, waiting when told to; shared by all processes of a machine.

What one host was asked is kept in a state folder behind file locks. Which addresses may be asked at all
is decided in `egress` and `robots`; requests are made in `download`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import fcntl
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haetae.errors import Rejected, UsageError
from haetae.lake import Lake
from haetae.media.addresses import host_of, same_item
from haetae.params import Crawl
from haetae.provenance.ids import digest

USER_AGENT = "haetae/0.1 (media research crawler)"
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
"""HTTP states that may heal by waiting."""
LONGEST_HOLD_S = 3600.0
POLL_S = 0.02


@dataclass(frozen=True)
class Manners:
    """How hosts are treated.

    state: folder that all processes share. requests_per_s: to one host, by all of them together.
    per_host: requests to one host that may run at a time. retries: of one request that fails in passing.
    max_wait_s: most seconds waited in all for one request. backoff_s: first wait where the host states
    none; it doubles each time. user_agent: how the crawler names itself; what precedes the first `/` is
    its name in robots.txt.
    """

    state: Path
    requests_per_s: float = 2.0
    per_host: int = 2
    retries: int = 4
    max_wait_s: float = 120.0
    backoff_s: float = 1.0
    user_agent: str = USER_AGENT


def manners_of(lake: Lake, crawl: Crawl) -> Manners:
    """The manners that `params.crawl` wants, with the state that all processes of the lake share."""
    return Manners(
        state_folder(lake),
        requests_per_s=crawl.requests_per_s,
        per_host=crawl.per_host,
        retries=crawl.retries,
        max_wait_s=crawl.max_wait_s,
    )


def state_folder(lake: Lake) -> Path:
    """Where the state of hosts is kept: below a local lake, else in a temporary folder of this user."""
    return lake.local_path("hosts") if lake.files.is_local else private_folder("hosts")


def private_folder(name: str) -> Path:
    """A folder of this user alone among the temporary ones. Raises: UsageError where somebody else made it."""
    folder = Path(tempfile.gettempdir()) / f"haetae-{name}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
        raise UsageError(f"{folder} is not yours alone; remove it, or set TMPDIR to a folder of your own")
    return folder


class Hosts:
    """Turns and places at hosts, as all processes with the same state folder share them."""

    def __init__(self, manners: Manners) -> None:
        self.manners = manners

    def folder(self, host: str) -> Path:
        """The folder of one host's state; made where it is missing."""
        folder = self.manners.state / re.sub(r"[^a-z0-9.-]", "_", host.lower())[:200]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def take_turn(self, host: str, deadline: float, spacing_s: float | None = None) -> None:
        """Wait until a request to the host is due; the next one is due a spacing later.

        deadline: moment of `time.monotonic`. Raises: Rejected `rate_limited` where the turn comes after it,
        or later than `max_wait_s`.
        """
        spacing_s = max(1.0 / self.manners.requests_per_s, spacing_s or 0.0)
        with self._due(host) as turn:
            now = time.time()
            due = min(max(now, turn.value), now + LONGEST_HOLD_S)
            left_s = min(deadline - time.monotonic(), self.manners.max_wait_s)
            if due - now > left_s:
                detail = f"{host} is to be left alone for {due - now:.0f} s; at most {max(left_s, 0):.0f} s are waited"
                raise Rejected("rate_limited", detail)
            turn.value = due + spacing_s
        time.sleep(max(0.0, due - time.time()))

    def hold_off(self, host: str, wait_s: float) -> None:
        """Let nobody ask the host for some seconds."""
        with self._due(host) as turn:
            turn.value = max(turn.value, time.time() + min(wait_s, LONGEST_HOLD_S))

    def take_place(self, host: str, deadline: float) -> int:
        """One of the places at the host, held until the returned file handle is closed, also by a kill.

        Raises: Rejected `timeout` where none is free before the deadline.
        """
        folder = self.folder(host)
        while True:
            for number in range(self.manners.per_host):
                handle = os.open(folder / f"place-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(handle)
                else:
                    return handle
            if time.monotonic() > deadline:
                raise Rejected("timeout", f"{host} was busy with other fetches until the time was over")
            time.sleep(POLL_S)

    @contextlib.contextmanager
    def _due(self, host: str) -> Iterator[_Turn]:
        handle = os.open(self.folder(host) / "due", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                turn = _Turn(float(os.pread(handle, 64, 0)))
            except ValueError:
                turn = _Turn(0.0)
            yield turn
            text = f"{turn.value:.6f}".encode()
            os.ftruncate(handle, 0)
            os.pwrite(handle, text, 0)
        finally:
            os.close(handle)


@dataclass
class _Turn:
    value: float
    """Moment of `time.time` from which the host may be asked again."""


@dataclass
class Courtesy:
    """The manners of one yt-dlp session: every request of it, redirects included, passes through here.

    deadline: moment of `time.monotonic` after which nothing is waited for. may_ask: raises Rejected for
    an address that robots.txt closes, given what was asked for and where it led; spacing_s: what
    robots.txt asks for. Refusals of `wire` and `egress` are no transport errors, so they are not retried.
    """

    hosts: Hosts
    deadline: float
    may_ask: Callable[[str, str], None] = field(default=lambda _asked, _hop: None)
    spacing_s: Callable[[str], float] = field(default=lambda _address: 0.0)
    _place: int | None = None
    _asked: str = ""
    _given_up: dict[str, Exception] = field(default_factory=dict)

    def attach(self, session: Any) -> None:
        """Put the manners around everything that a session asks for."""
        director = session._request_director
        send = director.send
        director.send = lambda request: self._send(send, request)
        handler = director.handlers["Urllib"]
        make = handler._create_instance

        def make_opener(**kwargs: Any) -> Any:
            opener = make(**kwargs)
            opener.add_handler(_hop_handler(self._before_hop))
            return opener

        handler._create_instance = make_opener

    def leave(self) -> None:
        """Give back the place at the host that was asked last."""
        if self._place is not None:
            os.close(self._place)
            self._place = None

    def _before_hop(self, address: str) -> None:
        self.may_ask(self._asked, address)
        # Nothing is held while waiting for another place, so sessions cannot wait for each other in a ring.
        self.leave()
        host = host_of(address)
        self._place = self.hosts.take_place(host, self.deadline)
        self.hosts.take_turn(host, self.deadline, self.spacing_s(address))

    def _send(self, send: Callable[[Any], Any], request: Any) -> Any:
        """Send a request, again where it fails in passing. Raises: what the last try raised."""
        from yt_dlp.networking.exceptions import (
            CertificateVerifyError,
            HTTPError,
            NoSupportingHandlers,
            TransportError,
        )

        name = digest(same_item(request.url), request.headers.get("Range"))
        if name in self._given_up:
            # yt-dlp has retries of its own; they would multiply with these.
            raise self._given_up[name]
        outer, self._asked = self._asked, request.url
        waited_s, manners = 0.0, self.hosts.manners
        try:
            for attempt in range(manners.retries + 1):
                try:
                    return send(request)
                except NoSupportingHandlers as error:
                    raise next(
                        (e for e in error.unexpected_errors if isinstance(e, Rejected)), error
                    ) from error
                except (HTTPError, TransportError) as error:
                    last: Exception = error
                    status = getattr(error, "status", None)
                    if isinstance(error, CertificateVerifyError) or (
                        status is not None and status not in PASSING
                    ):
                        raise
                    wait_s = self._wait_s(error, attempt, name)
                    host = host_of(getattr(getattr(error, "response", None), "url", None) or request.url)
                    self.leave()
                    if status is not None:
                        self.hosts.hold_off(host, wait_s)
                    if attempt == manners.retries or waited_s + wait_s > manners.max_wait_s:
                        break
                    if time.monotonic() + wait_s > self.deadline:
                        break
                    waited_s += wait_s
                    time.sleep(wait_s)
            self._given_up[name] = last
            raise last
        finally:
            self._asked = outer

    def _wait_s(self, error: Exception, attempt: int, name: str) -> float:
        """What the host asks for, else doubling from `backoff_s`, spread by a hash of the address."""
        asked = retry_after_s(getattr(getattr(error, "response", None), "headers", {}).get("Retry-After"))
        if asked is not None:
            return asked
        spread = int(digest(name, attempt)[:8], 16) / 0x1_0000_0000
        return float(self.hosts.manners.backoff_s * 2**attempt * (1.0 + 0.5 * spread))


def retry_after_s(stated: str | None, now: dt.datetime | None = None) -> float | None:
    """Seconds that a `Retry-After` header asks for, given as seconds or as a date; None where it says nothing."""
    if not stated:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", stated.strip()):
        return float(stated)
    try:
        moment = email.utils.parsedate_to_datetime(stated)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, (moment - (now or dt.datetime.now(dt.UTC))).total_seconds())


def _hop_handler(before: Callable[[str], None]) -> Any:
    """An opener's handler that is called before each request, so also before each redirect is followed."""
    import urllib.request

    class Hops(urllib.request.BaseHandler):
        handler_order = 1

        def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
            before(request.full_url)
            return request

        https_request = http_request

    return Hops()
