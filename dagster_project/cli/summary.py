"""What `haetae run` and `haetae refresh` say at their end: what they did, what came of it, and where to look.

What was there before is told as such: a scorecard and a decision are shown by the command that made them only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dagster_project.cli.state import State
from dagster_project.refresh import STAGES, Outcome
from haetae.lake import Lake
from haetae.lake.schema import TABLES

_QUARANTINE = """
SELECT stage, reason, count(*) AS n, min(detail) AS example FROM quarantine
WHERE len($1) = 0 OR list_contains($1, run_id) GROUP BY ALL ORDER BY n DESC
"""
_FAKES = """
SELECT generator, language, count(*) AS n FROM fakes WHERE len($1) = 0 OR list_contains($1, generator)
GROUP BY ALL ORDER BY ALL
"""
_SCORES = """
WITH newest AS (SELECT snapshot_id FROM snapshots ORDER BY created_at DESC LIMIT 1),
candidate AS (SELECT snapshot_id, model_id FROM models JOIN newest USING (snapshot_id) ORDER BY model_id LIMIT 1)
SELECT model_id, e.slice, e.protocol, e.metric, e.value, e.ci_low, e.ci_high, e.n, champion.value AS champion
FROM evaluations e JOIN candidate USING (snapshot_id, model_id)
LEFT JOIN evaluations champion ON champion.snapshot_id = e.snapshot_id AND champion.model_id <> e.model_id
  AND champion.slice = e.slice AND champion.protocol = e.protocol AND champion.metric = e.metric
WHERE e.metric IN ('auc', 'eer') AND (e.slice = 'all' OR e.slice LIKE 'language=%' OR e.slice LIKE 'family=%')
  AND NOT contains(e.slice, '&') AND (e.protocol = 'sample' OR e.slice = 'all')
