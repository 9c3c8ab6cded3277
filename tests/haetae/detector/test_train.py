"""Training: it learns what can be learnt, finds where it is, repeats itself, and survives being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic
import torch
from safetensors.torch import load_file, save_file

from haetae.dataset.items import in_segments
from haetae.detector.config import Calibration, ModelConfig, TrainConfig
from haetae.detector.fusion import fit, noisy_or, probabilities
from haetae.detector.predict import Detector, times_of
from haetae.detector.train import Epoch, Trained, train
from haetae.errors import UsageError
from haetae.evaluation.metrics import auc

QUICK = TrainConfig(epochs=3, batch_size=8, learning_rate=3e-3, min_steps=3)


def _quick(folder: Path, model: ModelConfig, config: TrainConfig = QUICK, **options: object) -> Trained:
    items = synthetic.dataset(16, "train"), synthetic.dataset(8, "val", first=100)
    return train(*items, folder, model, config, **options)


def test_a_few_epochs_tell_fakes_of_people_never_seen_from_real_ones(trained: Trained) -> None:
    assert trained.val_auc is not None and trained.val_auc > 0.9
    detector = Detector.load(trained.folder)
    items = synthetic.dataset(40, "test", first=500)
    scores = [detector.score_item(item) for item in items]
    for m in ("video", "audio", "sync"):
        truth = [item.verdicts[m] == "fake" for item in items]
        assert auc(truth, [getattr(s, m) for s in scores]) > 0.9, m
    overall = ["fake" in item.verdicts.values() for item in items]
    assert auc(overall, [s.score for s in scores]) > 0.9
    called = [s.score >= detector.threshold for s in scores]
    assert np.mean([c == o for c, o in zip(called, overall, strict=True)]) > 0.85


def test_scores_are_higher_where_something_was_changed(trained: Trained) -> None:
    detector = Detector.load(trained.folder)
    for number in range(700, 706):
        item = synthetic.item(number, split="test", video="fake", audio="fake")
        seen = detector.evidence(item)
        inside = in_segments(times_of(item), (synthetic.SEGMENT,))
        assert seen.frames[inside].min() > seen.frames[~inside].max() + 0.3
        times = np.arange(len(seen.audio)) * seen.audio_step_s
        heard = in_segments(times, (synthetic.SEGMENT,))
        assert seen.audio[heard].mean() > seen.audio[~heard].mean() + 0.3
        cells = seen.cells[inside]
        lower, upper = cells[:, cells.shape[1] // 2 + 1 :], cells[:, : cells.shape[1] // 2 - 1]
        assert lower.mean() > upper.mean() + 0.3, "the map is hot where the pattern is: in the lower half"


def test_fake_sound_leaves_the_picture_real_and_the_other_way_round(trained: Trained) -> None:
    detector = Detector.load(trained.folder)
    heard = detector.score_item(synthetic.item(801, split="test", audio="fake"))
    assert heard.audio > 0.5 and heard.video < 0.5 and heard.score > 0.5
    shown = detector.score_item(synthetic.item(802, split="test", video="fake"))
    assert shown.video > 0.5 and shown.audio < 0.5


@pytest.mark.parametrize("present", [("video",), ("audio",), ("video", "audio")])
def test_a_sample_is_scored_on_what_it_has(trained: Trained, present: tuple[str, ...]) -> None:
    detector = Detector.load(trained.folder)
    absent = dict.fromkeys({"video", "audio", "sync"} - set(present))
    real = detector.score_item(synthetic.item(900, split="test", **absent))
    fake = detector.score_item(synthetic.item(900, split="test", **absent, **dict.fromkeys(present, "fake")))
    for m in ("video", "audio", "sync"):
        assert (getattr(real, m) is None) == (m not in present)
    assert fake.score > detector.threshold > real.score


def test_the_most_suspicious_face_decides(trained: Trained) -> None:
    detector = Detector.load(trained.folder)
    main = synthetic.item(910, split="test")
    other = synthetic.item(911, split="test", video="fake", audio=None, sync=None)
    both = detector.score_sample([main, other])
    assert both.video == detector.score_item(other).video
    assert both.audio == detector.score_item(main).audio
    assert both.score > detector.score_item(main).score


def test_two_trainings_come_to_the_same_weights(tmp_path: Path, model: ModelConfig) -> None:
    torch.manual_seed(99)
    one = _quick(tmp_path / "a", model)
    torch.manual_seed(1)
    np.random.seed(1)
    two = _quick(tmp_path / "b", model)
    assert one.weights_sha256 == two.weights_sha256
    assert (tmp_path / "a" / "config.json").read_bytes() == (tmp_path / "b" / "config.json").read_bytes()
    other = _quick(tmp_path / "c", model, QUICK.model_copy(update={"seed": 1}))
    assert other.weights_sha256 != one.weights_sha256


def test_training_leaves_torch_as_it_was(tmp_path: Path, model: ModelConfig) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    _quick(tmp_path, model, QUICK.model_copy(update={"epochs": 1}))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_progress_is_reported_each_epoch(tmp_path: Path, model: ModelConfig) -> None:
    seen: list[Epoch] = []
    trained = _quick(tmp_path, model, QUICK.model_copy(update={"min_steps": 10}), on_epoch=seen.append)
    assert [one.epoch for one in seen] == [1, 2, 3]
    assert tuple(seen) == trained.history
    assert seen[-1].train_loss < seen[0].train_loss


def test_a_training_killed_in_the_middle_ends_as_if_it_had_not_been(
    tmp_path: Path, model: ModelConfig
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "import test_train as t, conftest as c\n"
        "def told(epoch):\n"
        "    if epoch.epoch == 2:\n"
        "        print('two', flush=True)\n"
        "        time.sleep(60)\n"
        f"t._quick(Path({str(tmp_path / 'killed')!r}), c.MODEL, on_epoch=told)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "two\n"
        os.kill(process.pid, signal.SIGKILL)
    assert [p.name for p in (tmp_path / "killed").iterdir()] == ["checkpoint.safetensors"]
    redone: list[int] = []
    resumed = _quick(tmp_path / "killed", model, on_epoch=lambda epoch: redone.append(epoch.epoch))
    straight = _quick(tmp_path / "straight", model)
    assert redone == [3]
    assert resumed.weights_sha256 == straight.weights_sha256
    assert resumed.calibration == straight.calibration
    assert resumed.history == straight.history
    assert sorted(p.name for p in (tmp_path / "killed").iterdir()) == ["config.json", "weights.safetensors"]


def test_a_checkpoint_of_another_training_is_not_gone_on_from(tmp_path: Path, model: ModelConfig) -> None:
    longer = QUICK.model_copy(update={"epochs": 2})

    class Stop(Exception):
        pass

    def stop(epoch: Epoch) -> None:
        raise Stop

    with pytest.raises(Stop):
        _quick(tmp_path / "a", model, QUICK.model_copy(update={"seed": 7}), on_epoch=stop)
    assert (tmp_path / "a" / "checkpoint.safetensors").is_file()
    assert (
        _quick(tmp_path / "a", model, longer).weights_sha256
        == _quick(tmp_path / "b", model, longer).weights_sha256
    )


def test_time_and_patience_end_a_training(tmp_path: Path, model: ModelConfig) -> None:
    short = _quick(tmp_path / "a", model, QUICK.model_copy(update={"max_minutes": 1e-6}))
    assert short.stopped_by == "time" and len(short.history) == 1
    config = TrainConfig(epochs=30, batch_size=8, learning_rate=1e-9, weight_decay=0, patience=1, min_steps=1)
    idle = _quick(tmp_path / "b", model, config)
    assert idle.stopped_by == "patience" and len(idle.history) < 30


def test_the_test_split_is_refused(tmp_path: Path, model: ModelConfig) -> None:
    with pytest.raises(UsageError, match="not in the train split"):
        train(synthetic.dataset(8, "test"), [], tmp_path, model, QUICK)
    with pytest.raises(UsageError, match="not in the val split"):
        train(synthetic.dataset(8, "train"), synthetic.dataset(4, "test"), tmp_path, model, QUICK)


def test_without_a_val_split_the_last_epoch_is_kept(tmp_path: Path, model: ModelConfig) -> None:
    trained = train(synthetic.dataset(8, "train"), [], tmp_path, model, QUICK)
    assert trained.best_epoch == 3 and trained.val_auc is None and trained.threshold == 0.5


def test_nothing_labelled_is_nothing_to_learn(tmp_path: Path, model: ModelConfig) -> None:
    items = [
        synthetic.item(i, split="train", video="unknown", audio="unknown", sync="unknown") for i in range(3)
    ]
    with pytest.raises(UsageError, match="nothing to learn"):
        train(items, [], tmp_path, model, QUICK)


def test_weights_that_do_not_fit_are_refused_with_what_is_wrong(tmp_path: Path, trained: Trained) -> None:
    tensors = load_file(trained.folder / "weights.safetensors")
    config = json.loads((trained.folder / "config.json").read_text())

    def write(changed: dict[str, torch.Tensor], settings: dict[str, object] = config) -> Path:
        save_file(changed, tmp_path / "weights.safetensors")
        (tmp_path / "config.json").write_text(json.dumps(settings))
        return tmp_path

    name = "video.head.weight"
    with pytest.raises(UsageError, match=f"{name} is missing"):
        Detector.load(write({k: v for k, v in tensors.items() if k != name}))
    with pytest.raises(UsageError, match=f"{name} is \\(2,\\)"):
        Detector.load(write({**tensors, name: torch.zeros(2)}))
    with pytest.raises(UsageError, match="not finite"):
        Detector.load(write({**tensors, name: tensors[name] * float("nan")}))
    with pytest.raises(UsageError, match="not the config"):
        Detector.load(write(tensors, {**config, "extra": 1}))
    write(tensors)
    (tmp_path / "weights.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(UsageError, match="cannot be read as safetensors"):
        Detector.load(tmp_path)


def test_noisy_or_of_what_is_present() -> None:
    chances = np.array([[0.5, 0.5, np.nan], [0.2, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    assert np.allclose(noisy_or(chances), [0.75, 0.2, np.nan], equal_nan=True)


def test_calibration_keeps_a_branch_that_tells_nothing_from_drowning_the_others() -> None:
    rng = np.random.default_rng(0)
    fake = np.repeat([0, 1], 30)
    logits = np.stack(
        [4.0 * fake - 2 + rng.normal(0, 1, 60), rng.normal(0, 6, 60), np.full(60, np.nan)], axis=1
    )
    known = np.stack([fake, np.full(60, np.nan), np.full(60, np.nan)], axis=1).astype(float)
    fitted = fit(logits, fake.tolist(), known)
    plain = auc(fake, noisy_or(probabilities(logits, Calibration())))
    better = auc(fake, noisy_or(probabilities(logits, fitted)))
    assert plain < 0.8 and better > 0.95
    assert better > auc(fake, logits[:, 0]) - 0.03
