"""`haetae gallery`: a page that plays targets and their fakes side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.choosing import check_generator
from dagster_project.cli.console import error_console
from dagster_project.cli.read import Json, print_json
from dagster_project.cli.state import state_of

if TYPE_CHECKING:
    from haetae.web.exhibits import Exhibit


def gallery(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="An .html file below gallery/ of the lake; default: index.html there, or where a generator or a "
            "language is chosen a page of that name: mesh_swap-ko.html.",
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
    if generator is not None:
        check_generator(state.filled_lake, generator)
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
    told = (
        f"{len(made.exhibits)} of {made.of} fakes, {_missed(made.exhibits)}; unmarked: keep it in the store"
    )
    error_console().print(told, highlight=False)


def _missed(exhibits: Sequence[Exhibit]) -> str:
    """How many miss a threshold of `quality.fakes`, and which."""
    which = Counter(miss.rule.threshold for one in exhibits for miss in one.missed)
    if not which:
        return "none misses a threshold of quality.fakes"
    names = ", ".join(f"{name} ×{n}" for name, n in which.most_common())
    return f"{sum(bool(one.missed) for one in exhibits)} missing a threshold of quality.fakes ({names})"
