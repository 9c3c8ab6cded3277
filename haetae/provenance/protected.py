"""People of whom no fake is made whatever their media allow: a file that a person keeps.

Each entry names an identity as `sources.yaml` does, and why: a minor, a candidate in an election period, or
somebody who asked for it. What follows from an entry is decided in `policy`.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from haetae.errors import UsageError

MAX_BYTES = 16 << 20


class Protected(BaseModel):
    """One protected identity. starts, ends: first and last day of the protection; None: no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: str = Field(min_length=1, max_length=200)
    reason: Literal["minor", "election_candidate", "deny_list"]
    starts: dt.date | None = None
    ends: dt.date | None = None
    note: str = ""

    @model_validator(mode="after")
    def _has_its_period(self) -> Protected:
        if self.reason == "election_candidate" and self.ends is None:
            raise ValueError("an election period ends; give the last day as ends: 2027-03-09")
        if self.starts and self.ends and self.ends < self.starts:
            raise ValueError("ends lies before starts")
        return self

    def holds(self, today: dt.date) -> bool:
        """Whether the day lies in the period of protection."""
        return (self.starts is None or self.starts <= today) and (self.ends is None or today <= self.ends)


def load_protected(path: str | None) -> tuple[Protected, ...]:
    """The entries of a file; none where no file is named. Raises: UsageError naming the entry and what is wrong."""
    if path is None:
        return ()
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: more than {MAX_BYTES} bytes; it is a list of people, one entry each")
        found: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"policy.protected: cannot read {path}: {error}; correct the path, or take it out"
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    try:
        return TypeAdapter(tuple[Protected, ...]).validate_python(found or [])
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(f"{path}: entry {where}: {first['msg']}") from error


def protecting(entries: Iterable[Protected], names: Sequence[str], today: dt.date) -> list[Protected]:
    """The entries that protect one of these people today, in the order of the file.

    Names are compared without regard to case and to how their characters are composed.
    """
    wanted = {_folded(name) for name in names}
    return [entry for entry in entries if _folded(entry.identity) in wanted and entry.holds(today)]


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
