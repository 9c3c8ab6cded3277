"""What makes the graph grow by itself: new items at a source, a new generator, a new data set.

Sensors only add partition keys; the assets' own conditions then build what is missing.
"""

import dagster as dg

from assets.partitions import batch, generator, snapshot
from dagster_project.resources import lake_root, params_file
from dagster_project.wanted import next_snapshot_id, wanted_generators
from haetae.importers.data_set import is_data_set
from haetae.lake import Lake
from haetae.media.hosts import manners_of
from haetae.media.intake import SourcesFiles, declare_sources, open_batches
from haetae.media.reported import open_reported
from haetae.params import load_params
from haetae.provenance.sources import load_sources

RUNNING = dg.DefaultSensorStatus.RUNNING


@dg.sensor(
    name="new_batch",
    minimum_interval_seconds=60,
    default_status=RUNNING,
    description="Opens batches for what is new: at the sources that are due, and in the queue of reports.",
)
def new_batch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    lake, params = Lake(lake_root()), load_params(params_file())
    problems: list[str] = []
    for path in SourcesFiles().paths(lake):
        sources = load_sources(path)
        declare_sources(lake, sources, str(path), "sensor")
        # Data sets are brought in by a person, who reads their inventory.
        crawled = [source for source in sources if not is_data_set(source)]
        manners = manners_of(lake, params.crawl)
        problems += open_batches(
            lake, crawled, params.crawl, "sensor", only_due=True, manners=manners
        ).problems
    if lake.files.is_local:
        open_reported(lake, params.crawl.batch_size, "sensor", params.crawl.allow_hosts)
    for problem in problems:
        context.log.warning(problem)
    known = set(context.instance.get_dynamic_partitions("batch"))
    fresh = [key for key in lake.partitions("items") if key not in known]
    if not fresh:
        return dg.SkipReason("no unseen items at the sources")
    return dg.SensorResult(
        dynamic_partitions_requests=[batch.build_add_request(fresh)],
        asset_events=[
            dg.AssetMaterialization(name, partition=key) for key in fresh for name in ("items", "imports")
        ],
    )


@dg.sensor(
    name="new_generator",
    minimum_interval_seconds=60,
    default_status=RUNNING,
    description="Adds a partition for every newly installed generator card of the profile.",
)
def new_generator(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    known = set(context.instance.get_dynamic_partitions("generator"))
    fresh = [key for key in wanted_generators(load_params(params_file()).generate) if key not in known]
    if not fresh:
        return dg.SkipReason("no new generator is installed")
    return dg.SensorResult(dynamic_partitions_requests=[generator.build_add_request(fresh)])


@dg.sensor(
    name="new_snapshot",
    minimum_interval_seconds=120,
    default_status=RUNNING,
    description="Names the next snapshot when the samples changed since the last one.",
)
def new_snapshot(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    lake, params = Lake(lake_root()), load_params(params_file())
    key = next_snapshot_id(lake, params)
    if key is None:
        return dg.SkipReason("there are no samples yet")
    if key in context.instance.get_dynamic_partitions("snapshot"):
        return dg.SkipReason(f"the samples are those of snapshot {key}")
    return dg.SensorResult(dynamic_partitions_requests=[snapshot.build_add_request([key])])


sensors = [
    new_batch,
    new_generator,
    new_snapshot,
    dg.AutomationConditionSensorDefinition(
        "grow",
        target=dg.AssetSelection.all(),
        default_status=RUNNING,
        description="Builds what is missing, by the conditions declared on the assets.",
    ),
]
