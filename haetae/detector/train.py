"""Training on the shards of a snapshot: deterministic, resumable, bounded in time, chosen on val only.

The test split is never opened here. Epochs draw their randomness from the seed and their own number,
so a training that was killed goes on as if it had not been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from haetae.dataset.items import MODALITIES, Item
from haetae.detector.batches import Draw, clip_targets, collate
from haetae.detector.config import Calibration, ModelConfig, SavedConfig, TrainConfig
from haetae.detector.fusion import fit, noisy_or, probabilities
from haetae.detector.logits import branch_logits
from haetae.detector.losses import ClassWeights, branch_losses
from haetae.detector.model import DetectorNet
from haetae.detector.sights import labels_of, sights_of
from haetae.detector.weights import fill, read_tensors, save_detector, write_tensors
from haetae.errors import UsageError
from haetae.evaluation.metrics import auc
from haetae.provenance.ids import digest

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to. Figures of branches without labels are None."""

    epoch: int
    of: int
    train_loss: float
    val_loss: dict[str, float | None]
    val_auc: dict[str, float | None]
    learning_rate: float
    improved: tuple[str, ...]


@dataclass(frozen=True)
class Trained:
    """A finished training. best_epochs: the epoch whose weights each branch kept; best_epoch: the last of them.

    stopped_by: epochs | patience | time. Only a training that was stopped by time may come out otherwise
    on another day.
    """

    folder: Path
    weights_sha256: str
    threshold: float
    best_epoch: int
    best_epochs: dict[str, int]
    val_auc: float | None
    n_train: int
    n_val: int
    stopped_by: str
    history: tuple[Epoch, ...]
    calibration: Calibration


@dataclass
class _Best:
    """The best figures of a branch so far, and when."""

    epoch: int = 0
    key: tuple[float, float] = (-math.inf, -math.inf)


@dataclass
class _State:
    """Everything that a checkpoint holds beside tensors."""

    done: int = 0
    used_s: float = 0.0
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, _Best] = field(default_factory=lambda: {m: _Best() for m in MODALITIES})


OnEpoch = Callable[[Epoch], None]


def train(
    train_items: Sequence[Item],
    val_items: Sequence[Item],
    folder: Path,
    model: ModelConfig | None = None,
    config: TrainConfig | None = None,
    *,
    on_epoch: OnEpoch | None = None,
    device: str = "cpu",
) -> Trained:
    """Train a detector and write `weights.safetensors` and `config.json` into the folder.

    Every branch keeps the weights of the epoch with the best AUC on the val split (then the least loss):
    branches share nothing, so they may stop at different times. Calibration and threshold are fixed
    on the val split too. A checkpoint in the folder made by the same items and configs is gone on
    from; it is removed at the end.

    Raises: UsageError without training items, or where nothing in them is labelled.
    """
    model, config = model or ModelConfig(), config or TrainConfig()
    _check_items(train_items, val_items)
    with _deterministic(config):
        net = DetectorNet(model).to(device)
        run = _Run(net, model, config, train_items, val_items, folder, device)
        run.resume()
        stopped_by = run.until_done(on_epoch)
        return run.finish(stopped_by)


def train_on_snapshot(
    snapshot: Path,
    folder: Path,
    model: ModelConfig | None = None,
    config: TrainConfig | None = None,
    *,
    on_epoch: OnEpoch | None = None,
    device: str = "cpu",
) -> Trained:
    """As `train`, on the train and val shards of a snapshot folder."""
    from haetae.dataset.shards import FOLDER, read_shards

    train_items, val_items = (list(read_shards(snapshot / FOLDER, [split])) for split in ("train", "val"))
    return train(train_items, val_items, folder, model, config, on_epoch=on_epoch, device=device)


