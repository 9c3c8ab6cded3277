"""Fixtures for what people look at."""

from __future__ import annotations

import numpy as np
import pytest
from lake_of_fakes import fill_lake
from numpy.typing import NDArray

from haetae.lake import Lake


@pytest.fixture(scope="session")
def filled_lake(tmp_path_factory: pytest.TempPathFactory, portrait: NDArray[np.uint8]) -> Lake:
    """The full lake, shared by the tests that only read it."""
    folder = tmp_path_factory.mktemp("report")
    return fill_lake(folder / "demo-lake", folder, portrait)
