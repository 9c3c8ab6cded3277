"""A VITS checkpoint in its on-disk format is verified, loaded, spoken with and laid into a clip."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from generators.protocol import FakeRequest
from generators.speech.mms_tts import FILES, MmsTts, MmsTtsKo, card_of
from generators.speech.vits import Vits
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError
from haetae.voice.level import loud_dbfs
from tests.generators.speech.recordings import RATE_HZ, recording, samples_of

SENTENCE = "selamat pagi semua"
LETTERS = "_ abcdefghijklmnopqrstuvwxyz"


def write_checkpoint(
    folder: Path, *, is_uroman: bool = False, letters: str = LETTERS, sampling_rate: int = 16_000
) -> Path:
    """A tiny untrained VITS model and its tokenizer, saved as transformers saves them."""
    import torch
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    folder.mkdir(parents=True)
    vocab = folder / "vocab-source.json"
    vocab.write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tokenizer = VitsTokenizer(
        str(vocab), pad_token="_", unk_token="_", language="zlm", phonemize=False, is_uroman=is_uroman
    )
    vocab.unlink()
    torch.manual_seed(3)
    model = VitsModel(
        VitsConfig(
            vocab_size=len(letters), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16,
            flow_size=16, spectrogram_bins=33, upsample_initial_channel=16, upsample_rates=[16, 16],
            upsample_kernel_sizes=[32, 32], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]],
            prior_encoder_num_flows=1, prior_encoder_num_wavenet_layers=1, duration_predictor_num_flows=1,
            posterior_encoder_num_wavenet_layers=1, duration_predictor_filter_channels=16,
            use_stochastic_duration_prediction=False, sampling_rate=sampling_rate,
        )
    )  # fmt: skip
    with torch.no_grad():
        model.duration_predictor.proj.bias.fill_(1.6)  # some 80 ms for each token
        model.decoder.conv_post.weight.mul_(40.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_pins(path: Path, folder: Path, language: str = "ms") -> Path:
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    entry = {"repo": "tests/tiny", "revision": "r1", "licence": "CC0-1.0", "files": files}
    path.write_text(yaml.safe_dump({language: entry}))
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights as HAETAE_WEIGHTS wants it, with one checkpoint in it, and its pins beside."""
    root = tmp_path_factory.mktemp("weights")
    write_checkpoint(root / "tests" / "tiny" / "r1")
    write_pins(root / "pins.yaml", root / "tests" / "tiny" / "r1")
    return root


