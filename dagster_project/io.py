"""Between assets: an input named after an asset is that asset's table, for the partition asked for.

Assets write through `assets.stage` (rows, edges and quarantine in one commit), so there is no output here.
"""

from typing import Any

import dagster as dg
import pyarrow as pa

from assets.recipes import RECIPES
from haetae.lake import Lake


class LakeTables(dg.IOManager):
    """Loads the table of an upstream asset as Arrow."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ARG002
        raise TypeError(f"{context.asset_key.to_user_string()} must commit through Stage and return no value")

    def load_input(self, context: dg.InputContext) -> pa.Table:
        name = context.asset_key.to_user_string()
        table = RECIPES[name].table if name in RECIPES else name
        if not context.has_asset_partitions:
            return self._lake.read(table)
        keys = [_parts(key) for key in context.asset_partition_keys]
        return pa.concat_tables([self._lake.read(table, key) for key in keys])


def _parts(key: str) -> tuple[str, ...]:
    if isinstance(key, dg.MultiPartitionKey):
        return (key.keys_by_dimension["batch"], key.keys_by_dimension["generator"])
    return (key,)


@dg.io_manager(required_resource_keys={"lake"})
def lake_tables(context: dg.InitResourceContext) -> LakeTables:
    return LakeTables(context.resources.lake)
