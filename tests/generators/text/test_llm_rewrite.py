"""A language model's answer becomes subtitles only if it is a usable sentence; the model comes from checked files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators.protocol import Card, ClipView, FakeRequest, Weights, Word
from generators.text.llm_rewrite import _TASK, LlmRewrite, usable
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError
from haetae.provenance.ids import file_sha256
from tests.generators.store import COMMIT
from tests.generators.text.checkpoints import FILES, write_language_model

SAID = "Hujan lebat di Ipoh petang ini"
ANSWER = '{"text": "Hujan lebat di Melaka petang ini"}'


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model that has learned one answer, where HAETAE_WEIGHTS has it."""
    folder = tmp_path_factory.mktemp("weights") / "tests" / "tiny-lm" / COMMIT
    return write_language_model(folder, {_TASK.format(name="Bahasa Melayu") + f"\n{SAID}\n": ANSWER})


def _rewriter(folder: Path, **params: Any) -> LlmRewrite:
    """The generator with a card that pins the files of a folder."""
    weights = tuple(
        Weights(
            repo="tests/tiny-lm",
            revision=COMMIT,
            filename=name,
            sha256=file_sha256(folder / name),
            licence="CC0-1.0",
        )
        for name in FILES
    )

    class Tiny(LlmRewrite):
        card = LlmRewrite.card.model_copy(
            update={"weights": weights, "params": {**LlmRewrite.card.params, **params}}
        )

    return Tiny()


@pytest.fixture
def in_reach(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HAETAE_WEIGHTS", str(checkpoint.parents[2]))
    monkeypatch.setenv("HAETAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HAETAE_DOWNLOAD", raising=False)
    return checkpoint


def _request(said: str = SAID, seed: int = 1, **params: Any) -> FakeRequest:
    words = tuple(Word(w, 0.2 + 0.4 * i, 0.5 + 0.4 * i) for i, w in enumerate(said.split()))
    audio = np.zeros(16_000 * (1 + len(words)), np.float32)
    clip = ClipView("clip-1", "ms", None, audio, (), ((0.2, words[-1].end_s),), words)
    return FakeRequest(clip, seed, "ms", params=params)


def test_a_learned_answer_becomes_subtitles_within_the_contract(in_reach: Path) -> None:
    rewriter = _rewriter(in_reach)
    rewriter.load("cpu")
    request = _request()
    result = rewriter.generate(request)
    assert result.text == "Hujan lebat di Melaka petang ini"
    verify(rewriter.card, request, result)
    assert same(result, rewriter.generate(request)) is None
    assert [w.word for w in result.words if w.word not in SAID.split()] == ["Melaka"]


def test_drawing_is_repeated_by_its_seed_and_nonsense_is_refused(in_reach: Path) -> None:
    import torch

    rewriter = _rewriter(in_reach)
    rewriter.load("cpu")
    state = torch.random.get_rng_state()
    answers = [
        rewriter._answer("Apa khabar", _request("Apa khabar", seed), temperature=2.0, most=40)
        for seed in (1, 1, 2, 3)
    ]
    assert answers[0] == answers[1]
    assert len(set(answers)) > 1
    assert torch.equal(state, torch.random.get_rng_state())
    with pytest.raises(Rejected, match="rewrite_unusable"):
        rewriter.generate(_request("Kucing saya tidur di atas sofa", max_new_tokens=5))


def test_an_altered_or_missing_file_is_refused_before_it_is_read(
    in_reach: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    copy = tmp_path / "other" / "tests" / "tiny-lm" / COMMIT
    shutil.copytree(in_reach, copy)
    rewriter = _rewriter(in_reach)
    monkeypatch.setenv("HAETAE_WEIGHTS", str(tmp_path / "other"))
    raw = bytearray((copy / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (copy / "model.safetensors").write_bytes(bytes(raw))
    with pytest.raises(UsageError, match=r"model\.safetensors"):
        rewriter.load("cpu")
    (copy / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"model\.safetensors"):
        rewriter.load("cpu")


def test_a_checkpoint_that_wants_to_run_its_own_code_is_refused(in_reach: Path, tmp_path: Path) -> None:
    import shutil

    from generators.text.llm_rewrite import _read

    copy = tmp_path / "coded"
    shutil.copytree(in_reach, copy)
    config = json.loads((copy / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.Conf"},
    }
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(UsageError, match="holds no language model that can be read"):
        _read(copy, "cpu")
    assert not (tmp_path / "ran").exists()


def test_wrong_use_is_told(in_reach: Path) -> None:
    rewriter = _rewriter(in_reach)
    with pytest.raises(UsageError, match="was not loaded"):
        rewriter.generate(_request())
    with pytest.raises(UsageError, match="temperature is 0 to 2"):
        rewriter.generate(_request(temperature=9.0))
    with pytest.raises(Rejected, match="text_too_long"):
        rewriter.generate(_request("panjang " * 100))
    rewriter.load("cpu")
    rewriter._model.config.max_position_embeddings = 16
    with pytest.raises(Rejected, match="no room"):
        rewriter.generate(_request())


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (ANSWER, "Hujan lebat di Melaka petang ini"),
        (f"Sure! ```json\n{ANSWER}\n``` Hope that helps", "Hujan lebat di Melaka petang ini"),
        ('{"x": 1} {"text": 3} {"text": "Panas terik di Ipoh petang ini"}', "Panas terik di Ipoh petang ini"),
        ("<text>Panas terik di Ipoh\npetang ini</text>", "Panas terik di Ipoh petang ini"),
    ],
)
def test_the_sentence_is_found_in_what_surrounds_it(answer: str, text: str) -> None:
    assert usable(answer, SAID, "ms") == text


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "no sentence"),
        ("I cannot do that.", "no sentence"),
        ('{"text": "오늘 밤부터 전국에 비가 내리겠습니다"}', "LATIN"),
        ('{"text": "Ya"}', "2 characters for 30"),
        (json.dumps({"text": "ya " * 60}), "179 characters for 30"),
        ('{"text": "hujan lebat, di Ipoh petang ini."}', "it says the same"),
        ("{" * 50_000, "no sentence"),
        ('{"text": "' + "\\u202e" * 20 + '"}', "no sentence"),
    ],
)
def test_an_unusable_answer_is_refused_with_the_reason(answer: str, why: str) -> None:
    with pytest.raises(Rejected, match="rewrite_unusable") as caught:
        usable(answer, SAID, "ms")
    assert why in caught.value.detail


def test_the_card_pins_every_file_that_is_read() -> None:
    card: Card = LlmRewrite.card
    assert card.profile == "full"
    assert {w.filename for w in card.weights} == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    }
    assert {(w.repo, len(w.revision), w.licence) for w in card.weights} == {
        ("Qwen/Qwen2.5-0.5B-Instruct", 40, "Apache-2.0")
    }
