"""Making a fake within the memory there is: the same request again with fewer frames at a time.

What a generator does with a number of frames is its own matter; how a worker dies of memory is in `drive`.
"""

from __future__ import annotations

import gc
import sys
from dataclasses import replace

from generators.protocol import FakeRequest, FakeResult, Generator

BATCH = "batch_frames"
"""The parameter of a card that says how many frames go through a network at a time; it must not change the fake."""


def generate_within_memory(generator: Generator, request: FakeRequest) -> FakeResult:
    """`generator.generate(request)`, halving `batch_frames` each time the memory does not suffice.

    A generator without that parameter, or at one frame, is not asked again. Raises: MemoryError when it was
    not enough, and whatever else the generator raises.
    """
    size = request.params.get(BATCH, generator.card.params.get(BATCH))
    while True:
        try:
            return generator.generate(request)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if not isinstance(size, int) or isinstance(size, bool) or size <= 1:
                raise MemoryError(f"{type(error).__name__}: {error}") from error
            size //= 2
        # Only here is the failed attempt's traceback gone, and with it what its frames held.
        free_memory()
        request = replace(request, params={**request.params, BATCH: size})


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is of the host's or the accelerator's memory; torch is not imported to tell."""
    torch = sys.modules.get("torch")
    known: tuple[type[BaseException], ...] = (MemoryError,)
    if torch is not None:
        known += (torch.OutOfMemoryError,)
    # What a CPU allocation of torch that fails raises has no type of its own.
    said = isinstance(error, RuntimeError) and "allocate" in str(error) and "memory" in str(error)
    return isinstance(error, known) or said


def free_memory() -> None:
    """Give back what nobody refers to any more."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
