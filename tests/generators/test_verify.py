"""A plug-in that breaks its contract is caught on each count, and an honest one passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from generators.protocol import Card, ClipView, Face, FakeRequest, FakeResult, Segment, Word
from generators.segments import audio_segments, changed_frames, video_segments
from generators.verify import same, verify
from haetae.errors import Rejected

T, H, W, N = 20, 48, 64, 12800
CARD = Card(
    name="honest",
    version="1",
    family="combination",
    modalities=("video", "audio"),
    description="d",
    intended_use="t",
)


def _face(track_id: str, x: float) -> Face:
    mesh = np.zeros((T, 478, 3), np.float32)
    angle = np.linspace(0, 2 * np.pi, 478)
    mesh[:, :, 0], mesh[:, :, 1] = x + 9 * np.cos(angle), 24 + 12 * np.sin(angle)
    return Face(track_id, 0, mesh, np.ones(T, np.bool_))


@pytest.fixture
def request_() -> FakeRequest:
    rng = np.random.default_rng(0)
    frames = rng.integers(30, 200, (T, H, W, 3), dtype=np.uint8)
    audio = rng.normal(0, 0.1, N).astype(np.float32).clip(-1, 1)
    return FakeRequest(ClipView("clip-1", "ms", frames, audio, (_face("a", 20), _face("b", 50))), 1, "ms")


@pytest.fixture
def honest(request_: FakeRequest) -> FakeResult:
    """Frames 5 to 14 changed in a box on face a, 0.2 to 0.5 s of sound changed, and said so."""
    target = request_.target
    assert target.frames is not None
    assert target.audio is not None
    frames, audio = target.frames.copy(), target.audio.copy()
    masks = np.zeros((T, H, W), np.bool_)
    masks[5:15, 15:33, 12:28] = True
    frames[masks] += 20
    audio[3200:8000] *= 0.5
    segments = (
        *video_segments(changed_frames(target.frames, frames)),
        *audio_segments(target.audio, audio),
    )
    return FakeResult(segments, frames, masks, audio, "a", words=(Word("ya", 0.2, 0.5),))


def _refused(rule: str, request: FakeRequest, result: FakeResult, card: Card = CARD) -> None:
    with pytest.raises(Rejected) as caught:
        verify(card, request, result)
    assert caught.value.reason == "contract_broken"
    assert caught.value.detail.startswith(rule + ":"), caught.value.detail


def test_an_honest_fake_passes_and_its_change_is_measured(request_: FakeRequest, honest: FakeResult) -> None:
    change = verify(CARD, request_, honest)
    assert change.video_fraction == 0.5
    assert change.mask_fraction == pytest.approx(18 * 16 / (H * W))
    assert change.mean_abs_delta == pytest.approx(20)
    assert change.audio_fraction == pytest.approx(0.375, abs=0.001)


def test_a_pixel_changed_outside_the_mask_is_found(request_: FakeRequest, honest: FakeResult) -> None:
    assert honest.frames is not None
    frames = honest.frames.copy()
    frames[7, 0, 0, 1] ^= 1
    _refused("outside_mask", request_, replace(honest, frames=frames))


def test_a_changed_frame_without_any_mask_is_found(request_: FakeRequest, honest: FakeResult) -> None:
    assert honest.frames is not None
    frames = honest.frames.copy()
    frames[18, 20, 20] ^= 1
    _refused("outside_mask", request_, replace(honest, frames=frames))


@pytest.mark.parametrize("by_s", [-0.12, 0.12])
def test_video_labels_that_are_shifted_are_found(
    request_: FakeRequest, honest: FakeResult, by_s: float
) -> None:
    video = Segment("video", 0.2 + by_s, 0.6 + by_s)
    _refused("video_segments", request_, replace(honest, segments=(video, honest.segments[1])))


def test_a_video_label_that_is_off_by_one_frame_is_let_through(
    request_: FakeRequest, honest: FakeResult
) -> None:
    verify(CARD, request_, replace(honest, segments=(Segment("video", 0.16, 0.6), honest.segments[1])))


@pytest.mark.parametrize("by_s", [-0.05, 0.05])
def test_audio_labels_that_are_shifted_are_found(
    request_: FakeRequest, honest: FakeResult, by_s: float
) -> None:
    audio = Segment("audio", 0.2 + by_s, 0.5 + by_s)
    _refused("audio_segments", request_, replace(honest, segments=(honest.segments[0], audio)))


def test_an_audio_label_within_twenty_milliseconds_is_let_through(
    request_: FakeRequest, honest: FakeResult
) -> None:
    verify(CARD, request_, replace(honest, segments=(honest.segments[0], Segment("audio", 0.185, 0.515))))


def test_a_missing_label_is_found(request_: FakeRequest, honest: FakeResult) -> None:
    _refused("video_segments", request_, replace(honest, segments=honest.segments[1:]))
    _refused("audio_segments", request_, replace(honest, segments=honest.segments[:1]))


@pytest.mark.parametrize("samples", [N - 700, N + 700])
def test_sound_of_another_length_is_found(request_: FakeRequest, honest: FakeResult, samples: int) -> None:
    assert honest.audio is not None
    _refused("length", request_, replace(honest, audio=np.resize(honest.audio, samples)))


def test_frames_of_another_number_or_size_are_found(request_: FakeRequest, honest: FakeResult) -> None:
    assert honest.frames is not None
    assert honest.masks is not None
    _refused("shape", request_, replace(honest, frames=honest.frames[:-1], masks=honest.masks[:-1]))
    _refused("shape", request_, replace(honest, frames=honest.frames[:, :-2]))
    _refused("shape", request_, replace(honest, masks=honest.masks[:, :, :-1]))


def test_a_mask_of_everything_is_no_statement_and_found(request_: FakeRequest, honest: FakeResult) -> None:
    masks = np.ones((T, H, W), np.bool_)
    small = request_.target.frames
    assert small is not None
    frames = small.copy()
    frames[:, 20:22, 20:22] ^= 1
    segments = (Segment("video", 0.0, 0.8), honest.segments[1])
    _refused("wide_mask", request_, replace(honest, frames=frames, masks=masks, segments=segments))


def test_a_mask_over_another_face_is_found(request_: FakeRequest, honest: FakeResult) -> None:
    assert request_.target.frames is not None
    frames, masks = request_.target.frames.copy(), np.zeros((T, H, W), np.bool_)
    masks[5:15, 12:36, 12:58] = True
    frames[masks] += 20
    _refused("other_face", request_, replace(honest, frames=frames, masks=masks))


def test_a_result_that_changes_nothing_is_found(request_: FakeRequest, honest: FakeResult) -> None:
    _refused("empty_mask", request_, replace(honest, frames=request_.target.frames))
    _refused("audio_segments", request_, replace(honest, audio=request_.target.audio))


def test_a_result_that_disagrees_with_its_card_is_found(request_: FakeRequest, honest: FakeResult) -> None:
    seen_only = CARD.model_copy(update={"modalities": ("video",)})
    _refused("modalities", request_, honest, seen_only)
    _refused("modalities", request_, replace(honest, audio=None))
    _refused("modalities", request_, replace(honest, masks=None))
    _refused("track", request_, replace(honest, track_id="c"))
    facial = CARD.model_copy(update={"needs": ("face",)})
    _refused("track", request_, replace(honest, track_id=None), facial)


def test_segments_and_words_outside_the_clip_are_found(request_: FakeRequest, honest: FakeResult) -> None:
    late = Segment("audio", 0.2, 1.2)
    _refused("segment_bounds", request_, replace(honest, segments=(honest.segments[0], late)))
    _refused("segment_bounds", request_, replace(honest, segments=(Segment("video", 0.4, 0.4),)))
    twice = (honest.segments[0], honest.segments[0], honest.segments[1])
    _refused("segment_order", request_, replace(honest, segments=twice))
    _refused("words", request_, replace(honest, words=(Word("ya", 0.7, 0.9),)))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.5])
def test_samples_that_no_loudspeaker_can_play_are_found(
    request_: FakeRequest, honest: FakeResult, value: float
) -> None:
    assert honest.audio is not None
    audio = honest.audio.copy()
    audio[4000] = value
    _refused("samples", request_, replace(honest, audio=audio))


def test_results_are_the_same_only_if_every_byte_is(honest: FakeResult) -> None:
    assert honest.frames is not None
    assert same(honest, replace(honest, frames=honest.frames.copy())) is None
    frames = honest.frames.copy()
    frames[6, 20, 20, 0] ^= 1
    assert same(honest, replace(honest, frames=frames)) == "frames"
    assert same(honest, replace(honest, words=())) == "words"
    assert same(honest, replace(honest, audio=None)) == "audio"
