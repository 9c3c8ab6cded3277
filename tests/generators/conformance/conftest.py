"""Clips that the tests of the bench share, also between processes: filming them takes most of the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from generators.conformance import Size
from generators.conformance.clips import CLIPS_VARIABLE, _folder

TINY = Size("tiny", 1.4, 160, 192, long_clips=False, limit_s=6.0, effort=0.01)
"""Smaller and shorter than what a plug-in's tests take."""
TINY_ONCE = replace(TINY, two_processes=False)
SPOKEN = replace(TINY_ONCE, name="spoken", clip_s=3.2, height_px=128, limit_s=60.0)
"""Long enough for a sentence, of which words can be exchanged."""


@pytest.fixture(scope="module")
def shared_clips(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """One folder of clips for all tests, and for the processes that they start."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "conformance-clips"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CLIPS_VARIABLE, str(folder))
        _folder.cache_clear()
        yield
    _folder.cache_clear()
