"""The door for reports: an HTTP service that takes addresses and files, and says what became of them.

What a report is and where it waits is in `media.reports`; who may knock, and how loudly, is in `doorkeeper`.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import jinja2
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from haetae.errors import Rejected, UsageError
from haetae.lake import Lake
from haetae.media.reports import (
    LANGUAGES,
    NOTE_MAX_CHARS,
    REPORTER_MAX_CHARS,
    USE_CASES,
    ReportState,
    report_media,
    report_state,
)
from haetae.media.wire import ADDRESS_MAX_CHARS
from haetae.web.doorkeeper import JSON_MAX_BYTES, Doorkeeper, Quota

MAX_BYTES = 200_000_000
MAX_PER_HOUR = 120
FIELD_MAX_BYTES = 64 << 10
REPORT_ID_MAX_CHARS = 64
NAMES = {
    "ko": "Korean", "en-SG": "Singlish", "ms": "Malay", "ta": "Tamil", "other": "another, or I do not know",
    "social_media": "social media", "news": "news", "voice_biometrics": "voice login",
}  # fmt: skip
REASONS = {
    "bad_address": "it is not an address that is fetched",
    "egress_refused": "the address leads into a private network",
    "robots_disallowed": "the site does not allow programs to fetch it",
    "rate_limited": "the site asked to be left alone for now",
    "download_failed": "nothing could be fetched there",
    "many_media": "there are several media at the address; report each by its own address",
    "live_stream": "it is still running; report it again when it has ended",
    "too_large": "it is too large",
    "too_long": "it is too long",
    "timeout": "fetching it took too long",
    "not_media": "it is neither a video, nor sound, nor a picture",
    "duplicate": "the same file is in the lake already",
}
_PAGES = Path(__file__).with_name("service_pages")
_ICON = Path(__file__).with_name("templates") / "icon.svg"


class AddressReport(BaseModel):
    """What a report says; a file comes beside it instead of the address."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    address: str = Field("", max_length=ADDRESS_MAX_CHARS)
    language: Literal["ko", "en-SG", "ms", "ta", "other"] = "other"
    use_case: Literal["social_media", "news", "voice_biometrics", "other"] = "other"
    note: str = Field("", max_length=NOTE_MAX_CHARS)
    reporter: str = Field("", max_length=REPORTER_MAX_CHARS)


class Refused(Exception):
    """A report that is not taken: HTTP status and what was wrong, by field ("" for the whole)."""

    def __init__(self, status: int, problems: Mapping[str, str], given: Mapping[str, str]) -> None:
        super().__init__(str(problems))
        self.status, self.problems, self.given = status, dict(problems), dict(given)


def service(
    lake: Lake, token: str | None = None, *, max_bytes: int = MAX_BYTES, max_per_hour: int = MAX_PER_HOUR
) -> FastAPI:
    """The application: `POST /reports`, `GET /reports/{id}`, and the form `/reports/new`.

    token: needed by every request, as a bearer token or as the password of HTTP basic; None: no token, and
    then only requests to a loopback name are answered. max_bytes: of one file. max_per_hour: reports taken.
    """
    app = FastAPI(title="Haetae reports", docs_url=None, redoc_url=None, openapi_url=None)
    quota = Quota(max_per_hour)
    page = _pages()

    @app.get("/")
    def _start() -> Response:
        return RedirectResponse("/reports/new", 303)

    @app.get("/icon.svg")
    def _icon() -> Response:
        return FileResponse(_ICON, media_type="image/svg+xml")

    @app.get("/reports/new")
    def _form() -> Response:
        return HTMLResponse(page("form", given={}, problems={}, max_bytes=max_bytes))

    @app.post("/reports")
    async def _report(request: Request) -> Response:
        try:
            report_id = await _take(lake, request, quota, max_bytes)
        except Refused as no:
            if _wants_page(request):
                html = page("form", given=no.given, problems=no.problems, max_bytes=max_bytes)
                return HTMLResponse(html, no.status)
            return JSONResponse({"problems": no.problems}, no.status)
        where = f"/reports/{report_id}"
        if _wants_page(request):
            return RedirectResponse(where, 303)
        state = {"report_id": report_id, "state": "waiting"}
        return JSONResponse(state, 201, headers={"Location": where})

    @app.get("/reports/{report_id}")
    def _state(request: Request, report_id: str) -> Response:
        found = report_state(lake, report_id) if len(report_id) <= REPORT_ID_MAX_CHARS else None
        if found is None:
            raise HTTPException(404, "there is no such report")
        if _wants_page(request):
            return HTMLResponse(page("state", report=found, why=_why(found)))
        return JSONResponse({**asdict(found), "why": _why(found)})

    # Starlette's word for it is Exception; each handler gets only its own kind.
    app.add_exception_handler(HTTPException, _plain_error)
    app.add_middleware(
        Doorkeeper, token=token, max_body_bytes=max_bytes + 8 * FIELD_MAX_BYTES, policy=_content_policy()
    )
    return app


