"""The classes of generators that live elsewhere, by name, so that any process can import them.

    from generators.runtimes.stand_ins import invert_patch_1

Each call of one starts a worker for one request, which suits a trial; a batch is answered by one worker through
`elsewhere`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generators.protocol import Card, FakeRequest, FakeResult, Generator

if TYPE_CHECKING:
    from generators.runtimes.environments import Environment


def stand_in(card: Card, environment: Environment) -> type[Generator]:
    """A class with the card of a generator that lives in an environment, told to run there."""
    runtime = "pipes" if environment.kind == "interpreter" else "container"
    told = card.model_copy(update={"runtime": runtime})

    class StandIn:
        card = told

        def load(self, device: str) -> None:
            self.device = device

        def generate(self, request: FakeRequest) -> FakeResult:
            from generators.runtimes.drive import answer_one

            return answer_one(told, environment, request, self.device)

    StandIn.__module__ = __name__
    StandIn.__name__ = StandIn.__qualname__ = f"{card.name}_{card.version.replace('.', '_')}"
    return StandIn


def __getattr__(name: str) -> Any:
    from generators.registry import installed

    if not name.startswith("_"):
        for found in installed().values():
            if (found.__module__, found.__qualname__) == (__name__, name):
                return found
    raise AttributeError(f"no declared environment offers a generator called {name}")
