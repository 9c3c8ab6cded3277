"""Every generator on real recordings: faces that turn, blink and laugh, and speech in real rooms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generators.combination.dubbed import Dubbed
from generators.face_swap.mesh_swap import MeshSwap
from generators.face_swap.self_blend import SelfBlend
from generators.lip_sync.viseme_sync import VisemeSync
from generators.protocol import ClipView, Face, FakeRequest, FakeResult, Generator
from generators.speech.espeak_tts import EspeakTts
from generators.verify import Change, same, verify
from haetae.faces.mesh import MeshTracker
from haetae.media.audio import read_audio
from haetae.media.frames import read_frames

pytestmark = pytest.mark.slow
N_FRAMES = 75


def _clip(folder: Path, name: str, first: int = 0) -> ClipView:
    from haetae.voice.activity import speech_regions

    path = folder / "video" / f"{name}.mp4"
    frames = read_frames(path, first=first, last=first + N_FRAMES - 1, max_frames=N_FRAMES + 1)
    audio = read_audio(path)[first * 640 : (first + N_FRAMES) * 640]
    mesh, found = MeshTracker().track(frames)
    face = Face(f"track-{name}", 0, mesh, found)
    return ClipView(name, "ko", frames, audio, (face,), tuple(speech_regions(audio)))


@pytest.fixture(scope="module")
def laughing(dev_media: Path) -> ClipView:
    return _clip(dev_media, "real_lp_d12")


@pytest.fixture(scope="module")
def speaking(dev_media: Path) -> ClipView:
    return _clip(dev_media, "real_lp_d10", first=75)


def _made(generator: Generator, request: FakeRequest) -> tuple[FakeResult, Change]:
    result = generator.generate(request)
    change = verify(generator.card, request, result)
    assert same(result, generator.generate(request)) is None
    return result, change


def _found_again(target: ClipView, result: FakeResult) -> float:
    assert result.frames is not None
    _, found = MeshTracker().track(result.frames)
    return float(found[target.faces[0].found].mean())


@pytest.mark.parametrize(
    ("generator", "sentence"),
    [(MeshSwap(), None), (SelfBlend(), None), (VisemeSync(), "오늘 날씨가 아주 좋습니다.")],
    ids=["mesh_swap", "self_blend", "viseme_sync"],
)
def test_a_moving_real_face_is_changed_and_found_again(
    laughing: ClipView, speaking: ClipView, generator: Generator, sentence: str | None
) -> None:
    donor = speaking if "donor_face" in generator.card.needs else None
    result, change = _made(generator, FakeRequest(laughing, 3, "ko", donor, sentence))
    assert change.mean_abs_delta > 2
    assert change.edge_delta < 2
    assert _found_again(laughing, result) >= 0.95


def test_real_speech_is_replaced_alone_and_together_with_the_lips(speaking: ClipView) -> None:
    assert speaking.speech, "the recording must hold speech"
    for generator in (EspeakTts(), Dubbed()):
        request = FakeRequest(speaking, 3, "ko", sentence="오늘 날씨가 좋습니다.")
        result, change = _made(generator, request)
        assert change.audio_fraction > 0.15
        assert result.audio is not None
        assert speaking.audio is not None
        assert np.array_equal(
            result.audio[: round(speaking.speech[0][0] * 16_000) - 1],
            speaking.audio[: round(speaking.speech[0][0] * 16_000) - 1],
        )
