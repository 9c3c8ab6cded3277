"""Running a suite over measured rows, and telling a failure of the data from a failure of the check.

What is expected of a table is told in `haetae.quality.suites`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from haetae.params import Params

KEYS = {"clips": "clip_id", "fakes": "fake_id", "labels": "label", "samples": "sample_id"}
"""Column that names a row of a table in a finding."""


@dataclass(frozen=True)
class Finding:
    """One expectation that does not hold, and the rows that break it."""

    expectation: str
    column: str
    broken: int
    rows: tuple[str, ...]
    observed: str

    def __str__(self) -> str:
        where = f"{self.expectation}({self.column})"
        return f"{where}: {self.broken} rows, for example {', '.join(self.rows[:3]) or self.observed}"


@dataclass(frozen=True)
class Report:
    """What came of checking one table."""

    table: str
    checked: int
    expectations: int
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        return not self.findings

    @property
    def summary(self) -> str:
        if self.passed:
            return f"{self.checked} rows meet {self.expectations} expectations"
        return f"{self.checked} rows; " + "; ".join(str(finding) for finding in self.findings)


class CheckCrashed(RuntimeError):
    """An expectation could not be evaluated: a fault of the check, not of the data."""


def check(table: str, measured: Sequence[Mapping[str, Any]], params: Params) -> Report:
    """Run the suite of a table over its measured rows; no rows, no findings.

    Raises: CheckCrashed when the engine itself failed, which must not look like bad data.
    """
    if not measured:
        return Report(table, 0, 0, ())
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    import pandas as pd

    from haetae.quality.suites import expectations_for

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    frame = pd.DataFrame(list(measured))
    batch = (
        context.data_sources.add_pandas("lake")
        .add_dataframe_asset(table)
        .add_batch_definition_whole_dataframe("rows")
        .get_batch({"dataframe": frame})
    )
    suite = gx.ExpectationSuite(name=table, expectations=expectations_for(table, params))
    form = {"result_format": "COMPLETE", "unexpected_index_column_names": [KEYS[table]]}
    found = batch.validate(suite, result_format=form)
    findings = [_finding(one, KEYS[table]) for one in found.results if not one.success]
    return Report(table, len(frame), len(found.results), tuple(findings))


def _finding(result: Any, key: str) -> Finding:
    config = result.expectation_config
    if result.exception_info and _raised(result.exception_info):
        raise CheckCrashed(f"{config.type} on {config.kwargs.get('column')}: {result.exception_info}")
    found = result.result
    rows = tuple(str(one[key]) for one in found.get("unexpected_index_list") or [])
    observed = found.get("observed_value", found.get("partial_unexpected_list", ""))
    return Finding(
        expectation=str(config.type),
        column=str(config.kwargs.get("column", "")),
        broken=int(found.get("unexpected_count", 1)),
        rows=rows,
        observed=str(observed)[:300],
    )


def _raised(info: Mapping[str, Any]) -> bool:
    if "raised_exception" in info:
        return bool(info["raised_exception"])
    return any(isinstance(one, Mapping) and one.get("raised_exception") for one in info.values())
