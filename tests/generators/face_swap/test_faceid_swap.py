"""`faceid_swap` on a tiny inpainting checkpoint, adapter and recogniser in their published layouts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generators.crops import cut
from generators.face_swap.faceid.adapter import install, read_adapter
from generators.face_swap.faceid.coherence import Sequence, Ties
from generators.face_swap.faceid.generator import FaceIdSwap, card_of
from generators.face_swap.faceid.recogniser import Recogniser
from generators.followed import follow
from generators.protocol import ClipView, FakeRequest, FakeResult
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError
from haetae.quality.fakes import picture_quality
from tests.generators.face_swap import checkpoints
from tests.generators.face_swap.people import shortened
from tests.generators.store import COMMIT

N_FRAMES = 6
FEW = {"steps": 2}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.write_all(tmp_path_factory.mktemp("faceid"))


def _environment(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setenv("HAETAE_WEIGHTS", str(root))
    monkeypatch.setenv("HAETAE_PINS", str(root / "pins"))
    monkeypatch.setenv("HAETAE_CACHE", str(root / "cache"))
    monkeypatch.delenv("HAETAE_DOWNLOAD", raising=False)


def _generator() -> FaceIdSwap:
    class Tiny(FaceIdSwap):
        card = card_of()

    return Tiny()


@pytest.fixture(scope="module")
def tiny(store: Path) -> Iterator[FaceIdSwap]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        _environment(monkeypatch, store)
        generator = _generator()
        generator.load("cpu")
        yield generator


@pytest.fixture(scope="module")
def swap(tiny: FaceIdSwap, actor: ClipView, other_actor: ClipView) -> tuple[FakeRequest, FakeResult]:
    request = FakeRequest(shortened(actor, N_FRAMES), 1, "ms", donor=other_actor, params=dict(FEW))
    return request, tiny.generate(request)


@pytest.fixture
def altered(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the store that a test may spoil."""
    shutil.copytree(store / "tests", tmp_path / "tests")
    shutil.copytree(store / "pins", tmp_path / "pins")
    _environment(monkeypatch, tmp_path)
    return tmp_path


def _difference(one: FakeResult, other: FakeResult) -> float:
    assert one.frames is not None
    assert other.frames is not None
    return float(np.abs(one.frames.astype(int) - other.frames).mean())


def test_a_swap_keeps_its_contract_and_repeats(
    tiny: FaceIdSwap, swap: tuple[FakeRequest, FakeResult]
) -> None:
    request, result = swap
    change = verify(tiny.card, request, result)
    assert change.mean_abs_delta > 5
    assert change.edge_delta < 2, "the rim of the mask must fade into the target"
    assert 0.03 < change.mask_fraction < 0.3
    torch.manual_seed(4)
    expected = torch.rand(2)
    torch.manual_seed(4)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    assert same(result, tiny.generate(request)) is None
    assert torch.get_num_threads() == threads + 1
    torch.set_num_threads(threads)
    assert torch.equal(torch.rand(2), expected)


def test_the_identity_changes_the_picture_and_its_scale_tells_how_much(
    tiny: FaceIdSwap, swap: tuple[FakeRequest, FakeResult], actor: ClipView
) -> None:
    request, result = swap
    other_donor = replace(request, donor=actor)
    assert _difference(result, tiny.generate(other_donor)) > 0.01
    off = {**FEW, "adapter_scale": 0.0}
    without = [tiny.generate(replace(one, params=off)) for one in (request, other_donor)]
    assert _difference(*without) == 0, "a scale of 0 must not let anything of the donor through"


def test_another_seed_is_another_picture(tiny: FaceIdSwap, swap: tuple[FakeRequest, FakeResult]) -> None:
    assert _difference(swap[1], tiny.generate(replace(swap[0], seed=2))) > 0.1


def test_frames_hang_together(tiny: FaceIdSwap, swap: tuple[FakeRequest, FakeResult]) -> None:
    """Against frames painted each for itself; each of the ties lessens flicker on its own."""
    request, result = swap

    def flicker(made: FakeResult) -> float:
        assert request.target.frames is not None
        assert made.frames is not None
        assert made.masks is not None
        value = picture_quality(request.target.frames, made.frames, made.masks).flicker
        assert value is not None
        return value

    loose = {"same_noise": False, "strength": 0.85, "carried": 0.0, "steadiness": 0.0}
    alone = flicker(tiny.generate(replace(request, params={**FEW, **loose})))
    assert flicker(result) < 0.4 * alone
    for tie in ({"same_noise": True}, {"steadiness": 0.6}, {"strength": 0.5, "carried": 0.7}):
        assert flicker(tiny.generate(replace(request, params={**FEW, **loose, **tie}))) < alone, tie


