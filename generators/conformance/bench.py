"""`check`: try a generator on synthetic clips, in processes of its own, and report which rules it keeps.

What is tried is told in `trials`, and what is judged in `rules`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from generators.conformance.clips import QUICK, Filmed, Size, film
from generators.conformance.report import Report
from generators.conformance.rules import Case, judge
from generators.conformance.runner import Heard, Job, run
from generators.conformance.trials import clips_wanted, trials_of
from generators.protocol import Card, Generator
from generators.registry import card_digest, find
from haetae.engine import Engine
from haetae.errors import UsageError

Tell = Callable[[str], None]
"""Told what is being tried."""


def check(
    generator: str | type[Generator],
    *,
    size: Size = QUICK,
    clips: int | None = None,
    device: str = "cpu",
    engine: Engine | None = None,
    tell: Tell = lambda _: None,
) -> Report:
    """Whether a generator keeps the rules of the bench.

    generator: its key, `name@version`, or its class, which must be importable by its name; size: how much is
    filmed and asked; clips: talking clips to make fakes of (None: one per language, two where words matter);
    engine: films the clips.
    Raises: UsageError for a class that cannot be imported, or a generator that says at loading what is missing.

        def test_it_keeps_the_rules() -> None:
            check(MyGenerator).raise_if_broken()
    """
    maker = find(generator) if isinstance(generator, str) else generator
    started = time.monotonic()
    card = _card(maker)
    tell("filming clips")
    filmed = film(clips_wanted(card, clips), size, engine)
    case = _tried(maker, card, filmed, size, device, tell)
    return Report(card.key, card_digest(card), size.name, judge(case), round(time.monotonic() - started, 1))


def _tried(
    maker: type[Generator], card: Card, filmed: dict[str, Filmed], size: Size, device: str, tell: Tell
) -> Case:
    trials = tuple(trials_of(card, filmed, size))
    usual = [trial for trial in trials if trial.about == "languages"]
    with tempfile.TemporaryDirectory(prefix="haetae-conformance-") as folder:
        job = Job(
            maker=_name_of(maker),
            trials=trials,
            clips={name: one.path for name, one in filmed.items()},
            limit_s=size.limit_s,
            repeat=tuple(trial.name for trial in usual[:2]),
            later=tuple(usual[:1]),
            effort=size.effort,
            hash_seed=1,
            device=device,
        )
        here = run(job, Path(folder), tell)
        there = Heard()
        if usual and size.two_processes and not here.not_loaded:
            # In another order: what a generator keeps from one request to the next must not show.
            again = (usual[-1], usual[0]) if len(usual) > 1 else (usual[0],)
            again_job = replace(job, trials=again, repeat=(), later=(), hash_seed=4242)
            there = run(again_job, Path(folder), lambda what: tell(f"{what}, in a second process"))
    return Case(card, trials, here, there, size.limit_s)


def _card(maker: type[Generator]) -> Card:
    card = getattr(maker, "card", None)
    if not isinstance(card, Card):
        raise UsageError(f"{maker!r} has no class attribute `card` of type generators.protocol.Card")
    return card


def _name_of(maker: type[Generator]) -> str:
    if "<locals>" in maker.__qualname__ or maker.__module__ == "__main__":
        raise UsageError(
            f"{maker.__qualname__} cannot be imported by another process; define it at the top of a module"
        )
    return f"{maker.__module__}:{maker.__qualname__}"