@contextmanager
def _deterministic(config: TrainConfig) -> Iterator[None]:
    """Seeded, deterministic and on few threads inside; everything as it was outside."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.manual_seed(config.seed)
            torch.set_num_threads(config.threads)
            torch.use_deterministic_algorithms(True)
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)


def _check_items(train_items: Sequence[Item], val_items: Sequence[Item]) -> None:
    if not train_items:
        raise UsageError("nothing to train on: the snapshot has no train split")
    for items, split in ((train_items, "train"), (val_items, "val")):
        strays = [item.item_id for item in items if item.split != split]
        if strays:
            raise UsageError(f"{strays[0]} is not in the {split} split ({len(strays)} such items)")
    if np.isnan(clip_targets(train_items)).all():
        raise UsageError("nothing to learn: no item of the train split has a label")


class _Run:
    """One training, from its first epoch or from a checkpoint."""

    def __init__(
        self,
        net: DetectorNet,
        model: ModelConfig,
        config: TrainConfig,
        train_items: Sequence[Item],
        val_items: Sequence[Item],
        folder: Path,
        device: str,
    ) -> None:
        self.net, self.model, self.config, self.device = net, model, config, device
        self.train_items, self.val_items, self.folder = train_items, val_items, folder
        decay = [p for p in net.parameters() if p.ndim > 1]
        plain = [p for p in net.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": decay, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=config.learning_rate,
            foreach=False,
        )
        self.best = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
        self.state = _State()
        self.truth = clip_targets(val_items)
        self.weights = ClassWeights.of(labels_of(sights_of(train_items, config, 0)))
        ids = [[item.item_id for item in items] for items in (train_items, val_items)]
        self.fingerprint = digest(model.model_dump(mode="json"), config.model_dump(mode="json"), *ids)

    def until_done(self, on_epoch: OnEpoch | None) -> str:
        """Train epoch by epoch; returns why it ended."""
        config = self.config
        while self.state.done < config.epochs:
            if self.state.done - self._last_gain() >= config.patience:
                return "patience"
            if self.state.used_s >= 60 * config.max_minutes:
                return "time"
            began = time.monotonic()
            report = self._epoch(self.state.done + 1)
            self.state.used_s += time.monotonic() - began
            self.state.done += 1
            self.state.history.append(report)
            self._save()
            if on_epoch is not None:
                on_epoch(report)
        return "epochs"

    def _last_gain(self) -> int:
        """The last epoch that was better for a branch; without labels in val, each epoch counts as one."""
        if np.isnan(self.truth).all():
            return self.state.done
        return max(best.epoch for best in self.state.best.values())

    def finish(self, stopped_by: str) -> Trained:
        """Load the best weights, calibrate on val, write the files."""
        self.net.load_state_dict(self.best)
        logits = self._val_logits()
        calibration = Calibration()
        score_auc = None
        if len(self.val_items):
            overall = [overall_label(item) for item in self.val_items]
            calibration = fit(logits, overall, self.truth.astype(np.float64))
            usable = {i: y for i, y in enumerate(overall) if y is not None}
            fused = noisy_or(probabilities(logits[list(usable)], calibration))
            score_auc = auc(list(usable.values()), fused)
        sha = save_detector(self.folder, self.net, SavedConfig(model=self.model, calibration=calibration))
        (self.folder / CHECKPOINT).unlink(missing_ok=True)
        best_epochs = {modality: best.epoch for modality, best in self.state.best.items()}
        return Trained(
            folder=self.folder,
            weights_sha256=sha,
            threshold=calibration.threshold,
            best_epoch=max(best_epochs.values()),
            best_epochs=best_epochs,
            val_auc=score_auc,
            n_train=len(self.train_items),
            n_val=len(self.val_items),
            stopped_by=stopped_by,
            history=tuple(self.state.history),
            calibration=calibration,
        )

    def resume(self) -> None:
        """Take up a checkpoint of this very training; any other is left to be overwritten."""
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        try:
            tensors, notes = read_tensors(path)
        except UsageError:
            return
        if notes.get("fingerprint") != self.fingerprint:
            return
        fill(self.net, _part(tensors, "net."), path)
        self.best = _part(tensors, "best.")
        slots = self.optimiser.state_dict()
        slots["state"] = {
            i: {name: tensors[f"optim.{i}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
            for i in range(sum(1 for _ in self.net.parameters()))
            if f"optim.{i}.step" in tensors
        }
        self.optimiser.load_state_dict(slots)
        self.state = _State(
            done=notes["done"],
            used_s=notes["used_s"],
            history=[Epoch(**{**one, "improved": tuple(one["improved"])}) for one in notes["history"]],
            best={m: _Best(notes["best"][m]["epoch"], tuple(notes["best"][m]["key"])) for m in MODALITIES},
        )

    def _save(self) -> None:
        tensors = {f"net.{name}": t for name, t in self.net.state_dict().items()}
        tensors |= {f"best.{name}": t.clone() for name, t in self.best.items()}
        for i, slot in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optim.{i}.{name}": t for name, t in slot.items()}
        best = {m: {"epoch": b.epoch, "key": [_finite(k) for k in b.key]} for m, b in self.state.best.items()}
        notes = {
            "fingerprint": self.fingerprint,
            "done": self.state.done,
            "used_s": self.state.used_s,
            "history": [asdict(one) for one in self.state.history],
            "best": best,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        write_tensors(self.folder / CHECKPOINT, tensors, notes)

    def _epoch(self, epoch: int) -> Epoch:
        config = self.config
        rate = self._learning_rate(epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        rng = np.random.default_rng([config.seed, epoch, 2])
        draw = Draw(rng, config.frames_per_step, config.audio_crop_s)
        sights = sights_of(self.train_items, config, epoch)
        sights = sights * -(-config.min_steps * config.batch_size // len(sights))
        self.net.train()
        losses = []
        for start in range(0, len(sights), config.batch_size):
            part = sights[start : start + config.batch_size]
            blends = [sight.blend for sight in part]
            batch, targets = collate([sight.item for sight in part], self.model, draw, blends)
            batch = batch.to(self.device)
            output = self.net(batch)
            parts = branch_losses(output, batch, targets, self.weights, config)
            loss = torch.stack(list(parts.values())).sum()
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._clip_gradients()
            self.optimiser.step()
            losses.append(float(loss.detach()))
        val_loss, val_auc = self._validate()
        improved = self._keep_best(epoch, val_loss, val_auc)
        return Epoch(epoch, config.epochs, float(np.mean(losses)), val_loss, val_auc, rate, improved)

    def _clip_gradients(self) -> None:
        # For each branch by itself, or one branch's gradient would decide how fast another learns.
        for branch in (self.net.video, self.net.audio, self.net.sync):
            torch.nn.utils.clip_grad_norm_(branch.parameters(), 1.0, foreach=False)

    def _learning_rate(self, epoch: int) -> float:
        """One epoch of warm-up, then a cosine down to a twentieth."""
        if epoch == 1:
            return self.config.learning_rate / 4
        along = (epoch - 2) / max(1, self.config.epochs - 2)
        return self.config.learning_rate * (0.05 + 0.95 * (1 + math.cos(math.pi * along)) / 2)

    def _val_logits(self) -> NDArray[np.float64]:
        return branch_logits(self.net, self.val_items, self.model, self.device)

    def _validate(self) -> tuple[dict[str, float | None], dict[str, float | None]]:
        logits = self._val_logits()
        losses: dict[str, float | None] = {}
        aucs: dict[str, float | None] = {}
        for m, modality in enumerate(MODALITIES):
            known = ~np.isnan(self.truth[:, m]) & ~np.isnan(logits[:, m])
            y, z = self.truth[known, m], logits[known, m]
            per_class = [
                np.logaddexp(0, np.where(c, -1, 1) * z[y == c]).mean() for c in (0, 1) if (y == c).any()
            ]
            losses[modality] = float(np.mean(per_class)) if per_class else None
            aucs[modality] = auc(y.astype(int), z)
        return losses, aucs

    def _keep_best(
        self, epoch: int, losses: dict[str, float | None], aucs: dict[str, float | None]
    ) -> tuple[str, ...]:
        """Take over the branches that are at their best; without val labels, the latest is."""
        improved = []
        now = self.net.state_dict()
        for modality, best in self.state.best.items():
            loss, area = losses[modality], aucs[modality]
            if loss is not None:
                key = (round(area, 6) if area is not None else 0.0, -loss)
                if key <= best.key:
                    continue
                improved.append(modality)
                best.key = key
            best.epoch = epoch
            for name in now:
                if name.startswith(f"{modality}."):
                    self.best[name] = now[name].detach().clone()
        return tuple(improved)


def overall_label(item: Item) -> int | None:
    """1 where any modality is known to be fake, 0 where all that are present are known real; else None."""
    verdicts = [item.verdicts.get(m) for m in MODALITIES if item.has[m]]
    if "fake" in verdicts:
        return 1
    return 0 if verdicts and all(verdict == "real" for verdict in verdicts) else None


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}


def _finite(value: float) -> float:
    return max(-1e30, min(1e30, value))
