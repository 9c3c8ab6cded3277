"""Any data set through a mapping file: its tables are read as the file says, and what is not mapped is not guessed.

What a mapping file holds is in `mapping_file`; formats with a known layout have their own modules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from haetae.errors import UsageError
from haetae.importers.base import Entry, Finding, Importer, Reading, Segment, Split, Terms, Verdict
from haetae.importers.mapping_file import SKELETON, Mapped, MappingFile, load_mapping
from haetae.importers.tree import Tree

TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


class MappingImporter(Importer):
    """Reads what a mapping file tells it to; formats of unpublished layout derive from it."""

    name = "mapping"
    aliases: ClassVar[tuple[str, ...]] = ("generic", "csv", "parquet", "jsonl")
    title = "Any data set, by a mapping file"
    terms = Terms(
        licence="all-rights-reserved",
        access="Stated by the mapping file.",
        purposes=(),
        consent="none",
    )
    layout = "One or several tables with a row for each item, and the files that they name."
    must_hold: ClassVar[str] = "the table, the column of the path, and what each word of each verdict means"

    def __init__(self, mapping: Path | None = None) -> None:
        """mapping: the mapping file; without one, `read` says what it must hold. Raises: UsageError."""
        self.mapping = load_mapping(mapping) if mapping is not None else None
        if self.mapping is not None:
            told = self.mapping
            # Class values are what a format says of itself; this one says what its file says.
            self.title = told.title  # type: ignore[misc]
            self.terms = Terms(told.licence, told.access, told.purposes, told.consent)  # type: ignore[misc]

    def read(self, tree: Tree) -> Reading:
        if self.mapping is None:
            raise UsageError(
                f"{self.title}: its labels are not guessed. Write a mapping file that holds {self.must_hold}, "
                f"and give it with --mapping FILE.\nThere is:\n{survey(tree)}\nA mapping file looks like "
                f"this:\n{SKELETON}"
            )
        return read_mapped(self.mapping, tree)


def read_mapped(mapping: MappingFile, tree: Tree) -> Reading:
    """Entries of the rows of all tables. Raises: UsageError for a table or column that is not there."""
    entries: list[Entry] = []
    findings: list[Finding] = []
    for table in _tables(mapping, tree):
        for number, row in _rows(mapping, table, tree):
            entry, faults = _entry(mapping, tree, table, number, row)
            findings += faults
            if entry is not None:
                entries.append(entry)
    by_path = {entry.path: entry.key for entry in entries}
    keys = {entry.key for entry in entries}
    for place, entry in enumerate(entries):
        if entry.pair is not None and entry.pair not in keys:
            key = by_path.get(tree.find(entry.pair) or "", entry.pair)
            entries[place] = replace(entry, pair=key)
    return Reading(entries, findings)


def _entry(
    mapping: MappingFile, tree: Tree, table: str, number: int, row: Mapping[str, Any]
) -> tuple[Entry | None, list[Finding]]:
    where = f"{table}, row {number + 1}"
    stated = f"{table}!/{number}" if isinstance(mapping.path, str) else mapping.path.of(row)
    if stated is None:
        return None, [Finding("missing", where, "it names no file")]
    path = stated if isinstance(mapping.path, str) else tree.find(stated)
    if path is None or path.endswith("/") != (mapping.form == "frames"):
        wanted = "folder of frames" if mapping.form == "frames" else "file"
        return None, [Finding("missing", stated, f"{where} names it, but there is no such {wanted}")]
    key = (mapping.key.of(row) if mapping.key else None) or path.rstrip("/")
    findings: list[Finding] = []
    words: dict[str, str | None] = {}
    fields: list[tuple[str, Mapped | None]] = [*mapping.verdicts.items()]
    fields += [("split", mapping.split), ("language", mapping.language)]
    for name, field in fields:
        if field is not None:
            words[name], faults = field.meaning(row, name, key)
            findings += faults
    segments: list[Segment] = []
    for one in mapping.segments:
        try:
            segments += one.of(row)
        except (ValueError, TypeError, OverflowError) as error:
            findings.append(Finding("damaged", key, f"{where}: no {one.modality} segments: {error}"))
    mask = mapping.mask.of(row) if mapping.mask else None
    return Entry(
        key=key,
        path=path,
        form=mapping.form,
        video=_verdict(words.get("video")),
        audio=_verdict(words.get("audio")),
        sync=_verdict(words.get("sync")),
        text_verdict=_verdict(words.get("text")),
        segments=tuple(segments),
        split=_split(words.get("split")),
        pair=mapping.pair.of(row) if mapping.pair else None,
        mask=(tree.find(mask) or mask) if mask else None,
        identities=mapping.identities.of(row) if mapping.identities else (),
        generator=mapping.generator.of(row) if mapping.generator else None,
        family=mapping.family.of(row) if mapping.family else None,
        language=words.get("language"),
        text=mapping.text.of(row) if mapping.text else None,
        detail={name: _plain(row[name]) for name in mapping.detail if row.get(name) not in (None, "")},
    ), findings


def _tables(mapping: MappingFile, tree: Tree) -> list[str]:
    """Paths of the tables, each once. Raises: UsageError where a pattern finds none."""
    found: dict[str, None] = {}
    for wanted in mapping.table:
        if "*" in wanted:
            here = [path for path in tree.files(*TABLES) if Path(path).match(wanted)]
        else:
            here = [path for path in [tree.find(wanted)] if path is not None]
        if not here:
            raise UsageError(f"table {wanted} is not in {tree.root}; there is:\n{survey(tree)}")
        found.update(dict.fromkeys(here))
    return list(found)


def _rows(mapping: MappingFile, table: str, tree: Tree) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a table with their numbers from 0. Raises: UsageError for a column that no row has."""
    suffix = table[table.rfind(".") :].lower()
    if suffix not in TABLES:
        raise UsageError(f"{table} is no {', '.join(TABLES)} file")
    if suffix == ".parquet":
        yield from _parquet_rows(mapping, table, tree)
        return
    if mapping.path == "@row":
        raise UsageError(f"{table}: path: '@row' is for Parquet tables that hold the media")
    if suffix in (".csv", ".tsv"):
        rows: list[Any] = list(tree.csv(table, "\t" if suffix == ".tsv" else mapping.delimiter))
    elif suffix == ".jsonl":
        rows = [_json_line(table, number, line) for number, line in enumerate(_lines(tree, table), 1)]
    else:
        content = tree.json(table)
        rows = content if isinstance(content, list) else _keyed(table, content)
    if wrong := next((number for number, row in enumerate(rows, 1) if not isinstance(row, dict)), None):
        raise UsageError(f"{table}: item {wrong} is no object with named values")
    _refuse_unknown_columns(mapping, table, {name for row in rows for name in row}, bool(rows))
    yield from enumerate(rows)


