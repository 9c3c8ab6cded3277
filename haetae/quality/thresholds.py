"""Whether a fake is good enough for the data set: a query over what was measured of it, and `quality.fakes`.

The figures are measured when a fake is made (`fakes`); a changed threshold asks the tables again and makes
nothing anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from haetae.lake import Lake
from haetae.params import FakeThresholds

SURE_OF_SYNC = 0.5
"""Confidence from which an offset of sound and lips is believed; see `haetae.voice.sync` for what was measured."""

_HEARD_IN_STEP = "in_step AND sync_offset_s IS NOT NULL"
_LENDS_A_FACE = "identity_to_donor IS NOT NULL"


@dataclass(frozen=True)
class Rule:
    """One threshold. column: of `fakes`, with its unit; missed: SQL that is true of a fake that misses `$1`.

    A fake of which the column was not measured misses nothing. in_step, in SQL: the fake's sound and lips are
    labelled to agree; where a generator pulls them apart, that is what the fake is for.
    """

    threshold: str
    column: str
    unit: str
    missed: str


RULES = (
    Rule("max_flicker", "flicker", "luma", "flicker > $1"),
    Rule("max_seam", "seam", "luma/px", "seam > $1"),
    Rule(
        "max_identity_to_target",
        "identity_to_target",
        "cosine",
        f"{_LENDS_A_FACE} AND identity_to_target > $1",
    ),
    Rule("min_identity_to_donor", "identity_to_donor", "cosine", "identity_to_donor < $1"),
    Rule(
        "min_identity_kept",
        "identity_to_target",
        "cosine",
        f"NOT ({_LENDS_A_FACE}) AND identity_to_target < $1",
    ),
    Rule(
        "max_sync_offset_s",
        "sync_offset_s",
        "s",
        f"{_HEARD_IN_STEP} AND sync_confidence >= {SURE_OF_SYNC} AND abs(sync_offset_s) > $1",
    ),
    Rule("min_sync_confidence", "sync_confidence", "0 to 2", f"{_HEARD_IN_STEP} AND sync_confidence < $1"),
    Rule("max_loudness_change_lu", "loudness_change_lu", "LU", "abs(loudness_change_lu) > $1"),
    Rule("max_duration_change_s", "duration_change_s", "s", "abs(duration_change_s) > $1"),
    Rule("min_intelligibility", "intelligibility", "0 to 1", "intelligibility < $1"),
)
"""In the order of `quality.fakes`; a fake that misses several is refused by the name of the first."""

_JUDGED = """
SELECT f.*, l.verdict IS NOT DISTINCT FROM 'real' AS in_step FROM fakes f
LEFT JOIN current_labels l ON l.sample_id = f.fake_id AND l.modality = 'sync' AND l.track_id IS NULL
"""


@dataclass(frozen=True)
class Miss:
    """One threshold that a fake misses: what was measured, and what `quality.fakes` says."""

    rule: Rule
    value: float
    bound: float

    @property
    def reason(self) -> str:
        """For `quarantine`: the name of the knob is in it."""
        return f"missed_{self.rule.threshold}"

    def __str__(self) -> str:
        return f"{self.rule.column} {self.value:g}, quality.fakes.{self.rule.threshold} is {self.bound:g}"


def misses(lake: Lake, thresholds: FakeThresholds) -> Mapping[str, tuple[Miss, ...]]:
    """What each fake of the lake misses, by fake_id, in the order of `RULES`; fakes that miss nothing are absent."""
    found: dict[str, list[Miss]] = defaultdict(list)
    for rule in RULES:
        bound = getattr(thresholds, rule.threshold)
        if bound is None:
            continue
        query = (
            f"SELECT fake_id, {rule.column} AS value FROM ({_JUDGED}) WHERE {rule.missed} ORDER BY fake_id"
        )
        for row in lake.sql(query, [bound]).to_pylist():
            found[row["fake_id"]].append(Miss(rule, row["value"], bound))
    return {fake_id: tuple(missed) for fake_id, missed in found.items()}
