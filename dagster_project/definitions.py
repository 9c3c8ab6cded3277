"""The graph as Dagster sees it: assets, checks, sensors, jobs and resources, put together in one place.

What an asset does is told in `assets`; nothing heavy is imported here, so the code location loads at once.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets import (
    crawl,
    dataset,
    detector,
    generate,
    identify,
    ingest,
    label,
    lessons,
    quality,
    registry,
    speech,
)
from dagster_project.jobs import jobs
from dagster_project.resources import resources
from dagster_project.sensors import sensors

assets: list[dg.AssetsDefinition | dg.AssetSpec] = [
    crawl.sources,
    crawl.items,
    crawl.imports,
    crawl.media,
    ingest.clips,
    ingest.tracks,
    speech.utterances,
    speech.cues,
    speech.signals,
    identify.fingerprints,
    identify.duplicates,
    identify.identities,
    generate.groups,
    lessons.lessons,
    generate.fakes,
    label.original_labels,
    label.labels,
    dataset.samples,
    dataset.snapshot,
    detector.candidate,
    detector.scorecard,
    registry.champion,
]
"""Every asset, in the order of the data's way."""


def build(**overrides: Any) -> dg.Definitions:
    """The whole graph, with some resources replaced: the one composition root of service, command and tests."""
    return dg.Definitions(
        assets=assets,
        asset_checks=quality.checks,
        jobs=jobs,
        sensors=sensors,
        resources=resources(**overrides),
        executor=dg.in_process_executor,
    )


defs = build()
