"""The command's entry: global options, sub-commands, and how errors become exit codes.

What the sub-commands do is told in their own modules.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import Annotated

import typer

from dagster_project.cli import gallery, generators, importing, marks, read, run, serve, use
from dagster_project.cli.console import error_console, quiet_libraries
from dagster_project.cli.state import State
from haetae import __version__
from haetae.errors import GateClosed, Rejected, UsageError

DEFAULT_LAKE = "data"
app = typer.Typer(
    name="haetae",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keep a multimodal deepfake detector current: collect, make labelled fakes, train, benchmark, promote.",
)
app.command("run")(run.run)
app.command("refresh")(run.refresh)
app.command("sample")(run.sample)
app.command("import")(importing.import_)
app.command("sql")(read.sql)
app.command("trace")(read.trace)
app.add_typer(generators.app, name="generators")
app.command("report")(read.report)
app.command("gallery")(gallery.gallery)
app.add_typer(read.ledger_app, name="ledger")
app.command("detect")(use.detect)
app.command("export")(marks.export)
app.command("verify")(marks.verify)
app.command("serve")(serve.serve)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"haetae {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    context: typer.Context,
    lake: Annotated[
        str, typer.Option("--lake", envvar="HAETAE_LAKE", help="Root of the lake: a folder or an fsspec URL.")
    ] = DEFAULT_LAKE,
    params: Annotated[
        str | None,
        typer.Option(
            "--params", envvar="HAETAE_PARAMS", help="Parameters file; default ./params.yaml if there."
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = State(lake, params)


def main() -> None:
    """Run the command; the console script of the package."""
    quiet_libraries()
    try:
        app()
    except UsageError as error:
        _fail(_for_this_lake(str(error)), 2)
    except Rejected as error:
        _fail(f"{error.reason}: {error.detail}", 2)
    except GateClosed as error:
        _fail(str(error), 3)
    except KeyboardInterrupt:
        _fail("stopped; run the same command again to go on where it was", 130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


_ON_A_LAKE = sorted({str(command.name) for command in app.registered_commands} - {"sample"} | {"ledger"})
"""Commands that work on a lake."""


def _for_this_lake(message: str) -> str:
    """A message whose commands name the lake that this one was about, where it is not the usual one."""
    lake = os.environ.get("HAETAE_LAKE", DEFAULT_LAKE)
    if lake == DEFAULT_LAKE:
        return message
    commands = rf"\bhaetae (?=(?:{'|'.join(_ON_A_LAKE)})\b)"
    return re.sub(commands, lambda _: f"haetae --lake {shlex.quote(lake)} ", message)


def _fail(message: str, code: int) -> None:
    error_console().print(f"haetae: {message}", style="red", markup=False, highlight=False)
    sys.exit(code)
