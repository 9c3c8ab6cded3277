"""A Stable Diffusion checkpoint in its on-disk format is verified, loaded, and paints with prompts of the locales."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from generators.diffusion import sd_img2img, sd_inpaint
from generators.diffusion.canvas import within_budget, work_size
from generators.diffusion.prompts import prompt_for
from generators.diffusion.sd_img2img import SdImg2Img
from generators.diffusion.sd_inpaint import SdInpaint
from generators.diffusion.stable import FILES, Brush, Painter
from generators.diffusion.surroundings import body_area
from generators.followed import follow
from generators.protocol import ClipView, FakeRequest
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError
from haetae.locales import load
from haetae.quality.fakes import picture_quality
from tests.generators.diffusion.checkpoints import REPO, write_checkpoint, write_index, write_pins
from tests.generators.store import COMMIT

SMALL = {"work_px": 64, "steps": 4}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints for both generators as HAETAE_WEIGHTS wants them (below img2img/ and inpaint/), and their pins."""
    root = tmp_path_factory.mktemp("stable")
    for kind, channels in (("img2img", 4), ("inpaint", 9)):
        folder = write_checkpoint(root / kind / REPO / COMMIT, channels=channels)
        write_pins(root / "pins", f"sd_{kind}", folder, FILES)
    return root


@pytest.fixture(scope="module")
def loaded(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Both generators, loaded through the same code as the published checkpoints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAETAE_PINS", str(store / "pins"))
        patch.setenv("HAETAE_CACHE", str(tmp_path_factory.mktemp("cache")))

        class TinyImg2Img(SdImg2Img):
            card = sd_img2img.card_of()

        class TinyInpaint(SdInpaint):
            card = sd_inpaint.card_of()

        made: dict[str, Any] = {"img2img": TinyImg2Img(), "inpaint": TinyInpaint()}
        for kind, generator in made.items():
            patch.setenv("HAETAE_WEIGHTS", str(store / kind))
            generator.load("cpu")
        yield made


def asked(clip: ClipView, seed: int = 1, language: str = "en-SG", **params: Any) -> FakeRequest:
    return FakeRequest(clip, seed, language, params={**SMALL, **params})


def changed_of(clip: ClipView, result: Any) -> NDArray[np.bool_]:
    return np.asarray((result.frames != clip.frames).any(axis=3))


def test_the_face_is_painted_over_and_nothing_else(loaded: dict[str, Any], two_actors: ClipView) -> None:
    generator, request = loaded["img2img"], asked(two_actors)
    result = generator.generate(request)
    change = verify(generator.card, request, result)
    assert change.mean_abs_delta > 2
    assert change.edge_delta < 0.1 * change.mean_abs_delta, "it fades into the frame"
    assert not result.masks[:, :, 288:].any(), "the other face stays"
    assert same(result, generator.generate(request)) is None
    assert same(result, generator.generate(replace(request, seed=2))) == "frames"


def test_the_whole_frame_is_painted_but_for_the_other_face(
    loaded: dict[str, Any], two_actors: ClipView
) -> None:
    generator, request = loaded["img2img"], asked(two_actors, area="frame", max_frames=2)
    result = generator.generate(request)
    change = verify(generator.card, request, result)
    assert change.mask_fraction > 0.6
    other = two_actors.faces[1]
    for t in np.flatnonzero(changed_of(two_actors, result).any(axis=(1, 2))):
        x, y = other.mesh[t, :468, 0].round().astype(int), other.mesh[t, :468, 1].round().astype(int)
        assert not result.masks[t, y, x].any()


def test_the_place_around_the_people_is_painted_and_they_stay(
    loaded: dict[str, Any], short_actor: ClipView
) -> None:
    generator, clip = loaded["inpaint"], _in_a_wide_frame(short_actor)
    request = asked(clip, region="background", max_frames=3)
    result = generator.generate(request)
    change = verify(generator.card, request, result)
    assert change.mask_fraction > 0.3
    assert result.segments[0].end_s - result.segments[0].start_s == pytest.approx(3 / 25)
    mesh = clip.faces[0].mesh[0, :468, :2].round().astype(int)
    assert not result.masks[:, mesh[:, 1], mesh[:, 0]].any()
    assert not result.masks[:, -1, mesh[152, 0]].any(), "the body below the face stays"
    assert result.masks.any(axis=0)[:, :20].all(), "what is far from the person is painted"
    with pytest.raises(Rejected) as caught:
        generator.generate(asked(_close_up(short_actor), region="background"))
    assert caught.value.reason == "no_background"


def test_a_part_of_the_face_is_filled_and_the_mask_is_that_part(
    loaded: dict[str, Any], short_actor: ClipView
) -> None:
    from haetae.faces.regions import LEFT_EYE, LIPS_OUTER

    generator, request = loaded["inpaint"], asked(short_actor, region="mouth")
    result = generator.generate(request)
    verify(generator.card, request, result)
    mesh = short_actor.faces[0].mesh
    for t in range(6):
        lips, eye = (
            mesh[t, points, :2].mean(axis=0).round().astype(int) for points in (LIPS_OUTER, LEFT_EYE)
        )
        assert result.masks[t, lips[1], lips[0]]
        assert not result.masks[t, eye[1], eye[0]]


def test_shared_noise_takes_out_flicker(loaded: dict[str, Any], short_actor: ClipView) -> None:
    def flicker(**params: Any) -> float:
        result = loaded["img2img"].generate(asked(short_actor, strength=0.75, **params))
        value = picture_quality(short_actor.frames, result.frames, result.masks).flicker
        assert value is not None
        return value

    assert flicker(hold=0.0) < 0.6 * flicker(hold=0.0, shared_noise=False)


def test_pictures_that_take_a_share_of_the_latents_before_differ_less(loaded: dict[str, Any]) -> None:
    painter: Painter = loaded["img2img"]._painter
    rng = np.random.default_rng(0)
    pictures = [(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8), None) for _ in range(4)]

    def difference(hold: float) -> float:
        painted = list(painter.paint(pictures, Brush("a", "b", 0.5, 4, 1.0, hold), 1))
        return float(np.abs(np.diff(np.stack(painted).astype(float), axis=0)).mean())

    apart, held = difference(0.0), difference(0.5)
    assert apart > 1
    assert held < 0.8 * apart


