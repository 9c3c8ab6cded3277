"""Running networks so that equal input gives equal output, with the settings of the process left as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np


@contextmanager
def repeatable(seed: int | None = None, device: str | None = None) -> Iterator[None]:
    """Torch on one thread, since sums over another number of threads round differently, and without racing algorithms.

    seed: for what draws from the random numbers of torch, as new networks do for their first weights, or of NumPy, as
    some of transformers' do at every call; the random states are put back afterwards. None: they are left alone.
    device: where all of it runs; on the CPU an algorithm without a deterministic form is then an error. Elsewhere, and
    where it is not told, it warns, as some of cuDNN's transposed convolutions do.
    """
    import torch

    threads, on_gpu = torch.get_num_threads(), torch.cuda.is_available()
    strict = device is not None and torch.device(device).type == "cpu"
    was = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    if on_gpu:
        # cuBLAS reads it when its first handle is made.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with ExitStack() as stack:
        if seed is not None:
            stack.enter_context(torch.random.fork_rng(devices=range(torch.cuda.device_count())))
            stack.callback(np.random.set_state, np.random.get_state())
            torch.manual_seed(seed % 2**63)
            np.random.seed(seed % 2**32)
        try:
            torch.set_num_threads(1)
            torch.use_deterministic_algorithms(True, warn_only=not strict)
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(was, warn_only=warned)
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
