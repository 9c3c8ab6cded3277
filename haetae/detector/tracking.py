"""MLflow: runs, the registry of detectors, and the champion alias.

Whether a candidate becomes champion is decided in `haetae.evaluation.gate`. MLflow is imported when needed,
without telemetry and without asking git; without $MLFLOW_TRACKING_URI its store is in the lake.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haetae import __version__
from haetae.errors import UsageError
from haetae.lake import Lake
from haetae.provenance.ids import content_id

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from haetae.detector.train import Trained

NAME = "haetae-detector"
EXPERIMENT = "haetae"
CHAMPION = "champion"
MODELS = "models"
REQUIREMENTS = (
    "mlflow",
    "torch",
    "timm",
    "safetensors",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pydantic",
    "opencv-python-headless",
    "mediapipe",
    "facenet-pytorch",
    "av",
    "scenedetect",
)


@dataclass(frozen=True)
class Registered:
    """A version of the detector in the registry."""

    model_id: str
    version: str
    run_id: str

    @property
    def uri(self) -> str:
        return f"models:/{NAME}/{self.version}"


def model_id_of(snapshot_id: str, weights_sha256: str) -> str:
    """The id of a detector: what it was trained on and what came out."""
    return content_id("model", snapshot_id, weights_sha256)


def model_folder(lake: Lake, model_id: str) -> Path:
    """Where the lake keeps a detector's weights and config."""
    return lake.local_path(f"{MODELS}/{model_id}")


def register(
    lake: Lake, folder: Path, trained: Trained, model_id: str, snapshot_id: str, params: Mapping[str, Any]
) -> Registered:
    """Log a training and register its detector; a model that is registered already is returned as it is.

    folder: of weights and config; params: flat training parameters. The run holds the parameters, the
    metrics of every epoch, the loss curve, and the detector as a pyfunc.
    """
    with _locked(lake):
        client = _client(lake)
        known = _find(client, model_id)
        if known is not None:
            return known
        experiment_id = _experiment(client, lake)
        for left in client.search_runs([experiment_id], f"tags.model_id = '{model_id}'"):
            # A run without a version is what a kill left behind.
            client.set_terminated(left.info.run_id, "KILLED")
        tags = {
            "mlflow.runName": model_id,
            "mlflow.source.name": "haetae",
            "model_id": model_id,
            "snapshot_id": snapshot_id,
            "code_version": __version__,
        }
        run = client.create_run(experiment_id, tags=tags)
        run_id = run.info.run_id
        _log_figures(client, run_id, trained, params)
        with tempfile.TemporaryDirectory() as scratch:
            _save_pyfunc(Path(scratch) / "model", folder)
            client.log_artifacts(run_id, scratch)
        client.set_terminated(run_id, "FINISHED")
        if not any(one.name == NAME for one in client.search_registered_models(f"name='{NAME}'")):
            client.create_registered_model(NAME)
        source = f"{run.info.artifact_uri}/model"
        made = client.create_model_version(
            NAME, source, run_id, tags={"model_id": model_id, "snapshot_id": snapshot_id}
        )
        return Registered(model_id, str(made.version), run_id)


def champion(lake: Lake) -> Registered | None:
    """The promoted detector; None while there is none."""
    if _is_untouched(lake):
        return None
    return _champion(_client(lake))


def move_champion(lake: Lake, model_id: str, expected: str | None) -> Registered:
    """Make a registered detector the champion, if the champion is still `expected` (model_id; None: there is none).

    MLflow's alias has no compare-and-set, so this holds a lock on the lake. A champion that already is
    `model_id` stays. Raises: UsageError where another was promoted meanwhile, or model_id is not registered.
    """
    with _locked(lake):
        client = _client(lake)
        now = _champion(client)
        if now is not None and now.model_id == model_id:
            return now
        if (now.model_id if now else None) != expected:
            raise UsageError(
                f"the champion is {now.model_id if now else 'not set'}, not {expected or 'unset'} as when the "
                "candidate was compared: score both again, then promote"
            )
        wanted = _find(client, model_id)
        if wanted is None:
            raise UsageError(f"{model_id} is not in the registry {NAME}: materialise `candidate` first")
        client.set_registered_model_alias(NAME, CHAMPION, wanted.version)
        return wanted


def champion_folder(lake: Lake) -> Path:
    """The folder of the champion's weights. Raises: UsageError while there is no champion."""
    now = champion(lake)
    if now is None:
        raise UsageError("there is no champion yet: `haetae run` trains and promotes one")
    return fetched(lake, now)


def fetched(lake: Lake, model: Registered) -> Path:
    """The folder of a registered detector: the lake's own, or downloaded from the registry's artifacts."""
    from haetae.detector.weights import WEIGHTS

    if lake.files.is_local and (model_folder(lake, model.model_id) / WEIGHTS).is_file():
        return model_folder(lake, model.model_id)
    _mlflow()
    from mlflow.artifacts import download_artifacts

    local = download_artifacts(run_id=model.run_id, artifact_path="model", tracking_uri=tracking_uri(lake))
    found = sorted(Path(local).rglob(WEIGHTS))
    if not found:
        raise UsageError(f"version {model.version} of {NAME} holds no {WEIGHTS}")
    return found[0].parent