ORDER BY e.protocol <> 'sample', e.slice <> 'all', e.slice, e.protocol, e.metric
"""
WHY = {
    "refused_by_policy": "licence, consent or purposes do not allow synthesis (see: haetae ledger show)",
    "forbidden_by_manifest": "a manifest in the file forbids training (see media.c2pa)",
    "not_declared_real": "the source does not declare it real",
    "still_image": "it is a single picture",
    "no_split": "it would tie two splits together",
    "language_not_claimed": "the generator does not claim its language",
    "no_sentences": "there is no locale for its language",
    "no_audio": "it has no sound",
    "no_words": "what is said in it, and when, is not known",
    "no_speech": "less than 0.6 s of speech was found in it",
    "no_face": "no face was followed in it",
    "not_learned": "the generator has learned nothing: the train split has too few faces for it",
    "over_budget": "generate.budget has no room for it",
    "no_edit": "nothing that is said in it can be exchanged by a rule that is sure to be right",
    "mouth_too_still": "its mouth never opens and closes, so there are no mouths to take from it",
    "face_turned_away": "its head is turned further than generate.max_yaw_deg or max_pitch_deg",
    "face_too_small": "its face is smaller than generate.min_face_px",
    "face_lost": "its face was lost in too many frames",
    "no_donor": "no other person in its split and batch can lend a face",
    "no_sentence_fits": "no sentence is short enough for the speech in it",
}
"""Why a generator passes over a clip, in words."""

_DECISION = """
SELECT promoted, model_id, previous_model_id, reasons FROM promotions
JOIN snapshots USING (snapshot_id) ORDER BY created_at DESC LIMIT 1
"""


TOO_FEW = (
    "  a detector needs people in each of train, val and test, and nobody is in two of them: add sources with more"
    " people (six or more), or stop before the data set with --until labels"
)


def print_summary(
    console: Console, state: State, outcome: Outcome, report: Path | None, took_s: float
) -> None:
    """Print the closing summary of a run."""
    lake = state.lake
    if outcome.computed:
        done = ", ".join(f"{asset} ×{n}" for asset, n in outcome.computed.items())
        console.print(f"\ncomputed in {took_s:.0f} s: {done}", highlight=False)
        _print_results(console, lake, outcome)
    elif not outcome.refused + outcome.errors:
        what = "the lake" if outcome.until == STAGES[-1] else f"everything up to {outcome.until}"
        console.print(f"\nnothing to do: {what} is up to date ({took_s:.1f} s)", highlight=False)
    _print_troubles(console, outcome)
    if outcome.not_asked:
        only = " ".join(f"--generator {key}" for key in outcome.only)
        on = f"haetae --lake {state.lake_root} refresh {only}" if only else f"without --until {outcome.until}"
        console.print(f"not asked for: {', '.join(outcome.not_asked)}; go on: {on}", highlight=False)
    _print_where(console, state, report)


def _print_results(console: Console, lake: Lake, outcome: Outcome) -> None:
    """Of a pass that computed something: how full the lake is now, and what the pass made."""
    console.print(_counts(lake))
    # A refresh is about its generators; a run is about the whole lake.
    runs, title = (outcome.run_ids, "quarantined in this run") if outcome.only else ([], "quarantine")
    _print_rows(console, lake, title, _QUARANTINE, ("stage", "reason", "n", "example"), runs)
    if not outcome.only or "fakes" in outcome.computed:
        _print_rows(console, lake, "fakes", _FAKES, ("generator", "language", "n"), outcome.only)
    if outcome.passed_over:
        console.print(_passed_over(outcome))
    if "scorecard" in outcome.computed:
        console.print(_scorecard(lake))
    _print_decision(console, lake, "champion" in outcome.computed)


def _print_troubles(console: Console, outcome: Outcome) -> None:
    """What a check refused, what could not be listed, what was left out, and what failed."""
    for line in outcome.refused:
        console.print(f"refused by a check: {line}", style="yellow", markup=False, highlight=False)
        if ": samples: " in line and "(split)" in line:
            console.print(TOO_FEW, style="yellow", highlight=False)
    for line in outcome.unlisted:
        console.print(f"could not be listed: {line}", style="yellow", markup=False, highlight=False)
    for line in outcome.barren:
        console.print(f"failed at every clip: {line}", style="yellow", markup=False, highlight=False)
    for batch in outcome.left_out:
        said = (
            f"left out: batch {batch} is not up to date itself; bring it up with: haetae run --sources FILE"
        )
        console.print(said, style="yellow", markup=False, highlight=False)
    for line in outcome.errors:
        console.print(f"failed: {line}", style="red", markup=False, highlight=False)
    if outcome.errors:
        console.print("Run the same command again: it goes on where it stopped.", highlight=False)


def _counts(lake: Lake) -> Table:
    table = Table(title="rows in the lake", title_justify="left", show_header=False, box=None, pad_edge=False)
    names = [name for name in TABLES if lake.partitions(name)]
    for start in range(0, len(names), 4):
        cells = [(name, str(lake.dataset(name).count_rows())) for name in names[start : start + 4]]
        table.add_row(*(part for name, count in cells for part in (name, f"{count}  ")))
    return table


def _print_rows(
    console: Console,
    lake: Lake,
    title: str,
    query: str,
    columns: tuple[str, ...],
    of: Sequence[str],
) -> None:
    """of: what the rows must belong to; empty: anything."""
    rows = lake.sql(query, [list(of)]).to_pylist()
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column == "n" else "left")
    for row in rows:
        table.add_row(*(_plain(row[column]) for column in columns))
    console.print(table)


def _scorecard(lake: Lake) -> Table:
    rows = [row for row in lake.sql(_SCORES).to_pylist() if row["value"] is not None]
    of = f" of {rows[0]['model_id']}" if rows else ""
    table = Table(title=f"scorecard{of} (test split, 95 % bootstrap interval)", title_justify="left")
    compared = any(row["champion"] is not None for row in rows)
    columns = ["slice", "protocol", "metric", "value", "interval", "n", *(["champion"] if compared else [])]
    for column in columns:
        table.add_column(column, justify="right" if column in ("value", "n", "champion") else "left")
    for row in rows:
        interval = "–" if row["ci_low"] is None else f"{row['ci_low']:.3f} to {row['ci_high']:.3f}"
        cells = [row["slice"], row["protocol"], row["metric"], f"{row['value']:.3f}", interval, str(row["n"])]
        if compared:
            cells.append("–" if row["champion"] is None else f"{row['champion']:.3f}")
        table.add_row(*cells)
    return table


def _passed_over(outcome: Outcome) -> Table:
    table = Table("generator", "clips", "why", title="passed over in this run", title_justify="left")
    for (generator, reason), n in sorted(outcome.passed_over.items()):
        table.add_row(generator, str(n), WHY.get(reason, reason))
    return table


def _print_decision(console: Console, lake: Lake, of_this_pass: bool) -> None:
    rows = lake.sql(_DECISION).to_pylist()
    if not rows:
        return
    decision = rows[0]
    if not of_this_pass:
        champion = decision["model_id"] if decision["promoted"] else decision["previous_model_id"]
        console.print(f"champion, as before: {champion or 'none yet'}", highlight=False)
        return
    verdict = "promoted to champion" if decision["promoted"] else "not promoted; the champion stays"
    console.print(f"{decision['model_id']}: {verdict}", style="bold", highlight=False)
    for reason in decision["reasons"]:
        console.print(f"  {reason}", highlight=False, markup=False)


def _print_where(console: Console, state: State, report: Path | None) -> None:
    lake = state.lake_root
    if report is not None:
        console.print(f"\nlook:   {report}", highlight=False)
    query = "SELECT generator, language, duration_s FROM fakes LIMIT 3"
    console.print(f'query:  haetae --lake {lake} sql "{query}"', highlight=False)
    promoted = state.lake.sql("SELECT 1 FROM promotions WHERE promoted").num_rows
    known = state.lake.sql("SELECT source_id FROM sources ORDER BY source_id LIMIT 1").to_pylist()
    start = "champion" if promoted else known[0]["source_id"] if known else "ID"
    console.print(f"trace:  haetae --lake {lake} trace {start}", highlight=False)


def _plain(value: object) -> str:
    text = str(value).replace("\n", " ")
    return text if len(text) <= 100 else f"{text[:97]}…"
