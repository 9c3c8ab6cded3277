"""A tiny language model that has learned a few answers by heart, in the layout of the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
CHAT = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
LEARNED = 0.05
"""Loss at which an answer is known by heart."""


def write_language_model(folder: Path, answers: Mapping[str, str]) -> Path:
    """A causal language model of 60,000 weights that gives these answers. answers: by the whole prompt."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = byte_tokenizer()
    threads = torch.get_num_threads()
    # So small a model is learned faster on one core than by cores that wait for one another.
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=1024, tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        )  # fmt: skip
        model = Qwen2ForCausalLM(config)
        ids, labels = _examples(tokenizer, answers)
        learn = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(400):
            loss = model(ids, labels=labels).loss
            if loss.item() < LEARNED:
                break
            learn.zero_grad()
            loss.backward()
            learn.step()
        assert loss.item() < LEARNED
    torch.set_num_threads(threads)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    config_file = folder / "tokenizer_config.json"
    told = json.loads(config_file.read_text())
    config_file.write_text(json.dumps({**told, "chat_template": CHAT}))
    return folder


def byte_tokenizer() -> Any:
    """One token for each byte: every text can be written, and is read back as it was."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {symbol: n for n, symbol in enumerate([*alphabet, "<end>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")


def _examples(tokenizer: Any, answers: Mapping[str, str]) -> tuple[Any, Any]:
    """Prompts with their answers, int64 [N, T], and the labels of the answers alone."""
    import torch

    rows, wanted = [], []
    for prompt, answer in answers.items():
        before, after = (tokenizer(text)["input_ids"] for text in (prompt, answer + "<end>"))
        rows.append(torch.tensor([*before, *after]))
        wanted.append(torch.tensor([-100] * len(before) + after))
    pad = torch.nn.utils.rnn.pad_sequence
    ids = pad(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
    return ids, pad(wanted, batch_first=True, padding_value=-100)
