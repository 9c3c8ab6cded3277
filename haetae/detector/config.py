"""What a detector is built and trained with. Light: nothing here imports torch.

The knobs a person turns are in `params.detector`; `train_config` maps them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from haetae.params import Dataset, Detector


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(_Frozen):
    """The architecture, and what its input must look like."""

    backbone: str = "haetae_small"
    """`haetae_small`, or the name of any timm model that gives feature maps."""
    crop_px: int = Field(128, ge=64, le=512)
    crop_scale: float = Field(1.3, ge=1.0, le=3.0)
    n_frames: int = Field(16, ge=1, le=256)
    n_mels: int = Field(64, ge=8, le=256)


class TrainConfig(_Frozen):
    """How it is trained; all of it is part of what makes the weights."""

    epochs: int = Field(30, ge=1)
    batch_size: int = Field(8, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    frames_per_step: int = Field(3, ge=1)
    """Crops of an item seen in one epoch; another draw each epoch."""
    min_steps: int = Field(10, ge=1)
    """Steps of an epoch at least: a small data set is gone through several times, drawn anew each time."""
    self_blends: float = Field(0.5, ge=0, le=1)
    """Share of the fakes in an epoch that show self-blended crops of an untouched face instead of their own."""
    audio_crop_s: float = Field(4.0, gt=0)
    patience: int = Field(8, ge=1)
    """Epochs without improvement on the val split of any branch before training ends."""
    max_minutes: float = Field(4.0, gt=0)
    region_weight: float = Field(2.0, ge=0)
    frame_weight: float = Field(1.0, ge=0)
    seed: int = Field(0, ge=0)
    threads: int = Field(1, ge=1)


class Calibration(_Frozen):
    """Fixed on the val split: how branch logits become probabilities, and the verdict's threshold."""

    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)
    threshold: float = Field(0.5, ge=0, le=1)


class SavedConfig(_Frozen):
    """`config.json` beside the weights."""

    format: int = 1
    model: ModelConfig
    calibration: Calibration = Calibration()


def model_config(dataset: Dataset, detector: Detector, n_mels: int = 64) -> ModelConfig:
    """The architecture that fits the items which these dataset parameters make."""
    return ModelConfig(
        backbone=detector.backbone,
        crop_px=dataset.crop_px,
        crop_scale=dataset.crop_scale,
        n_frames=dataset.frames_per_item,
        n_mels=n_mels,
    )


def train_config(detector: Detector, seed: int = 0) -> TrainConfig:
    """The training parameters of a section of `params.yaml`."""
    return TrainConfig(**detector.model_dump(exclude={"backbone"}), seed=seed)
