"""The door for reports, as programs and hostile pages find it: a real server on loopback."""

from __future__ import annotations

import base64
import importlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from serving import MAX_BYTES, TOKEN, WAV, serving
from typer.testing import CliRunner

from dagster_project.cli.serve import serve as serve_command
from haetae.errors import UsageError
from haetae.lake import Lake
from haetae.media.reports import pending
from haetae.web import doorkeeper
from haetae.web.doorkeeper import Quota

Serve = Callable[..., str]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def serve(lake: Lake) -> Iterator[Serve]:
    """Start the service; returns its address."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(serving(lake, *args, **options))


@pytest.fixture
def web(serve: Serve) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(), timeout=20) as client:
        yield client


def waiting(lake: Lake) -> list[str]:
    return [row["address"] for row in pending(lake)]


def test_an_address_is_reported_as_json_and_asked_after(web: httpx.Client, lake: Lake) -> None:
    said = {"address": "https://example.org/watch?v=1&token=s3cr3t", "language": "ko", "use_case": "news"}
    answer = web.post("/reports", json=said | {"note": "목소리가 이상해요", "reporter": "Kim"})
    assert answer.status_code == 201
    report_id = answer.json()["report_id"]
    assert answer.headers["Location"] == f"/reports/{report_id}"
    state = web.get(answer.headers["Location"]).json()
    assert (state["state"], state["verdict"], state["reason"]) == ("waiting", "unknown", None)
    (row,) = lake.rows("reports")
    assert (row["note"], row["reporter"], row["language"]) == ("목소리가 이상해요", "Kim", "ko")
    assert "s3cr3t" not in str(row)
    assert waiting(lake) == [said["address"]]


def test_a_file_is_reported_and_its_name_becomes_no_path(
    web: httpx.Client, lake: Lake, tmp_path: Path
) -> None:
    names = ("../../../../etc/cron.d/x", "/etc/passwd", "..\\..\\boot.ini", "a%00b.wav", "")
    for n, name in enumerate(names):
        answer = web.post("/reports", data={"language": "ms"}, files={"file": (name, WAV + bytes([n]))})
        assert answer.status_code == (201 if name else 422), answer.text
    assert sorted(row["uri"] for row in lake.rows("reports")) == ["a%00b.wav", "boot.ini", "passwd", "x"]
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and Path(lake.root) not in path.parents]
    assert outside == []
    assert [path.suffix for path in (Path(lake.root) / "media").rglob("*.*")] == [".wav"] * 4
    assert not any((Path(lake.root) / "tmp").iterdir())


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"json": {"address": "file:///etc/passwd"}}, 422, "address"),
    ({"json": {"address": "http://user:s3cr3t@example.org/"}}, 422, "address"),
    ({"json": {"address": "not an address"}}, 422, "address"),
    ({"json": {"address": "http://x/" + "a" * 9000}}, 422, "address"),
    ({"json": {"address": "http://x/", "language": "fr"}}, 422, "language"),
    ({"json": {"address": "http://x/", "use_case": "fun"}}, 422, "use_case"),
    ({"json": {"address": "http://x/", "note": "x" * 2001}}, 422, "note"),
    ({"json": {"address": "http://x/", "path": "/etc"}}, 422, "path"),
    ({"json": {"address": ["http://x/"]}}, 422, "address"),
    ({"json": {}}, 422, "address"),
    ({"json": []}, 400, ""),
    ({"content": b"[" * 60_000, "headers": {"Content-Type": "application/json"}}, 400, ""),
    ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, ""),
    ({"content": b'{"note": "' + b"x" * 70_000, "headers": {"Content-Type": "application/json"}}, 413, ""),
    ({"content": b"address=http://x/"}, 415, ""),
    ({"data": {"address": "http://x/"}}, 415, ""),
    ({"data": {"address": "http://x/"}, "files": {"file": ("a.wav", WAV)}}, 422, "address"),
    ({"files": {"file": ("a.wav", b"")}}, 422, "file"),
    ({"files": {"file": ("a.wav", b"x" * (MAX_BYTES + 1))}}, 413, "file"),
    ({"files": [("file", ("a.wav", WAV)), ("file", ("b.wav", WAV))]}, 400, ""),
    ({"data": {"note": "x" * 70_000}, "files": {"file": ("a.wav", WAV)}}, 400, ""),
    (
        {"content": b"--x\r\nno end", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        400,
        "",
    ),
    ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400, ""),
]


def test_what_is_no_report_is_refused_with_the_field_that_is_wrong(web: httpx.Client, lake: Lake) -> None:
    for request, status, field in WRONG:
        answer = web.post("/reports", **request)
        assert (answer.status_code, list(answer.json()["problems"])) == (status, [field]), (
            request,
            answer.text,
        )
        assert "s3cr3t" not in answer.text
    assert lake.partitions("reports") == []


@pytest.mark.parametrize("stated", [True, False])
def test_a_body_beyond_the_limit_is_not_taken_whatever_length_it_states(
    web: httpx.Client, stated: bool
) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(400):
            sent += 100_000
            yield b"x" * 100_000

    headers = {"Content-Type": "multipart/form-data; boundary=x"} | (
        {"Content-Length": "40000066"} if stated else {}
    )
    try:
        status = web.post("/reports", content=body(), headers=headers).status_code
    except httpx.WriteError:
        status = 413  # the door was shut while we were still talking
    assert status == 413
    assert sent < 40_000_000


def test_a_body_that_drips_is_not_waited_for(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorkeeper, "PIECE_TIMEOUT_S", 0.3)
    port = int(serve().rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(
            b"POST /reports HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        assert sock.recv(1000).startswith(b"HTTP/1.1 408")


def test_every_answer_carries_strict_headers_and_lets_no_other_site_read_it(web: httpx.Client) -> None:
    for path in ("/", "/reports/new", "/reports/unknown", "/nowhere", "/docs", "/openapi.json"):
        answer = web.get(path, headers={"Origin": "https://evil.example", "Accept": "text/html"})
        headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "same-origin"
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; img-src 'self'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert not any(name.startswith("access-control") for name in headers)
        assert "server" not in headers
    assert web.get("/docs").status_code == web.get("/openapi.json").status_code == 404


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1"]
)
def test_a_name_that_was_made_to_point_here_is_not_answered(web: httpx.Client, name: str) -> None:
    assert web.get("/reports/new", headers={"Host": name}).status_code in (400, 421)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_cannot_report(web: httpx.Client, lake: Lake, headers: dict[str, str]) -> None:
    assert web.post("/reports", json={"address": "http://x/"}, headers=headers).status_code == 403
    assert lake.partitions("reports") == []


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401), ("", 401), (f"Bearer {TOKEN}", 201), (f"bearer {TOKEN}", 201), (basic(TOKEN), 201),
        ("Bearer", 401), (f"Bearer {TOKEN}x", 401), (f"Bearer {TOKEN[:-1]}", 401), (f"Token {TOKEN}", 401),
        (basic("wrong"), 401), ("Basic %%%", 401), ("Basic /w==", 401),
    ],
)  # fmt: skip
def test_with_a_token_only_those_who_know_it_are_let_in(serve: Serve, given: str | None, status: int) -> None:
    headers = {"Host": "reports.example.org"} | ({"Authorization": given} if given is not None else {})
    with httpx.Client(base_url=serve(TOKEN), headers=headers) as web:
        answer = web.post("/reports", json={"address": "http://x/"})
        assert answer.status_code == status
        assert web.get("/reports/new").status_code == (200 if status == 201 else 401)
        if status == 401:
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
            assert TOKEN not in answer.text


def test_only_so_many_reports_are_taken_within_an_hour(serve: Serve, lake: Lake) -> None:
    with httpx.Client(base_url=serve(max_per_hour=3)) as web:
        states = [web.post("/reports", json={"address": f"http://x/{n}"}).status_code for n in range(5)]
    assert states == [201, 201, 201, 429, 429]
    assert len(lake.partitions("reports")) == 3


def test_the_quota_is_of_any_hour_not_of_the_clock() -> None:
    now = [0.0]
    quota = Quota(2, lambda: now[0])
    taken = []
    for now[0] in (0.0, 3000.0, 3599.0, 3600.0, 3601.0, 6600.0):
        taken.append(quota.take())
    assert taken == [True, True, False, True, False, True]


def test_other_methods_and_paths_do_nothing(web: httpx.Client, lake: Lake) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert web.request(method, "/reports").status_code == 405
    for path in ("/reports/..%2f..%2fintake%2fx", "/reports/" + "x" * 5000, "/reports/report-0", "/%00"):
        assert web.get(path).status_code == 404
    assert not (Path(lake.root) / "tables").exists()


# The command

COMMAND = (
    "import importlib\n"
    "from dagster_project.cli.serve import serve\n"
    "command = importlib.import_module('dagster_project.cli.main')\n"
    "command.app.command('serve')(serve)\n"
    "command.main()\n"
)
"""The command as it is, with `serve` among its sub-commands."""


def haetae_serve(lake: Path, *options: str) -> subprocess.Popen[str]:
    args = [sys.executable, "-c", COMMAND, "--lake", str(lake), "serve", "--port", "0", *options]
    return subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_serves_until_it_is_stopped(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    running = haetae_serve(tmp_path / "lake", "--token-file", str(token))
    try:
        assert running.stderr is not None
        line = running.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert address is not None, line
        with httpx.Client(base_url=address[0], headers={"Authorization": f"Bearer {TOKEN}"}) as web:
            assert (
                web.post("/reports", json={"address": "https://example.org/a?sig=s3cr3t"}).status_code == 201
            )
        running.send_signal(signal.SIGINT)
        out, rest = running.communicate(timeout=20)
        assert "s3cr3t" not in out + line + rest
        assert "Traceback" not in rest
    finally:
        running.kill()
    assert waiting(Lake(tmp_path / "lake")) == ["https://example.org/a?sig=s3cr3t"]


def test_the_command_opens_no_door_to_others_without_a_token_that_is_kept_well(tmp_path: Path) -> None:
    loose, short = tmp_path / "loose", tmp_path / "short"
    loose.write_text(TOKEN)
    loose.chmod(0o644)
    short.write_text("short")
    short.chmod(0o600)
    command = importlib.import_module("dagster_project.cli.main")
    app = typer.Typer()
    app.callback()(command._global)
    app.command("serve")(serve_command)
    taken = socket.create_server(("127.0.0.1", 0))
    tries = {
        "--token-file": ("--host", "0.0.0.0"),
        "chmod 600": ("--token-file", str(loose)),
        "shorter than": ("--token-file", str(short)),
        "cannot read": ("--token-file", str(tmp_path / "none")),
        "give --port": ("--port", str(taken.getsockname()[1])),
    }
    for advice, options in tries.items():
        done = CliRunner().invoke(app, ["--lake", str(tmp_path / "lake"), "serve", *options])
        assert isinstance(done.exception, UsageError)
        assert advice in str(done.exception)
    taken.close()
