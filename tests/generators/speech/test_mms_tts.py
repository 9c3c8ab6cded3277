"""A VITS checkpoint in its on-disk format is verified, loaded, spoken with and laid into a clip."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generators.protocol import ClipView, FakeRequest
from generators.speech.mms_tts import MmsTts, MmsTtsKo, card_of
from generators.speech.vits import Vits
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError
from haetae.voice.level import loud_dbfs
from tests.generators.speech.checkpoints import LETTERS, without, write_vits
from tests.generators.speech.recordings import RATE_HZ, recording, samples_of
from tests.generators.store import Store

SENTENCE = "selamat pagi semua"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One checkpoint, and pins for Malay that name its files."""
    made = Store(tmp_path_factory.mktemp("mms"))
    write_vits(made.folder("tiny"))
    made.pin("mms_tts", "ms", "tiny")
    return made


@pytest.fixture(scope="module")
def tiny(store: Store) -> MmsTts:
    """The generator with the tiny checkpoint, loaded through the same code as a real one."""
    with pytest.MonkeyPatch.context() as patch:
        store.use(patch)
        return _loaded()


@pytest.fixture(scope="module")
def voice(store: Store) -> Vits:
    return Vits.load(store.folder("tiny"), "ms", "cpu")


@pytest.fixture(scope="module")
def clip() -> ClipView:
    return recording("ms")


def _loaded() -> MmsTts:
    class Tiny(MmsTts):
        card = card_of("ms")

    generator = Tiny()
    generator.load("cpu")
    return generator


def test_a_sentence_is_laid_over_speech_at_its_level(tiny: MmsTts, clip: ClipView) -> None:
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


def test_word_times_are_those_of_the_networks_durations(voice: Vits) -> None:
    speech, slower = voice.speak(SENTENCE, 1), voice.speak(SENTENCE, 1, rate=0.7)
    assert speech.words[-1].end_s == pytest.approx(speech.duration_s, abs=0.002)
    assert [len(w.word) for w in speech.words] == [7, 4, 5]
    assert all(a.end_s <= b.start_s for a, b in zip(speech.words, speech.words[1:], strict=False))
    assert slower.duration_s == pytest.approx(speech.duration_s / 0.7, rel=0.2)
    assert voice.speak(SENTENCE, 1).duration_s == speech.duration_s, "a rate must not stay"


def test_the_random_numbers_of_torch_and_of_numpy_are_left_alone(voice: Vits) -> None:
    import torch

    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    voice.speak(SENTENCE, 1)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])


def test_another_sampling_rate_is_brought_to_16_khz(tmp_path: Path, voice: Vits) -> None:
    own = voice.speak(SENTENCE, 1)
    fast = Vits.load(write_vits(tmp_path / "x", sampling_rate=24_000), "ms", "cpu").speak(SENTENCE, 1)
    assert fast.rate_hz == RATE_HZ
    assert fast.duration_s == pytest.approx(own.duration_s * 16 / 24, rel=0.01)
    assert fast.words[-1].end_s == pytest.approx(fast.duration_s, abs=0.002)


def test_what_the_network_cannot_say_is_refused(voice: Vits) -> None:
    for text, reason in (
        ("안녕하세요 여러분", "nothing_to_say"),
        ("pagi வணக்கம் வணக்கம்", "letters_unknown"),
        ("?!", "nothing_to_say"),
        ("a" * 5000, "text_too_long"),
        ("pagi " * 110, "speech_too_long"),
    ):
        with pytest.raises(Rejected) as caught:
            voice.speak(text, 1)
        assert caught.value.reason == reason


def test_a_network_that_wants_latin_letters_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_vits(tmp_path / "kor", is_uroman=True)
    monkeypatch.setitem(sys.modules, "uroman", None)
    with pytest.raises(UsageError, match="uroman"):
        Vits.load(folder, "ko", "cpu")


def test_an_altered_or_missing_file_is_refused_before_it_is_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = store.copied(tmp_path)
    other.use(monkeypatch)
    path = other.folder("tiny") / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UsageError, match=r"model\.safetensors.*another file, or was changed"):
        _loaded()
    path.unlink()
    with pytest.raises(UsageError, match=r"(?s)1 of . weight files are not here.*model\.safetensors"):
        _loaded()


def test_a_folder_without_a_readable_model_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model\.safetensors nor pytorch_model\.bin"):
        Vits.load(tmp_path, "ms", "cpu")
    folder = store.copied(tmp_path).folder("tiny")
    vocab = {letter: i for i, letter in enumerate(LETTERS + "0123456789")}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    with pytest.raises(UsageError, match="not of one checkpoint"):
        Vits.load(folder, "ms", "cpu")
    without(folder / "model.safetensors", "decoder.conv_post.weight")
    with pytest.raises(UsageError, match=r"1 tensors are not there, decoder\.conv_post\.weight"):
        Vits.load(folder, "ms", "cpu")
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(UsageError, match="can be read"):
        Vits.load(folder, "ms", "cpu")


def test_files_whose_content_is_not_known_are_not_used() -> None:
    """The pins of the checkpoints are not complete yet; nothing may be loaded on trust."""
    with pytest.raises(UsageError, match=r"SHA-256 of config\.json.*HAETAE_PINS"):
        MmsTtsKo().load("cpu")
    assert MmsTtsKo.card.licence == "CC-BY-NC-4.0"


@pytest.mark.parametrize(
    ("content", "message"),
    [("- a\n", "mapping"), ("ms: {repo: x}\n", "revision"), ("ms: [\n", "flow node"), ("ta: {}\n", "repo")],
)
def test_a_wrong_file_of_pins_is_named_with_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    (tmp_path / "mms_tts.yaml").write_text(content)
    monkeypatch.setenv("HAETAE_PINS", str(tmp_path))
    with pytest.raises(UsageError, match=rf"mms_tts\.yaml is no file of pins.*{message}"):
        card_of("ms")


def test_a_language_without_a_checkpoint_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.use(monkeypatch)
    with pytest.raises(UsageError, match=r"no checkpoint for ta; it has: ms"):
        card_of("ta")


def test_requests_that_cannot_be_met_are_refused(tiny: MmsTts, clip: ClipView) -> None:
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
