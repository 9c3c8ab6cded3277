"""Blocking checks between the stages: one Great Expectations suite for each of clips, fakes, labels, samples."""

import warnings
from typing import Any

import dagster as dg

from assets.partitions import batch, batch_by_generator
from assets.stage import partition_of
from haetae.lake import Lake, Lineage
from haetae.lake.lake import partition_key
from haetae.params import Params
from haetae.provenance.ids import digest
from haetae.quality.check import Report, check
from haetae.quality.measures import measure

CHECKED: tuple[tuple[str, str, dg.PartitionsDefinition | None], ...] = (
    ("clips", "clips", batch),
    ("fakes", "fakes", batch_by_generator),
    ("labels", "labels", batch_by_generator),
    ("original_labels", "labels", batch),
    ("samples", "samples", None),
)
"""asset, the table it writes, its partitions"""


def check_of(asset: str, table: str, partitions: dg.PartitionsDefinition | None) -> dg.AssetChecksDefinition:
    """The blocking check of one asset: a partition that fails stops only its own downstream."""

    @dg.asset_check(
        asset=asset,
        name="sound",
        description=f"Great Expectations suite of `{table}`; a failed partition stops what is downstream of it.",
        blocking=True,
        partitions_def=partitions,
    )
    def sound(
        context: dg.AssetCheckExecutionContext,
        lake: dg.ResourceParam[Lake],
        params: dg.ResourceParam[Params],
    ) -> dg.AssetCheckResult:
        report = judge(lake, params, asset, table, partition_of(context), context.op_execution_context.run_id)
        return dg.AssetCheckResult(passed=report.passed, metadata=_told(report), description=report.summary)

    return sound


def judge(
    lake: Lake, params: Params, asset: str, table: str, partition: tuple[str, ...], run_id: str
) -> Report:
    """Check one partition as it is in the lake now, and record what came of it."""
    report = check(table, measure(lake, table, partition), params)
    key = partition_key(partition or None)
    row = {
        "asset": asset,
        "partition": key,
        "digest": lake.digest(table, partition or None),
        "knobs": knobs_of(params),
        "passed": report.passed,
        "n": report.checked,
        "findings": [str(finding) for finding in report.findings],
    }
    lineage = Lineage("checks", run_id, "1", str(row["digest"]))
    lake.write("checks", (asset, *key.split("~")), [row], lineage)
    return report


def verdict_of(lake: Lake, params: Params, asset: str, table: str, partition: tuple[str, ...]) -> bool | None:
    """What the check of a partition came to; None when it was not checked as it is now, with these thresholds."""
    key = partition_key(partition or None)
    rows = lake.rows("checks", (asset, *key.split("~")))
    digest_now = lake.digest(table, partition or None)
    if not rows or rows[0]["digest"] != digest_now or rows[0]["knobs"] != knobs_of(params):
        return None
    return bool(rows[0]["passed"])


def knobs_of(params: Params) -> str:
    """Hash of everything that the suites compare with; which fakes are good enough is asked by `samples`."""
    compared = params.quality.model_dump(mode="json", exclude={"fakes"})
    return digest(compared, params.ingest.model_dump(mode="json"))


def _told(report: Report) -> dict[str, Any]:
    lines = ["| expectation | column | rows | observed | for example |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.expectation} | {one.column} | {one.broken} | {one.observed} | {', '.join(one.rows[:3])} |"
        for one in report.findings
    ]
    told: dict[str, Any] = {"rows": report.checked, "expectations": report.expectations}
    if report.findings:
        told["findings"] = dg.MarkdownMetadataValue("\n".join(lines))
    return told


with warnings.catch_warnings():
    # Partitioned checks are in preview; the pinned version has been tried with them.
    warnings.simplefilter("ignore", dg.PreviewWarning)
    checks = [check_of(*one) for one in CHECKED]
