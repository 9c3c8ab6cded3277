"""What every test may use: the development media where they are, and the one portrait we may show."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def dev_media() -> Path:
    """Folder of real faces and speech for development; skips the test where it is absent."""
    given = os.environ.get("HAETAE_DEV_MEDIA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "media" / "dev"
    if not (folder / "SOURCES.csv").is_file():
        pytest.skip("no development media; set HAETAE_DEV_MEDIA to their folder")
    return folder


@pytest.fixture(scope="session")
def portrait() -> NDArray[np.uint8]:
    """The public-domain portrait of scikit-image: uint8 [512, 512, 3], RGB."""
    from skimage.data import astronaut

    return np.asarray(astronaut(), dtype=np.uint8)
