"""What assets are given: the lake, the parameters, the engine, the sources files.

The composition root (`definitions.build`) takes overrides, so the command line and tests build the
same graph over other lakes.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_project.io import lake_tables
from haetae.engine import Engine, OnProgress, PoolEngine
from haetae.lake import Lake
from haetae.media.intake import SourcesFiles
from haetae.params import Params, load_params

DEFAULT_LAKE = "data"


def lake_root() -> str:
    """Root of the lake: HAETAE_LAKE, or `data` below the working folder."""
    return os.environ.get("HAETAE_LAKE", DEFAULT_LAKE)


def params_file() -> Path | None:
    """HAETAE_PARAMS, or params.yaml in the working folder where there is one."""
    given = os.environ.get("HAETAE_PARAMS")
    if given:
        return Path(given)
    return Path("params.yaml") if Path("params.yaml").is_file() else None


@dg.resource(description="Tables and blobs below HAETAE_LAKE.")
def lake(_: dg.InitResourceContext) -> Lake:
    return Lake(lake_root())


@dg.resource(description="params.yaml, checked; HAETAE_PARAMS names another file.")
def params(_: dg.InitResourceContext) -> Params:
    return load_params(params_file())


def pool_of(params: Params, on_progress: OnProgress | None = None) -> PoolEngine:
    """Worker processes as `params.engine` wants them."""
    knobs = params.engine
    return PoolEngine(knobs.workers or None, on_progress, round(knobs.worker_memory_gib * (1 << 30)))


@dg.resource(description="Resident worker processes of this run.", required_resource_keys={"params"})
def engine(context: dg.InitResourceContext) -> Iterator[Engine]:
    pool = pool_of(context.resources.params)
    try:
        yield pool
    finally:
        pool.close()


@dg.resource(description="The sources file of HAETAE_SOURCES, or those that the lake already knows.")
def sources_files(_: dg.InitResourceContext) -> SourcesFiles:
    given = os.environ.get("HAETAE_SOURCES")
    return SourcesFiles((Path(given),) if given else ())


def resources(**overrides: Any) -> dict[str, Any]:
    """The resources of the graph by name, some of them replaced by ready objects."""
    defaults: dict[str, Any] = {
        "lake": lake,
        "params": params,
        "engine": engine,
        "sources_files": sources_files,
        "io_manager": lake_tables,
    }
    return {**defaults, **overrides}
