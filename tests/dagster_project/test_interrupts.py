"""Ctrl-C is kept, whoever takes the signal and whatever Dagster would make of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from assets.crawl import not_again_when_stopped
from dagster_project.interrupts import interrupts_kept


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_somebody_else_took_is_raised_at_the_end(number: signal.Signals) -> None:
    usual = signal.signal(number, lambda *_: None)
    done = []
    try:
        with pytest.raises(KeyboardInterrupt):
            told_while(done.append, number)
    finally:
        signal.signal(number, usual)
    assert done == ["all of it"]


def test_without_a_signal_nothing_is_raised_and_the_next_block_hears_nothing_of_before() -> None:
    with pytest.raises(KeyboardInterrupt):
        told_while(lambda _: time.sleep(0.2), signal.SIGINT)
    with interrupts_kept():
        os.getpid()


def told_while(work: Callable[[Any], Any], number: signal.Signals) -> None:
    with interrupts_kept():
        os.kill(os.getpid(), number)
        work("all of it")


def test_a_stopped_fetch_is_not_tried_again() -> None:
    tries = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=2, delay=0))
    def fetched() -> None:
        tries.append(1)
        with not_again_when_stopped():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt), interrupts_kept():
        dg.materialize([fetched], raise_on_error=False)
    assert tries == [1]
