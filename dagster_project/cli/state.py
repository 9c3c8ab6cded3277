"""What every sub-command is given: the lake and the parameters, opened when first asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import typer

from haetae.errors import UsageError
from haetae.lake import Lake
from haetae.params import Params, load_params


@dataclass
class State:
    """The global options."""

    lake_root: str
    params_path: str | None

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.lake_root)

    @cached_property
    def params(self) -> Params:
        if self.params_path:
            return load_params(Path(self.params_path))
        here = Path("params.yaml")
        return load_params(here if here.is_file() else None)

    @property
    def filled_lake(self) -> Lake:
        """The lake, which must hold something. Raises: UsageError telling how to fill it."""
        self.must_be_filled()
        return self.lake

    def must_be_filled(self) -> None:
        """Raises: UsageError for a lake that holds nothing, telling how to fill it."""
        if not self.lake.files.exists("tables"):
            raise UsageError(
                f"there is no lake at {self.lake_root} yet; make one with: haetae --lake {self.lake_root} run"
            )


def state_of(context: typer.Context) -> State:
    """The state that the global callback left for the sub-command."""
    state = context.find_root().obj
    assert isinstance(state, State)
    os.environ["HAETAE_LAKE"] = state.lake_root
    return state
