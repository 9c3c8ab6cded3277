"""The mapping file of a data set: which column of its tables means what, checked.

How the tables are read by it is in `mapping`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from haetae.errors import UsageError
from haetae.importers.base import Finding, Modality, Segment

MAX_MAPPING_BYTES = 1 << 20

SKELETON = """\
title: what the data set is called
table: labels.csv              # below PATH; csv, tsv, json, jsonl or parquet; also a list, or data/*.parquet
path: {column: file}           # with prefix: and suffix: where the column is only a part; form: frames for folders
verdicts:                      # only of the modalities that the data set states; each value is mapped by you
  video: {column: label, values: {"0": real, "1": fake}}
  audio: {constant: real}      # or {column: …, values: {…: real, …: fake, …: unknown}}
segments:                      # optional; unit: s, ms, or frames with fps: and last_frame: included | excluded
  - {modality: video, start: begin_s, end: end_s, unit: s}
split: {column: subset, values: {train: train, dev: val, test: test}}
pair: {column: original}       # file or key of the untouched item
mask: {column: mask}           # file or folder of its mask
identities: {columns: [target, source]}
generator: {column: method, none: [real, "-"]}
language: {column: lang, values: {kr: ko}}    # into ko, en-SG, ms, ta or other; or {constant: ko}
licence: LicenseRef-name       # SPDX id, or LicenseRef-…
access: what its holder asks of whoever wants it, in one sentence
"""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class Taken(_Part):
    """One field of an entry: from a column, or the same for all. `none`: cells that state nothing."""

    column: str | None = None
    constant: str | None = None
    none: Texts = ("",)
    prefix: str = ""
    suffix: str = ""

    @model_validator(mode="after")
    def _one_of_two(self) -> Taken:
        if (self.column is None) == (self.constant is None):
            raise ValueError("give either column or constant")
        return self

    def of(self, row: Mapping[str, Any]) -> str | None:
        """The cell as text with prefix and suffix; None where the row states nothing."""
        if self.column is None:
            return self.constant
        cell = cell_text(row.get(self.column))
        return f"{self.prefix}{cell}{self.suffix}" if cell and cell not in self.none else None


class Mapped(Taken):
    """A field with few values of our own; how the data set writes them is given by `values`, in any case."""

    values: Mapping[str, str] = Field(default_factory=dict)
    allowed: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _known_values(self) -> Mapped:
        ours = list(self.values.values()) if self.column is not None else [self.constant or ""]
        if wrong := [value for value in ours if value not in self.allowed]:
            raise ValueError(f"{wrong[0]!r} is none of {', '.join(self.allowed)}")
        if self.column is not None and not self.values:
            raise ValueError(f"give values: what each word in it means, {', '.join(self.allowed)}")
        if len({word.casefold() for word in self.values}) < len(self.values):
            raise ValueError("two of the values differ only in upper and lower case")
        return self

    def meaning(self, row: Mapping[str, Any], name: str, key: str) -> tuple[str | None, list[Finding]]:
        """Our word for the cell; None with a finding for a cell that is empty or not mapped."""
        if self.column is None:
            return (None if self.constant == "unknown" else self.constant), []
        cell = cell_text(row.get(self.column))
        known = {word.casefold(): ours for word, ours in self.values.items()}
        if cell.casefold() in known:
            ours = known[cell.casefold()]
            return (None if ours == "unknown" else ours), []
        if not cell:
            return None, [Finding("unlabelled", key, f"{name}: its {self.column} is empty")]
        told = f"{name}: {cell!r} in {self.column} is not in the mapping; nothing is taken from it"
        return None, [Finding("label_mismatch", key, told)]


class VerdictField(Mapped):
    allowed = ("real", "fake", "unknown")


class SplitField(Mapped):
    allowed = ("train", "val", "test", "unknown")


class LanguageField(Mapped):
    allowed = ("ko", "en-SG", "ms", "ta", "other", "unknown")


class SegmentField(_Part):
    """Changed stretches: two columns, or one that holds a list of [start, end]."""

    modality: Modality
    column: str | None = None
    start: str | None = None
    end: str | None = None
    unit: Literal["s", "ms", "frames"]
    fps: float | None = Field(None, gt=0, le=1000)
    last_frame: Literal["included", "excluded"] | None = None

    @model_validator(mode="after")
    def _complete(self) -> SegmentField:
        if (self.column is None) == (self.start is None or self.end is None):
            raise ValueError("give either column (a list of [start, end]), or start and end")
        if self.unit == "frames" and (self.fps is None or self.last_frame is None):
            raise ValueError("frames need fps, and last_frame: included or excluded")
        if self.unit != "frames" and (self.fps is not None or self.last_frame is not None):
            raise ValueError("fps and last_frame are for unit: frames")
        return self

    def of(self, row: Mapping[str, Any]) -> list[Segment]:
        """Segments in seconds. Raises: ValueError for cells that are no numbers or no pairs."""
        if self.column is not None:
            cell = row.get(self.column)
            pairs = json.loads(cell) if isinstance(cell, str) and cell.strip() else cell or []
        else:
            ends = [row.get(self.start or ""), row.get(self.end or "")]
            pairs = [] if all(cell_text(cell) == "" for cell in ends) else [ends]
        segments = []
        for pair in pairs:
            start, end = (float(cell) for cell in pair)
            if self.unit == "frames" and self.last_frame == "included":
                end += 1
            per_s = {"s": 1.0, "ms": 1000.0, "frames": self.fps or 1.0}[self.unit]
            if not math.isfinite(start + end):
                raise ValueError(f"{start}, {end}")
            segments.append(Segment(self.modality, start / per_s, end / per_s))
        return segments


class IdentityField(_Part):
    """People, one in each column, or several in one column with a separator."""

    columns: Texts = Field(min_length=1)
    separator: str | None = None
    none: Texts = ("", "-")

    def of(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        cells = [cell_text(row.get(column)) for column in self.columns]
        names = [
            n.strip() for cell in cells for n in (cell.split(self.separator) if self.separator else [cell])
        ]
        return tuple(dict.fromkeys(name for name in names if name not in self.none))


class MappingFile(_Part):
    """A mapping file. Columns are named as in the header; of a JSON object of objects, `@key` is the key."""

    title: str = Field(min_length=1)
    table: Texts = Field(min_length=1)
    delimiter: str = Field(",", min_length=1, max_length=1)
    path: Taken | Literal["@row"]
    """`@row`: the media are in the rows of the Parquet table themselves."""
    form: Literal["file", "frames"] = "file"
    key: Taken | None = None
    """Where there is none, the path on disk."""
    verdicts: Mapping[Modality, VerdictField] = Field(min_length=1)
    segments: tuple[SegmentField, ...] = ()
    split: SplitField | None = None
    pair: Taken | None = None
    mask: Taken | None = None
    identities: IdentityField | None = None
    generator: Taken | None = None
    family: Taken | None = None
    language: LanguageField | None = None
    text: Taken | None = None
    detail: Texts = ()
    licence: str = Field(
        pattern=r"^(LicenseRef-[A-Za-z0-9.-]+|[A-Za-z0-9][A-Za-z0-9.+-]*|all-rights-reserved)$"
    )
    access: str = Field(min_length=1)
    purposes: tuple[Literal["synthesis", "training", "benchmark", "release"], ...] = ("training", "benchmark")
    consent: Literal["release", "licence", "synthetic", "none"] = "licence"

    @property
    def columns(self) -> set[str]:
        """Every column that it names."""
        single = [self.path, self.key, self.split, self.pair, self.mask, self.generator, self.family]
        single += [self.language, self.text, *self.verdicts.values()]
        named = {one.column for one in single if isinstance(one, Taken)}
        named |= {name for one in self.segments for name in (one.column, one.start, one.end)}
        named |= {*self.detail, *(self.identities.columns if self.identities else ())}
        return {name for name in named if name is not None}


def load_mapping(path: Path) -> MappingFile:
    """Read a mapping file. Every word in it is text: `no`, `0` and `true` are what they look like.

    Raises: UsageError with one line for each fault and a skeleton to begin with.
    """
    try:
        if path.stat().st_size > MAX_MAPPING_BYTES:
            raise UsageError(f"{path} holds more than {MAX_MAPPING_BYTES} bytes; that is no mapping file")
        # Without the safe loader's types: `no: real` must map the word "no", and 0 is the text "0".
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"cannot read the mapping {path}: {error}") from error
    try:
        return MappingFile.model_validate(content)
    except ValidationError as error:
        faults = [f"  {'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}" for one in error.errors()]
        raise UsageError(
            f"{path} is no mapping yet:\n" + "\n".join(faults) + f"\nA mapping looks like this:\n{SKELETON}"
        ) from error


def cell_text(cell: Any) -> str:
    """A cell as a table would write it: nothing is "", a whole number has no point, true is "true"."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()