@pytest.fixture
def tiny(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MmsTts:
    """The generator with the tiny checkpoint, loaded through the same code as a real one."""
    monkeypatch.setenv("HAETAE_WEIGHTS", str(store))
    monkeypatch.setenv("HAETAE_CACHE", str(tmp_path / "cache"))

    class Tiny(MmsTts):
        card = card_of("ms", store / "pins.yaml")

    generator = Tiny()
    generator.load("cpu")
    return generator


def test_a_sentence_is_laid_over_speech_at_its_level(tiny: MmsTts) -> None:
    clip = recording("ms")
    request = FakeRequest(clip, 1, "ms", sentence=SENTENCE)
    result = tiny.generate(request)
    verify(tiny.card, request, result)
    assert [w.word for w in result.words] == ["selamat", "pagi", "semua"]
    (segment,) = result.segments
    assert all(segment.start_s - 0.03 <= w.start_s < w.end_s <= segment.end_s for w in result.words)
    said = [
        x[round(segment.start_s * RATE_HZ) : round(segment.end_s * RATE_HZ)]
        for x in (result.audio, samples_of(clip))
    ]
    assert loud_dbfs(said[0]) == pytest.approx(loud_dbfs(said[1]), abs=3.0)
    assert same(result, tiny.generate(request)) is None
    assert same(result, tiny.generate(replace(request, seed=2))) == "audio"


def test_word_times_are_those_of_the_networks_durations(store: Path) -> None:
    folder = store / "tests" / "tiny" / "r1"
    voice = Vits.load(folder, "ms", "cpu")
    speech, slower = voice.speak(SENTENCE, 1), voice.speak(SENTENCE, 1, rate=0.7)
    assert speech.words[-1].end_s == pytest.approx(speech.duration_s, abs=0.002)
    assert [len(w.word) for w in speech.words] == [7, 4, 5]
    assert all(a.end_s <= b.start_s for a, b in zip(speech.words, speech.words[1:], strict=False))
    assert slower.duration_s == pytest.approx(speech.duration_s / 0.7, rel=0.2)
    assert voice.speak(SENTENCE, 1).duration_s == speech.duration_s, "a rate must not stay"


def test_torchs_own_random_numbers_are_left_alone(store: Path) -> None:
    import torch

    voice = Vits.load(store / "tests" / "tiny" / "r1", "ms", "cpu")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    voice.speak(SENTENCE, 1)
    assert torch.equal(torch.rand(3), expected)


def test_another_sampling_rate_is_brought_to_16_khz(tmp_path: Path, store: Path) -> None:
    own = Vits.load(store / "tests" / "tiny" / "r1", "ms", "cpu").speak(SENTENCE, 1)
    fast = Vits.load(write_checkpoint(tmp_path / "x", sampling_rate=24_000), "ms", "cpu").speak(SENTENCE, 1)
    assert fast.rate_hz == RATE_HZ
    assert fast.duration_s == pytest.approx(own.duration_s * 16 / 24, rel=0.01)
    assert fast.words[-1].end_s == pytest.approx(fast.duration_s, abs=0.002)


def test_what_the_network_cannot_say_is_refused(store: Path) -> None:
    voice = Vits.load(store / "tests" / "tiny" / "r1", "ms", "cpu")
    for text, reason in (
        ("안녕하세요 여러분", "nothing_to_say"),
        ("pagi வணக்கம் வணக்கம்", "letters_unknown"),
        ("?!", "nothing_to_say"),
        ("a" * 5000, "text_too_long"),
        ("pagi " * 400, "speech_too_long"),
    ):
        with pytest.raises(Rejected) as caught:
            voice.speak(text, 1)
        assert caught.value.reason == reason


def test_a_network_that_wants_latin_letters_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_checkpoint(tmp_path / "kor", is_uroman=True)
    monkeypatch.setitem(sys.modules, "uroman", None)
    with pytest.raises(UsageError, match="uroman"):
        Vits.load(folder, "ko", "cpu")


def test_an_altered_or_missing_file_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_checkpoint(tmp_path / "w" / "tests" / "tiny" / "r1")
    pins = write_pins(tmp_path / "pins.yaml", folder)
    monkeypatch.setenv("HAETAE_WEIGHTS", str(tmp_path / "w"))
    monkeypatch.setenv("HAETAE_CACHE", str(tmp_path / "cache"))

    class Tiny(MmsTts):
        card = card_of("ms", pins)

    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(content))
    with pytest.raises(UsageError, match=r"model\.safetensors"):
        Tiny().load("cpu")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"model\.safetensors"):
        Tiny().load("cpu")


def test_a_folder_without_a_readable_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model\.safetensors"):
        Vits.load(tmp_path, "ms", "cpu")
    folder = write_checkpoint(tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(UsageError, match="can be read"):
        Vits.load(folder, "ms", "cpu")
    other = write_checkpoint(tmp_path / "other")
    vocab = {letter: i for i, letter in enumerate(LETTERS + "0123456789")}
    (other / "vocab.json").write_text(json.dumps(vocab))
    with pytest.raises(UsageError, match="not of one checkpoint"):
        Vits.load(other, "ms", "cpu")


def test_files_whose_content_is_not_known_are_not_used() -> None:
    """The pins of the checkpoints are not complete yet; nothing may be loaded on trust."""
    with pytest.raises(UsageError, match=r"config\.json"):
        MmsTtsKo().load("cpu")
    assert MmsTtsKo.card.licence == "CC-BY-NC-4.0"


@pytest.mark.parametrize(
    ("content", "message"),
    [("- a\n", "mapping"), ("ms: {repo: x}\n", "revision"), ("ms: [\n", "YAML"), ("ta: {}\n", "repo")],
)
def test_a_wrong_file_of_pins_is_named_with_its_fault(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "pins.yaml").write_text(content)
    with pytest.raises(UsageError, match=message):
        card_of("ms", tmp_path / "pins.yaml")


def test_requests_that_cannot_be_met_are_refused(tiny: MmsTts) -> None:
    clip = recording("ms")
    for bad, sentence, language, reason in (
        (replace(clip, audio=None), SENTENCE, "ms", "no_audio"),
        (replace(clip, speech=()), SENTENCE, "ms", "no_speech"),
        (clip, None, "ms", "no_sentence"),
        (clip, SENTENCE, "ko", "no_voice"),
        (
            replace(clip, speech=((0.6, 0.8),), audio=samples_of(clip)[:16_000]),
            SENTENCE,
            "ms",
            "sentence_does_not_fit",
        ),
    ):
        with pytest.raises(Rejected) as caught:
            tiny.generate(FakeRequest(bad, 1, language, sentence=sentence))
        assert caught.value.reason == reason
    assert np.isfinite(tiny.generate(FakeRequest(clip, 1, "ms", sentence=SENTENCE)).audio).all()
