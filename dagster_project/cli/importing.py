"""`haetae import FORMAT PATH`: the inventory of a public data set, then its rows."""

from __future__ import annotations

import getpass
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dagster_project.cli.console import Show, error_console, out_console
from dagster_project.cli.read import Json, print_json
from dagster_project.cli.state import State, state_of
from haetae.importers.data_set import DataSet, look_at, record_terms, terms_accepted

NOT_ACCEPTED = (
    "The terms are not accepted, so nothing of it may be trained on or tested with yet. "
    "If you may use it, run the same command with --accept-terms."
)


def import_(
    context: typer.Context,
    format_name: Annotated[
        str, typer.Argument(metavar="FORMAT", help="Name of the layout; see docs/importers.md.")
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder that holds the data set.")],
    inventory: Annotated[
        bool, typer.Option("--inventory", help="Only say what is there and what is not; write nothing.")
    ] = False,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="Mapping file, for layouts that are not known.")
    ] = None,
    source_id: Annotated[
        str | None, typer.Option("--id", help="Name of the source; default: the name of the format.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Of items that state none: ko, en-SG, ms, ta or other.")
    ] = None,
    country: Annotated[str | None, typer.Option(help="ISO 3166-1 alpha-2 code of the recordings.")] = None,
    use_case: Annotated[
        str | None, typer.Option("--use-case", help="social_media, news, voice_biometrics or other.")
    ] = None,
    accept_terms: Annotated[
        bool,
        typer.Option("--accept-terms", help="You hold a licence for this data set and accept its terms."),
    ] = False,
    declare_only: Annotated[
        bool,
        typer.Option("--declare-only", help="Write what the data set states and leave fetching to a run."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Import a public data set: first an inventory, then items, media, clips and imported labels."""
    state = state_of(context)
    data_set = look_at(format_name, path, mapping)
    if not as_json:
        out_console().print(data_set.inventory.as_text(), markup=False, highlight=False)
    if inventory:
        if as_json:
            print_json(data_set.inventory.as_json())
        return
    name = source_id or data_set.importer.name
    accepted = accept_terms or terms_accepted(state.lake, name) or _asked(data_set)
    declared = {"language": language, "country": country, "use_case": use_case}
    told = _bring_in(
        state, data_set, name, accepted, {k: v for k, v in declared.items() if v is not None}, declare_only
    )
    if as_json:
        print_json({"inventory": data_set.inventory.as_json(), **told})
    else:
        _print(told, f"haetae --lake {shlex.quote(state.lake_root)}")
    if told["errors"]:
        sys.exit(1)


def _asked(data_set: DataSet) -> bool:
    """Ask a person at a terminal; without one nothing is accepted."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    title, access = data_set.importer.title, data_set.importer.terms.access
    return typer.confirm(f"\n{title}: {access}\nDo you hold such a licence and accept its terms?", err=True)


def _bring_in(
    state: State, data_set: DataSet, name: str, accepted: bool, declared: dict[str, Any], declare_only: bool
) -> dict[str, Any]:
    from dagster_project.instance import instance_of, only_writer
    from dagster_project.refresh import Refresh
    from dagster_project.resources import pool_of

    lake, params = state.lake, state.params
    show = Show(error_console())
    engine = pool_of(params, show.moment)
    source = data_set.source(name, accepted=accepted, declared=declared)
    try:
        with only_writer(lake), show.showing(), instance_of(lake) as instance:
            lake.files.sweep()
            if accepted:
                record_terms(lake, data_set, name, getpass.getuser())
            refresh = Refresh(lake, params, engine, instance, show.begin)
            brought = refresh.import_data_set(data_set, source, fetch=not declare_only)
            outcome = refresh.outcome
    except KeyboardInterrupt:
        error_console().print("stopped; run the same command again to go on where it was", highlight=False)
        sys.exit(130)
    finally:
        engine.close()
    return {
        "source_id": name,
        "terms_accepted": accepted,
        "items": len(data_set.inventory.entries),
        "new": len(data_set.inventory.entries) - brought.known,
        "batches": list(brought.opened),
        "changed_batches": list(brought.changed),
        "computed": dict(outcome.computed),
        "refused": outcome.refused,
        "errors": outcome.errors,
    }


def _print(told: dict[str, Any], command: str) -> None:
    console = out_console()
    known = told["items"] - told["new"]
    console.print(
        f"\nsource {told['source_id']}: {told['new']} new items in {len(told['batches'])} batches, {known} known, "
        f"statements changed in {len(told['changed_batches'])} batches",
        highlight=False,
    )
    if told["computed"]:
        done = ", ".join(f"{asset} ×{n}" for asset, n in told["computed"].items())
        console.print(f"computed: {done}", highlight=False)
    for line in [*told["refused"], *told["errors"]]:
        console.print(line, style="red", markup=False, highlight=False)
    if not told["terms_accepted"]:
        console.print(NOT_ACCEPTED, style="yellow", highlight=False)
    console.print(
        f"go on with:  {command} run --until labels\n"
        f'see:         {command} sql "SELECT item_key, video_verdict, audio_verdict FROM imports"\n'
        f'             {command} sql "SELECT item_id, reason, detail FROM quarantine"',
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
