"""One small training for all tests that only look at its outcome."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import synthetic

from haetae.detector.config import ModelConfig, TrainConfig
from haetae.detector.train import Trained, train

MODEL = ModelConfig(crop_px=synthetic.CROP_PX, n_frames=synthetic.N_FRAMES, n_mels=synthetic.N_MELS)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Other tests run beside these."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model() -> ModelConfig:
    return MODEL


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained for nine epochs on 48 items whose changes can be seen and heard."""
    folder = tmp_path_factory.mktemp("trained")
    config = TrainConfig(epochs=9, batch_size=8, learning_rate=3e-3)
    return train(
        synthetic.dataset(48, "train"), synthetic.dataset(24, "val", first=100), folder, MODEL, config
    )
