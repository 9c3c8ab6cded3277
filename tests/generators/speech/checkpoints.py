"""Tiny untrained checkpoints of networks that speak, in the layouts of the published ones."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

LETTERS = "_ abcdefghijklmnopqrstuvwxyz"
PIECES = "\u2581etaoinshrdlucmfwygpbvkxjqz.,?'"


def write_vits(
    folder: Path,
    *,
    is_uroman: bool = False,
    letters: str = LETTERS,
    sampling_rate: int = 16_000,
    log_frames: float = 1.6,
) -> Path:
    """A VITS model and its tokenizer. log_frames: how long a token lasts; 1.6 is some 80 ms at 16 kHz."""
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    folder.mkdir(parents=True)
    vocab = folder / "vocab-source.json"
    vocab.write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tokenizer = VitsTokenizer(
        str(vocab), pad_token="_", unk_token="_", language="zlm", phonemize=False, is_uroman=is_uroman
    )
    vocab.unlink()
    config = VitsConfig(
        vocab_size=len(letters), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16,
        flow_size=16, spectrogram_bins=33, upsample_initial_channel=16, upsample_rates=[16, 16],
        upsample_kernel_sizes=[32, 32], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]],
        prior_encoder_num_flows=1, prior_encoder_num_wavenet_layers=1, duration_predictor_num_flows=1,
        posterior_encoder_num_wavenet_layers=1, duration_predictor_filter_channels=16,
        use_stochastic_duration_prediction=False, sampling_rate=sampling_rate,
    )  # fmt: skip
    model = _drawn(lambda: VitsModel(config))
    with torch.no_grad():
        model.duration_predictor.proj.bias.fill_(log_frames)
        model.decoder.conv_post.weight.mul_(40.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_speecht5(folder: Path, *, bands: int = 20, vector: int = 12) -> Path:
    """A SpeechT5 text-to-speech model, its tokenizer, and the settings of its spectrograms."""
    from transformers import SpeechT5Config, SpeechT5ForTextToSpeech

    folder.mkdir(parents=True)
    pieces = write_characters(folder / "spm_char.model")
    config = SpeechT5Config(
        vocab_size=pieces, hidden_size=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16, num_mel_bins=bands,
        speech_decoder_prenet_units=16, speech_decoder_postnet_units=16, speaker_embedding_dim=vector,
        max_text_positions=120, max_speech_positions=400,
    )  # fmt: skip
    model = _drawn(lambda: SpeechT5ForTextToSpeech(config))
    model.save_pretrained(folder)
    told = {"tokenizer_class": "SpeechT5Tokenizer", "normalize": False, "model_max_length": 120}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    write_mel_settings(folder, bands)
    return folder


def write_characters(path: Path) -> int:
    """A SentencePiece model of single characters, as `spm_char.model` is one; returns how many pieces it has."""
    kinds = {"<s>": 3, "<pad>": 3, "</s>": 3, "<unk>": 2}
    pieces = [*kinds, *PIECES]
    # The protocol buffer by hand: the library's own classes for it are of a later protobuf than everything else's.
    content = b"".join(
        _field(1, _field(1, piece.encode()) + _field(2, 0.0) + _field(3, kinds.get(piece, 1)))
        for piece in pieces
    )
    characters, ids = 4, {40: 3, 41: 0, 42: 2, 43: 1}  # of <unk>, <s>, </s>, <pad>
    spec = _field(3, characters) + _field(4, len(pieces))
    content += _field(2, spec + b"".join(_field(key, value) for key, value in ids.items()))
    path.write_bytes(content + _field(3, _field(1, b"identity")))
    return len(pieces)


def _field(number: int, value: bytes | float | int) -> bytes:
    """One field of a protocol buffer on the wire."""
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def write_mel_settings(folder: Path, bands: int = 20, **changed: int) -> None:
    from transformers import SpeechT5FeatureExtractor

    SpeechT5FeatureExtractor(num_mel_bins=bands, **changed).save_pretrained(folder)


def write_hifigan(folder: Path, *, bands: int = 20, sampling_rate: int = 16_000) -> Path:
    """A HiFi-GAN of 256 samples a frame, its tensors in a `pytorch_model.bin`, as the published one has them."""
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    config = SpeechT5HifiGanConfig(
        model_in_dim=bands, sampling_rate=sampling_rate, upsample_initial_channel=16, upsample_rates=[16, 16],
        upsample_kernel_sizes=[32, 32], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]],
        initializer_range=0.3, architectures=["SpeechT5HifiGan"], model_type="hifigan",
    )  # fmt: skip
    model = _drawn(lambda: SpeechT5HifiGan(config))
    folder.mkdir(parents=True)
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def write_wavlm(folder: Path, *, vector: int = 12) -> Path:
    """A WavLM speaker encoder and the settings of its input."""
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

    config = WavLMConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2, conv_dim=[8, 8], conv_stride=[20, 16], conv_kernel=[40, 16],
        num_feat_extract_layers=2, tdnn_dim=[16, 16], tdnn_kernel=[3, 1], tdnn_dilation=[1, 1],
        xvector_output_dim=vector, num_buckets=20,
    )  # fmt: skip
    _drawn(lambda: WavLMForXVector(config)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def write_xvector(folder: Path, *, vector: int = 12, bands: int = 24) -> Path:
    """A time-delay network under the names that SpeechBrain gives its tensors."""
    generator = torch.Generator().manual_seed(4)
    state: dict[str, torch.Tensor] = {}
    width = bands
    for k, (kernel, out) in enumerate(((5, 8), (3, 8), (3, 8), (1, 8), (1, 20))):
        state[f"blocks.{3 * k}.conv.weight"] = torch.randn(out, width, kernel, generator=generator) * 0.2
        state[f"blocks.{3 * k}.conv.bias"] = torch.zeros(out)
        named = {"weight": torch.ones(out), "bias": torch.zeros(out), "running_mean": torch.zeros(out)}
        named |= {"running_var": torch.ones(out), "num_batches_tracked": torch.tensor(1)}
        state |= {f"blocks.{3 * k + 2}.norm.{name}": tensor for name, tensor in named.items()}
        width = out
    state["blocks.16.w.weight"] = torch.randn(vector, 2 * width, generator=generator)
    state["blocks.16.w.bias"] = torch.zeros(vector)
    folder.mkdir(parents=True)
    torch.save(state, folder / "embedding_model.ckpt")
    return folder


def without(path: Path, name: str) -> None:
    """Take one tensor out of a file of them."""
    from safetensors.torch import load_file, save_file

    state: Mapping[str, torch.Tensor]
    if path.suffix == ".safetensors":
        state = load_file(path)
        save_file({k: v for k, v in state.items() if k != name}, path, {"format": "pt"})
    else:
        state = torch.load(path, weights_only=True)
        torch.save({k: v for k, v in state.items() if k != name}, path)
    assert name in state


def _drawn(make: Callable[[], Any]) -> Any:
    """What `make` makes, of the same random numbers every time; those of the process stay as they are."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return make()
