"""Sub-commands that only read: `sql`, `trace`, `report`, `ledger`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from dagster_project.cli.console import ANY_WIDTH, out_console
from dagster_project.cli.state import state_of
from haetae.errors import UsageError

_NEXT = 12
"""How many nodes one step away are shown to a person."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def sql(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="A DuckDB query.")],
    as_json: Json = False,
) -> None:
    """Query the lake's tables with DuckDB; `SHOW TABLES` and `DESCRIBE media` tell what there is."""
    state = state_of(context)
    if not query.strip():
        raise UsageError('what is asked? give a query, for example: haetae sql "SHOW TABLES"')
    found = state.filled_lake.sql(query)
    rows = found.to_pylist()
    if as_json:
        print_json(rows)
        return
    table = Table(*found.column_names)
    for row in rows[:200]:
        table.add_row(*(_cell(row[name]) for name in found.column_names))
    console = out_console()
    if console.measure(table, options=console.options.update(width=ANY_WIDTH)).maximum <= console.width:
        console.print(table)
    else:
        _print_one_below_the_other(console, found.column_names, rows[:200])
    if len(rows) > 200:
        console.print(f"… {len(rows) - 200} more rows; --json prints them all")


def _print_one_below_the_other(console: Console, names: list[str], rows: list[dict[str, Any]]) -> None:
    """Rows that are wider than the terminal: ids and seeds must stay whole, to be copied."""
    indent = max(map(len, names))
    for n, row in enumerate(rows, 1):
        console.print(f"row {n}", style="bold", highlight=False)
        for name in names:
            console.print(
                f"  {name:<{indent}}  {_cell(row[name])}", soft_wrap=True, markup=False, highlight=False
            )


def trace(
    context: typer.Context,
    node: Annotated[str, typer.Argument(metavar="ID", help="Any id in the lake, or `champion`.")],
    as_json: Json = False,
) -> None:
    """Everything that ID was made from, and everything that was made of it."""
    from haetae.audit.trace import champion_id
    from haetae.audit.trace import trace as follow

    found = follow(state_of(context).filled_lake, node)
    if as_json:
        print_json(found)
        return
    console = out_console()
    types = {one["id"]: one["type"] for one in found["nodes"]}
    console.print(
        f"{node}: {len(found['nodes'])} nodes, {len(found['edges'])} edges", style="bold", highlight=False
    )
    table = Table("type", "count", "for example")
    for kind, count in sorted(Counter(types.values()).items()):
        table.add_row(kind, str(count), next(one for one, its in types.items() if its == kind))
    console.print(table)
    sources = [one for one, kind in types.items() if kind == "source"]
    if sources:
        console.print(f"sources: {', '.join(sources)}", soft_wrap=True, markup=False, highlight=False)
    start = champion_id(state_of(context).lake) if node == "champion" else node
    for title, near, far in (("made from", "child", "parent"), ("became", "parent", "child")):
        edges = [edge for edge in found["edges"] if edge[near] == start]
        _print_next(console, title, [(edge["relation"], types[edge[far]], edge[far]) for edge in edges])


def _print_next(console: Console, title: str, nodes: list[tuple[str, str, str]]) -> None:
    """What lies one step away: relation, type and id, some of them where they are many."""
    if nodes:
        console.print(f"{title}:", style="bold")
    for relation, kind, one in nodes[:_NEXT]:
        console.print(f"  {relation:<15} {kind:<9} {one}", soft_wrap=True, markup=False, highlight=False)
    if len(nodes) > _NEXT:
        console.print(f"  … {len(nodes) - _NEXT} more; --json prints all", highlight=False)


def report(context: typer.Context) -> None:
    """Write the report page of the lake again, if anything changed, and say where it is."""
    from haetae.web.report import write_report

    typer.echo(write_report(state_of(context).filled_lake))


ledger_app = typer.Typer(help="The record of decisions.", no_args_is_help=True)


@ledger_app.command("verify")
def ledger_verify(context: typer.Context, as_json: Json = False) -> None:
    """Check the chain of the ledger; exit code 3 when an entry was changed or removed."""
    from haetae.provenance.ledger import Ledger

    ledger = Ledger(state_of(context).filled_lake.local_path("ledger.jsonl"))
    faults, n = ledger.verify(), len(ledger.entries())
    if as_json:
        print_json({"entries": n, "faults": faults})
    else:
        typer.echo("\n".join(faults) or f"{n} entries, chain is whole")
    if faults:
        sys.exit(3)


@ledger_app.command("show")
def ledger_show(context: typer.Context, as_json: Json = False) -> None:
    """All decisions, oldest first."""
    from haetae.provenance.ledger import Ledger

    entries = Ledger(state_of(context).filled_lake.local_path("ledger.jsonl")).entries()
    if as_json:
        print_json([vars(entry) for entry in entries])
        return
    table = Table("at", "kind", "subject", "decision", "detail")
    for entry in entries:
        table.add_row(entry.at, entry.kind, entry.subject, entry.decision, _cell(dict(entry.detail)))
    out_console().print(table)


def print_json(value: Any) -> None:
    """Print a value as JSON; times become ISO texts."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
