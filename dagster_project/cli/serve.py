"""`haetae serve`: take reports of suspected media over HTTP, into the queue of the lake."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Annotated

import typer

from dagster_project.cli.console import error_console
from dagster_project.cli.state import state_of
from haetae.errors import UsageError

MIN_TOKEN_CHARS = 16
MAX_CONNECTIONS = 64


def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; others than this machine's own need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port; 0: a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="A file that only you may read, with the token that callers need."),
    ] = None,
    max_bytes: Annotated[
        int, typer.Option("--max-bytes", min=1_000, help="Most bytes of one reported file.")
    ] = 200_000_000,
    max_per_hour: Annotated[
        int, typer.Option("--max-per-hour", min=1, help="Most reports that are taken within an hour.")
    ] = 120,
) -> None:
    """Take reports of suspected media: a form for people at /reports/new, JSON for programs at /reports."""
    import uvicorn

    from haetae.web.service import service

    state = state_of(context)
    token = _token(token_file)
    if token is None and not _is_loopback(host):
        raise UsageError(f"listening on {host} lets others in; give --token-file, or --host 127.0.0.1")
    state.lake.local_path("")  # Raises where the lake is not on a local disk.
    app = service(state.lake, token, max_bytes=max_bytes, max_per_hour=max_per_hour)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # addresses of requests stay out of logs
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=10,
    )
    with _listening(host, port) as listener:
        where = f"[{host}]" if ":" in host else host
        address = f"http://{where}:{listener.getsockname()[1]}"
        error_console().print(f"taking reports at {address}/reports/new; stop with Ctrl-C", highlight=False)
        uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens already, so that who reads the address can come. Raises: UsageError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror}; give --port") from error


def _token(path: Path | None) -> str | None:
    """The token in a file. Raises: UsageError where others may read it, or it is short."""
    if path is None:
        return None
    try:
        mode = path.stat().st_mode
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the token in {path}: {error}") from error
    if mode & 0o077:
        raise UsageError(f"others may read {path}; close it with: chmod 600 {path}")
    if len(token) < MIN_TOKEN_CHARS:
        raise UsageError(f"the token in {path} is shorter than {MIN_TOKEN_CHARS} characters")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
