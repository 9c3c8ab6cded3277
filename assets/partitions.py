"""The partitions of the graph and the conditions under which it grows by itself.

They are declared on the assets, so they live on the assets' floor; sensors that add keys live above.
"""

from __future__ import annotations

import dagster as dg

batch = dg.DynamicPartitionsDefinition(name="batch")
"""One ingest batch: at most a few hundred media."""

generator = dg.DynamicPartitionsDefinition(name="generator")
"""One generator, as name@version."""

snapshot = dg.DynamicPartitionsDefinition(name="snapshot")
"""One frozen data set."""

batch_by_generator = dg.MultiPartitionsDefinition({"batch": batch, "generator": generator})
"""The work of one generator on one batch."""

_quiet = ~dg.AutomationCondition.in_progress() & ~dg.AutomationCondition.execution_failed()

when_parents_are_complete = (
    (dg.AutomationCondition.missing() | dg.AutomationCondition.code_version_changed())
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
    & _quiet
).with_label("when its parents are complete")
"""Build a partition that is missing, once all that it needs is there and passed its checks."""

when_a_parent_has_news = (
    (dg.AutomationCondition.missing() | dg.AutomationCondition.any_deps_updated())
    & ~dg.AutomationCondition.any_deps_in_progress()
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
    & _quiet
).with_label("when a parent has news")
"""Build again whenever a parent got a new or changed partition: for assets over all partitions."""
