"""`llm_rewrite`: subtitles that a language model has rewritten so that they mean something else.

The model runs here, from checked files; what it answers is believed only if it is a usable sentence.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

from generators.protocol import Card, FakeRequest, FakeResult, Weights, settings
from generators.text.wording import reworded, words_of
from generators.weights import located
from haetae.errors import Rejected, UsageError
from haetae.locales import load
from haetae.locales.review import script_ratio
from haetae.provenance.ids import seed_of
from haetae.voice.tokens import plain_text

MAX_ASKED = 600
"""Longest transcript that is given to the model, characters."""
MAX_NEW_TOKENS = 512
MIN_SCRIPT_RATIO = 0.8
"""Share of letters in the script of the language: names and loans may be in Latin letters."""
LENGTHS = (0.4, 2.5)
"""Shortest and longest answer, in lengths of the transcript."""

_REPO = "Qwen/Qwen2.5-0.5B-Instruct"
_REVISION = "7ae557604adf67be50417f59c2c2f167def9a775"
_FILES = {
    "config.json": "18e18afcaccafade98daf13a54092927904649e1dd4eba8299ab717d5d94ff45",
    "tokenizer.json": "c0382117ea329cdf097041132f6d735924b697924d6f6fc3945713e96ce87539",
    "tokenizer_config.json": "5b5d4f65d0acd3b2d56a35b56d374a36cbc1c8fa5cf3b3febbbfabf22f359583",
    "model.safetensors": "fdf756fa7fcbe7404d5c60e26bff1a0c8b8aa1f72ced49e7dd0210fe288fb7fe",
}

_TASK = (
    "Rewrite the sentence in {name} so that it says something else: change one fact (a number, a name, a place,"
    " or yes to no). Keep its language, style and length. Answer only with JSON of the form"
    ' {{"text": "..."}}.'
)
_JSON = re.compile(r"\{[^{}]{0,4000}\}")
_TAG = re.compile(r"<text>(.{1,4000}?)</text>", re.DOTALL)


class LlmRewrite:
    """A causal language model of transformers, safetensors only, no code from outside."""

    card: ClassVar[Card] = Card(
        name="llm_rewrite",
        version="1",
        family="text",
        modalities=("text",),
        languages=("ko", "en-SG", "ms", "ta"),
        needs=("words",),
        profile="full",
        weights=tuple(
            Weights(repo=_REPO, revision=_REVISION, filename=name, sha256=sha256, licence="Apache-2.0")
            for name, sha256 in _FILES.items()
        ),
        params={"temperature": 0.0, "max_new_tokens": 160},
        description=(
            "Asks a small instruction-tuned language model to change one fact of the transcript, and shows its"
            " answer as subtitles, timed by the speech of the clip. Picture and sound stay."
        ),
        intended_use="Training and testing detectors of machine-written subtitles that disagree with what is said.",
        paper="Qwen Team, Qwen2.5 Technical Report, 2024",
    )

    def __init__(self) -> None:
        self._model: Any = None
        self._tokenizer: Any = None

    def load(self, device: str) -> None:
        """Read the checked files. Raises: UsageError for missing or altered ones, or no such model."""
        self._model, self._tokenizer = _read(located(self.card), device)

    def generate(self, request: FakeRequest) -> FakeResult:
        """Rewrite the transcript.

        temperature 0 takes the likeliest token each time, a higher one draws by the seed.
        Raises: Rejected no_words, text_too_long, and rewrite_unusable for an answer without a sentence in the
        language that differs and is about as long.
        """
        s = settings(self.card, request)
        words = words_of(request.target)
        said = plain_text(" ".join(word.word for word in words))
        if len(said) > MAX_ASKED:
            raise Rejected("text_too_long", f"{len(said)} characters, of at most {MAX_ASKED}")
        temperature, most = float(s["temperature"]), int(s["max_new_tokens"])
        if not (0.0 <= temperature <= 2.0 and 1 <= most <= MAX_NEW_TOKENS):
            raise UsageError(
                f"{self.card.key}: temperature is 0 to 2, max_new_tokens 1 to {MAX_NEW_TOKENS};"
                f" not {temperature} and {most}"
            )
        answer = self._answer(said, request, temperature, most)
        return reworded(words, usable(answer, said, request.language).split())

    def _answer(self, said: str, request: FakeRequest, temperature: float, most: int) -> str:
        import torch

        if self._model is None:
            raise UsageError(f"{self.card.key} was not loaded; call load() first")
        ids = _prompt(self._tokenizer, said, load(request.language).name).to(self._model.device)
        room = int(getattr(self._model.config, "max_position_embeddings", 1 << 20)) - ids.shape[1]
        if room < 1:
            raise Rejected("text_too_long", f"the model has no room behind {ids.shape[1]} tokens")
        draw = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(seed_of("rewrite", request.seed))
            out = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=min(most, room),
                pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id or 0,
                **draw,
            )
        return str(self._tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


def usable(answer: str, said: str, language: str) -> str:
    """The sentence in an answer: `{"text": ...}` anywhere in it, or what stands between <text> and </text>.

    Raises: Rejected("rewrite_unusable") where there is none, or it is not in the script of the language, is too
    short or long for what was said, or says the same.
    """
    found = _extracted(answer)
    if not found:
        raise Rejected("rewrite_unusable", f"no sentence in the answer {answer[:80]!r}")
    script = load(language).script
    if (ratio := script_ratio(found, script)) < MIN_SCRIPT_RATIO:
        raise Rejected("rewrite_unusable", f"{ratio:.0%} of its letters are {script}: {found[:80]!r}")
    if not LENGTHS[0] <= len(found) / max(1, len(said)) <= LENGTHS[1]:
        raise Rejected("rewrite_unusable", f"{len(found)} characters for {len(said)}: {found[:80]!r}")
    if _letters(found) == _letters(said):
        raise Rejected("rewrite_unusable", "it says the same")
    return found


def _extracted(answer: str) -> str:
    """The text of the first JSON object that has one, else of the first tag; empty without either."""
    for match in _JSON.finditer(answer[:20_000]):
        try:
            told = json.loads(match.group())
        except (json.JSONDecodeError, RecursionError):
            continue
        if isinstance(told, dict) and isinstance(told.get("text"), str):
            return plain_text(told["text"])
    tag = _TAG.search(answer[:20_000])
    return plain_text(tag.group(1)) if tag else ""


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _prompt(tokenizer: Any, said: str, language_name: str) -> Any:
    """Ids of the question, int64 [1, N]; in the form of the checkpoint's chat where it has one."""
    task = _TASK.format(name=language_name)
    if tokenizer.chat_template:
        chat = [{"role": "system", "content": task}, {"role": "user", "content": said}]
        return tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")
    return tokenizer(f"{task}\n{said}\n", return_tensors="pt")["input_ids"]


def _read(folder: Path, device: str) -> tuple[Any, Any]:
    """A causal language model and its tokenizer from one folder; nothing is fetched and no code of it is run."""
    import transformers

    models: Any = transformers.AutoModelForCausalLM
    tokenizers: Any = transformers.AutoTokenizer
    local: dict[str, bool] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = tokenizers.from_pretrained(folder, **local)
        model = models.from_pretrained(folder, use_safetensors=True, **local)
    except Exception as error:
        first = " ".join(str(error).split())[:300]
        raise UsageError(f"{folder} holds no language model that can be read: {first}") from error
    if len(tokenizer) > int(model.config.vocab_size):
        raise UsageError(
            f"{folder}: the tokenizer knows {len(tokenizer)} tokens, the model {model.config.vocab_size}:"
            " they are not of one checkpoint"
        )
    return model.to(device).eval(), tokenizer
