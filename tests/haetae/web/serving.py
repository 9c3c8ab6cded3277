"""The service for reports on a free port of this machine, as `haetae serve` runs it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from haetae.lake import Lake
from haetae.web.service import service

MAX_BYTES = 300_000
TOKEN = "a token that nobody guesses"
WAV = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0" + b"\0" * 400


@contextmanager
def serving(lake: Lake, token: str | None = None, **options: Any) -> Iterator[str]:
    """Run the service for the length of the block; gives its address."""
    app = service(lake, token, **{"max_bytes": MAX_BYTES, **options})
    config = uvicorn.Config(app, log_level="critical", access_log=False, server_header=False, lifespan="off")
    bound = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
