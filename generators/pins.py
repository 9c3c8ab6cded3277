"""Which files a `full` generator is pinned to: read from a YAML file beside this module, or one that a person gives.

Where the files themselves lie is told by `generators.weights`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from generators.protocol import Card, Weights
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


@dataclass(frozen=True)
class Part:
    """One part of a file of pins, and the files that loading wants of it. pins: name of that file, without `.yaml`."""

    pins: str
    name: str
    pin: Pin
    wanted: tuple[str, ...]

    @property
    def files(self) -> dict[str, str | None]:
        """Filename → SHA-256, None where no pin gives one: what loading wants, and whatever else is pinned."""
        return {name: self.pin.files.get(name) for name in (*self.wanted, *sorted(self.pin.files))}


def parts_of(maker: type) -> tuple[Part, ...]:
    """What the class of a generator says, by its class method `weight_parts`, that loading wants; empty without one.

    Raises: UsageError for a file of pins that cannot be read.
    """
    told = getattr(maker, "weight_parts", None)
    return () if told is None else tuple(told())


def pins(name: str, *needed: str) -> dict[str, Pin]:
    """The pins of one file, by the name of their part (`unet`, `ko`, …).

    name: of the file, without `.yaml`; needed: parts that it must have. Raises: UsageError for a file that is missing,
    not one of pins, or lacks a part.
    """
    path = pins_file(name)
    known = _read(path, path.stat().st_mtime_ns if path.is_file() else 0)
    if absent := [part for part in needed if part not in known]:
        raise UsageError(f"{path} has no part {', '.join(absent)}; it has: {', '.join(known) or 'none'}")
    return known


def pins_file(name: str) -> Path:
    """Where the pins of this name are read from."""
    folder = os.environ.get(PINS)
    given = Path(folder) / f"{name}.yaml" if folder else None
    return given if given is not None and given.is_file() else _FOLDER / f"{name}.yaml"


def lacking(card: Card, parts: Sequence[Part]) -> list[str]:
    """The wanted files that a card does not list: no pin gave their SHA-256, or no revision, when it was read."""
    known = {(one.repo, one.filename) for one in card.weights}
    return [name for part in parts for name in part.wanted if (part.pin.repo, name) not in known]


def require_pinned(card: Card, parts: Sequence[Part]) -> None:
    """Raises: UsageError naming each wanted file that no pin gives a SHA-256 for, and what to do."""
    if unknown := lacking(card, parts):
        raise UsageError(
            f"{card.key}: the SHA-256 of {', '.join(unknown)} is not known. {_how_to_pin(parts[0].pins)}"
        )


def _how_to_pin(name: str) -> str:
    path = pins_file(name)
    wanted = "the commit and the SHA-256 of each file"
    if path.parent == _FOLDER:
        return f"Copy {path} into a folder of yours, add {wanted}, and set {PINS} to that folder"
    return f"Add {wanted} to {path}, which {PINS} names"


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
