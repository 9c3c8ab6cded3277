"""Writes the newest snapshot's scorecard as nested JSON, for `dvc metrics show` and `dvc metrics diff`.

How the figures are computed is haetae.evaluation's business; they are only read here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from haetae.lake import Lake

SCORECARD = """
    SELECT protocol, metric, slice, value
    FROM evaluations
    WHERE model_id = (
        SELECT model_id FROM models JOIN snapshots USING (snapshot_id)
        ORDER BY created_at DESC, trained_at DESC LIMIT 1
    ) AND value IS NOT NULL
    ORDER BY protocol, metric, slice
"""


def scorecard(lake: Lake) -> dict[str, dict[str, dict[str, float]]]:
    """{protocol: {metric: {slice: value}}} of the newest candidate; undefined values are left out."""
    nested: dict[str, dict[str, dict[str, float]]] = {}
    rows: list[dict[str, Any]] = lake.sql(SCORECARD).to_pylist()
    for row in rows:
        nested.setdefault(row["protocol"], {}).setdefault(row["metric"], {})[row["slice"]] = row["value"]
    return nested


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: scorecard_metrics.py LAKE OUTPUT.json", file=sys.stderr)
        return 2
    found = scorecard(Lake(arguments[0]))
    if not found:
        print(f"{arguments[0]} has no scorecard; make one: haetae --lake {arguments[0]} run", file=sys.stderr)
        return 2
    target = Path(arguments[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
