"""`haetae generators`: which there are, what one does, whether it keeps the rules, and a new one to begin with.

The rules are in `generators.conformance`, the templates of a new one in `generators.scaffold`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from dagster_project.cli.console import error_console, out_console
from dagster_project.cli.read import Json, print_json
from dagster_project.cli.weights import (
    parts_told,
    pins_read,
    places,
    readiness,
    weight_lines,
    weights_of,
    what_it_takes,
)
from generators.conformance.report import Report
from generators.protocol import Card, Generator
from haetae.errors import UsageError
from haetae.params import LANGUAGES

app = typer.Typer(
    invoke_without_command=True,
    help="The installed generators; with a command: one of them, or a new one.",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="name, or name@version where there are several.")]
_FOUR = tuple(one for one in LANGUAGES if one != "other")
_OURS = "Apache-2.0"
_STATES = {
    "holds": "[green]holds[/green]",
    "broken": "[bold red]BROKEN[/bold red]",
    "not_asked": "[dim]–[/dim]",
}


@app.callback()
def generators(context: typer.Context, as_json: Json = False) -> None:
    """The installed generators: family, modalities, languages, licence, profile."""
    if context.invoked_subcommand is not None:
        return
    from generators.registry import installed, problems

    makers = list(installed().values())
    if as_json:
        print_json([{"generator": one.card.key, **one.card.model_dump(mode="json")} for one in makers])
    else:
        _print_table(sorted(makers, key=lambda one: (one.card.family, one.card.profile, one.card.key)))
    for problem in problems():
        typer.echo(
            f"haetae: {problem.entry_point} of {problem.package} cannot be used: {problem.message}", err=True
        )


@app.command("describe")
def describe(name: Name, as_json: Json = False) -> None:
    """The card of a generator: what it changes and needs, its licence, weights, parameters and paper."""
    from generators.registry import card_digest

    maker = _maker(name)
    card = maker.card
    if as_json:
        told = {"generator": card.key, **card.model_dump(mode="json"), "card_digest": card_digest(card)}
        told |= {"weights": weights_of(card), "weights_looked_for_in": places(card)}
        print_json({**told, "weight_parts": parts_told(maker), "pins": pins_read(maker)})
        return
    console = out_console()
    console.print(f"[bold]{card.key}[/bold]: {escape(card.description)}", highlight=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for what, value in _lines(maker):
        table.add_row(what, value)
    table.add_row("card digest", card_digest(card))
    console.print(table, highlight=False, markup=False)


@app.command("verify")
def verify(
    name: Name,
    clips: Annotated[
        int | None,
        typer.Option(
            "--clips", min=1, max=12, help="Talking clips to make fakes of; default: two a language."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small, short clips: what a plug-in's tests take.")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="Where weights go: cpu or cuda.")] = "cpu",
    as_json: Json = False,
) -> None:
    """Try a generator on synthetic clips and tell which rules it keeps; exit code 3 when one is broken."""
    from generators.conformance import FULL, QUICK, check

    maker = _maker(name)
    spoken = max(1, len([one for one in maker.card.languages if one != "other"]))
    n = clips if clips is not None else spoken if quick else 2 * spoken
    console = error_console()
    with console.status("") as status:
        report = check(
            maker.card.key,
            size=QUICK if quick else FULL,
            clips=n,
            device=device,
            tell=lambda what: (status.update if console.is_terminal else console.print)(
                f"{maker.card.key}: {what}"
            ),
        )
    if as_json:
        print_json(report.as_json())
    else:
        _print_report(report)
    if not report.holds:
        sys.exit(3)


@app.command("learn")
def learn(
    context: typer.Context,
    name: Name,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Forget what it learned and teach it anew; its fakes are then made again."
        ),
    ] = False,
) -> None:
    """Teach a generator on faces of the lake's train split, as `generate.learn` of the parameters says."""
    from dagster_project.cli.run import carry_out
    from dagster_project.cli.state import state_of
    from haetae.lake import Lineage

    card, state = _maker(name).card, state_of(context)
    if not card.learns:
        raise UsageError(f"{card.key} does not learn: there is nothing to teach it")
    state.must_be_filled()
    if again:
        state.lake.write("lessons", card.key, [], Lineage("lessons", "learn --again", "0"))
    carry_out(state, state.params, lambda pass_, _engine, _show: pass_.run_generators([card.key], "lessons"))
    lessons = state.lake.rows("lessons", card.key)
    if not lessons:
        raise UsageError(
            f"{card.key} learned nothing; see: haetae sql \"FROM quarantine WHERE stage = 'lessons'\""
        )
    out_console().print(_lesson_told(lessons[0]), highlight=False, markup=False)