def test_a_prompt_names_a_place_and_a_light_of_the_clips_language() -> None:
    for language in ("ko", "en-SG", "ms", "ta"):
        pack = load(language).prompts
        prompts = {prompt_for("scenes", language, seed) for seed in range(40)}
        assert all(any(scene in text for scene in pack.scenes) for text, _ in prompts)
        assert all(any(light in text for light in pack.light) for text, _ in prompts)
        assert {avoid for _, avoid in prompts} == {", ".join(pack.avoid)}
        assert len({scene for scene in pack.scenes if any(scene in text for text, _ in prompts)}) > 4
    people = {one for name in ("ko", "en-SG", "ms", "ta") for one in load(name).prompts.people}
    text, _ = prompt_for("people", "other", 3)
    assert any(one in text for one in people)
    assert (text, _) == prompt_for("people", "other", 3)


def test_the_prompt_reaches_the_picture(loaded: dict[str, Any]) -> None:
    painter: Painter = loaded["img2img"]._painter
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    one = Brush("a hawker centre", "cartoon", 0.8, 4, 7.0, 0.0)
    (first,), (second,) = (
        list(painter.paint([(picture, None)], brush, 1))
        for brush in (one, replace(one, prompt="a subway platform"))
    )
    assert not np.array_equal(first, second)


