"""Branch logits of whole items: what validation, calibration and scoring start from.

Nothing is drawn or augmented here, and nothing is calibrated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from haetae.dataset.items import MODALITIES, Item
from haetae.detector.batches import collate
from haetae.detector.config import ModelConfig
from haetae.detector.model import DetectorNet


def branch_logits(
    net: DetectorNet, items: Sequence[Item], config: ModelConfig, device: str = "cpu"
) -> NDArray[np.float64]:
    """Logits of whole items, unaugmented: float64 [N, 3] in the order of MODALITIES, NaN where absent."""
    net.eval()
    found = np.full((len(items), len(MODALITIES)), np.nan)
    with torch.inference_mode():
        # One by one: padding to the longest of a batch would change what the shorter ones score.
        for i, item in enumerate(items):
            batch, _ = collate([item], config)
            clip = net(batch.to(device)).clip.cpu().double().numpy()
            found[i] = np.where(batch.present.numpy(), clip, np.nan)[0]
    return found
