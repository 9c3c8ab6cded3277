"""From a frozen snapshot to a registered candidate: the row of the models table.

Training is in `train`, MLflow in `tracking`; whether the candidate is good is measured later.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from haetae.detector.config import model_config, train_config
from haetae.lake import Lake
from haetae.params import Params
from haetae.provenance.ids import canonical_json

if TYPE_CHECKING:
    from haetae.detector.train import Epoch, Trained

Row = dict[str, Any]


def train_candidate(
    lake: Lake,
    snapshot_id: str,
    params: Params,
    *,
    trained_at: dt.datetime,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Row:
    """Train on a snapshot of the lake, keep the detector as `models/<model_id>`, and register it.

    A run that was killed goes on where it was; a run on the same snapshot with the same parameters comes
    to the same model and version. Raises: UsageError where the snapshot holds nothing to train on.
    """
    from haetae.detector import tracking
    from haetae.detector.train import train_on_snapshot

    model = model_config(params.dataset, params.detector)
    config = train_config(params.detector, params.seed)
    folder = lake.local_path(f"{tracking.MODELS}/.training-{snapshot_id}")
    trained = train_on_snapshot(
        lake.local_path(f"snapshots/{snapshot_id}"), folder, model, config, on_epoch=on_epoch
    )
    model_id = tracking.model_id_of(snapshot_id, trained.weights_sha256)
    home = tracking.model_folder(lake, model_id)
    if home.is_dir():
        shutil.rmtree(folder)
    else:
        os.rename(folder, home)
    told = {
        "model": model.model_dump(mode="json"),
        "train": config.model_dump(mode="json"),
        **summary(trained),
    }
    flat = {f"{part}.{name}": value for part in ("model", "train") for name, value in told[part].items()}
    registered = tracking.register(lake, home, trained, model_id, snapshot_id, flat)
    return {
        "model_id": model_id,
        "snapshot_id": snapshot_id,
        "weights_sha256": trained.weights_sha256,
        "uri": registered.uri,
        "mlflow_run_id": registered.run_id,
        "version": registered.version,
        "config": canonical_json(told),
        "threshold": trained.threshold,
        "best_epoch": trained.best_epoch,
        "val_auc": trained.val_auc,
        "trained_at": trained_at,
    }


def summary(trained: Trained) -> dict[str, Any]:
    """The figures of a training as plain values, without its history and its folder."""
    return {
        "best_epoch": trained.best_epoch,
        "best_epochs": trained.best_epochs,
        "val_auc": trained.val_auc,
        "threshold": trained.threshold,
        "n_train": trained.n_train,
        "n_val": trained.n_val,
        "stopped_by": trained.stopped_by,
        "calibration": trained.calibration.model_dump(mode="json"),
    }