def test_pictures_without_guidance_are_made_too(
    tiny: FaceIdSwap, swap: tuple[FakeRequest, FakeResult]
) -> None:
    request, result = swap
    plain = tiny.generate(replace(request, params={**FEW, "guidance": 1.0}))
    verify(tiny.card, request, plain)
    assert _difference(plain, result) > 0.01


def test_a_frame_begins_with_the_one_before_on_its_own_mesh(actor: ClipView) -> None:
    face = follow(actor)
    cuts = [cut(face, t, 64) for t in (0, 1, 3)]
    mask = np.zeros((64, 64), np.bool_)
    mask[16:48, 16:48] = True
    begun: list[tuple[int, float, np.ndarray]] = []

    def paint(picture: np.ndarray, _mask: np.ndarray, strength: float, t: int) -> np.ndarray:
        begun.append((t, strength, picture.copy()))
        return np.full_like(picture, 40 * (t + 1))

    sequence = Sequence(paint, Ties(first_strength=0.9, strength=0.4, carried=1.0, steadiness=0.0))
    for t, at in zip((0, 1, 3), cuts, strict=True):
        sequence.frame(t, at, mask)
    assert [(t, strength) for t, strength, _ in begun] == [(0, 0.9), (1, 0.4), (3, 0.9)]
    assert np.array_equal(begun[0][2], cuts[0].crop)
    assert np.array_equal(begun[2][2], cuts[2].crop), "after a gap nothing is carried over"
    assert not np.array_equal(begun[1][2][28:36, 28:36], cuts[1].crop[28:36, 28:36])
    assert np.array_equal(begun[1][2][:4], cuts[1].crop[:4]), "outside the face the target begins"


def test_the_adapters_own_changes_of_attention_are_added(store: Path) -> None:
    from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel

    path = store / "tests" / "adapter" / COMMIT / "ip-adapter-faceid_sd15.bin"
    state = read_adapter(path, 512)
    unet = UNet2DConditionModel.from_pretrained(store / "tests" / "base" / COMMIT / "unet")
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"
    number = list(unet.attn_processors).index(f"{name}.processor")
    before = unet.get_submodule(name).to_q.weight.detach().clone()
    pipeline = StableDiffusionInpaintPipeline(None, None, None, unet, None, None, None, None, False)
    install(pipeline, path, state)
    up, down = (state["ip_adapter"][f"{number}.to_q_lora.{way}.weight"] for way in ("up", "down"))
    assert torch.allclose(unet.get_submodule(name).to_q.weight, before + up @ down, atol=1e-6)
    kept = unet.attn_processors[f"{name}.processor"].to_k_ip[0].weight
    assert torch.equal(kept, state["ip_adapter"][f"{number}.to_k_ip.weight"])


def test_safetensors_and_the_published_format_hold_the_same(store: Path, tmp_path: Path) -> None:
    checkpoints.write_adapter(tmp_path / "a.safetensors")
    one = read_adapter(tmp_path / "a.safetensors", 512)
    other = read_adapter(store / "tests" / "adapter" / COMMIT / "ip-adapter-faceid_sd15.bin", 512)
    for part, tensors in one.items():
        assert tensors.keys() == other[part].keys()
        assert all(torch.equal(value, other[part][name]) for name, value in tensors.items())


def test_a_recogniser_tells_one_face_from_another_and_is_blind_to_where_it_is(
    store: Path, actor: ClipView, other_actor: ClipView
) -> None:
    path = store / "tests" / "recogniser" / COMMIT / "w600k_r50.safetensors"
    recogniser = Recogniser.read(path, "", "cpu")
    assert actor.frames is not None
    assert other_actor.frames is not None
    frame, mesh = actor.frames[0], actor.faces[0].mesh[0]
    one = recogniser.embed([(frame, mesh)])
    assert one.shape == (512,)
    assert float(np.linalg.norm(one)) == pytest.approx(1, abs=1e-5)
    moved = np.roll(frame, (7, -5), axis=(0, 1)), mesh + np.array([-5, 7, 0], np.float32)
    assert float(one @ recogniser.embed([moved])) > 0.9999
    other = recogniser.embed([(other_actor.frames[0], other_actor.faces[0].mesh[0])])
    assert float(one @ other) < float(one @ recogniser.embed([moved])) - 1e-4


