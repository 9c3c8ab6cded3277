"""`haetae gallery`: a page that plays targets and their fakes side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dagster_project.cli.console import error_console
from dagster_project.cli.read import Json, print_json
from dagster_project.cli.state import state_of


def gallery(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="An .html file below gallery/ of the lake; default: gallery/index.html there."
        ),
    ] = None,
    generator: Annotated[
        str | None, typer.Option("--generator", help="Only fakes of this one: name, or name@version.")
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", help="Only fakes in ko, en-SG, ms, ta or other.")
    ] = None,
    n: Annotated[
        int,
        typer.Option("--n", min=1, max=200, help="Most fakes, dealt evenly over generators and languages."),
    ] = 24,
    as_json: Json = False,
) -> None:
    """Write a page that plays fakes beside their targets, in step, with what was changed, and say where it is."""
    from generators.registry import installed
    from haetae.web.gallery import write_gallery

    state = state_of(context)
    cards = {key: maker.card.model_dump(mode="json") for key, maker in installed().items()}
    made = write_gallery(
        state.filled_lake,
        state.params.quality.fakes,
        cards,
        out=out,
        generator=generator,
        language=language,
        n=n,
    )
    if as_json:
        print_json({"page": str(made.page), "of": made.of, "fakes": [one.as_json() for one in made.exhibits]})
        return
    typer.echo(made.page)
    missed = sum(bool(one.missed) for one in made.exhibits)
    told = (
        f"{len(made.exhibits)} of {made.of} fakes, {missed} over a threshold; unmarked: keep it in the store"
    )
    error_console().print(told, highlight=False)
