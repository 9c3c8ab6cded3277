"""The network: absent branches, padding, pooling, and where a loss may and may not reach."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic
import torch

from haetae.detector.batches import Draw, clip_targets, collate
from haetae.detector.config import ModelConfig, TrainConfig
from haetae.detector.logits import branch_logits
from haetae.detector.losses import ClassWeights, branch_losses
from haetae.detector.model import DetectorNet, Residual, SyncBranch, log_mean_exp
from haetae.detector.pseudo_fakes import self_blended
from haetae.detector.sights import sights_of

TRAIN = TrainConfig()


def _net(model: ModelConfig) -> DetectorNet:
    torch.manual_seed(0)
    return DetectorNet(model)


def _gradients(model: ModelConfig, **verdicts: str | None) -> dict[str, float]:
    """Size of the gradient that one item sends into each branch."""
    net = _net(model)
    items = [synthetic.item(1, split="train", **verdicts)]
    batch, targets = collate(items, model)
    losses = branch_losses(net(batch), batch, targets, ClassWeights.of(targets.clip), TRAIN)
    torch.stack(list(losses.values())).sum().backward()
    return {
        name: sum(float(p.grad.abs().sum()) for p in getattr(net, name).parameters() if p.grad is not None)
        for name in ("video", "audio", "sync")
    }


def test_a_label_teaches_its_own_branch_only(model: ModelConfig) -> None:
    found = _gradients(model, video="unknown", audio="fake", sync="unknown")
    assert found["audio"] > 0 and found["video"] == 0 and found["sync"] == 0
    found = _gradients(model, video="fake", audio="unknown", sync="unknown")
    assert found["video"] > 0 and found["audio"] == 0 and found["sync"] == 0


def test_fake_sound_with_a_real_picture_pulls_the_picture_towards_real(model: ModelConfig) -> None:
    net = _net(model)
    item = synthetic.item(3, split="train", video="real", audio="fake", sync=None)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
    before = branch_logits(net, [item], model)[0]
    for _ in range(5):
        batch, targets = collate([item], model)
        losses = branch_losses(net(batch), batch, targets, ClassWeights.of(targets.clip), TRAIN)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    after = branch_logits(net, [item], model)[0]
    assert after[0] < before[0] and after[1] > before[1]


@pytest.mark.parametrize("absent", ["video", "audio", "sync"])
def test_an_absent_modality_has_no_score_and_changes_no_other(model: ModelConfig, absent: str) -> None:
    net = _net(model)
    whole = branch_logits(net, [synthetic.item(5, split="val")], model)[0]
    without = branch_logits(net, [synthetic.item(5, split="val", **{absent: None})], model)[0]
    for m, name in enumerate(("video", "audio", "sync")):
        if name == absent:
            assert np.isnan(without[m])
        else:
            assert without[m] == pytest.approx(whole[m])


def test_a_score_does_not_depend_on_what_else_is_scored(model: ModelConfig) -> None:
    net = _net(model)
    one = synthetic.item(5, split="val")
    others = [synthetic.item(6, split="val", audio=None), one, synthetic.item(7, split="val", video=None)]
    assert (branch_logits(net, others, model)[1] == branch_logits(net, [one], model)[0]).all()


def test_pooling_lies_between_mean_and_maximum_and_ignores_what_is_masked() -> None:
    x = torch.tensor([[1.0, 3.0, 100.0]])
    mask = torch.tensor([[True, True, False]])
    pooled = float(log_mean_exp(x, mask))
    assert pooled == pytest.approx(np.log((np.e + np.e**3) / 2)) and 2.0 < pooled < 3.0
    assert float(log_mean_exp(torch.full((1, 5), 0.7), torch.ones(1, 5, dtype=torch.bool))) == pytest.approx(
        0.7
    )
    assert float(log_mean_exp(x, torch.zeros(1, 3, dtype=torch.bool))) == 0.0


def test_residuals_are_blind_to_brightness_and_slopes_but_see_noise() -> None:
    residual = Residual()
    slope = torch.arange(32.0).expand(1, 3, 32, 32) * 3 + 40
    inner = residual(slope)[..., 6:-6, 6:-6]
    assert float(inner[:, :3].abs().max()) < 1e-3
    noisy = slope + torch.from_numpy(np.random.default_rng(0).normal(0, 3, (1, 3, 32, 32))).float()
    seen = residual(noisy)[..., 6:-6, 6:-6]
    assert float(seen[:, :3].abs().mean()) > 0.1
    assert float(seen[:, 3:].mean()) > float(inner[:, 3:].mean()) + 0.5, "strength rises with the noise"


def test_the_sync_branch_sees_at_which_lag_the_mouth_follows() -> None:
    rng = np.random.default_rng(1)
    sound = torch.from_numpy(np.convolve(rng.normal(size=110), np.ones(3) / 3, "valid")).float()[None]
    mouth = torch.roll(sound, -4, dims=1)
    mask = torch.ones_like(sound, dtype=torch.bool)
    maps = SyncBranch()._correlations(mouth, sound, mask)
    strength = [float(one[:, 20:-20].mean()) for one in maps]
    assert int(np.argmax(strength)) == 8 + 4, "the sound comes four frames later than the mouth"
    assert max(strength) > 0.8


def test_a_training_draw_without_a_changed_frame_is_called_real(model: ModelConfig) -> None:
    item = synthetic.item(2, split="train", video="fake", audio="fake")
    seen = set()
    for seed in range(30):
        draw = Draw(np.random.default_rng(seed), n_frames=1, audio_crop_s=0.3)
        _, targets = collate([item], model, draw)
        video, audio = float(targets.clip[0, 0]), float(targets.clip[0, 1])
        assert video == float(targets.frames[0].max())
        assert audio == float(targets.audio_steps[0].nan_to_num(0).max())
        seen.add((video, audio))
    assert {v for v, _ in seen} == {0.0, 1.0} and {a for _, a in seen} == {0.0, 1.0}


def test_flipping_a_crop_flips_its_regions(model: ModelConfig) -> None:
    item = synthetic.item(2, split="train", video="fake")
    one_sided = np.zeros_like(item.regions)
    one_sided[:, :, :8] = 255
    object.__setattr__(item, "regions", one_sided)
    sides = set()
    for seed in range(12):
        batch, targets = collate([item], model, Draw(np.random.default_rng(seed), 8, 4.0))
        left = float(targets.regions[0, 0, :, :8].mean())
        plain, _ = collate([item], model)
        same = (batch.frames[0, 0].float() - plain.frames[0, 0].float()).abs().mean()
        mirrored = (batch.frames[0, 0].float() - plain.frames[0, 0].flip(1).float()).abs().mean()
        assert (left > 0.5) == bool(same < mirrored)
        sides.add(left > 0.5)
    assert sides == {True, False}


def test_unknown_and_absent_are_not_numbers() -> None:
    rows = clip_targets(
        [
            synthetic.item(1, split="val", video="fake", audio="unknown", sync="real"),
            synthetic.item(2, split="val", video=None, audio="real", sync=None),
        ]
    )
    assert np.array_equal(rows, [[1, np.nan, 0], [np.nan, 0, np.nan]], equal_nan=True)


@pytest.mark.parametrize(
    "name", ["resnet18", "convnext_atto", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]
)
def test_any_timm_backbone_gives_frame_scores_and_a_map(name: str) -> None:
    config = ModelConfig(backbone=name, crop_px=128, n_frames=2)
    net = DetectorNet(config)
    frames = torch.zeros((1, 2, 128, 128, 3), dtype=torch.uint8)
    logits, cells = net.video(frames)
    assert logits.shape == (1, 2) and cells.ndim == 4 and cells.shape[:2] == (1, 2) and cells.shape[2] >= 4


def test_an_unknown_backbone_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="resnet_of_nowhere"):
        DetectorNet(ModelConfig(backbone="resnet_of_nowhere"))


def test_a_self_blend_changes_what_its_mask_says_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    base = synthetic._texture(rng).clip(0, 255).astype(np.uint8)
    for seed in range(20):
        crops, regions = self_blended([base, base], np.random.default_rng(seed))
        assert np.array_equal(crops[0], crops[1]) and np.array_equal(regions[0], regions[1])
        apart = np.abs(crops[0].astype(int) - base).mean(axis=2)
        cells = apart.reshape(16, 4, 16, 4).mean(axis=(1, 3))
        inside = regions[0] > 0
        assert 0.05 < inside.mean() < 0.7
        assert cells[inside].mean() > 4 * cells[~inside].mean()
        assert cells[[0, 0, -1, -1], [0, -1, 0, -1]].max() == 0, "the corners of the crop are no face"


def test_a_blended_sight_is_a_fake_picture_with_its_own_sound(model: ModelConfig) -> None:
    item = synthetic.item(4, split="train", audio="fake")
    draw = Draw(np.random.default_rng(0), n_frames=3, audio_crop_s=4.0)
    _, targets = collate([item, item], model, draw, [None, item])
    assert targets.clip[:, 0].tolist() == [0.0, 1.0] and targets.clip[:, 1].tolist() == [1.0, 1.0]
    assert targets.frames[0].tolist() == [0.0] * 3 and targets.frames[1].tolist() == [1.0] * 3
    assert not bool(targets.regions[0].any()) and bool(targets.regions[1].any())


def test_an_epoch_sets_every_fake_beside_an_untouched_item() -> None:
    items = synthetic.dataset(24, "train")
    drawn = sights_of(items, TRAIN, epoch=3)
    fakes, beside = drawn[::2], drawn[1::2]
    assert sorted(s.item.item_id for s in fakes) == sorted(
        i.item_id for i in items if "fake" in i.verdicts.values()
    )
    assert all("fake" not in s.item.verdicts.values() and s.blend is None for s in beside)
    twins = [a.item.track_id == b.item.track_id for a, b in zip(fakes, beside, strict=True)]
    assert 0.4 < np.mean(twins) < 1
    blended = [s.blend for s in fakes if s.blend is not None]
    assert 3 <= len(blended) <= 15 and all(b.verdicts["video"] == "real" for b in blended)
    assert sights_of(items, TRAIN, epoch=3) == drawn and sights_of(items, TRAIN, epoch=4) != drawn
