"""What the tests of the deployment files share: where the repository is, and a PostgreSQL server.

What is true of a single file stands in that file's test module.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.postgres_server import NoServer, Postgres, running_server


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def compose(repository: Path) -> dict[str, Any]:
    """infra/compose.yaml with its anchors resolved."""
    content: dict[str, Any] = yaml.safe_load((repository / "infra" / "compose.yaml").read_text())
    return content


@pytest.fixture(scope="session")
def lock(repository: Path) -> dict[str, str]:
    """Package name to version, as pinned by requirements.lock."""
    lines = (repository / "requirements.lock").read_text().splitlines()
    pins = (
        line.split(" ")[0].split("==") for line in lines if "==" in line and not line.startswith((" ", "#"))
    )
    return {name.split("[")[0]: version for name, version in pins}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for this session; skips where there is none to start."""
    try:
        with running_server() as server:
            yield server
    except NoServer as reason:
        pytest.skip(str(reason))
