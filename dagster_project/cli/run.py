"""`haetae run`, `haetae refresh`, `haetae sample`: make the lake current with its sources, bring a new generator
into it, and render the embedded sample."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.console import Show, error_console, out_console
from dagster_project.cli.state import State, state_of
from haetae.engine import PoolEngine
from haetae.lake import Lake
from haetae.media.intake import SourcesFiles
from haetae.params import Params

if TYPE_CHECKING:
    from dagster_project.refresh import Outcome, Refresh


def run(
    context: typer.Context,
    sources: Annotated[
        list[Path] | None,
        typer.Option(
            "--sources",
            help="A sources file; may be given more than once. Without it: those that the lake has; in a new "
            "lake, the embedded sample.",
        ),
    ] = None,
    until: Annotated[
        str, typer.Option("--until", help="Last stage to compute: the name of an asset.")
    ] = "champion",
    generators: Annotated[
        str, typer.Option("--generators", help="Comma-separated names; default: all of the profile.")
    ] = "",
    profile: Annotated[str | None, typer.Option("--profile", help="embedded or full.")] = None,
) -> None:
    """Bring the lake up to date: from sources to a promoted detector, doing only what is missing.

    A candidate that is not promoted is a result, with exit code 0: the gate's limits are `promote` in params.yaml.
    """
    from dagster_project.refresh import closure
    from dagster_project.wanted import wanted_generators

    state = state_of(context)
    params = _with_profile(state.params, profile)
    only = [name.strip() for name in generators.split(",") if name.strip()]
    if {"lessons", "fakes"} & set(closure(until)):
        wanted_generators(params.generate, only)

    def work(pass_: Refresh, engine: PoolEngine, show: Show) -> Outcome:
        paths = sources or _known_sources(state.lake)
        if paths is None:
            paths = [_embedded_sample(state, params, engine, show)]
        return pass_.run(paths, until, only)

    carry_out(state, params, work)


def refresh(
    context: typer.Context,
    generator: Annotated[
        list[str],
        typer.Option("--generator", help="Name, or name@version; may be given more than once."),
    ],
    until: Annotated[
        str, typer.Option("--until", help="Last stage to compute: fakes, labels, samples, … champion.")
    ] = "champion",
) -> None:
    """Bring a new generator into a lake: its fakes of all that is there, the data set, the detector; nothing else.

    A candidate that is not promoted is a result, with exit code 0: the gate's limits are `promote` in params.yaml.
    """
    from dagster_project.wanted import wanted_generators

    state = state_of(context)
    state.must_be_filled()
    wanted_generators(state.params.generate, generator)
    carry_out(state, state.params, lambda pass_, _engine, _show: pass_.run_generators(generator, until))


def carry_out(state: State, params: Params, work: Callable[[Refresh, PoolEngine, Show], Outcome]) -> None:
    """Do one pass over the graph as the only writer of the lake, then say what came of it."""
    from dagster_project.cli.summary import print_summary
    from dagster_project.instance import instance_of, only_writer
    from dagster_project.refresh import Refresh
    from dagster_project.resources import pool_of
    from haetae.web.report import write_report

    show = Show(error_console())
    engine = pool_of(params, show.moment)
    started = time.monotonic()
    try:
        with only_writer(state.lake), show.showing():
            state.lake.files.sweep()
            try:
                with instance_of(state.lake) as instance:
                    outcome = work(Refresh(state.lake, params, engine, instance, show.begin), engine, show)
            finally:
                engine.close()
            report = write_report(state.lake) if state.lake.partitions("labels") else None
    except KeyboardInterrupt:
        error_console().print("stopped; run the same command again to go on where it was", highlight=False)
        sys.exit(130)
    print_summary(out_console(), state, outcome, report, time.monotonic() - started)
    if outcome.errors:
        sys.exit(1)
    if outcome.refused:
        sys.exit(3)


def sample(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to write the clips and their sources.yaml.")],
) -> None:
    """Render the embedded sample: short clips of synthetic talking people, and a sources.yaml for them."""
    from dagster_project.resources import pool_of
    from haetae.sample.render import render_sample

    state = state_of(context)
    show = Show(error_console())
    engine = pool_of(state.params, show.moment)
    with show.showing():
        try:
            report = render_sample(folder, engine=engine, **_look(state.params))
        finally:
            engine.close()
    console = out_console()
    console.print(f"{len(report.files)} files in {folder}; run them with:", highlight=False)
    console.print(f"  haetae --lake LAKE run --sources {folder / 'sources.yaml'}", highlight=False)


def _known_sources(lake: Lake) -> list[Path] | None:
    """The sources files that a lake with media of somebody goes on with; None for a new lake or one of the sample.

    Imports and reports declare their sources without a file.
    """
    sample = (lake.local_path("sample") / "sources.yaml").resolve()
    declared = {Path(row["declared_by"]) for row in lake.rows("sources")} - {sample}
    if not declared and not lake.partitions("reports"):
        return None
    return [path for path in SourcesFiles().paths(lake) if path != sample]


def _embedded_sample(state: State, params: Params, engine: PoolEngine, show: Show) -> Path:
    from haetae.sample.render import render_sample

    folder = state.lake.local_path("sample")
    if not (folder / "sources.yaml").exists():
        show.begin("embedded sample", ["talking clips in four languages"])
    render_sample(folder, engine=engine, **_look(params))
    return folder / "sources.yaml"


def _look(params: Params) -> dict[str, Any]:
    return {"seed": params.seed, "clip_s": params.sample.clip_s, "size_px": params.sample.size_px}


def _with_profile(params: Params, profile: str | None) -> Params:
    if profile is None:
        return params
    from haetae.params import parse_params

    found = params.model_dump(mode="json")
    found["generate"]["profile"] = profile
    return parse_params(found, "--profile")
