"""Brings Dagster's storage to this version's schema, and sets how many steps each pool lets in at a time.

Safe to run at every start. Which assets are in which pool is said where the assets are defined.
"""

from __future__ import annotations

import os
import sys

from dagster import DagsterInstance

SLOTS = {"gpu": "HAETAE_GPU_SLOTS", "encode": "HAETAE_ENCODE_SLOTS"}


def main() -> int:
    limits: dict[str, int] = {}
    for pool, variable in SLOTS.items():
        given = os.environ.get(variable, "1")
        if not given.isdigit() or not 1 <= int(given) <= 1000:
            print(f"{variable} is {given!r}; set it to a whole number from 1 to 1000", file=sys.stderr)
            return 2
        limits[pool] = int(given)
    with DagsterInstance.get() as instance:
        instance.upgrade(print)
        for pool, limit in limits.items():
            instance.event_log_storage.set_concurrency_slots(pool, limit)
            print(f"pool {pool}: {limit} at a time")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
