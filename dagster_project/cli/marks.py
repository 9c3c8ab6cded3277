"""`haetae export` and `haetae verify`: what leaves the store, and reading the marks of a file that comes back."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from dagster_project.cli.choosing import chosen_fakes
from dagster_project.cli.console import Show, error_console, out_console
from dagster_project.cli.read import Json, print_json
from dagster_project.cli.state import State, state_of
from haetae.engine import Failed
from haetae.errors import Rejected, UsageError

if TYPE_CHECKING:
    from haetae.marks.release import Exports, Signing
    from haetae.marks.subtitles import Cue

MAX_PEM_BYTES = 1 << 20
_WHOLE_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def export(
    context: typer.Context,
    fakes: Annotated[
        list[str] | None, typer.Argument(metavar="[FAKE_ID]...", help="Fakes of the lake.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder they are written to; it is made.")
    ] = None,
    generator: Annotated[
        str | None, typer.Option("--generator", metavar="NAME", help="All fakes of name or name@version.")
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="All fakes for which this condition holds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write marked, signed copies of fakes, each with a sidecar, and changed subtitles as .srt.

    Exit code 3 when the policy refused them all. What is there already, whole, is not made again. Every export and
    every refusal is in the ledger.
    """
    if out is None:
        raise UsageError("where to? give a folder, for example: haetae export --out release --where true")
    state = state_of(context)
    chosen = chosen_fakes(state, fakes or [], generator, where)
    _check_folder(state, out)
    done = _exported(state, chosen, out)
    told = {
        "out": str(out),
        "written": done.written,
        "unchanged": done.unchanged,
        "refused": [_failure(one) for one in done.refused],
        "failed": [_failure(one) for one in done.failed],
    }
    print_json(told) if as_json else _print_exports(told)
    if not done.written and not done.unchanged:
        sys.exit(3 if done.refused and not done.failed else 1)
    sys.exit(1 if done.failed else 0)


def verify(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A video, audio or picture file, or a sidecar.")
    ],
    as_json: Json = False,
) -> None:
    """Read the watermarks, the signed manifest and the sidecar of a file, and tell which of them was changed.

    Where there is a lake, the mark is looked up in it. Exit code 0 with any finding, 2 for a file that cannot be read.
    """
    from haetae.engine import PoolEngine
    from haetae.marks.verify import MEMORY_BYTES, VerifyFile

    state = state_of(context)
    has_lake = state.lake.files.exists("tables")
    key = _signing(state).watermark_key()
    step = VerifyFile(key, trusted(state), state.lake_root if has_lake else None)
    # In a process of its own: what a stranger sends may cost so much time and memory and no more.
    engine = PoolEngine(1, memory_bytes=MEMORY_BYTES)
    try:
        (result,) = engine.map_rows(step, [{"path": str(file.absolute())}])
    finally:
        engine.close()
    if isinstance(result, Failed):
        raise Rejected(result.reason, result.detail)
    (report,) = result.rows
    if not has_lake:
        report = {**report, "notes": [*report["notes"], _no_lake(state)]}
    print_json(report) if as_json else _print_report(report)


def _no_lake(state: State) -> str:
    return (
        f"no_lake: there is no lake at {state.lake_root}, so marks were not looked up, "
        "and 'valid' says that the manifest is whole, not whose it is"
    )


def _check_folder(state: State, out: Path) -> None:
    """Raises: UsageError for a folder that cannot be made, or lies in the lake, whose files are for it alone."""
    lake, folder = Path(state.lake_root).resolve(), out.resolve()
    if folder == lake or lake in folder.parents:
        raise UsageError(f"{out} lies in the lake, where masters are kept; give a folder outside of it")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out} cannot be the folder of an export: {error.strerror}") from error


def _exported(state: State, rows: list[dict[str, Any]], out: Path) -> Exports:
    from haetae.engine import PoolEngine
    from haetae.marks.release import ReleaseGate, export_many
    from haetae.provenance.protected import load_protected

    params = state.params
    people = load_protected(params.policy.protected)
    gate = ReleaseGate(state.lake, people, commercial=params.policy.commercial)
    show = Show(error_console())
    knobs = params.engine
    engine = PoolEngine(knobs.workers or None, show.moment, round(knobs.worker_memory_gib * (1 << 30)))
    try:
        with show.showing():
            show.begin("export", [f"{len(rows)} fakes to {escape(str(out))}"])
            return export_many(
                state.lake, rows, out, engine, gate, _signing(state),
                cues_of=_cues_of, language_of=_language_of,
                crf=params.generate.crf, timeout_s=params.generate.timeout_s,
            )  # fmt: skip
    except KeyboardInterrupt:
        error_console().print("stopped; run the same command again to go on where it was", highlight=False)
        sys.exit(130)
    finally:
        engine.close()


