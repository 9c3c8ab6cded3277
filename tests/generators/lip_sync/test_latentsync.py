"""LatentSync: its network computes what published networks do, hears as Whisper does, and draws only the lower face."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from generators.followed import follow
from generators.lip_sync.latentsync.faces import cut, drawn_mask, read_mask, soft_region
from generators.lip_sync.latentsync.generator import LatentSync, card_of
from generators.lip_sync.latentsync.layout import PUBLISHED, Layout, read_layout
from generators.protocol import ClipView, FakeRequest, FakeResult
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError

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
TINY = {
    "data": {"resolution": 64, "num_frames": 8, "audio_feat_length": [2, 2]},
    "model": {
        "block_out_channels": [32, 32, 32, 32],
        "layers_per_block": 1,
        "cross_attention_dim": 64,
        "sample_size": 64,
        "act_fn": "silu",
        "add_audio_layer": True,
        "norm_eps": 1e-5,
    },
}
NAMES = (
    "latentsync_unet.pt",
    "unet.yaml",
    "whisper/tiny.pt",
    "config.json",
    "diffusion_pytorch_model.safetensors",
)


def _seeded(build: Callable[[], Any]) -> Any:
    """A network whose random first weights are the same every time."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        return build()


def whisper_state(width: int = 64, layers: int = 2) -> dict[str, Any]:
    """An encoder's tensors by OpenAI's names, and one of the decoder's, which is not read."""
    import torch

    random = torch.Generator().manual_seed(4)

    def drawn(*shape: int) -> Any:
        return torch.randn(shape, generator=random) * 0.08

    state = {
        "encoder.conv1.weight": drawn(width, 80, 3), "encoder.conv1.bias": drawn(width),
        "encoder.conv2.weight": drawn(width, width, 3), "encoder.conv2.bias": drawn(width),
        "encoder.positional_embedding": drawn(1500, width),
        "encoder.ln_post.weight": drawn(width) + 1, "encoder.ln_post.bias": drawn(width),
        "decoder.token_embedding.weight": drawn(10, width),
    }  # fmt: skip
    for k in range(layers):
        for name in ("query", "key", "value", "out"):
            state[f"encoder.blocks.{k}.attn.{name}.weight"] = drawn(width, width)
            if name != "key":
                state[f"encoder.blocks.{k}.attn.{name}.bias"] = drawn(width)
        for name in ("attn_ln", "mlp_ln"):
            state[f"encoder.blocks.{k}.{name}.weight"] = drawn(width) + 1
            state[f"encoder.blocks.{k}.{name}.bias"] = drawn(width)
        state |= {
            f"encoder.blocks.{k}.mlp.0.weight": drawn(4 * width, width),
            f"encoder.blocks.{k}.mlp.0.bias": drawn(4 * width),
            f"encoder.blocks.{k}.mlp.2.weight": drawn(width, 4 * width),
            f"encoder.blocks.{k}.mlp.2.bias": drawn(width),
        }
    return state


def write_checkpoint(folder: Path, width: int = 64) -> Path:
    """All files of a tiny untrained LatentSync, each in the format in which the real one is published."""
    import torch
    from diffusers import AutoencoderKL

    from generators.lip_sync.latentsync.unet import UNet

    folder.mkdir(parents=True)
    (folder / "whisper").mkdir()
    (folder / "unet.yaml").write_text(yaml.safe_dump(TINY))
    unet = _seeded(lambda: UNet(read_layout(folder / "unet.yaml")))
    torch.save({"global_step": 3, "state_dict": unet.state_dict()}, folder / "latentsync_unet.pt")
    dims = {"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": width, "n_audio_head": 1, "n_audio_layer": 2}
    torch.save({"dims": dims, "model_state_dict": whisper_state(width)}, folder / "whisper/tiny.pt")
    vae = _seeded(
        lambda: AutoencoderKL(
            block_out_channels=(8, 8, 8, 8), norm_num_groups=8, latent_channels=4, sample_size=64,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        )
    )  # fmt: skip
    with torch.no_grad():  # latents as certain as those of a trained one
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = -14
    vae.save_pretrained(folder)
    return folder


