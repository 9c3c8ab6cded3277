"""Which partition keys there should be: generators of the profile, and the snapshot of the present samples.

Nothing is added here: the sensors and the command line do that.
"""

from __future__ import annotations

from collections.abc import Sequence

from generators.registry import did_you_mean, installed
from haetae.dataset.shards import snapshot_id_of
from haetae.errors import UsageError
from haetae.lake import Lake
from haetae.params import Generate, Params


def wanted_generators(knobs: Generate, only: Sequence[str] = ()) -> list[str]:
    """Keys of the installed generators to run: those named, or all of the profile.

    Raises: UsageError for a name that no installed generator has, with the names there are.
    """
    cards = {key: maker.card for key, maker in installed().items()}
    profiles = {"embedded"} if knobs.profile == "embedded" else {"embedded", "full"}
    names = list(only) or list(knobs.generators)
    if not names:
        return sorted(key for key, card in cards.items() if card.profile in profiles)
    found = {name: [key for key, card in cards.items() if name in (key, card.name)] for name in names}
    if unknown := sorted(name for name, keys in found.items() if not keys):
        named = ", ".join(f"{name}{did_you_mean(name, cards)}" for name in unknown)
        raise UsageError(f"no generator {named} is installed; there are: {', '.join(sorted(cards))}")
    return sorted({key for keys in found.values() for key in keys})


def next_snapshot_id(lake: Lake, params: Params) -> str | None:
    """Key of the snapshot that the present samples make; None while there are none."""
    rows = lake.rows("samples")
    return snapshot_id_of(rows, params.dataset.model_dump(mode="json")) if rows else None