def test_painting_leaves_the_state_of_torch_alone(loaded: dict[str, Any]) -> None:
    import torch

    painter: Painter = loaded["inpaint"]._painter
    picture, mask = np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), np.float32)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    list(painter.paint([(picture, mask)], Brush("a", "b", 1.0, 2, 2.0, 0.2), 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_what_is_not_pinned_is_not_loaded() -> None:
    for generator in (SdImg2Img(), SdInpaint()):
        assert generator.card.licence == "CreativeML-OpenRAIL-M"
        with pytest.raises(UsageError, match=r"unet/diffusion_pytorch_model\.safetensors.*HAETAE_PINS"):
            generator.load("cpu")
        with pytest.raises(RuntimeError, match="not loaded"):
            generator.generate(FakeRequest(ClipView("c", "ko", None, None), 1, "ko"))


def test_an_altered_file_is_refused_before_it_is_read(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(store / "img2img", tmp_path / "weights")
    altered = tmp_path / "weights" / REPO / COMMIT / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(altered.read_bytes())
    content[-1] ^= 1
    altered.write_bytes(content)
    monkeypatch.setenv("HAETAE_PINS", str(store / "pins"))
    monkeypatch.setenv("HAETAE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HAETAE_CACHE", str(tmp_path / "cache"))

    class Tiny(SdImg2Img):
        card = sd_img2img.card_of()

    with pytest.raises(UsageError, match="diffusion_pytorch_model"):
        Tiny().load("cpu")


def test_a_folder_that_is_no_such_checkpoint_is_refused_with_the_reason(store: Path, tmp_path: Path) -> None:
    whole = store / "img2img" / REPO / COMMIT

    def broken(name: str) -> Path:
        return Path(shutil.copytree(whole, tmp_path / name))

    with pytest.raises(UsageError, match="9 channels, and img2img"):
        Painter.load(store / "inpaint" / REPO / COMMIT, "img2img", "cpu")
    write_index(other := broken("other"), "FluxPipeline")
    with pytest.raises(UsageError, match="FluxPipeline"):
        Painter.load(other, "img2img", "cpu")
    (no_index := broken("no_index")).joinpath("model_index.json").unlink()
    with pytest.raises(UsageError, match="model_index"):
        Painter.load(no_index, "img2img", "cpu")
    (pickled := broken("pickled")).joinpath("unet/diffusion_pytorch_model.safetensors").rename(
        pickled / "unet" / "diffusion_pytorch_model.bin"
    )
    with pytest.raises(UsageError, match="unet"):
        Painter.load(pickled, "img2img", "cpu")
    config = (grown := broken("grown")) / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_hidden_layers": 2}))
    with pytest.raises(UsageError, match="do not fill"):
        Painter.load(grown, "img2img", "cpu")


def test_parameters_that_cannot_be_painted_with_are_refused(
    loaded: dict[str, Any], short_actor: ClipView
) -> None:
    for kind, params, message in (
        ("img2img", {"strength": 1.5}, "strength"),
        ("img2img", {"steps": 1}, "less than one step"),
        ("img2img", {"hold": 1.0}, "hold"),
        ("img2img", {"area": "hair"}, "area"),
        ("img2img", {"work_px": 5000}, "work_px"),
        ("inpaint", {"region": "hair"}, "region"),
        ("inpaint", {"max_frames": 0}, "max_frames"),
    ):
        with pytest.raises(UsageError, match=message):
            loaded[kind].generate(asked(short_actor, **params))
    with pytest.raises(Rejected) as caught:
        loaded["inpaint"].generate(asked(replace(short_actor, faces=())))
    assert caught.value.reason == "no_face"


def test_a_budget_takes_one_stretch_that_the_seed_places() -> None:
    usable = np.ones(100, np.bool_)
    usable[30:33] = False
    chosen = [within_budget(usable, 20, seed) for seed in range(30)]
    assert all(one.sum() == 20 and one[33:].sum() == 20 for one in chosen)
    assert len({int(np.flatnonzero(one)[0]) for one in chosen}) > 5
    assert np.array_equal(within_budget(usable, 97, 0), usable)


def test_a_frame_is_painted_at_a_size_that_fits_and_is_bounded() -> None:
    assert work_size((320, 320), 512, 64) == (512, 512)
    assert work_size((1080, 1920), 512, 64) == (512, 896)
    height, width = work_size((100, 4000), 512, 64)
    assert height % 64 == width % 64 == 0
    assert width <= 2048


def test_a_body_reaches_from_above_the_hair_to_the_bottom(actor: ClipView) -> None:
    clip = _in_a_wide_frame(actor)
    face = follow(clip)
    mesh = face.mesh[0, :, :2].astype(np.float64)
    area = body_area(mesh, face.size).astype(bool)
    top, chin = mesh[:468, 1].min(), mesh[:468, 1].max()
    tall, x = chin - top, int(mesh[152, 0])
    assert area[-1, x]
    assert area[int(top - 0.3 * tall), x], "hair belongs to the head"
    assert area[int(chin + 0.9 * tall), int(x + 1.2 * tall)], "so do shoulders"
    assert not area[:, :20].any()
    assert 0.1 < area.mean() < 0.6


def _close_up(clip: ClipView) -> ClipView:
    """The clip cut down to the face."""
    assert clip.frames is not None
    face = clip.faces[0]
    corners = face.mesh[0, :468, :2]
    (x1, y1), (x2, y2) = corners.min(axis=0).astype(int), corners.max(axis=0).astype(int)
    mesh = face.mesh.copy()
    mesh[..., :2] -= (x1, y1)
    return replace(clip, frames=clip.frames[:, y1:y2, x1:x2].copy(), faces=(replace(face, mesh=mesh),))


def _in_a_wide_frame(clip: ClipView) -> ClipView:
    """The clip at half its size in a frame three times as wide, so that there is a place around the person."""
    import cv2

    assert clip.frames is not None
    small = np.stack([cv2.resize(one, (144, 144), interpolation=cv2.INTER_AREA) for one in clip.frames])
    frames = np.full((len(small), 288, 512, 3), 90, np.uint8)
    frames[:, 100:244, 180:324] = small
    face = clip.faces[0]
    mesh = face.mesh * np.float32(0.5)
    mesh[..., :2] += np.array([180, 100], np.float32)
    return replace(clip, frames=frames, faces=(replace(face, mesh=mesh),))