def tracking_uri(lake: Lake) -> str:
    """$MLFLOW_TRACKING_URI, or the SQLite store in the lake."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"sqlite:///{lake.local_path('mlflow')}/mlflow.db"


def _is_untouched(lake: Lake) -> bool:
    """Whether nothing was ever logged: looking for a champion should not make a database."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return False
    return not (lake.local_path("mlflow") / "mlflow.db").is_file()


def _mlflow() -> Any:
    """MLflow, imported so that it neither reports usage nor calls git."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    # Its table migrations and hints on how to log a model would end up among our own progress.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    return mlflow


def _client(lake: Lake) -> MlflowClient:
    mlflow = _mlflow()
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        lake.local_path("mlflow").mkdir(parents=True, exist_ok=True)
    uri = tracking_uri(lake)
    client: MlflowClient = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    return client


def _experiment(client: MlflowClient, lake: Lake) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    own = not os.environ.get("MLFLOW_TRACKING_URI")
    place = (lake.local_path("mlflow") / "artifacts").as_uri() if own else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=place))


def _find(client: MlflowClient, model_id: str) -> Registered | None:
    found = client.search_model_versions(f"name='{NAME}' and tags.model_id='{model_id}'")
    versions = sorted(found, key=lambda one: int(one.version))
    return Registered(model_id, str(versions[0].version), versions[0].run_id) if versions else None


def _champion(client: MlflowClient) -> Registered | None:
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version_by_alias(NAME, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return Registered(found.tags["model_id"], str(found.version), found.run_id)


def _log_figures(client: MlflowClient, run_id: str, trained: Trained, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    metrics = []
    for one in trained.history:
        values: dict[str, float | None] = {"train_loss": one.train_loss, "learning_rate": one.learning_rate}
        values |= {f"val_loss_{modality}": value for modality, value in one.val_loss.items()}
        values |= {f"val_auc_{modality}": value for modality, value in one.val_auc.items()}
        metrics += [Metric(name, v, now, one.epoch) for name, v in values.items() if v is not None]
    if trained.val_auc is not None:
        metrics.append(Metric("val_auc", trained.val_auc, now, trained.best_epoch))
    metrics.append(Metric("threshold", trained.threshold, now, trained.best_epoch))
    told = {**params, "stopped_by": trained.stopped_by, "n_train": trained.n_train, "n_val": trained.n_val}
    client.log_batch(run_id, params=[Param(name, str(value)) for name, value in sorted(told.items())])
    for start in range(0, len(metrics), 500):
        client.log_batch(run_id, metrics=metrics[start : start + 500])
    client.log_figure(run_id, loss_curve(trained), "loss_curve.png")


def loss_curve(trained: Trained) -> Any:
    """Loss and AUC by epoch as a matplotlib figure; a dot marks the epoch whose weights a branch kept."""
    from matplotlib.figure import Figure

    from haetae.dataset.items import MODALITIES

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    loss_axis, auc_axis = figure.subplots(1, 2)
    epochs = [one.epoch for one in trained.history]
    loss_axis.plot(
        epochs, [one.train_loss for one in trained.history], color="0.6", label="train, all branches"
    )
    for modality in MODALITIES:
        losses = [one.val_loss[modality] for one in trained.history]
        areas = [one.val_auc[modality] for one in trained.history]
        best = trained.best_epochs[modality]
        if all(value is None for value in losses):
            continue
        (line,) = loss_axis.plot(epochs, losses, label=f"val, {modality}")
        auc_axis.plot(epochs, areas, color=line.get_color(), label=modality)
        if 0 < best <= len(epochs):
            loss_axis.plot(best, losses[best - 1], "o", color=line.get_color())
            if areas[best - 1] is not None:
                auc_axis.plot(best, areas[best - 1], "o", color=line.get_color())
    loss_axis.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    auc_axis.set(xlabel="epoch", ylabel="AUC on val", ylim=(0, 1.02))
    loss_axis.legend(frameon=False, fontsize=8)
    auc_axis.legend(frameon=False, fontsize=8)
    return figure


def _save_pyfunc(where: Path, folder: Path) -> None:
    """The detector as an MLflow model: this package's code by name, the weights as an artifact."""
    mlflow = _mlflow()
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    outputs = [ColSpec("string", "verdict")]
    outputs += [ColSpec("double", name, required=name == "score") for name in SCORES]
    with warnings.catch_warnings():
        # It asks for an example input; the signature is given, and no media file belongs into a model.
        warnings.simplefilter("ignore", UserWarning)
        mlflow.pyfunc.save_model(
            str(where),
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"detector": str(folder)},
            signature=ModelSignature(Schema([ColSpec("string", "path")]), Schema(outputs)),
            pip_requirements=[f"haetae=={__version__}", *_pinned()],
        )


def _pinned() -> list[str]:
    pins = []
    for name in REQUIREMENTS:
        try:
            pins.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            pins.append(name)
    return pins


@contextmanager
def _locked(lake: Lake) -> Iterator[None]:
    """One registration or promotion at a time on this lake."""
    path = lake.local_path("mlflow") / "registry.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


SCORES = ("score", "video_score", "audio_score", "sync_score")
"""The score columns that the pyfunc returns beside `verdict`."""
