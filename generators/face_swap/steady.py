"""Computing that gives equal results for equal seeds, and leaves the settings of the process as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def steady(device: str, seed: int = 0) -> Iterator[None]:
    """Torch on one thread and with deterministic algorithms; its random states are put back afterwards.

    Networks draw their first weights from torch's own random numbers, which are seeded within. One thread: sums over
    a different number of threads round differently. On a GPU the threads of the CPU play no part in the results.
    """
    threads = torch.get_num_threads()
    was, warned = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    tuned = torch.backends.cudnn.benchmark
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        # Read by cuBLAS when it starts; it is what its deterministic mode asks for.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_gpu else []):
            torch.manual_seed(seed % 2**63)
            torch.set_num_threads(1)
            torch.use_deterministic_algorithms(True, warn_only=on_gpu)
            torch.backends.cudnn.benchmark = False
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(was, warn_only=warned)
        torch.backends.cudnn.benchmark = tuned
