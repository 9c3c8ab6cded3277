"""What a recogniser makes of a fake's speech, compared with what is said; Whisper in its real form on disk, tiny."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haetae.errors import UsageError
from haetae.provenance.ids import file_sha256
from haetae.quality.intelligibility import Listener, intelligibility
from haetae.voice.espeak import speak

pytest.importorskip("faster_whisper", reason="no whisperx: install the extra `full`")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper of one layer that has learned nothing, converted as published ones are."""
    folder = tmp_path_factory.mktemp("whisper")
    write_whisper(folder / "hf", folder / "ct2")
    return folder / "ct2"


def write_whisper(published: Path, converted: Path) -> None:
    import ctranslate2
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tasks = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
    words = ["endoftext", "startoftranscript", *LANGUAGES, *tasks, *(f"{i * 0.02:.2f}" for i in range(1501))]
    special = [f"<|{word}|>" for word in words]
    # As many as the published ones have: by their number they are told from those that know English alone.
    special += [f"<|unused{i}|>" for i in range(51865 - len(letters) - len(special))]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    at = tokenizer.token_to_id
    end = at("<|endoftext|>")
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=51865, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=1,
        decoder_attention_heads=1, encoder_ffn_dim=8, decoder_ffn_dim=8, bos_token_id=end, eos_token_id=end,
        pad_token_id=end, decoder_start_token_id=at("<|startoftranscript|>"),
    )  # fmt: skip
    network = WhisperForConditionalGeneration(config)
    known = network.generation_config
    known.suppress_tokens, known.begin_suppress_tokens, known.alignment_heads = [], [], [[0, 0]]
    known.lang_to_id = {f"<|{code}|>": at(f"<|{code}|>") for code in LANGUAGES}
    network.save_pretrained(published)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<|endoftext|>",
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
    ).save_pretrained(published)
    tokenizer.save(str(published / "tokenizer.json"))
    WhisperFeatureExtractor().save_pretrained(published)
    files = ["tokenizer.json", "preprocessor_config.json"]
    ctranslate2.converters.TransformersConverter(str(published), copy_files=files).convert(str(converted))


@pytest.mark.parametrize("language", ["ko", "other"])
def test_it_listens_without_a_network_and_always_hears_the_same(
    model: Path, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("it asked the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    audio = speak("오늘 점심은 떡볶이", "ko").audio
    digest = file_sha256(model / "model.bin")
    texts = [Listener(str(model), digest).hear(audio, language) for _ in range(2)]
    assert texts[0] == texts[1]
    assert isinstance(texts[0], str)


@pytest.mark.parametrize("gone", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_folder_in_which_something_is_missing_is_refused(model: Path, tmp_path: Path, gone: str) -> None:
    digest = file_sha256(model / "model.bin")
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    (folder / gone).unlink()
    with pytest.raises(UsageError, match=gone):
        Listener(str(folder), digest).load()


def test_another_model_and_a_broken_one_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="speech recogniser"):
        Listener(str(model), "0" * 64).load()
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    (folder / "model.bin").write_bytes((model / "model.bin").read_bytes()[:1000])
    with pytest.raises(UsageError, match="speech recogniser"):
        Listener(str(folder), file_sha256(folder / "model.bin")).load()


@pytest.mark.parametrize(
    ("said", "heard", "share"),
    [
        ("Wah, this one shiok lah!", "wah this ONE shiok lah", 1.0),
        ("오늘 점심은", "오늘점심은", 1.0),
        ("இன்று மழை", "", 0.0),
        ("abcde", "abXde", 0.8),
        ("abcde", "abde", 0.8),
        ("abcde", "abccde", 0.8),
        ("abcd", "wxyzwxyzwxyz", 0.0),
        ("ya", "ya", None),
    ],
)
def test_it_is_the_share_of_letters_that_were_understood(said: str, heard: str, share: float | None) -> None:
    assert intelligibility(said, heard) == (None if share is None else pytest.approx(share))


@given(st.text("ab c", min_size=0, max_size=12), st.text("ab c", min_size=0, max_size=12))
def test_it_agrees_with_the_distance_by_definition(said: str, heard: str) -> None:
    one, other = said.replace(" ", ""), heard.replace(" ", "")
    found = intelligibility(said, heard)
    if len(one) < 4:
        assert found is None
    else:
        assert found == pytest.approx(max(0.0, 1 - distance(one, other) / len(one)))


def distance(one: str, other: str) -> int:
    table = np.zeros((len(one) + 1, len(other) + 1), int)
    table[:, 0], table[0] = range(len(one) + 1), range(len(other) + 1)
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b))
    return int(table[-1, -1])
