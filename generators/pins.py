"""Which files a `full` generator is pinned to: read from a YAML file beside this module, or one that a person gives.

Where the files themselves lie is told by `generators.weights`.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from generators.protocol import Weights
from haetae.errors import UsageError

PINS = "HAETAE_PINS"
"""Folder with `<name>.yaml` files that take the place of those of the project."""
_FOLDER = Path(__file__).with_name("pinned")


class Pin(BaseModel):
    """One repository at one commit. files: filename → SHA-256, 64 hex digits; revision null: not pinned yet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str
    revision: str | None
    licence: str
    files: dict[str, str] = Field(default_factory=dict)

    @property
    def weights(self) -> tuple[Weights, ...]:
        """The files as a card lists them; none while the revision is not pinned."""
        if self.revision is None:
            return ()
        return tuple(
            Weights(repo=self.repo, revision=self.revision, filename=name, sha256=sha, licence=self.licence)
            for name, sha in sorted(self.files.items())
        )


def pins(name: str) -> dict[str, Pin]:
    """The pins of one file, by the name of their part (`unet`, `ko`, …).

    name: of the file, without `.yaml`. Raises: UsageError for a file that is missing or not one of pins.
    """
    path = pins_file(name)
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


def pins_file(name: str) -> Path:
    """Where the pins of this name are read from."""
    folder = os.environ.get(PINS)
    given = Path(folder) / f"{name}.yaml" if folder else None
    return given if given is not None and given.is_file() else _FOLDER / f"{name}.yaml"


def require_pinned(key: str, name: str, weights: tuple[Weights, ...], wanted: tuple[str, ...]) -> None:
    """Raises: UsageError naming each file of `wanted` that no pin gives a SHA-256 for, and what to do."""
    known = {one.filename for one in weights}
    if lacking := [filename for filename in wanted if filename not in known]:
        raise UsageError(
            f"{key}: the SHA-256 of {', '.join(lacking)} is not known. Copy {_FOLDER.name}/{name}.yaml, add the"
            f" commit and the SHA-256 of each file, and set {PINS} to its folder"
        )


@lru_cache(maxsize=64)
def _read(path: Path, _changed_ns: int) -> dict[str, Pin]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is no mapping of parts")
        return {str(part): Pin.model_validate(value) for part, value in content.items()}
    except (OSError, yaml.YAMLError, ValidationError, ValueError) as error:
        first = " ".join(str(error).split())[:300]
        raise UsageError(f"{path} is no file of pins: {first}") from error
