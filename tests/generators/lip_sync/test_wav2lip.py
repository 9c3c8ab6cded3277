"""Wav2Lip: what it hears is what librosa computes, its tensors are named as published, and only lips change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generators.lip_sync.driving import driving_voice
from generators.lip_sync.wav2lip import Wav2Lip, card_of, lower_face
from generators.lip_sync.wav2lip_mel import mel_spectrogram, windows
from generators.protocol import ClipView, FakeRequest, FakeResult
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError
from tests.generators.lip_sync.checkpoints import WAV2LIP, store_wav2lip, wav2lip_state, write_wav2lip
from tests.generators.store import Store

PUBLISHED = {
    "face_encoder_blocks.0.0.conv_block.0.weight": (16, 6, 7, 7),
    "face_encoder_blocks.2.3.conv_block.1.running_mean": (64,),
    "face_encoder_blocks.5.1.conv_block.0.weight": (512, 512, 3, 3),
    "face_encoder_blocks.6.1.conv_block.0.weight": (512, 512, 1, 1),
    "audio_encoder.0.conv_block.0.weight": (32, 1, 3, 3),
    "audio_encoder.9.conv_block.0.weight": (256, 128, 3, 3),
    "audio_encoder.12.conv_block.1.num_batches_tracked": (),
    "face_decoder_blocks.1.0.conv_block.0.weight": (1024, 512, 3, 3),
    "face_decoder_blocks.3.0.conv_block.0.weight": (768, 384, 3, 3),
    "face_decoder_blocks.6.0.conv_block.0.weight": (160, 64, 3, 3),
    "face_decoder_blocks.6.2.conv_block.0.bias": (64,),
    "output_block.0.conv_block.0.weight": (32, 80, 3, 3),
    "output_block.1.weight": (3, 32, 1, 1),
}
"""Some tensors of the published checkpoint, and their shapes."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Wav2Lip:
    store = Store(tmp_path_factory.mktemp("wav2lip"))
    store_wav2lip(store)
    with pytest.MonkeyPatch.context() as patch:
        store.use(patch)

        class Tiny(Wav2Lip):
            card = card_of()

        generator = Tiny()
        generator.load("cpu")
    return generator


@pytest.fixture(scope="module")
def request_(actor: ClipView, other_actor: ClipView) -> FakeRequest:
    assert other_actor.audio is not None
    voice = np.concatenate([other_actor.audio[4000:], other_actor.audio[:4000]])
    return FakeRequest(actor, 3, "ms", donor=replace(other_actor, audio=voice, speech=((0.0, 1.5),)))


@pytest.fixture(scope="module")
def made(loaded: Wav2Lip, request_: FakeRequest) -> FakeResult:
    return loaded.generate(request_)


def test_the_mel_spectrogram_is_librosas() -> None:
    import librosa
    from scipy.signal import lfilter

    rng = np.random.default_rng(2)
    t = np.arange(16_000) / 16_000
    audio = (0.3 * np.sin(2 * np.pi * 440 * t) * np.sin(9 * t) + rng.normal(0, 0.01, t.size)).astype(
        np.float32
    )
    audio[:2000] = 0
    sharp = lfilter([1.0, -0.97], [1.0], audio.astype(np.float64))
    spectrum = librosa.stft(sharp, n_fft=800, hop_length=200, win_length=800, pad_mode="reflect")
    bank = librosa.filters.mel(sr=16_000, n_fft=800, n_mels=80, fmin=55, fmax=7600)
    level_db = 20 * np.log10(np.maximum(1e-5, bank @ np.abs(spectrum))) - 20
    expected = np.clip(8 * (level_db + 100) / 100 - 4, -4, 4)
    mel = mel_spectrogram(audio)
    assert mel.shape == expected.shape == (80, 81)
    assert np.abs(mel - expected).max() < 2e-4
    assert mel.min() == -4.0
    assert mel.max() > 0


def test_a_frame_hears_the_fifth_of_a_second_that_begins_with_it() -> None:
    mel = np.tile(np.arange(81, dtype=np.float32), (80, 1))
    heard = windows(mel, np.array([0, 1, 5, 24]))
    assert heard.shape == (4, 1, 80, 16)
    assert heard[:, 0, 0, 0].tolist() == [0, 3, 16, 65]
    with pytest.raises(ValueError, match="at least 16"):
        windows(mel[:, :9], np.array([0]))


def test_the_networks_tensors_are_named_and_shaped_as_published() -> None:
    import torch

    from generators.lip_sync.wav2lip_net import Wav2Lip as Network

    with torch.random.fork_rng(devices=[]):
        network = Network().eval()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert {name: shapes.get(name) for name in PUBLISHED} == PUBLISHED
    assert sum(value.numel() for value in network.parameters()) == 36_298_035
    with torch.inference_mode():
        made = network(torch.zeros(2, 1, 80, 16), torch.zeros(2, 6, 96, 96))
    assert made.shape == (2, 3, 96, 96)


def test_the_network_is_shown_the_face_in_bgr_twice_first_without_its_lower_half(
    loaded: Wav2Lip, request_: FakeRequest
) -> None:
    import torch

    assert request_.target.frames is not None
    crops = np.ascontiguousarray(request_.target.frames[:2, 60:156, 80:176])
    heard = np.random.default_rng(1).normal(0, 1, (2, 1, 80, 16)).astype(np.float32)
    shown = np.zeros((2, 6, 96, 96), np.float32)
    for channel, colour in enumerate((2, 1, 0)):
        shown[:, channel + 3] = crops[..., colour] / np.float32(255)
        shown[:, channel, :48] = shown[:, channel + 3, :48]
    with torch.inference_mode():
        expected = loaded._network(torch.from_numpy(heard), torch.from_numpy(shown)).numpy()
    got = loaded._speaking(heard, crops)
    assert expected.std() > 0.01
    assert np.abs(got.astype(int) - (expected[:, ::-1].transpose(0, 2, 3, 1) * 255).astype(int)).max() <= 1


