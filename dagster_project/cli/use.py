"""`haetae detect FILE`: what the champion says of one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dagster_project.cli.console import out_console
from dagster_project.cli.read import Json, print_json
from dagster_project.cli.state import state_of
from haetae.audit.trace import champion_id
from haetae.lake import Lake

_CHAMPION = (
    "SELECT threshold, p.snapshot_id FROM promotions p JOIN models USING (model_id) WHERE promotion_id = ?"
)


def _what_it_learned(lake: Lake) -> str:
    """How far the verdict reaches: the champion's threshold, and what it was trained on in its own snapshot."""
    from haetae.dataset.snapshot import read_manifest

    (one,) = lake.sql(_CHAMPION, [champion_id(lake)]).to_pylist()
    manifest = read_manifest(lake.local_path(f"snapshots/{one['snapshot_id']}"))
    seen = [row for row in manifest if row["split"] == "train"]
    untouched = sum(row["verdict"] == "real" for row in seen)
    sources = ", ".join(sorted({row["source_id"] for row in seen}))
    return (
        f"fake from {one['threshold']:.3f} on; trained on {len(seen)} samples ({untouched} untouched) of "
        f"{sources}: on media unlike these the verdict is a guess"
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
