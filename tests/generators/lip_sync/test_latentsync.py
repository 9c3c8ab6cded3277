"""LatentSync draws only the lower face, by what it hears; its networks are looked at in another file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generators.followed import follow
from generators.lip_sync.latentsync.faces import cut, drawn_mask, read_mask, soft_region
from generators.lip_sync.latentsync.generator import LatentSync, card_of
from generators.lip_sync.latentsync.layout import Layout
from generators.protocol import ClipView, FakeRequest, FakeResult
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError
from tests.generators.lip_sync.checkpoints import store_latentsync, whisper_state
from tests.generators.store import Store


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LatentSync:
    store = Store(tmp_path_factory.mktemp("latentsync"))
    store_latentsync(store)
    with pytest.MonkeyPatch.context() as patch:
        store.use(patch)

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


def test_parts_that_do_not_fit_each_other_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from generators.lip_sync.latentsync.hearing import Hearing
    from generators.lip_sync.latentsync.unet import unet_of

    store = Store(tmp_path)
    folder = store_latentsync(store, width=128)
    store.use(monkeypatch)

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
