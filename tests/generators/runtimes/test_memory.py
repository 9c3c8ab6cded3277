"""Short of memory, the same request is made with fewer frames at a time; what else goes wrong stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from generators.protocol import Card, FakeRequest, FakeResult
from generators.runtimes.memory import generate_within_memory, is_out_of_memory

Ask = Callable[..., FakeRequest]


@dataclass
class Hungry:
    """Wants `error()` raised above a number of frames at a time."""

    error: Callable[[], BaseException]
    most: int
    params: dict[str, Any] = field(default_factory=lambda: {"batch_frames": 16})
    asked: list[Any] = field(default_factory=list)

    @property
    def card(self) -> Card:
        told: Any = {"family": "diffusion", "modalities": ("video",), "description": "d", "intended_use": "t"}
        return Card(name="hungry", version="1", params=self.params, **told)

    def load(self, device: str) -> None: ...

    def generate(self, request: FakeRequest) -> FakeResult:
        size = request.params.get("batch_frames", self.params.get("batch_frames"))
        self.asked.append(size)
        if size is None or size > self.most:
            raise self.error()
        return FakeResult(())


def _cuda() -> BaseException:
    import torch

    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _host() -> BaseException:
    import torch

    try:
        torch.empty(1 << 58, dtype=torch.uint8)
    except RuntimeError as error:
        return error
    raise AssertionError("there was room for 2^58 bytes")


@pytest.mark.parametrize("error", [MemoryError, _cuda, _host])
def test_the_frames_at_a_time_are_halved_until_they_fit(ask: Ask, error: Callable[[], BaseException]) -> None:
    generator = Hungry(error, most=3)
    generate_within_memory(generator, ask())
    assert generator.asked == [16, 8, 4, 2]
    asked_for_less = FakeRequest(ask().target, 1, "ko", params={"batch_frames": 6})
    generator.asked.clear()
    generate_within_memory(generator, asked_for_less)
    assert generator.asked == [6, 3]
    assert asked_for_less.params == {"batch_frames": 6}


@pytest.mark.parametrize(("params", "asked"), [({"batch_frames": 4}, [4, 2, 1]), ({}, [None])])
def test_what_never_fits_says_so(ask: Ask, params: dict[str, Any], asked: list[int | None]) -> None:
    generator = Hungry(_cuda, most=0, params=params)
    with pytest.raises(MemoryError, match="CUDA out of memory"):
        generate_within_memory(generator, ask())
    assert generator.asked == asked


def test_another_error_is_not_tried_again(ask: Ask) -> None:
    generator = Hungry(lambda: RuntimeError("size mismatch"), most=0)
    with pytest.raises(RuntimeError, match="size mismatch"):
        generate_within_memory(generator, ask())
    assert generator.asked == [16]
    assert not is_out_of_memory(ValueError("cannot allocate memory"))
