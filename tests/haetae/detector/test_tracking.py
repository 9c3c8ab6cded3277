"""MLflow in the lake: a training is logged once, promoted under a lock, and loads back as a pyfunc."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic

from haetae.dataset.shards import snapshot_id_of
from haetae.dataset.snapshot import freeze, read_manifest
from haetae.detector import tracking
from haetae.detector.candidate import train_candidate
from haetae.detector.predict import ScoreSample, score_snapshot
from haetae.engine import InlineEngine, split_results
from haetae.errors import UsageError
from haetae.evaluation.scorecard import score_slices
from haetae.lake import Lake
from haetae.lake.schema import TABLES
from haetae.params import Dataset, Detector, Params

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
PARAMS = Params(
    dataset=Dataset(crop_px=synthetic.CROP_PX, frames_per_item=synthetic.N_FRAMES),
    detector=Detector(epochs=3, batch_size=8),
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="module")
def snapshot_id(lake: Lake) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "N_MELS", 64)
        items = [
            *synthetic.dataset(16, "train"),
            *synthetic.dataset(8, "val", first=100),
            *synthetic.dataset(8, "test", first=200),
        ]
    blank = dict.fromkeys(TABLES["samples"].schema.names)
    rows = [
        {
            **blank,
            "sample_id": item.sample_id,
            "split": item.split,
            "group_id": item.track_id,
            "language": "ko",
            "kind": "clip",
            "modality": "av",
            "verdict": "fake" if "fake" in item.verdicts.values() else "real",
            **{f"{m}_verdict": verdict for m, verdict in item.verdicts.items()},
        }
        for item in items
    ]
    knobs = PARAMS.dataset.model_dump(mode="json")
    key = snapshot_id_of(rows, knobs)
    freeze(lake, key, rows, items, knobs, created_at=NOW, with_dvc=False)
    return key


@pytest.fixture(scope="module")
def candidate(lake: Lake, snapshot_id: str) -> dict[str, Any]:
    return train_candidate(lake, snapshot_id, PARAMS, trained_at=NOW)


def test_looking_for_a_champion_makes_no_database(tmp_path: Path) -> None:
    assert tracking.champion(Lake(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="no champion yet"):
        tracking.champion_folder(Lake(tmp_path))


def test_a_candidate_is_a_row_of_the_models_table_and_a_logged_run(
    lake: Lake, candidate: dict[str, Any]
) -> None:
    assert set(candidate) == set(TABLES["models"].schema.names)
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=tracking.tracking_uri(lake))
    run = client.get_run(candidate["mlflow_run_id"])
    assert run.data.params["train.epochs"] == "3" and run.data.params["model.backbone"] == "haetae_small"
    history = client.get_metric_history(run.info.run_id, "val_loss_video")
    assert [one.step for one in history] == [1, 2, 3]
    kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert kept == {"loss_curve.png", "model"}
    place = Path(run.info.artifact_uri.removeprefix("file://"))
    assert place.is_relative_to(Path(lake.root) / "mlflow" / "artifacts")
    assert list(place.rglob("*.pkl")) == []
    assert "mlflow.source.git.commit" not in run.data.tags


def test_the_same_training_again_is_the_same_model_and_version(
    lake: Lake, snapshot_id: str, candidate: dict[str, Any]
) -> None:
    again = train_candidate(lake, snapshot_id, PARAMS, trained_at=NOW)
    assert again == candidate
    other = PARAMS.model_copy(update={"seed": 5})
    second = train_candidate(lake, snapshot_id, other, trained_at=NOW)
    assert second["model_id"] != candidate["model_id"]
    assert int(second["version"]) == int(candidate["version"]) + 1
    folders = sorted(p.name for p in (Path(lake.root) / "models").iterdir())
    assert folders == sorted([candidate["model_id"], second["model_id"]])


def test_the_alias_moves_only_from_the_champion_that_was_compared(
    lake: Lake, snapshot_id: str, candidate: dict[str, Any]
) -> None:
    second = train_candidate(lake, snapshot_id, PARAMS.model_copy(update={"seed": 5}), trained_at=NOW)
    one, two = candidate["model_id"], second["model_id"]
    with pytest.raises(UsageError, match="not in the registry"):
        tracking.move_champion(lake, "model-unheard-of", None)
    assert tracking.move_champion(lake, one, None).version == candidate["version"]
    assert tracking.champion_folder(lake) == Path(lake.root) / "models" / one
    with pytest.raises(UsageError, match=f"the champion is {one}, not unset"):
        tracking.move_champion(lake, two, None)
    assert tracking.move_champion(lake, one, None).model_id == one, "what is champion already stays"
    assert tracking.move_champion(lake, two, one).model_id == two
    champion = tracking.champion(lake)
    assert champion is not None and champion.model_id == two
    tracking.move_champion(lake, one, two)


def test_a_champion_without_its_folder_is_fetched_from_the_registry(
    lake: Lake, candidate: dict[str, Any], tmp_path: Path
) -> None:
    home = Path(lake.root) / "models" / candidate["model_id"]
    home.rename(tmp_path / "aside")
    try:
        registered = tracking.Registered(
            candidate["model_id"], candidate["version"], candidate["mlflow_run_id"]
        )
        found = tracking.fetched(lake, registered)
        for name in ("weights.safetensors", "config.json"):
            assert (found / name).read_bytes() == (tmp_path / "aside" / name).read_bytes()
    finally:
        (tmp_path / "aside").rename(home)


def test_candidate_and_champion_are_scored_on_the_same_frozen_samples(
    lake: Lake, snapshot_id: str, candidate: dict[str, Any]
) -> None:
    folder = Path(lake.root) / "snapshots" / snapshot_id
    model = tracking.model_folder(lake, candidate["model_id"])
    inline = score_snapshot(model, folder, candidate["model_id"], snapshot_id)
    step = ScoreSample(str(model), str(folder), candidate["model_id"], snapshot_id)
    tested = [row for row in read_manifest(folder) if row["split"] == "test"]
    mapped, failed = split_results(InlineEngine().map_rows(step, tested))
    assert failed == [] and mapped == inline and len(inline) == 8
    assert set(inline[0]) == set(TABLES["predictions"].schema.names)
    evaluations = score_slices(inline, read_manifest(folder), n_boot=100)
    (whole,) = [
        e for e in evaluations if (e["slice"], e["metric"], e["protocol"]) == ("all", "auc", "sample")
    ]
    assert whole["n"] == 8


def test_a_manifest_that_disagrees_with_its_shards_is_a_failure(
    lake: Lake, snapshot_id: str, candidate: dict[str, Any]
) -> None:
    folder = Path(lake.root) / "snapshots" / snapshot_id
    step = ScoreSample(str(tracking.model_folder(lake, candidate["model_id"])), str(folder), "m", "s")
    row = next(row for row in read_manifest(folder) if row["split"] == "test")
    rows, failed = split_results(InlineEngine().map_rows(step, [{**row, "n_items": 2}]))
    assert rows == [] and [one.reason for one in failed] == ["not_in_shard"]


@pytest.mark.slow
def test_the_logged_model_loads_as_a_pyfunc_and_scores_files(
    lake: Lake, candidate: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import pandas as pd

    from haetae.media.encode import write_wav

    rng = np.random.default_rng(0)
    tone = np.sin(np.arange(48_000) / 16_000 * 2 * np.pi * 220) * (0.3 + 0.2 * rng.random(48_000))
    write_wav(tmp_path / "tone.wav", tone.astype(np.float32))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.tracking_uri(lake))
    mlflow.set_tracking_uri(tracking.tracking_uri(lake))
    loaded = mlflow.pyfunc.load_model(candidate["uri"])
    found = loaded.predict(pd.DataFrame({"path": [str(tmp_path / "tone.wav")]}))
    assert list(found.columns) == ["verdict", "score", "video_score", "audio_score", "sync_score"]

    from haetae.detector.detect import inspect_file
    from haetae.detector.predict import Detector as Loaded

    own = inspect_file(Loaded.load(tracking.model_folder(lake, candidate["model_id"])), tmp_path / "tone.wav")
    assert found["score"][0] == pytest.approx(own.scores.score)
    assert found["verdict"][0] == own.verdict
    assert np.isnan(found["video_score"][0])
    with pytest.raises(Exception, match="path"):
        loaded.predict(pd.DataFrame({"file": ["x"]}))


def test_the_package_imports_without_the_heavy_ones() -> None:
    import subprocess

    code = (
        "import sys\n"
        "import haetae.dataset.split, haetae.dataset.prepare, haetae.dataset.shards, haetae.dataset.snapshot\n"
        "import haetae.detector.predict, haetae.detector.detect, haetae.detector.candidate, haetae.detector.tracking\n"
        "import haetae.evaluation.scorecard, haetae.evaluation.gate, haetae.evaluation.metrics\n"
        "heavy = {'torch', 'mlflow', 'sklearn', 'mediapipe', 'webdataset', 'dvc', 'timm', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