@pytest.mark.parametrize("kind", ["new .pth", ".safetensors"])
def test_every_format_of_a_checkpoint_gives_the_same_fake(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loaded: Wav2Lip,
    request_: FakeRequest,
    made: FakeResult,
) -> None:
    from safetensors.torch import save_file

    name = "other.safetensors" if kind == ".safetensors" else "wav2lip.pth"
    store = Store(tmp_path)
    path = store.folder(WAV2LIP) / name
    if kind == ".safetensors":
        path.parent.mkdir(parents=True)
        save_file(wav2lip_state(), path)
    else:
        write_wav2lip(path, wav2lip_state(), old=False)
    store.pin("wav2lip", "network", WAV2LIP)
    store.use(monkeypatch)

    class Tiny(Wav2Lip):
        card = card_of()

    generator = Tiny()
    generator.load("cpu")
    assert same(generator.generate(request_), made) is None


def test_only_the_lower_face_changes_and_only_while_the_voice_lasts(
    request_: FakeRequest, made: FakeResult
) -> None:
    change = verify(Wav2Lip.card, request_, made)
    assert change.mean_abs_delta > 2
    assert made.audio is None
    assert made.masks is not None
    mesh = request_.target.faces[0].mesh
    for t in np.flatnonzero(made.masks.any(axis=(1, 2)))[::5]:
        assert not made.masks[t, : int(mesh[t, [145, 374], 1].max())].any()


def test_the_mouth_follows_the_voice_that_drives_it(
    loaded: Wav2Lip, request_: FakeRequest, made: FakeResult
) -> None:
    """Another voice gives other lips, the same voice the same; and it begins where the target's speech does."""
    assert request_.donor is not None
    assert request_.donor.audio is not None
    assert same(made, loaded.generate(request_)) is None
    silent = replace(request_, donor=replace(request_.donor, audio=request_.donor.audio * 0))
    assert same(made, loaded.generate(silent)) == "frames"
    voice = driving_voice(request_, "donor")
    start = round(request_.target.speech[0][0] * 16_000)
    assert not voice.audio[:start].any()
    assert np.array_equal(voice.audio[start : start + 8000], request_.donor.audio[:8000])
    assert voice.active[3:30].all()


def test_the_own_voice_drives_the_lips_where_the_clip_speaks(loaded: Wav2Lip, request_: FakeRequest) -> None:
    target = replace(request_.target, speech=((0.2, 0.9),))
    result = loaded.generate(replace(request_, target=target, donor=None, params={"voice": "own"}))
    verify(Wav2Lip.card, replace(request_, target=target), result)
    (segment,) = result.segments
    assert segment.start_s <= 0.2
    assert 0.9 <= segment.end_s <= 1.2


def test_the_result_does_not_depend_on_the_number_of_threads(
    loaded: Wav2Lip, request_: FakeRequest, made: FakeResult
) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert same(made, loaded.generate(request_)) is None
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_soft_mask_keeps_to_the_lower_half_of_the_crop() -> None:
    from haetae.faces.canonical import canonical_points

    points = canonical_points()
    span = np.ptp(points[:468, :2], axis=0).max()
    mesh = ((points[:, :2] - points[:468, :2].mean(axis=0)) / span * 80 + 48).astype(np.float32)
    if mesh[152, 1] < mesh[10, 1]:
        mesh[:, 1] = 96 - mesh[:, 1]
    soft = lower_face(mesh)
    assert soft.max() == 1
    assert not soft[:48].any()
    assert soft[int(mesh[14, 1]), int(mesh[14, 0])] == 1


def test_requests_that_cannot_be_met_are_refused(loaded: Wav2Lip, request_: FakeRequest) -> None:
    assert request_.donor is not None
    mute = replace(request_.donor, audio=None)
    brief = replace(request_.donor, speech=((0.0, 0.3),))
    for request, reason in (
        (replace(request_, donor=None), "no_donor"),
        (replace(request_, donor=mute), "no_audio"),
        (replace(request_, donor=brief), "too_little_voice"),
        (replace(request_, target=replace(request_.target, faces=())), "no_face"),
    ):
        with pytest.raises(Rejected) as caught:
            loaded.generate(request)
        assert caught.value.reason == reason
    with pytest.raises(UsageError, match="donor, own"):
        loaded.generate(replace(request_, params={"voice": "mine"}))


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from generators.lip_sync.wav2lip_net import network_of

    state = wav2lip_state()
    state.pop("output_block.1.bias")
    with pytest.raises(UsageError, match=r"output_block\.1\.bias"):
        network_of(state)
    with pytest.raises(UsageError, match="not one of Wav2Lip"):
        network_of({"weight": state["output_block.1.weight"]})
    store = Store(tmp_path)
    path = store_wav2lip(store, {})
    store.use(monkeypatch)

    class Tiny(Wav2Lip):
        card = card_of()

    with pytest.raises(UsageError, match="wav2lip_gan"):
        Tiny().load("cpu")
    path.write_bytes(b"changed")
    with pytest.raises(UsageError, match="SHA-256"):
        Tiny().load("cpu")


def test_nothing_is_loaded_while_the_file_is_not_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAETAE_PINS", raising=False)

    class Unpinned(Wav2Lip):
        card = card_of()

    with pytest.raises(UsageError, match=r"SHA-256 of wav2lip_gan\.pth is not known"):
        Unpinned().load("cpu")
    with pytest.raises(RuntimeError, match="not loaded"):
        Unpinned().generate(FakeRequest(ClipView("c", "ms", None, None), 1, "ms"))
