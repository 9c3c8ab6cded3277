"""Networks of transformers from a local folder: read whole or not at all, and run so that equal seeds give equal sound.

Which network it is, and where its folder comes from, is not known here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Torch with random numbers from a seed, on one thread and with deterministic algorithms.

    Sums over another number of threads round differently. The random state, the number of threads and the
    settings from before are put back.
    """
    import torch

    threads, tuned = torch.get_num_threads(), torch.backends.cudnn.benchmark
    was, warned = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed % 2**63)
            torch.set_num_threads(1)
            # Some of cuDNN's transposed convolutions have no deterministic form: these only warn.
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.backends.cudnn.benchmark = False
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(was, warn_only=warned)
        torch.backends.cudnn.benchmark = tuned


def at_16_khz(wave: NDArray[np.float32], from_hz: int) -> NDArray[np.float32]:
    """A waveform float32 [N] brought to 16 kHz and held in [-1, 1]."""
    from scipy.signal import resample_poly

    if from_hz != RATE_HZ:
        common = gcd(from_hz, RATE_HZ)
        wave = resample_poly(wave.astype(np.float64), RATE_HZ // common, from_hz // common)
    return np.asarray(np.clip(wave, -1.0, 1.0), np.float32)
