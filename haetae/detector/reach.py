"""How far the champion's verdicts reach: from which score on it calls a file fake, and what it has seen.

Its scores on the test split are in the scorecard.
"""

from __future__ import annotations

from haetae.audit.trace import champion_id
from haetae.dataset.snapshot import read_manifest
from haetae.errors import UsageError
from haetae.lake import Lake

_CHAMPION = (
    "SELECT threshold, p.snapshot_id FROM promotions p JOIN models USING (model_id) WHERE promotion_id = ?"
)


def caveat(lake: Lake) -> str:
    """One sentence: the champion's threshold, the samples it was trained on, and on what it can only guess.

    Raises: UsageError while there is no champion.
    """
    (one,) = lake.sql(_CHAMPION, [champion_id(lake)]).to_pylist()
    return f"fake from {one['threshold']:.3f} on; {_seen(lake, one['snapshot_id'])}"


def _seen(lake: Lake, snapshot_id: str) -> str:
    try:
        manifest = read_manifest(lake.local_path(f"snapshots/{snapshot_id}"))
    except (UsageError, OSError):
        return f"what it was trained on, {snapshot_id}, is not at hand: on media unlike that the verdict is a guess"
    seen = [row for row in manifest if row["split"] == "train"]
    untouched = sum(row["verdict"] == "real" for row in seen)
    sources = ", ".join(sorted({row["source_id"] for row in seen}))
    return (
        f"trained on {len(seen)} samples ({untouched} untouched) of {sources}: "
        "on media unlike these the verdict is a guess"
    )
