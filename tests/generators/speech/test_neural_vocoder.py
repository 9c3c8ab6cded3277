"""A HiFi-GAN checkpoint in its on-disk format is verified, loaded, and sounds the clip's own speech again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generators.protocol import ClipView, FakeRequest
from generators.speech.hifigan import HifiGan, MelSettings
from generators.speech.neural_vocoder import NeuralVocoder, _card
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError
from haetae.voice.level import loud_dbfs
from tests.generators.speech.checkpoints import (
    without,
    write_hifigan,
    write_mel_settings,
    write_speecht5,
)
from tests.generators.speech.recordings import RATE_HZ, recording, samples_of
from tests.generators.store import Store

HOP = 256


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The vocoder of one repository; of another, which has more files, the settings of its spectrograms."""
    made = Store(tmp_path_factory.mktemp("vocoder"))
    write_hifigan(made.folder("vocoder"))
    write_speecht5(made.folder("tts"))
    made.pin("neural_vocoder", "vocoder", "vocoder")
    made.pin("neural_vocoder", "mel", "tts", ("preprocessor_config.json",))
    return made


@pytest.fixture(scope="module")
def tiny(store: Store) -> NeuralVocoder:
    with pytest.MonkeyPatch.context() as patch:
        store.use(patch)
        return _loaded()


def _loaded() -> NeuralVocoder:
    class Tiny(NeuralVocoder):
        card = _card()

    generator = Tiny()
    generator.load("cpu")
    return generator


@pytest.fixture(scope="module")
def clip() -> ClipView:
    """Two stretches of speech with a pause of 1.2 s between them."""
    one = recording("ms", "Apa khabar semua?")
    n_s = samples_of(one).size / RATE_HZ
    ((start_s, end_s),) = one.speech
    audio = np.concatenate([samples_of(one), samples_of(one)])
    return replace(one, audio=audio, speech=((start_s, end_s), (start_s + n_s, end_s + n_s)))


def test_speech_is_sounded_anew_at_its_level_and_all_else_stays(tiny: NeuralVocoder, clip: ClipView) -> None:
    request = FakeRequest(clip, 1, "ms")
    result = tiny.generate(request)
    verify(tiny.card, request, result)
    assert result.words == clip.words
    assert len(result.segments) == 2
    for segment, (start_s, end_s) in zip(result.segments, clip.speech, strict=True):
        assert (segment.start_s, segment.end_s) == pytest.approx((start_s, end_s), abs=0.07)
        first, last = round(segment.start_s * RATE_HZ), round(segment.end_s * RATE_HZ)
        new, old = (x[first:last] for x in (result.audio, samples_of(clip)))
        assert (new != old).mean() > 0.99
        assert loud_dbfs(new) == pytest.approx(loud_dbfs(old), abs=1.0)
        # The fades begin and end on the clip's own sound.
        assert abs(new[0] - old[0]) < 0.02 and abs(new[-1] - old[-1]) < 0.02


