"""One large file over http(s), taken up again where it broke off, within limits and behind the egress guard.

Which file, and whether its content is the one that is meant, is not decided here.
"""

from __future__ import annotations

import contextlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from haetae import __version__
from haetae.errors import Rejected, UsageError
from haetae.media.egress import Budget, BudgetSpent, guarded

PIECE_BYTES = 1 << 20
HEADER_BYTES = 1 << 20
"""Part of the budget for headers, redirects and the handshake."""
TRIES = 6
"""After so many tries in a row that bring no byte it is given up; bytes that came are kept."""
WAIT_S = 1.0
SOCKET_TIMEOUT_S = 30.0
REDIRECTS = 5


@dataclass(frozen=True)
class Limits:
    """max_bytes: of the file; timeout_s: for all tries together; private: hosts (`host:port`) that may be private."""

    max_bytes: int
    timeout_s: float = 6 * 3600.0
    private: tuple[str, ...] = ()


def fetch(address: str, part: Path, limits: Limits, headers: Mapping[str, str] | None = None) -> None:
    """Make `part` the whole content of an address; bytes that it already holds are not fetched again.

    headers: sent to the address's own host, and to no other that it leads to.
    Raises: UsageError saying what the host answered, or which limit was reached.
    """
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise UsageError(f"{address}: weights are fetched over http or https")
    until = time.monotonic() + limits.timeout_s
    fruitless = 0
    while True:
        before = _size(part)
        budget = Budget(limits.max_bytes + HEADER_BYTES, max(0.001, until - time.monotonic()))
        try:
            with guarded(limits.private, budget) as guard:
                if _continued(address, part, limits.max_bytes, headers or {}):
                    return
            last: Exception = OSError("the answer ended early")
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 416, 429):
                raise UsageError(f"{address}: the host answered {error.code} {error.reason}") from error
            last = error
        except (OSError, http.client.HTTPException) as error:
            if refusal := _refusal(guard.refusal, error):
                raise UsageError(f"{address}: {refusal}") from error
            last = error
        fruitless = 0 if _size(part) > before else fruitless + 1
        if fruitless == TRIES:
            raise UsageError(f"{address}: {TRIES} tries brought nothing, the last: {last}") from last
        time.sleep(min(WAIT_S * 2**fruitless, max(0.0, until - time.monotonic())))


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _continued(address: str, part: Path, max_bytes: int, headers: Mapping[str, str]) -> bool:
    """Ask for what is missing; true when the file is whole."""
    have = _size(part)
    asked = {"User-Agent": f"haetae/{__version__}", **headers, "Accept-Encoding": "identity"}
    asked |= {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(address, headers=asked)  # noqa: S310 - the scheme was checked
    try:
        answer = _opener().open(request, timeout=SOCKET_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # Nothing after what we have: either it is whole, or it is of another file. The hash will tell
            # whole ones; the next try starts afresh.
            if _total(error.headers.get("Content-Range", "")) == have:
                return True
            part.unlink(missing_ok=True)
        raise
    with contextlib.closing(answer):
        start, total = _span(answer, have)
        if total is not None and total > max_bytes:
            raise BudgetSpent(Rejected("too_large", f"the host offers {total} bytes, at most {max_bytes}"))
        with part.open("r+b" if start else "wb") as file:
            file.truncate(start)
            file.seek(start)
            _copy(answer, file, max_bytes - start)
        return total is None or part.stat().st_size >= total


def _copy(answer: Any, file: IO[bytes], left: int) -> None:
    while piece := answer.read(PIECE_BYTES):
        left -= len(piece)
        if left < 0:
            raise BudgetSpent(Rejected("too_large", "the host sends more than a weight file may have"))
        file.write(piece)


def _span(answer: Any, have: int) -> tuple[int, int | None]:
    """Where in the file the answer starts, and how long the file is, if it says so."""
    if answer.status == 206 and have:
        said = answer.headers.get("Content-Range", "")
        if said.startswith(f"bytes {have}-"):
            return have, _total(said)
        raise http.client.HTTPException(f"asked from byte {have}, the host answers {said[:100]!r}")
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _total(content_range: str) -> int | None:
    total = content_range.rpartition("/")[2]
    return int(total) if total.isdigit() else None


def _refusal(refusal: Rejected | None, error: BaseException) -> Rejected | None:
    """Why another try would come to nothing, if it would."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, BudgetSpent):
            return found.why
        found = found.__cause__ or found.__context__
    return refusal


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http(s) only, and takes nothing secret along to another host."""

    max_redirections = REDIRECTS

    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if following is not None and before[:2] != after[:2]:
            for name in ("Authorization", "Cookie"):
                following.remove_header(name)
        return following


def _opener() -> urllib.request.OpenerDirector:
    """An opener for http(s): no proxies of the environment, no files, no ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _Redirects,
    ):
        opener.add_handler(handler())
    return opener
