"""The official splits of public data sets, checked: no person and no recording may be in two of them.

How splits are given where there is no official one is in `split`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from haetae.dataset.split import STRONGEST_FIRST, Forest


def keys_of(statement: Mapping[str, Any]) -> list[str]:
    """What links an item of a data set to others: itself, the item it was made from, and the people in it."""
    pair = statement["pair_item_id"]
    return [
        f"item:{statement['item_id']}",
        *([f"item:{pair}"] if pair else []),
        *(f"identity:{name}" for name in statement["identities"]),
    ]


def checked_splits(statements: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str | None, str | None]]:
    """Split that each item may be in, and, where it may not be in its own, the reason.

    statements: all `imports` rows of one data set. Items linked by person or pair share one split: the
    official one, or the strongest of several. An item whose official split is another is left out: its
    twin or its person is in the benchmark that others report on.
    """
    forest = Forest()
    for row in statements:
        forest.join(keys_of(row))
    stated: dict[str, set[str]] = defaultdict(set)
    for row in statements:
        if row["split"]:
            stated[forest.find(keys_of(row)[0])].add(row["split"])
    found: dict[str, tuple[str | None, str | None]] = {}
    for row in statements:
        splits = stated[forest.find(keys_of(row)[0])]
        kept = _strongest(splits)
        if row["split"] in (None, kept):
            found[row["item_id"]] = kept, None
        else:
            others = ", ".join(sorted(splits - {row["split"]}))
            found[row["item_id"]] = None, f"official split {row['split']}, but linked to items in {others}"
    return found


def _strongest(splits: Iterable[str]) -> str | None:
    present = set(splits)
    return next((split for split in STRONGEST_FIRST if split in present), None)