def test_a_recogniser_of_the_other_layout_is_read_too(actor: ClipView, tmp_path: Path) -> None:
    import hashlib

    from facenet_pytorch import InceptionResnetV1
    from safetensors.torch import save_file

    from haetae.faces.embed import FaceEmbedder, face_crop

    path = tmp_path / "facenet.safetensors"
    save_file(InceptionResnetV1(pretrained=None, classify=False).state_dict(), str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert actor.frames is not None
    look = actor.frames[0], actor.faces[0].mesh[0]
    made = Recogniser.read(path, sha256, "cpu").embed([look])
    assert np.allclose(made, FaceEmbedder(str(path), sha256).embed([face_crop(*look)]), atol=1e-6)


def test_files_that_are_not_pinned_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hashes of the published files are not known here; nothing may be loaded on trust."""
    monkeypatch.delenv("HAETAE_PINS", raising=False)
    with pytest.raises(UsageError, match=r"unet/config\.json.*HAETAE_PINS"):
        _generator().load("cpu")
    assert "NonCommercial" in card_of().licence


def test_a_missing_or_altered_file_is_named_before_it_is_read(altered: Path) -> None:
    adapter = altered / "tests" / "adapter" / COMMIT / "ip-adapter-faceid_sd15.bin"
    content = bytearray(adapter.read_bytes())
    content[-1] ^= 1
    adapter.write_bytes(bytes(content))
    with pytest.raises(UsageError, match=r"ip-adapter-faceid_sd15\.bin"):
        _generator().load("cpu")
    adapter.unlink()
    with pytest.raises(UsageError, match=r"ip-adapter-faceid_sd15\.bin"):
        _generator().load("cpu")


def test_files_that_do_not_belong_together_are_refused(altered: Path) -> None:
    adapter = altered / "tests" / "adapter" / COMMIT / "ip-adapter-faceid_sd15.bin"
    recogniser = altered / "tests" / "recogniser" / COMMIT / "w600k_r50.safetensors"
    good = adapter.read_bytes(), recogniser.read_bytes()

    def refused(message: str) -> None:
        checkpoints.write_pins(altered)
        with pytest.raises(UsageError, match=message):
            _generator().load("cpu")
        adapter.write_bytes(good[0])
        recogniser.write_bytes(good[1])

    checkpoints.write_adapter(adapter, n_values=128)
    refused("another recogniser")
    torch.save({"image_proj": {}, "ip_adapter": {}}, adapter)
    refused(r"has no proj\.0\.weight")
    torch.save({"unet": {}}, adapter)
    refused("no IP-Adapter")
    adapter.write_bytes(b"garbage")
    refused("cannot be read as weights")
    state = torch.load(adapter, weights_only=True)
    for name in [one for one in state["ip_adapter"] if one.endswith("to_k_ip.weight")]:
        state["ip_adapter"][name] = torch.zeros(3, 3)
    torch.save(state, adapter)
    refused("another UNet")
    from safetensors.torch import save_file

    save_file({"layer1.0.bn1.weight": torch.ones(3)}, str(recogniser))
    refused("no IResNet of four stages")
    save_file({"something": torch.ones(3)}, str(recogniser))
    refused("neither an IResNet")


def test_requests_that_cannot_be_met_are_refused(
    tiny: FaceIdSwap, swap: tuple[FakeRequest, FakeResult]
) -> None:
    request, _ = swap
    with pytest.raises(RuntimeError, match="not loaded"):
        FaceIdSwap().generate(request)
    for bad, reason in (
        (replace(request, donor=None), "no_donor"),
        (replace(request, target=replace(request.target, faces=())), "no_face"),
    ):
        with pytest.raises(Rejected) as caught:
            tiny.generate(bad)
        assert caught.value.reason == reason
    for params in ({"strength": 0.0}, {"steps": 100_000}, {"guidance": 0.0}, {"steadiness": 1.0}):
        with pytest.raises(UsageError, match="must lie in"):
            tiny.generate(replace(request, params=params))
