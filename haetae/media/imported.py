"""Items of public data sets on their way to `Fetch`: where they are, and what their data set states of them.

Reading a data set is in `haetae.importers`; what its statements mean for a clip is in `haetae.labels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
FOLDER_OF_FRAMES = "frames"


def with_statements(rows: Sequence[Row], imports: Sequence[Row], root_of: Mapping[str, str]) -> list[Row]:
    """Rows of `intake.fetch_rows`, those of data sets completed from their `imports` rows.

    root_of: folder of the data set, by source_id: items hold paths below it, so that it may be moved.
    """
    stated = {row["item_id"]: row for row in imports}
    return [
        _completed(row, stated[row["item_id"]], Path(root_of[row["source_id"]]))
        if row["item_id"] in stated
        else row
        for row in rows
    ]


def overall_verdict(statement: Mapping[str, Any]) -> str:
    """fake where any modality is; real where every stated one is; else unknown."""
    verdicts = {statement[f"{m}_verdict"] for m in ("video", "audio", "sync", "text")} - {None}
    if "fake" in verdicts:
        return "fake"
    return "real" if verdicts == {"real"} else "unknown"


def _completed(row: Row, stated: Row, root: Path) -> Row:
    return {
        **row,
        "address": _address(root, row["uri"], stated["form"]),
        "mask": str(root / stated["mask"]) if stated["mask"] else None,
        "text": stated["text"],
        # People are stated for this very item, as for a source that is one file.
        "kind": "file",
        "identities": stated["identities"],
        "language": stated["language"] or row["language"],
        "verdict": overall_verdict(stated),
        "generator": stated["generator"],
    }


def _address(root: Path, path: str, form: str) -> str:
    address = str(root / path)
    if form == FOLDER_OF_FRAMES and not address.endswith("/"):
        return f"{address}/"
    return address