def _cues_of(words: Sequence[Mapping[str, Any]]) -> list[Cue]:
    """Words with times as cues that can be read in time."""
    from haetae.voice.subtitles import cues_of
    from haetae.voice.words import Word

    timed = [Word(word["word"], word["start_s"], word["end_s"]) for word in words]
    return [(cue.start_s, cue.end_s, cue.text) for cue in cues_of(timed)]


def _language_of(text: str, spoken: str) -> str | None:
    """The language that a text is written in, told by its script and words."""
    from haetae.voice.spoken import written_language

    return written_language(text, spoken)


def _signing(state: State) -> Signing:
    from haetae.marks.release import Signing

    knobs = state.params.marks
    return Signing(knobs.chain, knobs.key, knobs.secret)


def trusted(state: State) -> str | None:
    """Certificates that are trusted: those of this lake's own exports, and those that the parameters name."""
    more = state.params.marks.trusted
    own = _signing(state).anchors(state.lake)
    if more is None:
        return own
    try:
        with Path(more).open("rb") as file:
            found = file.read(MAX_PEM_BYTES).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"marks.trusted: cannot read {more} as PEM: {error}") from error
    return "\n".join(filter(None, [own, found]))


def _failure(one: Failed) -> dict[str, str]:
    return {"fake_id": one.item_id, "reason": one.reason, "detail": one.detail}


def _print_exports(told: dict[str, Any]) -> None:
    console = out_console()
    for row in told["written"]:
        marks = ", ".join(row["watermarks"])
        change = ", ".join(
            f"{name} {row[key]:.1f} dB"
            for name, key in (("PSNR", "psnr_db"), ("SNR", "snr_db"))
            if row[key] is not None
        )
        beside = f"; its subtitles: {row['subtitles']}" if row["subtitles"] else ""
        console.print(f"{row['file']}: {marks} marked ({change}){beside}", highlight=False, markup=False)
    for row in (*told["refused"], *told["failed"]):
        console.print(f"{row['fake_id']}: {row['reason']}: {row['detail']}", style="red", markup=False)
    counts = ", ".join(f"{len(told[name])} {name}" for name in ("written", "unchanged", "refused", "failed"))
    console.print(f"{told['out']}: {counts}", style="bold", highlight=False, markup=False)


def _print_report(report: dict[str, Any]) -> None:
    console = out_console()
    console.print(f"{report['file']}: {report['headline']}", style="bold", highlight=False, markup=False)
    rows = list(_told_of(report))
    indent = max(len(label) for label, _ in rows) + 2
    for label, value in rows:
        # A digest is copied whole or not at all: what does not fit beside its label stands below it.
        fits = indent + len(value) <= console.width
        lines = [value] if fits else textwrap.wrap(value, console.width - 4, **_WHOLE_WORDS)
        console.print(Text(f"{label:<{indent}}" if fits else label, style="dim"), end="" if fits else "\n")
        for line in lines:
            console.print(line if fits else f"    {line}", soft_wrap=True, highlight=False, markup=False)
    for one in report["disagreements"]:
        console.print(one, style="red", highlight=False, markup=False)
    for one in report["notes"]:
        console.print(one, style="dim", highlight=False, markup=False)


def _told_of(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each mark by its name, and what was read of it."""
    from haetae.marks.stated import is_as_signed

    for where in ("video", "audio"):
        one = report[where]
        sure = (
            one and f"{one['mark']} ({one['agreement']:.0%} in agreement, {one['bit_errors']} bits corrected)"
        )
        yield f"{where} watermark", sure or "none"
    manifest = report["manifest"]
    holds = manifest is not None and is_as_signed(manifest)
    if manifest is None:
        yield "C2PA manifest", "none"
    else:
        yield "C2PA manifest", f"{manifest['state']}, signed by {manifest.get('signed_by', 'nobody named')}"
        for name, value in manifest.get("fake", {}).items():
            yield f"  {name}" if holds else f"  claims {name}", str(value)
    yield "sidecar", report["sidecar"] or "none"
    for fake in report["resolves_to"] or ():
        named = f"{fake['fake_id']}: {fake['generator']} of {fake['clip_id']}, whose source is"
        is_told = holds and manifest.get("fake", {}).get("fake_id") == fake["fake_id"]
        yield (
            "in this lake",
            f"{'it is; the source of its clip is' if is_told else named} {fake['source_id']}",
        )
