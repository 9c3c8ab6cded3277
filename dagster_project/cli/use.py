"""`haetae detect FILE`: what the champion says of one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dagster_project.cli.console import out_console
from dagster_project.cli.read import Json, print_json
from dagster_project.cli.state import state_of
from haetae.lake import Lake

_LEARNED = """
SELECT m.threshold, count(*) AS n, count(*) FILTER (s.verdict = 'real') AS untouched,
  string_agg(DISTINCT s.source_id, ', ') AS sources
FROM promotions p JOIN models m USING (model_id) JOIN snapshots t ON t.snapshot_id = p.snapshot_id
JOIN samples s ON s.split = 'train'
WHERE p.promoted GROUP BY m.threshold, t.created_at ORDER BY t.created_at DESC LIMIT 1
"""


def _what_it_learned(lake: Lake) -> str:
    """How far the verdict reaches: its threshold, and what the champion was trained on."""
    rows = lake.sql(_LEARNED).to_pylist()
    if not rows:
        return ""
    one = rows[0]
    return (
        f"fake from {one['threshold']:.3f} on; trained on {one['n']} samples ({one['untouched']} untouched) of "
        f"{one['sources']}: on media unlike these the verdict is a guess"
    )


def detect(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A video or audio file.")],
    as_json: Json = False,
) -> None:
    """Verdict, score per modality, boxes and segments for one file, by the champion."""
    from haetae.detector.detect import detect_file

    state = state_of(context)
    found = detect_file(state.filled_lake, file, state.params)
    if as_json:
        print_json(found)
        return
    console = out_console()
    console.print(
        f"{file.name}: {found['verdict']} (score {found['score']:.3f})", style="bold", highlight=False
    )
    table = Table("modality", "score")
    for name, score in found["modalities"].items():
        table.add_row(name, "absent" if score is None else f"{score:.3f}")
    console.print(table)
    for track in found["tracks"]:
        console.print(
            f"face {track['track_id']}: {track['score']:.3f}, {len(track['boxes'])} boxes", highlight=False
        )
    for one in found["segments"]:
        span = f"{one['start_s']:.2f}–{one['end_s']:.2f} s"
        console.print(f"{one['modality']}: {span} ({one['score']:.3f})", highlight=False)
    console.print(_what_it_learned(state.lake), style="dim", highlight=False)
    for language, caption in found["captions"].items():
        console.print(f"{language}: {caption}", highlight=False)
