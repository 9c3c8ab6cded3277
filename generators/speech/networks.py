"""Networks of transformers from a local folder: read whole or not at all, and run so that equal seeds give equal sound.

Which network it is, and where its folder comes from, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haetae.errors import UsageError
from haetae.provenance.policy import meet
from haetae.voice.level import RATE_HZ

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
"""Under these names transformers looks for the tensors of a model; the second is read with `weights_only`."""


def tensor_file(names: Iterable[str]) -> str:
    """Which of `WEIGHT_FILES` is among these names; the first where none is."""
    given = set(names)
    return next((name for name in WEIGHT_FILES if name in given), WEIGHT_FILES[0])


def strictest(licences: Iterable[str]) -> str:
    """The licence of a card whose networks have these; of equally strict ones the first in the alphabet.

    A fake inherits those of all files besides, so none of them is lost.
    """
    return meet(list(licences)).split(" AND ")[0]


def read_part(kind: Any, folder: Path, what: str) -> Any:
    """A tokenizer, a feature extractor or the like of a folder; nothing is fetched, no code of the folder is run.

    Raises: UsageError saying which folder holds no readable `what`.
    """
    try:
        made = kind.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise _unreadable(folder, what, error) from error
    if not isinstance(made, kind):  # a broken SentencePiece model gives False
        raise UsageError(f"{folder} holds no {what} that can be read: a file of it is damaged")
    return made


def read_model(kind: Any, folder: Path, what: str, device: str) -> Any:
    """A model, every tensor of which comes from the folder, ready for use on `device`.

    Raises: UsageError for a folder without weights, with unreadable ones, or with those of another network:
    transformers would fill what is missing with random numbers.
    """
    import torch

    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        raise UsageError(
            f"{folder} holds no {' nor '.join(WEIGHT_FILES)}; put the files of one {what} checkpoint there"
        )
    try:
        model, told = kind.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    except Exception as error:
        raise _unreadable(folder, f"{what} model", error) from error
    if lacking := sorted(map(str, [*told["missing_keys"], *told["mismatched_keys"]])):
        raise UsageError(
            f"{folder}: its weights do not fill the {what} model of its config.json; {len(lacking)} tensors are"
            f" not there, {lacking[0]} first: the files are not of one checkpoint"
        )
    return model.to(device).eval()


def _unreadable(folder: Path, what: str, error: Exception) -> UsageError:
    first = " ".join(str(error).split())[:300]
    return UsageError(f"{folder} holds no {what} that can be read: {first}")


def at_16_khz(wave: NDArray[np.float32], from_hz: int) -> NDArray[np.float32]:
    """A waveform float32 [N] brought to 16 kHz and held in [-1, 1]."""
    from scipy.signal import resample_poly

    if from_hz != RATE_HZ:
        common = gcd(from_hz, RATE_HZ)
        wave = resample_poly(wave.astype(np.float64), RATE_HZ // common, from_hz // common)
    return np.asarray(np.clip(wave, -1.0, 1.0), np.float32)