def pin(root: Path, folder: Path) -> Path:
    """A folder for HAETAE_PINS that pins the files."""

    def part(*names: str) -> dict[str, Any]:
        files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
        return {"repo": "tests/latentsync", "revision": "r1", "licence": "MIT", "files": files}

    parts = {"unet": part(*NAMES[:2]), "whisper": part(NAMES[2]), "vae": part(*NAMES[3:])}
    (root / "pins").mkdir(exist_ok=True)
    (root / "pins" / "latentsync.yaml").write_text(yaml.safe_dump(parts))
    return root / "pins"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LatentSync:
    root = tmp_path_factory.mktemp("latentsync")
    folder = write_checkpoint(root / "tests/latentsync/r1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAETAE_PINS", str(pin(root, folder)))
        patch.setenv("HAETAE_WEIGHTS", str(root))
        patch.setenv("HAETAE_CACHE", str(root / "cache"))

        class Tiny(LatentSync):
            card = card_of()

        generator = Tiny()
        generator.load("cpu")
    return generator


@pytest.fixture(scope="module")
def request_(actor: ClipView, other_actor: ClipView) -> FakeRequest:
    params = {"steps": 2, "guidance": 1.5}
    return FakeRequest(actor, 3, "ms", donor=replace(other_actor, speech=((0.1, 1.0),)), params=params)


