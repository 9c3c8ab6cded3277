"""Which fakes of a lake are meant: by their generator, their ids, or a condition; and what is wrong where none is.

What is done with them is told in the commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagster_project.cli.state import State
from generators.registry import did_you_mean
from haetae.errors import UsageError
from haetae.lake import Lake

_MADE_BY = "(generator = ? OR split_part(generator, '@', 1) = ?)"


def check_generator(lake: Lake, generator: str) -> None:
    """Raises: UsageError for a name, or name@version, that made no fake of the lake; it lists those that did."""
    query = "SELECT generator, count(*) AS n FROM fakes GROUP BY ALL ORDER BY 1"
    made = {row["generator"]: row["n"] for row in lake.sql(query).to_pylist()}
    if any(_is(generator, key) for key in made):
        return
    there = ", ".join(f"{key} ({n})" for key, n in made.items()) or "none yet"
    raise UsageError(
        f"no generator {generator} is in this lake's fakes{did_you_mean(generator, made)}; "
        f"those that are, with their fakes: {there}; all that could make some: haetae generators"
    )


def _is(named: str, key: str) -> bool:
    """Whether a name, or name@version, is that of a key."""
    return named in (key, key.partition("@")[0])


def chosen_fakes(
    state: State, ids: Sequence[str], generator: str | None, where: str | None
) -> list[dict[str, Any]]:
    """Rows of `fakes` that are asked for, in the order of their ids. Raises: UsageError for none, or an unknown id."""
    if not ids and generator is None and where is None:
        raise UsageError(
            "which? give ids of fakes, --generator NAME, or --where SQL (--where true: all of them)"
        )
    conditions, values = [], list[Any]()
    if ids:
        conditions.append("list_contains(?, fake_id)")
        values.append(list(ids))
    if generator is not None:
        check_generator(state.filled_lake, generator)
        conditions.append(_MADE_BY)
        values += [generator, generator]
    if where is not None:
        conditions.append(f"({where})")
    query = f"SELECT fake_id FROM fakes WHERE {' AND '.join(conditions)}"
    wanted = {row["fake_id"] for row in state.filled_lake.sql(query, values).to_pylist()}
    if others := sorted(set(ids) - wanted):
        raise UsageError(_why_not(state.filled_lake, others, generator))
    if not wanted:
        raise UsageError(
            'no fake is chosen; see what there is with: haetae sql "SELECT generator, count(*) FROM fakes GROUP BY 1"'
        )
    rows = (row for row in state.lake.rows("fakes") if row["fake_id"] in wanted)
    return sorted(rows, key=lambda row: str(row["fake_id"]))


def _why_not(lake: Lake, ids: Sequence[str], generator: str | None) -> str:
    """Why fakes that were named are not among the chosen ones, for the first few of them."""
    query = "SELECT fake_id, generator FROM fakes WHERE list_contains(?, fake_id)"
    makers = {row["fake_id"]: row["generator"] for row in lake.sql(query, [list(ids)]).to_pylist()}
    told = []
    if absent := [one for one in ids if one not in makers]:
        told.append(
            f'no such fake: {", ".join(absent[:5])}; list them with: haetae sql "SELECT fake_id FROM fakes"'
        )
    for fake_id, maker in sorted(makers.items())[:5]:
        if generator is not None and not _is(generator, maker):
            told.append(
                f"{fake_id} is there, but {maker} made it, so it is not among those of --generator {generator}"
            )
        else:
            told.append(f"{fake_id} of {maker} is there, but it does not fit --where")
    return "; ".join(told)
