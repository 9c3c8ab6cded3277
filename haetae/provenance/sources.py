"""`sources.yaml`: what is declared about every place media come from, read and checked.

Nothing is fetched here, and whether a source may be used for a purpose is decided in `policy`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from haetae.errors import UsageError

Purpose = Literal["synthesis", "training", "benchmark", "release"]

ALL_RIGHTS_RESERVED = "all-rights-reserved"
_SPDX_ID = r"[A-Za-z0-9][A-Za-z0-9.+-]*"
_SPDX = rf"^(all-rights-reserved|LicenseRef-[A-Za-z0-9.-]+|{_SPDX_ID}( (AND|OR|WITH) {_SPDX_ID})*)$"
_NAMING = frozenset({"v", "list", "page", "p", "episode"})
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_-]{1,40}")
_FIXES = {
    "licence": "give an SPDX id such as CC-BY-4.0, or all-rights-reserved",
    "id": "use letters, digits, '.', '_' and '-', starting with a letter or digit",
    "kind": "use page, feed, channel, file, folder or dataset:<format>",
    "retention_until": "give a date such as 2027-12-31",
    "every_h": "give the hours between two looks as a number above 0, such as 24",
}


class Consent(BaseModel):
    """On what ground the people in the media agreed, and where that is written down."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    basis: Literal["release", "licence", "synthetic", "none"]
    ref: str | None = None


class Source(BaseModel):
    """One entry of `sources.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    uri: str = Field(min_length=1)
    kind: str = Field(pattern=r"^(page|feed|channel|file|folder|dataset:[a-z0-9_+-]+)$")
    language: Literal["ko", "en-SG", "ms", "ta", "other"]
    country: str | None = Field(None, pattern=r"^[A-Z]{2}$")
    use_case: Literal["social_media", "news", "voice_biometrics", "other"] = "other"
    licence: str | None = Field(None, pattern=_SPDX)
    consent: Consent | None = None
    purposes: tuple[Purpose, ...] = ()
    verdict: Literal["real", "fake", "unknown"] = "unknown"
    generator: str | None = None
    identities: tuple[str, ...] = ()
    retention_until: dt.date | None = None
    every_h: float | None = Field(None, gt=0, le=24 * 366, allow_inf_nan=False)
    """Hours between two looks at it by the sensor; None: at each of its ticks."""

    @field_validator("identities")
    @classmethod
    def _plain_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not name or "+" in name or "__" in name or "/" in name:
                raise ValueError(f"{name!r} may not be empty or hold '+', '__' or '/'")
        return names

    @property
    def is_local(self) -> bool:
        return urlsplit(self.uri).scheme not in ("http", "https")

    def row(self, declared_by: str, declared_at: dt.datetime) -> dict[str, Any]:
        """The source as a row of the `sources` table."""
        return {
            "source_id": self.id,
            "uri": redact(self.uri),
            "kind": self.kind,
            "language": self.language,
            "country": self.country,
            "use_case": self.use_case,
            "licence": self.licence,
            "consent": self.consent.model_dump() if self.consent else None,
            "purposes": list(self.purposes),
            "verdict": self.verdict,
            "generator": self.generator,
            "identities": list(self.identities),
            "retention_until": self.retention_until.isoformat() if self.retention_until else None,
            "status": "active",
            "declared_by": declared_by,
            "declared_at": declared_at,
        }


def redact(uri: str) -> str:
    """The address without credentials and without the values of its query, which may be signatures.

    Values are shown of the few parameters that name a medium or a list and nothing else.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return uri
    host = parts.netloc.rsplit("@", 1)[-1]
    query = "&".join(_redacted(pair) for pair in parts.query.split("&") if pair)
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def _redacted(pair: str) -> str:
    name, _, value = pair.partition("=")
    return pair if name in _NAMING and _PLAIN_VALUE.fullmatch(value) else f"{name}=…"


def identities_of(name: str, declared: tuple[str, ...] | list[str], *, kind: str = "folder") -> list[str]:
    """People in one file of a source.

    `<a>__x.mp4` shows a, `<a>+<b>__x.mp4` shows a and b from left to right, where all of them are
    declared; a source that is one file shows all that it declares, from left to right; and one that
    declares one person shows that person in every file.
    """
    if kind == "file":
        return list(declared)
    stem = name.rsplit("/", 1)[-1]
    named = stem.split("__", 1)[0].split("+") if "__" in stem else []
    if named and all(person in declared for person in named):
        return named
    return list(declared) if len(declared) == 1 else []


def load_sources(path: Path) -> list[Source]:
    """Read a sources file; relative paths are taken from its folder.

    Raises: UsageError with one line for each fault: file, line, field, what is wrong and what mends it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        entries = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    if not isinstance(entries, list) or not isinstance(node, yaml.SequenceNode):
        raise UsageError(f"{path}:1: expected a list of sources; start each with '- id: …'")
    sources, faults, seen = [], [], dict[str, int]()
    for entry, entry_node in zip(entries, node.value, strict=True):
        line = entry_node.start_mark.line + 1
        try:
            source = Source.model_validate(entry)
        except ValidationError as error:
            faults += [_fault(path, entry_node, dict(one)) for one in error.errors()]
            continue
        if source.id in seen:
            faults.append(
                f"{path}:{line}: id: {source.id!r} is already declared at line {seen[source.id]}; rename one"
            )
            continue
        seen[source.id] = line
        sources.append(_absolute(source, path.parent))
    if faults:
        raise UsageError("\n".join(faults))
    return sources


def load_all_sources(paths: Sequence[Path]) -> list[Source]:
    """The sources of several files, as `load_sources`. Raises: UsageError also for an id in two of them."""
    found: dict[str, Path] = {}
    sources = []
    for path in paths:
        for source in load_sources(path):
            if source.id in found:
                raise UsageError(
                    f"{path}: {source.id!r} is already declared in {found[source.id]}; rename one"
                )
            found[source.id] = path
            sources.append(source)
    return sources


def _absolute(source: Source, folder: Path) -> Source:
    if not source.is_local:
        return source
    return source.model_copy(update={"uri": str((folder / source.uri).resolve())})


def _fault(path: Path, entry: yaml.Node, fault: dict[str, Any]) -> str:
    field = ".".join(str(part) for part in fault["loc"]) or "entry"
    line = _line_of(entry, [str(part) for part in fault["loc"]])
    top = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        fix = f"remove it; the fields are: {', '.join(Source.model_fields)}"
    elif fault["type"] == "missing":
        fix = f"add '{top}: …'"
    else:
        fix = _FIXES.get(top, fault.get("ctx", {}).get("expected", "")) or "correct the value"
        fix = fix if (" " in fix and "'" not in fix) or top in _FIXES else f"use {fix}"
    return f"{path}:{line}: {field}: {fault['msg']}; fix: {fix}"


def _line_of(entry: yaml.Node, where: list[str]) -> int:
    """Line of a field below an entry, or of the nearest thing above it that exists."""
    node = entry
    line = entry.start_mark.line + 1
    for part in where:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == part), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            break
    return line