@pytest.fixture(scope="module")
def made(loaded: LatentSync, request_: FakeRequest) -> FakeResult:
    return loaded.generate(request_)


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
    theirs = _seeded(
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

    theirs = _seeded(
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


def test_only_the_lower_face_changes_and_only_while_the_voice_lasts(
    request_: FakeRequest, made: FakeResult
) -> None:
    change = verify(LatentSync.card, request_, made)
    assert change.mean_abs_delta > 5
    assert made.audio is None
    assert made.masks is not None
    mesh = request_.target.faces[0].mesh
    for t in np.flatnonzero(made.masks.any(axis=(1, 2)))[::5]:
        assert not made.masks[t, : int(mesh[t, [159, 386], 1].max())].any()
    (segment,) = made.segments
    assert segment.end_s < 1.4, "0.9 s of voice from 0.1 s on, and what eases out"


def test_equal_requests_give_equal_bytes_and_other_voices_other_lips(
    loaded: LatentSync, request_: FakeRequest, made: FakeResult
) -> None:
    import torch

    assert request_.donor is not None
    assert request_.donor.audio is not None
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    try:
        torch.set_num_threads(2)
        torch.rand(7)
        assert same(made, loaded.generate(request_)) is None
    finally:
        torch.set_num_threads(threads)
        torch.random.set_rng_state(state)
    brief = replace(request_, params={"steps": 1, "guidance": 3.0})
    louder = replace(brief, donor=replace(request_.donor, audio=request_.donor.audio[::-1].copy()))
    assert same(loaded.generate(brief), loaded.generate(louder)) == "frames"
    assert same(loaded.generate(brief), loaded.generate(replace(brief, seed=4))) == "frames"


def test_the_network_is_shown_noise_mask_masked_and_whole_face_and_is_guided_by_the_sound(
    loaded: LatentSync,
) -> None:
    import torch

    shown: list[tuple[torch.Tensor, torch.Tensor]] = []
    strength = 1.0

    class Watching:
        layout = Layout(resolution=64, num_frames=8, block_out_channels=(32, 32, 32, 32))

        def __call__(self, x: torch.Tensor, step: torch.Tensor, sound: torch.Tensor) -> torch.Tensor:
            shown.append((x, sound))
            heard = (sound.abs().sum((2, 3)) > 0).float()[:, None, :, None, None]
            return strength * 0.01 * heard * torch.ones_like(x[:, :4])

    assert loaded._drawing is not None
    drawing = replace(loaded._drawing, unet=Watching())
    faces = np.random.default_rng(1).integers(0, 255, (10, 64, 64, 3), np.uint8)
    sound = torch.ones(10, 30, 64)
    with torch.inference_mode():
        made = drawing.draw(faces, sound, 5, 2, 1.5)
        assert [tuple(x.shape) for x, _ in shown] == [(2, 13, 8, 8, 8)] * 2 + [(2, 13, 2, 8, 8)] * 2
        x, heard = shown[0]
        assert not heard[0].any(), "first the network without sound, then with it"
        assert heard[1].all()
        assert torch.equal(x[0, :4, 0], x[0, :4, 7]), "all frames begin with the same noise"
        assert torch.equal(x[0, 4, 3], torch.from_numpy(drawing.mask[::8, ::8])), "1 where the face is kept"
        whole = torch.from_numpy(faces.transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
        for channels, pictures in (((5, 9), whole * torch.from_numpy(drawing.mask)), ((9, 13), whole)):
            latents = drawing.vae.encode(pictures[:8]).latent_dist.mean * 0.18215
            given = x[0, slice(*channels)].permute(1, 0, 2, 3)
            assert latents.std() > 0.01
            assert (given - latents).abs().max() < 0.002
        strength = 1.5
        assert np.array_equal(made, drawing.draw(faces, sound, 5, 2, 1.0)), (
            "guidance scales what the sound adds"
        )
    assert made.shape == faces.shape


def test_brows_and_nose_lie_at_their_places_and_the_rest_is_kept(actor: ClipView) -> None:
    face = follow(actor)
    for t in (0, 20):
        at = cut(face, t, 256)
        assert at.crop.shape == (256, 256, 3)
        places = np.array([[17, 20], [58, 20], [37.5, 40]]) * (256 / 75, 256 / 100)
        from haetae.faces.regions import LEFT_BROW, RIGHT_BROW

        points = [at.mesh[RIGHT_BROW], at.mesh[LEFT_BROW], at.mesh[[195, 48, 278, 4]]]
        assert np.abs(np.stack([p.mean(axis=0) for p in points]) - places).max() < 16
        mouth = at.mesh[[61, 291, 0, 17]].round().astype(int)
        keep = drawn_mask(256)
        assert not keep[mouth[:, 1], mouth[:, 0]].any()
        eyes = at.mesh[[33, 133, 362, 263, 159, 386]].round().astype(int)
        assert keep[eyes[:, 1], eyes[:, 0]].all()


def test_what_is_put_back_fades_out_inside_the_mask() -> None:
    keep = drawn_mask(128)
    soft = soft_region(keep)
    assert not soft[keep == 1].any()
    assert soft[90, 64] == 1
    steps = np.abs(np.diff(soft, axis=0)).max()
    assert steps < 0.2


def test_a_mask_can_be_pinned(tmp_path: Path) -> None:
    import cv2

    picture = np.full((100, 100, 3), 255, np.uint8)
    picture[40:] = 0
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), picture)
    mask = read_mask(path, 64)
    assert mask[:24].min() > 0.95
    assert mask[28:].max() < 0.05
    for content, message in (
        (b"no picture", "no picture"),
        (cv2.imencode(".png", picture[:40])[1].tobytes(), "100%"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            read_mask(path, 64)


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


def test_parts_that_do_not_fit_each_other_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from generators.lip_sync.latentsync.hearing import Hearing
    from generators.lip_sync.latentsync.unet import unet_of

    folder = write_checkpoint(tmp_path / "tests/latentsync/r1", width=128)
    monkeypatch.setenv("HAETAE_PINS", str(pin(tmp_path, folder)))
    monkeypatch.setenv("HAETAE_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HAETAE_CACHE", str(tmp_path / "cache"))

    class Tiny(LatentSync):
        card = card_of()

    with pytest.raises(UsageError, match="listens to 64 features"):
        Tiny().load("cpu")
    (folder / "latentsync_unet.pt").write_bytes(b"changed")
    with pytest.raises(UsageError, match="SHA-256"):
        Tiny().load("cpu")
    with pytest.raises(UsageError, match="Whisper"):
        Hearing({"encoder.conv1.weight": whisper_state()["encoder.conv1.weight"]}, "cpu")
    with pytest.raises(UsageError, match=r"conv_in\.weight"):
        unet_of({}, Layout(block_out_channels=(32, 32, 32, 32)))


def test_requests_that_cannot_be_met_are_refused(loaded: LatentSync, request_: FakeRequest) -> None:
    for request, reason in (
        (replace(request_, donor=None), "no_donor"),
        (replace(request_, target=replace(request_.target, faces=())), "no_face"),
    ):
        with pytest.raises(Rejected) as caught:
            loaded.generate(request)
        assert caught.value.reason == reason
    with pytest.raises(UsageError, match="steps 900"):
        loaded.generate(replace(request_, params={"steps": 900}))


def test_nothing_is_loaded_while_files_are_not_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAETAE_PINS", raising=False)

    class Unpinned(LatentSync):
        card = card_of()

    with pytest.raises(UsageError, match=r"latentsync_unet\.pt.*not known"):
        Unpinned().load("cpu")
    assert Unpinned.card.licence == "openrail++"
    with pytest.raises(RuntimeError, match="not loaded"):
        Unpinned().generate(FakeRequest(ClipView("c", "ms", None, None), 1, "ms"))