@app.command("new")
def new(
    family: Annotated[
        str,
        typer.Argument(metavar="FAMILY", help="face_swap, lip_sync, speech, diffusion, text or combination."),
    ],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the generator: lower case, digits, underscores.")
    ],
    into: Annotated[
        Path | None, typer.Option("--into", help="Folder that is made for it; default: ./haetae-NAME.")
    ] = None,
) -> None:
    """Write a package with a small working generator of a family, its tests and its entry point."""
    from generators.registry import installed
    from generators.scaffold import write_package

    if taken := [key for key, maker in installed().items() if maker.card.name == name]:
        raise UsageError(f"there is a generator {taken[0]} already; give yours another name")
    folder = into or Path(f"haetae-{name.replace('_', '-')}")
    written = write_package(family, name, folder)
    console = out_console()
    for path in written:
        console.print(f"wrote {path}", highlight=False, markup=False)
    for line in (
        "",
        "it works as it is; make it yours, then:",
        f"  uv pip install --no-build-isolation -e {folder}",
        f"  haetae generators verify {name}",
        f"  haetae --lake LAKE refresh --generator {name}",
    ):
        console.print(line, highlight=False, markup=False)


def _lesson_told(lesson: dict[str, Any]) -> str:
    """What a lesson came to, as losses from its first step to its last and figures of faces held back."""
    curve = json.loads(lesson["curve"])
    first, last = (curve[0], curve[-1]) if curve else ({}, {})
    lines = [f"{lesson['n_faces']} faces of {lesson['n_people']} people, {lesson['taught_s']:.0f} s"]
    lines += [
        f"  {name}: {first[name]:.4g} → {last[name]:.4g}" for name in last if name != "step" and name in first
    ]
    lines += [f"  held back: {name} {value:.4g}" for name, value in json.loads(lesson["metrics"]).items()]
    return "\n".join(lines)


def _maker(name: str) -> type[Generator]:
    """The class of a name or key. Raises: UsageError for none or several."""
    from generators.registry import find, installed

    keys = [key for key, maker in installed().items() if name in (key, maker.card.name)]
    if len(keys) > 1:
        raise UsageError(f"there are several {name}: give one of {', '.join(keys)}")
    return find(keys[0] if keys else name)


def _print_table(makers: list[type[Generator]]) -> None:
    """The cards by family, on 80 columns; what is long is told by `describe`."""
    table = Table(
        "generator", "changes", "needs; languages; profile, licence", box=box.SIMPLE_HEAD, padding=0
    )
    for column, width in zip(table.columns, (27, 13), strict=False):
        column.min_width, column.no_wrap = width, True
    for family in dict.fromkeys(one.card.family for one in makers):
        table.add_row(f"[bold]{family}[/bold]")
        for maker in (one for one in makers if one.card.family == family):
            card = maker.card
            licence = [card.licence] if card.licence != _OURS else []
            told = [", ".join(card.needs) or "a clip", _spoken(card), ", ".join([readiness(maker), *licence])]
            table.add_row(f"  {card.key}", ", ".join(card.modalities), "; ".join(told))
    console = out_console()
    console.print(table)
    console.print(
        f"four: {', '.join(_FOUR)}; any: other languages too. Where no licence is named it is {_OURS}.\n"
        "What one does: haetae generators describe NAME",
        highlight=False,
    )


def _spoken(card: Card) -> str:
    """The languages of a card, in a word where they are all of them."""
    left = set(card.languages) - set(_FOUR)
    if set(_FOUR) <= set(card.languages):
        return "any" if left else "four"
    return ", ".join(card.languages)


def _lines(maker: type[Generator]) -> Iterator[tuple[str, str]]:
    card = maker.card
    yield "family", card.family
    yield "changes", ", ".join(card.modalities)
    yield "needs", ", ".join(card.needs) or "nothing but a clip"
    yield "languages", ", ".join(card.languages)
    yield "profile", f"{card.profile}: {what_it_takes(maker)}"
    yield "runs", f"{card.runtime}, on {card.hardware}"
    yield "licence", card.licence
    yield from weight_lines(maker)
    for name, value in sorted(card.params.items()):
        yield "parameter", f"{name} = {value!r}"
    yield "intended use", card.intended_use
    yield "paper", card.paper or "none named"


def _print_report(report: Report) -> None:
    from generators.conformance.rules import RULES

    table = Table(
        "rule", "", "what was found", title=f"{report.generator} ({report.size})", title_justify="left"
    )
    table.columns[0].no_wrap = True
    for one in report.findings:
        lines = [one.detail] if one.state != "broken" else [f"wanted: {RULES[one.rule]}", *one.evidence]
        table.add_row(one.rule, _STATES[one.state], escape("\n".join(lines)))
    console = out_console()
    console.print(table, highlight=False)
    kept = sum(one.state == "holds" for one in report.findings)
    asked = sum(one.state != "not_asked" for one in report.findings)
    console.print(
        f"{report.generator}: {kept} of {asked} rules hold, tried for {report.took_s:.0f} s",
        style="bold green" if report.holds else "bold red",
        highlight=False,
    )
