"""Ctrl-C and SIGTERM while Dagster holds the signals: none is forgotten.

Dagster delays them to the steps' own code, forgets those that come after the last step, and starts a step with a
retry policy again although a person stopped it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

STOPS = {signal.SIGINT, signal.SIGTERM}


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end where one of the signals came within, whoever took it.

    For the main thread only, as all signals.
    """
    heard, told = os.pipe()
    os.set_blocking(heard, False)
    os.set_blocking(told, False)
    usual = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    try:
        yield
        if STOPS & set(_all_of(heard)):
            raise KeyboardInterrupt
    finally:
        signal.set_wakeup_fd(usual)
        os.close(heard)
        os.close(told)


def _all_of(pipe: int) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return os.read(pipe, 1 << 16)
    return b""
