"""Mouths of real people, retrieved from their own clips: nearly every clip is made, and the lips say the new words.

Every other film is asked, all of them with HAETAE_DEV_MEDIA_ALL=1.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from generators.lip_sync.mouth_retrieval import MouthRetrieval, rewrite
from generators.protocol import ClipView, Face, FakeRequest, FakeResult
from generators.verify import verify
from haetae.errors import Rejected
from haetae.faces.mesh import MeshTracker
from haetae.faces.regions import mouth_openness
from haetae.media.frames import read_frames
from haetae.voice.espeak import speak

pytestmark = pytest.mark.slow
N_FRAMES = 50
SENTENCE = "오늘 밥 먹자."


def _clip(path: Path) -> ClipView:
    frames = read_frames(path, first=0, last=N_FRAMES - 1, max_frames=N_FRAMES + 1)
    mesh, found = MeshTracker().track(frames)
    return ClipView(path.stem, "ko", frames, None, (Face("track", 0, mesh, found),))


def test_nearly_every_real_clip_whose_mouth_moves_is_made_and_in_sync(dev_media: Path) -> None:
    sounds = speak(SENTENCE, "ko", rate_wpm=140).phonemes
    still, failed, before, after = [], [], [], []
    paths = sorted((dev_media / "video").glob("real_lp_*.mp4"))
    if not os.environ.get("HAETAE_DEV_MEDIA_ALL"):
        paths = paths[::2]
    for path in paths:
        clip = _clip(path)
        try:
            made = rewrite(clip, sounds, 0.1)
        except Rejected as refused:
            (still if refused.reason == "mouth_too_still" else failed).append(f"{path.stem}: {refused}")
            continue
        result = FakeResult(made.segments, made.frames, made.masks, track_id=made.track_id)
        change = verify(MouthRetrieval.card, FakeRequest(clip, 1, "ko", sentence=SENTENCE), result)
        assert change.edge_delta < 1.5, path.stem
        mesh, found = MeshTracker().track(made.frames)
        at = made.curves.active & found & clip.faces[0].found
        assert found[clip.faces[0].found].mean() >= 0.95, path.stem
        wanted = made.curves.openness[at]
        before.append(float(np.corrcoef(mouth_openness(clip.faces[0].mesh)[at], wanted)[0, 1]))
        after.append(float(np.corrcoef(mouth_openness(mesh)[at], wanted)[0, 1]))
    n = len(paths) - len(still)
    print(
        f"made {len(after)} of {n}; still: {still}; failed: {failed}; r {np.round(before, 2)} -> {np.round(after, 2)}"
    )
    assert len(after) >= 0.95 * n
    assert len(still) <= 0.4 * len(paths)
    assert np.median(after) > 0.8
    assert np.median(after) > np.median(before) + 0.4
    assert min(after) > 0.4
