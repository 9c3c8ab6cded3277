"""Fixtures for what people look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from lake_of_fakes import fill_lake
from lake_of_pairs import fill_gallery
from numpy.typing import NDArray
from visiting import running_browser

from haetae.lake import Lake


@pytest.fixture(scope="session")
def filled_lake(tmp_path_factory: pytest.TempPathFactory, portrait: NDArray[np.uint8]) -> Lake:
    """The full lake, shared by the tests that only read it."""
    folder = tmp_path_factory.mktemp("report")
    return fill_lake(folder / "demo-lake", folder, portrait)


@pytest.fixture(scope="session")
def gallery_lake(tmp_path_factory: pytest.TempPathFactory, portrait: NDArray[np.uint8]) -> Lake:
    """Few fakes of every kind, long enough to play; shared by the tests that only read it."""
    folder = tmp_path_factory.mktemp("gallery")
    return fill_gallery(folder / "a store", folder, portrait)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_browser() as started:
        yield started
