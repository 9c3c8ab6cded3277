"""LatentSync's networks compute what published ones do, hear as Whisper does, and are built by a layout file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generators.lip_sync.latentsync.layout import PUBLISHED, Layout, read_layout
from haetae.errors import UsageError
from tests.generators.lip_sync.checkpoints import seeded, whisper_state

TIME = "motion_modules.0.temporal_transformer"
KNOWN = {
    "conv_in.weight": (320, 13, 3, 3),
    "time_embedding.linear_1.weight": (1280, 320),
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 384),
    f"down_blocks.0.{TIME}.transformer_blocks.0.attention_blocks.1.pos_encoder.pe": (1, 24, 320),
    f"down_blocks.3.{TIME}.transformer_blocks.0.norms.1.weight": (1280,),
    "down_blocks.2.downsamplers.0.conv.weight": (1280, 1280, 3, 3),
    "mid_block.attentions.0.proj_in.weight": (1280, 1280, 1, 1),
    "mid_block.resnets.1.time_emb_proj.weight": (1280, 1280),
    "up_blocks.0.upsamplers.0.conv.bias": (1280,),
    "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj.weight": (10240, 1280),
    "up_blocks.2.motion_modules.2.temporal_transformer.proj_in.weight": (640, 640),
    "up_blocks.3.resnets.2.conv_shortcut.weight": (320, 640, 1, 1),
    "up_blocks.3.attentions.0.transformer_blocks.0.attn1.to_out.0.bias": (320,),
    "conv_norm_out.weight": (320,),
    "conv_out.weight": (4, 320, 3, 3),
}
"""Tensors of the published network, version 1.5, and their shapes."""


def test_the_networks_tensors_are_named_and_shaped_as_published() -> None:
    import torch

    from generators.lip_sync.latentsync.unet import UNet

    with torch.device("meta"):
        network = UNet(PUBLISHED)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert {name: shapes.get(name) for name in KNOWN} == KNOWN
    assert "mid_block.motion_modules.0.temporal_transformer.norm.weight" not in shapes


def test_without_layers_over_time_it_is_the_network_of_stable_diffusion() -> None:
    """Equal tensors under equal names give the picture that diffusers' own network gives."""
    import torch
    from diffusers import UNet2DConditionModel

    from generators.lip_sync.latentsync.unet import unet_of

    channels = (32, 64, 64, 96)
    theirs = seeded(
        lambda: UNet2DConditionModel(
            in_channels=13, out_channels=4, block_out_channels=channels, layers_per_block=2, sample_size=8,
            cross_attention_dim=48, attention_head_dim=8, norm_num_groups=32,
        )
    ).eval()  # fmt: skip
    layout = Layout(block_out_channels=channels, cross_attention_dim=48, use_motion_module=False)
    ours = unet_of({f"module.{name}": value for name, value in theirs.state_dict().items()}, layout)
    random = torch.Generator().manual_seed(1)
    x, sound = torch.randn(2, 13, 1, 8, 8, generator=random), torch.randn(2, 1, 50, 48, generator=random)
    with torch.inference_mode():
        expected = theirs(x[:, :, 0], torch.tensor(321), sound[:, 0]).sample
        got = ours(x, torch.tensor(321), sound)[:, :, 0]
    assert expected.std() > 0.01
    assert torch.allclose(got, expected, atol=2e-5)