def _parquet_rows(mapping: MappingFile, table: str, tree: Tree) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with pq.ParquetFile(tree.local(table)) as file:
            _refuse_unknown_columns(mapping, table, set(file.schema_arrow.names), True)
            if not mapping.columns:
                yield from ((number, {}) for number in range(file.metadata.num_rows))
                return
            number = 0
            for batch in file.iter_batches(batch_size=4096, columns=sorted(mapping.columns)):
                yield from enumerate(batch.to_pylist(), number)
                number += batch.num_rows
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UsageError(f"{table} cannot be read as Parquet: {error}") from error


def _refuse_unknown_columns(mapping: MappingFile, table: str, there: set[str], has_rows: bool) -> None:
    if has_rows and (unknown := sorted(mapping.columns - there)):
        raise UsageError(
            f"{table} has no column {', '.join(map(repr, unknown))}; it has {', '.join(map(repr, sorted(there)))}"
        )


def _lines(tree: Tree, table: str) -> list[str]:
    return [line for line in tree.text(table).split("\n") if line.strip()]


def _json_line(table: str, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"{table}, line {number} is not JSON: {error}") from error


def _keyed(table: str, content: Any) -> list[Any]:
    if not isinstance(content, dict):
        raise UsageError(f"{table} is neither a list nor an object of objects")
    return [{"@key": key, **value} if isinstance(value, dict) else value for key, value in content.items()]


def _plain(cell: Any) -> str | int | float | bool:
    return (
        cell if isinstance(cell, str | int | float | bool) else json.dumps(cell, default=str, sort_keys=True)
    )


def _verdict(word: str | None) -> Verdict | None:
    return "real" if word == "real" else "fake" if word == "fake" else None


def _split(word: str | None) -> Split | None:
    return "train" if word == "train" else "val" if word == "val" else "test" if word == "test" else None


def survey(tree: Tree, most: int = 12) -> str:
    """What is in a tree, for a person who has to describe it: folders, files by kind, and lists."""
    kinds: dict[str, int] = {}
    tops: dict[str, int] = {}
    lists: list[str] = []
    for path in tree.files():
        name = path.rsplit("/", 1)[-1]
        kind = name[name.rfind(".") :].lower() if "." in name else "(no suffix)"
        kinds[kind] = kinds.get(kind, 0) + 1
        top = path.split("/", 1)[0] + "/" if "/" in path else path
        tops[top] = tops.get(top, 0) + 1
        if kind in (*TABLES, ".txt", ".xlsx") and len(lists) < most:
            lists.append(path)
    return "\n".join(
        f"  {title:<8}{_some(shown, most)}"
        for title, shown in (
            ("files", [f"{count} {kind}" for kind, count in sorted(kinds.items())]),
            ("at top", [f"{name} ({count})" for name, count in sorted(tops.items())]),
            ("lists", lists),
        )
    )


def _some(shown: Sequence[str], most: int) -> str:
    more = f", and {len(shown) - most} more" if len(shown) > most else ""
    return (", ".join(shown[:most]) or "none") + more
