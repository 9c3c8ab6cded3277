"""Scores and evidence of prepared items by one detector: for scorecards and for `detect`.

How evidence is told to a person is in `detect`. Items are looked at one at a time, so that a score does
not depend on what else is scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from haetae.dataset.items import FPS, MODALITIES, Item
from haetae.dataset.shards import FOLDER, read_sample
from haetae.dataset.snapshot import read_manifest
from haetae.detector.config import SavedConfig
from haetae.errors import Rejected

if TYPE_CHECKING:
    from haetae.detector.model import DetectorNet

Row = dict[str, Any]
Chances = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Probabilities of being fake, 0 to 1; None where the modality is absent."""

    score: float | None
    video: float | None
    audio: float | None
    sync: float | None


@dataclass(frozen=True)
class Evidence:
    """What speaks for fake, and where, as probabilities.

    frames: [n], crop by crop; cells: [n, h, w], over each crop; audio: [Ta] every `audio_step_s` seconds;
    sync: [Tv], 25 a second from the item's first frame. Empty where the modality is absent.
    """

    scores: Scores
    frames: Chances
    cells: Chances
    audio: Chances
    audio_step_s: float
    sync: Chances


@dataclass(frozen=True)
class Detector:
    """A trained detector, loaded. Its network is on the CPU unless another device was asked for."""

    net: DetectorNet
    config: SavedConfig
    device: str = "cpu"

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Detector:
        """Read `weights.safetensors` and `config.json`. Raises: UsageError where they are missing or do not fit."""
        from haetae.detector.weights import load_detector

        net, config = load_detector(folder)
        return cls(net.to(device), config, device)

    @property
    def threshold(self) -> float:
        """The verdict is fake from this score on."""
        return self.config.calibration.threshold

    def score_item(self, item: Item) -> Scores:
        """The scores of one item."""
        return self.score_sample([item])

    def score_sample(self, items: Sequence[Item]) -> Scores:
        """The scores of all items of one sample: its most suspicious face, its sound, and their agreement."""
        from haetae.detector.logits import branch_logits

        return self._fused(branch_logits(self.net, items, self.config.model, self.device))

    def evidence(self, item: Item) -> Evidence:
        """Scores of one item with what is behind them."""
        import torch

        from haetae.detector.batches import collate
        from haetae.detector.model import AudioBranch

        batch, _ = collate([item], self.config.model)
        self.net.eval()
        with torch.inference_mode():
            out = self.net(batch.to(self.device))
        present = batch.present.numpy()
        logits = np.where(present, out.clip.cpu().double().numpy(), np.nan)
        has = item.has
        steps = out.audio_steps[0][out.audio_mask[0]]
        return Evidence(
            scores=self._fused(logits),
            frames=self._chances(out.frames[0], 0) if has["video"] else np.zeros(0),
            cells=self._chances(out.cells[0], 0) if has["video"] else np.zeros((0, 1, 1)),
            audio=self._chances(steps, 1) if has["audio"] else np.zeros(0),
            audio_step_s=item.mel_step_s * AudioBranch.STRIDE,
            sync=self._chances(out.sync_steps[0], 2) if has["sync"] else np.zeros(0),
        )

    def _chances(self, logits: Any, branch: int) -> Chances:
        from haetae.detector.fusion import probabilities

        values = logits.cpu().double().numpy()
        wide = np.full((values.size, len(MODALITIES)), np.nan)
        wide[:, branch] = values.ravel()
        found: Chances = probabilities(wide, self.config.calibration)[:, branch].reshape(values.shape)
        return found

    def _fused(self, logits: Chances) -> Scores:
        from haetae.detector.fusion import noisy_or, probabilities

        seen = ~np.isnan(logits)
        highest = np.where(seen, logits, -np.inf).max(axis=0, keepdims=True)
        chances = probabilities(np.where(seen.any(axis=0), highest, np.nan), self.config.calibration)
        each = [None if np.isnan(chance) else float(chance) for chance in chances[0]]
        fused = float(noisy_or(chances)[0])
        return Scores(None if np.isnan(fused) else fused, *each)


@dataclass
class ScoreSample:
    """A row of a snapshot's manifest → its row of the predictions table.

    The items are read from the snapshot's shards, so any model can be scored again on a frozen snapshot,
    the champion as well as the candidate.
    """

    model_folder: str
    snapshot_folder: str
    model_id: str
    snapshot_id: str
    timeout_s: float = 120.0
    stage: ClassVar[str] = "scorecard"
    key: ClassVar[str] = "sample_id"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0
    _detector: Detector | None = field(init=False, default=None, repr=False, compare=False)

    def setup(self) -> None:
        import torch

        torch.set_num_threads(1)
        self._detector = Detector.load(Path(self.model_folder))

    def __call__(self, row: Row) -> list[Row]:
        """Raises: Rejected `not_in_shard` where the manifest and the shards disagree."""
        if self._detector is None:
            self.setup()
        assert self._detector is not None
        items = read_sample(Path(self.snapshot_folder) / FOLDER / row["shard"], row["sample_id"])
        if len(items) != row["n_items"]:
            raise Rejected("not_in_shard", f"{row['shard']} holds {len(items)} items, not {row['n_items']}")
        found = self._detector.score_sample(items)
        return [
            {
                "model_id": self.model_id,
                "snapshot_id": self.snapshot_id,
                "sample_id": row["sample_id"],
                "split": row["split"],
                "score": found.score,
                "video_score": found.video,
                "audio_score": found.audio,
                "sync_score": found.sync,
            }
        ]


def rows_to_score(snapshot_folder: Path, split: str = "test") -> list[Row]:
    """The manifest rows to score: what `ScoreSample` takes."""
    return [row for row in read_manifest(snapshot_folder) if row["split"] == split]


def score_snapshot(
    model_folder: Path, snapshot_folder: Path, model_id: str, snapshot_id: str, split: str = "test"
) -> list[Row]:
    """Predictions rows of one model on one split of a snapshot, in this process."""
    step = ScoreSample(str(model_folder), str(snapshot_folder), model_id, snapshot_id)
    return [made for row in rows_to_score(snapshot_folder, split) for made in step(row)]


def times_of(item: Item) -> NDArray[np.float64]:
    """The middle of each crop's frame, seconds from the start of the clip."""
    return (np.array(item.frame_index, dtype=np.float64) + 0.5) / FPS


def runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First and last index of every stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)