async def _take(lake: Lake, request: Request, quota: Quota, max_bytes: int) -> str:
    """Put what a request reports into the queue. Raises: Refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return await _take_one(lake, quota, _json_object(await request.body()), None, max_bytes)
    if kind != "multipart/form-data":
        raise Refused(415, {"": "send application/json or multipart/form-data"}, {})
    try:
        form = await request.form(max_files=1, max_fields=8, max_part_size=FIELD_MAX_BYTES)
    except HTTPException as error:
        if error.status_code != 400:
            raise
        raise Refused(400, {"": f"the form could not be read: {error.detail}"}, {}) from error
    try:
        fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        file = form.get("file")
        sent = file if isinstance(file, UploadFile) and (file.filename or file.size) else None
        fields.pop("file", None)
        return await _take_one(lake, quota, fields, sent, max_bytes)
    finally:
        await form.close()


async def _take_one(
    lake: Lake, quota: Quota, fields: dict[str, Any], sent: UploadFile | None, max_bytes: int
) -> str:
    given = {name: str(value)[:ADDRESS_MAX_CHARS] for name, value in fields.items()}
    try:
        said = AddressReport.model_validate(fields)
    except ValidationError as error:
        problems = {str(one["loc"][0]) if one["loc"] else "": _told(one) for one in error.errors()}
        raise Refused(422, problems, given) from error
    if bool(said.address) == (sent is not None):
        raise Refused(422, {"address": "give either an address or a file"}, given)
    if sent is not None and (sent.size or 0) > max_bytes:
        raise Refused(413, {"file": f"at most {max_bytes / 1e6:g} MB"}, given)
    if not quota.take():
        raise Refused(429, {"": "too many reports within an hour; try again later"}, given)
    try:
        return await run_in_threadpool(_keep, lake, said, sent, max_bytes)
    except Rejected as no:
        field = "file" if sent is not None else "address"
        raise Refused(422, {field: no.detail or no.reason}, given) from no
    except UsageError as error:
        raise Refused(422, {"": str(error)}, given) from error


def _told(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "extra_forbidden":
        return f"there is no such field; there are: {', '.join([*AddressReport.model_fields, 'file'])}"
    return str(fault["msg"])


def _keep(lake: Lake, said: AddressReport, sent: UploadFile | None, max_bytes: int) -> str:
    """Write a report into the lake. Raises: Rejected, UsageError."""
    about: dict[str, Any] = {
        "language": said.language,
        "use_case": said.use_case,
        "note": said.note or None,
        "reporter": said.reporter or None,
        "now": dt.datetime.now(dt.UTC),
    }
    if sent is None:
        return report_media(lake, uri=said.address, **about)
    with lake.tmp_dir() as folder:
        # The client's name for the file is shown to people and never becomes a path.
        path = folder / "sent"
        if shutil.disk_usage(folder).free < 2 * max_bytes:
            raise UsageError("there is no room for files at the moment; report an address")
        with path.open("wb") as copy:
            shutil.copyfileobj(sent.file, copy, 1 << 20)
        return report_media(lake, file=path, name=sent.filename or "", **about)


def _json_object(body: bytes) -> dict[str, Any]:
    if len(body) > JSON_MAX_BYTES:
        raise Refused(413, {"": f"at most {JSON_MAX_BYTES} bytes of JSON"}, {})
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, {"": "it is not JSON"}, {}) from error
    if not isinstance(found, dict):
        raise Refused(400, {"": "send a JSON object"}, {})
    return found


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _why(state: ReportState) -> str | None:
    if state.reason is None:
        return None
    return REASONS.get(state.reason, state.reason.replace("_", " "))


async def _plain_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"problems": {"": error.detail}}, error.status_code, headers=dict(error.headers or {})
    )


def _pages() -> Any:
    """A function that renders a page of this service by its name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        # The style of this package, which no outside text enters.
        style=Markup(_style()),  # noqa: S704
        languages=LANGUAGES,
        use_cases=USE_CASES,
        names=NAMES,
        sentence=lambda text: f"{text[:1].upper()}{text[1:]}.",
        note_max_chars=NOTE_MAX_CHARS,
        reporter_max_chars=REPORTER_MAX_CHARS,
    )

    def page(name: str, **values: Any) -> str:
        return environment.get_template(f"{name}.html.j2").render(**values)

    return page


def _style() -> str:
    return (_PAGES / "service.css").read_text(encoding="utf-8")


def _content_policy() -> str:
    """Nothing but the style of these pages, by hash, and forms that go back to where they came from."""
    hashed = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src 'self'; style-src 'sha256-{hashed}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