def test_equal_requests_give_equal_samples_with_any_number_of_threads(
    tiny: NeuralVocoder, clip: ClipView
) -> None:
    request = FakeRequest(clip, 1, "ms")
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    one = tiny.generate(request)
    try:
        torch.set_num_threads(2)
        assert same(one, tiny.generate(request)) is None
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_is_heard_comes_from_the_same_moment_of_the_clip(tiny: NeuralVocoder, clip: ClipView) -> None:
    """A tone burst changes the sound where it is, and no further away than window and network reach."""
    assert tiny._ready is not None
    vocoder, mels = tiny._ready
    speech = samples_of(clip)[: 2 * RATE_HZ]
    other = speech.copy()
    first, last = 16_000, 17_600
    other[first:last] += 0.3 * np.sin(np.arange(last - first) * 0.7).astype(np.float32)
    one, two = (vocoder.sound(mels.mel(x)) for x in (speech, other))
    assert one.size == (speech.size // HOP + 1) * HOP
    changed = np.flatnonzero(np.abs(one - two) > 1e-6)
    reach = 512 + 8 * HOP
    assert first - reach <= changed[0] <= first
    assert last <= changed[-1] + 512
    assert changed[-1] <= last + reach


def test_spectrograms_are_those_of_the_settings_file(tiny: NeuralVocoder) -> None:
    """A tone of 1 kHz at full scale lies in the band around it, frame by frame, on a logarithm to the base 10."""
    assert tiny._ready is not None
    _, mels = tiny._ready
    tone = np.zeros(RATE_HZ, np.float32)
    tone[8_000:] = np.sin(2 * np.pi * 1000 * np.arange(8_000) / RATE_HZ)
    mel = mels.mel(tone)
    assert mel.shape == (RATE_HZ // HOP + 1, 20)
    edges = _slaney_hz(np.linspace(_slaney_mel(80.0), _slaney_mel(7600.0), 22))
    band = int(mel[45].argmax())
    assert edges[band] < 1000 < edges[band + 2]
    assert (mel[:28] == -10).all(), "digital silence is at the floor of 1e-10"
    assert mel[28:31, band].max() > mel[45, band] - 1.0, "frame t is centred on sample 256 t"


def _slaney_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + np.log(hz / 1000) * 27 / np.log(6.4)


def _slaney_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def test_settings_of_another_vocoder_are_refused(store: Store, tmp_path: Path) -> None:
    vocoder = HifiGan.load(store.folder("vocoder"), "cpu")
    with pytest.raises(UsageError, match=r"no preprocessor_config\.json"):
        MelSettings.load(tmp_path, vocoder)
    write_mel_settings(tmp_path, bands=80)
    with pytest.raises(
        UsageError, match=r"256 samples a frame, 80 bands, the vocoder's 16000 Hz, 256 .* 20 bands"
    ):
        MelSettings.load(tmp_path, vocoder)
    write_mel_settings(tmp_path, hop_length=10)
    with pytest.raises(UsageError, match="160 samples a frame"):
        MelSettings.load(tmp_path, vocoder)
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(UsageError, match="settings of mel spectrograms that can be read"):
        MelSettings.load(tmp_path, vocoder)


def test_altered_missing_and_unfitting_files_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = store.copied(tmp_path)
    other.use(monkeypatch)
    path = other.folder("vocoder") / "pytorch_model.bin"
    without(path, "conv_post.weight")
    with pytest.raises(UsageError, match=r"pytorch_model\.bin.*another file, or was changed"):
        _loaded()
    with pytest.raises(UsageError, match=r"1 tensors are not there, conv_post\.weight"):
        HifiGan.load(path.parent, "cpu")
    (other.folder("tts") / "preprocessor_config.json").unlink()
    shutil.copy(store.folder("vocoder") / "pytorch_model.bin", path)
    with pytest.raises(UsageError, match=r"(?s)1 of 3 weight files are not here.*preprocessor_config\.json"):
        _loaded()
    path.write_bytes(b"\x80\x02cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UsageError, match="HiFi-GAN model that can be read"):
        HifiGan.load(path.parent, "cpu")


def test_the_published_vocoder_is_not_used_before_its_files_are_pinned(clip: ClipView) -> None:
    with pytest.raises(UsageError, match=r"SHA-256 of config\.json.*pinned/neural_vocoder\.yaml"):
        NeuralVocoder().load("cpu")
    assert NeuralVocoder.card.licence == "MIT"
    with pytest.raises(RuntimeError, match="not loaded"):
        NeuralVocoder().generate(FakeRequest(clip, 1, "ms"))


def test_clips_without_speech_are_refused(tiny: NeuralVocoder, clip: ClipView) -> None:
    for bad, reason in ((replace(clip, audio=None), "no_audio"), (replace(clip, speech=()), "no_speech")):
        with pytest.raises(Rejected, match=reason):
            tiny.generate(FakeRequest(bad, 1, "ms"))
