"""`haetae detect FILE`: what the champion says of one file, and which marks it carries."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dagster_project.cli.console import Show, error_console, out_console
from dagster_project.cli.marks import trusted
from dagster_project.cli.read import Json, print_json
from dagster_project.cli.state import State, state_of
from haetae.engine import Failed, Result
from haetae.errors import UsageError


def detect(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A video or audio file.")],
    as_json: Json = False,
) -> None:
    """Verdict, score per modality, boxes and segments for one file, by the champion."""
    from haetae.detector.detect import check_file, detect_file

    state = state_of(context)
    lake, params = state.filled_lake, state.params
    check_file(file)
    show = Show(error_console())
    with _glancing(state, file) as glance, show.showing():
        show.begin("detect", [escape(str(file))])
        found = detect_file(lake, file, params, show.moment)
        found["marks"] = _read(glance)
    if as_json:
        print_json(found)
        return
    _print_finding(state, file, found)


@contextmanager
def _glancing(state: State, file: Path) -> Iterator[Future[Result]]:
    """A glance at the marks of a file in a process of its own, while the detector is at work in this one."""
    from haetae.engine import PoolEngine
    from haetae.marks.glance import MEMORY_BYTES, GlanceAtMarks

    try:
        anchors = trusted(state)
    except UsageError:
        anchors = None  # what is wrong with them is for `verify` and `export` to say
    engine = PoolEngine(1, memory_bytes=MEMORY_BYTES)
    try:
        with ThreadPoolExecutor(1) as beside:
            rows = [{"path": str(file.absolute())}]
            yield beside.submit(lambda: next(iter(engine.map_rows(GlanceAtMarks(anchors), rows))))
    finally:
        engine.close()


def _read(glance: Future[Result]) -> dict[str, Any]:
    from haetae.marks.glance import Glance

    result = glance.result()
    if isinstance(result, Failed):
        return Glance(looked=False).as_json()
    (row,) = result.rows
    return row


def _print_finding(state: State, file: Path, found: dict[str, Any]) -> None:
    console = out_console()
    marks = found["marks"]
    verify = f"haetae --lake {shlex.quote(state.lake_root)} verify {shlex.quote(str(file))}"
    is_ours = bool(marks["fake_id"]) and not marks["doubts"]
    if is_ours:
        _print_marks(console, marks, verify)
    console.print(_verdict(file, found, is_ours), style="bold", highlight=False, markup=False)
    if not is_ours:
        _print_marks(console, marks, verify)
    table = Table("modality", "score")
    for name, score in found["modalities"].items():
        missing = "not judged" if name == "text" else "absent"
        table.add_row(name, missing if score is None else f"{score:.3f}")
    console.print(table)
    console.print(_how_fused(found), style="dim", highlight=False)
    for track in found["tracks"]:
        console.print(
            f"face {track['track_id']}: {track['score']:.3f}, {len(track['boxes'])} boxes", highlight=False
        )
    for one in found["segments"]:
        span = f"{one['start_s']:.2f}–{one['end_s']:.2f} s"
        console.print(f"{one['modality']}: {span} ({one['score']:.3f})", highlight=False)
    console.print(found["caveat"], style="dim", highlight=False, markup=False)
    for language, caption in found["captions"].items():
        console.print(f"{language}: {caption}", highlight=False)


def _verdict(file: Path, found: dict[str, Any], is_ours: bool) -> str:
    """What the detector says, which is not the last word on a file whose signed mark says that it is a fake."""
    said = f"{found['verdict']} (score {found['score']:.3f})"
    if not is_ours:
        return f"{file.name}: {said}"
    only_text = list(found["marks"]["modalities"]) == ["text"]
    unjudged = "; its subtitles were changed, which the detector does not judge" if only_text else ""
    return f"the detector alone says: {said}{unjudged}"


def _print_marks(console: Console, marks: dict[str, Any], verify: str) -> None:
    """One line on the marks that could be read at a glance, with the command that reads all of them."""
    fake_id, style = marks["fake_id"], "yellow"
    made = f", made by {marks['generator']}" if marks["generator"] else ""
    if fake_id and not marks["doubts"]:
        said = f"this file carries Haetae's marks: it is {fake_id}{made}"
    elif fake_id:
        said = f"this file carries Haetae's marks, those of {fake_id}{made}, but {marks['doubts'][0]}"
    elif marks["synthetic"]:
        said = "the C2PA manifest of this file declares it synthetic"
    else:
        looked = "no signed mark of Haetae" if marks["looked"] else "marks were not looked for"
        said, style = f"{looked}; watermarks are not read here", "dim"
    console.print(f"{said}; all marks: {verify}", style=style, highlight=False, markup=False, soft_wrap=True)


def _how_fused(found: dict[str, Any]) -> str:
    """How the score comes of those of the modalities; with several clips, those of the most suspicious one."""
    each = [f"{score:.3f}" for score in found["modalities"].values() if score is not None]
    if len(each) == 1:
        return "the score is that of the one modality that could be judged"
    product = "".join(f"(1 - {score})" for score in each)
    return (
        f"score = 1 - {product}: the chance that at least one of them is fake, were they independent, "
        "so never below the highest"
    )
