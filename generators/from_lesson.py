"""What generators share whose network is read from what they learned: where the file lies, and when it is read.

How they learn, and what network that is, is theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

from generators.learned_file import has_not_learned
from generators.protocol import Card

Network = TypeVar("Network")


class FromLesson(Generic[Network]):
    """A generator that learns. Its class has a `card`, and says in `read` how a file becomes a network."""

    card: Card

    def __init__(self) -> None:
        self._weights: Path | None = None
        self._network: Network | None = None

    def read(self, weights: Path, device: str) -> Network:
        """The network of a file. Raises: UsageError for a file that is not of this generator."""
        raise NotImplementedError

    def use(self, weights: Path) -> None:
        """The file of what was learned, here or elsewhere; read by `load`."""
        self._weights, self._network = weights, None

    def load(self, device: str) -> None:
        """Read what was learned. Raises: UsageError before `use`, and as `read`."""
        if self._weights is None:
            raise has_not_learned(self.card)
        self._network = self.read(self._weights, device)

    @property
    def network(self) -> Network:
        """What was loaded. Raises: RuntimeError before `load`."""
        if self._network is None:
            raise RuntimeError(f"{self.card.key} is not loaded")
        return self._network