def test_the_layers_over_time_are_those_of_animatediff() -> None:
    import torch
    from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D

    from generators.lip_sync.latentsync.layers import Moving

    theirs = seeded(
        lambda: AnimateDiffTransformer3D(
            num_attention_heads=8, attention_head_dim=8, in_channels=64, activation_fn="geglu",
            norm_num_groups=32, positional_embeddings="sinusoidal", num_positional_embeddings=24,
        )
    ).eval()  # fmt: skip
    ours = Moving(Layout(), 64).eval()
    names = {
        ".attn1.": ".attention_blocks.0.", ".attn2.": ".attention_blocks.1.", ".norm1.": ".norms.0.",
        ".norm2.": ".norms.1.", ".norm3.": ".ff_norm.",
    }  # fmt: skip
    state = {}
    for name, value in theirs.state_dict().items():
        if name.endswith("pos_embed.pe"):
            for k in (0, 1):
                own = name.replace("pos_embed.pe", f"attention_blocks.{k}.pos_encoder.pe")
                state[f"temporal_transformer.{own}"] = value
            continue
        for old, new in names.items():
            name = name.replace(old, new)
        state[f"temporal_transformer.{name}"] = value
    ours.load_state_dict(state)
    random = torch.Generator().manual_seed(2)
    # All frames hold the same values in another order, so that norms over one and over all frames agree.
    first = torch.randn(1, 64, 16, generator=random)
    orders = [torch.randperm(16, generator=random) for _ in range(6)]
    video = torch.stack([first[:, :, order].reshape(1, 64, 4, 4) for order in orders], dim=2)
    with torch.inference_mode():
        pictures = video.permute(0, 2, 1, 3, 4).reshape(6, 64, 4, 4)
        expected = theirs(pictures, num_frames=6)
        got = ours(video).permute(0, 2, 1, 3, 4).reshape(6, 64, 4, 4)
    assert (got - pictures).std() > 0.01
    assert torch.allclose(got, expected, atol=2e-5)


def test_the_mel_spectrogram_is_whispers() -> None:
    from transformers import WhisperFeatureExtractor

    from generators.lip_sync.latentsync.hearing import log_mel

    rng = np.random.default_rng(3)
    audio = (rng.normal(0, 0.1, 24_000) * np.sin(np.arange(24_000) / 900)).astype(np.float32)
    expected = WhisperFeatureExtractor(feature_size=80)(
        audio, sampling_rate=16_000, padding="do_not_pad", return_tensors="np"
    ).input_features[0]
    mel = log_mel(audio, 80)
    assert mel.shape == (80, 150)
    assert np.abs(mel - expected).max() < 1e-4


def test_each_frame_hears_a_fifth_of_a_second_in_every_layer() -> None:
    import torch
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    from generators.lip_sync.latentsync.hearing import Hearing, log_mel

    state = whisper_state()
    hearing = Hearing(state, "cpu")
    assert hearing.features == 64
    audio = np.random.default_rng(5).normal(0, 0.1, 16_000).astype(np.float32)
    with torch.inference_mode():
        heard = hearing.listen(audio, np.array([0, 10, 24]))
    assert heard.shape == (3, 10 * 3, 64)
    # Written down again: the states of transformers' encoder, before its last norm.
    config = WhisperConfig(d_model=64, encoder_layers=2, encoder_attention_heads=1, encoder_ffn_dim=256)
    encoder = WhisperEncoder(config).eval()
    encoder.load_state_dict(hearing._encoder.state_dict())
    assert torch.equal(encoder.layers[1].self_attn.out_proj.bias, state["encoder.blocks.1.attn.out.bias"])
    mel = torch.zeros(1, 80, 3000)
    mel[0, :, :100] = torch.from_numpy(log_mel(audio, 80))
    with torch.inference_mode():
        states = encoder(mel, output_hidden_states=True).hidden_states
        last = encoder.layer_norm(heard.reshape(3, 10, 3, 64)[1, :, 2])
    tokens = heard.reshape(3, 10, 3, 64)
    assert torch.allclose(tokens[1, :, 0], states[0][0, 16:26], atol=1e-5)
    assert torch.allclose(tokens[1, :, 1], states[1][0, 16:26], atol=1e-5)
    assert torch.allclose(last, states[2][0, 16:26], atol=1e-4)
    assert torch.equal(tokens[0, 0], tokens[0, 4]), "before the start the first step is heard"
    assert not torch.equal(tokens[2, 5], tokens[2, 4])
    assert torch.equal(tokens[2, 9], tokens[2, 5]), "after the end the last one"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a\n", "no section"),
        ("model: [\n", "layout"),
        ("model: {in_channels: 9}\n", "13"),
        ("model: {block_out_channels: [30, 30, 30, 30]}\n", "parted"),
        ("model: {block_out_channels: [99999, 32, 32, 32]}\n", "4096"),
        ("model: {down_block_types: [DownBlock3D]}\n", "as many"),
        ("model: {}\ndata: {num_frames: 60}\n", "fewer than"),
    ],
)
def test_a_wrong_layout_is_named_with_its_fault(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "unet.yaml").write_text(content)
    with pytest.raises(UsageError, match=message):
        read_layout(tmp_path / "unet.yaml")
