"""Clips that several tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.haetae.sample.rendering import SPECS, render


@pytest.fixture(scope="session")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A talking clip of one actor."""
    return render(tmp_path_factory.mktemp("talking"), SPECS["ko/sora__1.mp4"])


@pytest.fixture(scope="session")
def two_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip in which the right one of two actors speaks."""
    return render(tmp_path_factory.mktemp("pair"), SPECS["extras/daniel+priya__2.mp4"])
