"""A PostgreSQL server of the test's own: a new data folder, a free port of 127.0.0.1, ended by its process.

What is stored in it is the tests' business.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

PASSWORD = "made-for-this-test"


class NoServer(Exception):
    """There is no PostgreSQL server on this machine."""


class DidNotStart(Exception):
    """The server ended, or did not answer in time; the message holds the end of its log."""


@dataclass(frozen=True)
class Postgres:
    """A running server: its superuser is `dagster`, as in infra/compose.yaml."""

    binaries: Path
    port: int
    environment: Mapping[str, str]

    def url(self, user: str, password: str, database: str) -> str:
        return f"postgresql+psycopg2://{user}:{password}@127.0.0.1:{self.port}/{database}"


@contextmanager
def running_server() -> Iterator[Postgres]:
    """Start a server, and end it with the block. Raises: NoServer, DidNotStart."""
    binaries = _server_binaries()
    if binaries is None:
        raise NoServer("no PostgreSQL server here; to run this test: apt-get install postgresql")
    with TemporaryDirectory(prefix="haetae-pg-", dir="/tmp") as folder:
        home = Path(folder)
        owner = _server_account()
        os.chown(home, owner.pw_uid, owner.pw_gid)
        (home / "password").write_text(PASSWORD)
        (home / "password").chmod(0o644)
        run = (
            {"user": owner.pw_uid, "group": owner.pw_gid, "cwd": home} if os.getuid() == 0 else {"cwd": home}
        )
        made = subprocess.run(
            [
                *(binaries / "initdb", "--pgdata", home / "data", "--username", "dagster", "--no-sync"),
                *(
                    "--auth",
                    "scram-sha-256",
                    "--pwfile",
                    home / "password",
                    "--encoding",
                    "UTF8",
                    "--locale",
                    "C",
                ),
            ],
            capture_output=True,
            text=True,
            **run,
        )
        if made.returncode:
            raise DidNotStart(made.stderr)
        port = free_port()
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(home), "fsync": "off"}
        server = subprocess.Popen(
            [
                *(binaries / "postgres", "-D", home / "data", "-p", str(port)),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=(home / "log").open("w"),
            **run,
        )
        try:
            _wait_until_ready(binaries, port, server, home / "log")
            yield Postgres(binaries, port, _client_environment(port))
        finally:
            # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)


def _server_binaries() -> Path | None:
    packaged = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3].split(".")[0])
    )
    found = packaged[-1] if packaged else shutil.which("initdb")
    return Path(found).parent if found else None


def _server_account() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root: then it runs as `postgres`, or as `nobody`."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    names = {account.pw_name for account in pwd.getpwall()}
    return pwd.getpwnam("postgres" if "postgres" in names else "nobody")


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _client_environment(port: int) -> dict[str, str]:
    """The variables of the `code` service in infra/compose.yaml, for this server."""
    return {
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_PORT": str(port),
        "DAGSTER_POSTGRES_USER": "dagster",
        "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
        "DAGSTER_POSTGRES_DB": "dagster",
    }


def _wait_until_ready(binaries: Path, port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    asked = [binaries / "pg_isready", "--quiet", "--timeout", "2", "-h", "127.0.0.1", "-p", str(port)]
    for _ in range(60):
        if server.poll() is not None:
            break
        if subprocess.run(asked).returncode == 0:
            return
        try:
            server.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            continue
    raise DidNotStart(log.read_text()[-2000:])
