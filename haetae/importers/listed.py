"""What the lists of a data set name: rows matched to files of the tree, and their words to house words.

Which list says what is in the module of each format; what must hold for all of them is in `inventory`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Finding, FindingKind, Modality, Reading, Segment, Split
from haetae.importers.tree import Tree

T = TypeVar("T")

SPLITS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "development": "val",
    "test": "test",
    "eval": "test",
    "evaluation": "test",
}
"""Words for the official splits. `dev` is the middle one, which others call val."""

_LANGUAGES = {
    "ko": "ko",
    "kor": "ko",
    "korean": "ko",
    "ms": "ms",
    "msa": "ms",
    "zsm": "ms",
    "malay": "ms",
    "ta": "ta",
    "tam": "ta",
    "tamil": "ta",
    "en-sg": "en-SG",
    "singlish": "en-SG",
}


def language_of(word: str) -> str | None:
    """House word for a language name or ISO code; None for no word. English of no stated country is `other`."""
    plain = word.strip().casefold().replace("_", "-")
    return _LANGUAGES.get(plain, _LANGUAGES.get(plain.partition("-")[0], "other")) if plain else None


def kept(row: Mapping[str, Any], *used: str) -> dict[str, str | int | float | bool]:
    """The plain values of a row that were not used otherwise, by the data set's own names."""
    return {
        name: value
        for name, value in row.items()
        if name and name not in used and isinstance(value, str | int | float | bool) and value != ""
    }


class Listing:
    """Entries and findings, gathered while the lists of a data set are read."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.entries: list[Entry] = []
        self.findings: list[Finding] = []

    def note(self, kind: FindingKind, subject: str, detail: str) -> None:
        self.findings.append(Finding(kind, subject, detail))

    def reading(self) -> Reading:
        return Reading(self.entries, self.findings)

    def file(self, path: str, where: str) -> str | None:
        """The file that a list calls `path`; not there: a `missing` finding. where: the list, for the finding."""
        found = self.tree.find(path)
        if found is None or found.endswith("/"):
            self.note("missing", path, f"{where} names it, but it is not there")
            return None
        return found

    def by_name(self, name: str, where: str) -> str | None:
        """The file of that name wherever it lies, for lists that give no folder; the unpacked copy comes first.

        Several unpacked files of one name cannot be told apart: a `duplicate` finding, and none of them.
        """
        found = self.tree.named(name)
        unpacked = [path for path in found if "!/" not in path]
        if not found:
            self.note("missing", name, f"{where} names it, but no file of that name is there")
            return None
        if len(unpacked) > 1 or (not unpacked and len(found) > 1):
            for path in unpacked or found:
                self.note("duplicate", path, f"one of {len(unpacked or found)} files of a name in {where}")
            return None
        return found[0]

    def word(self, subject: str, field: str, value: object, known: Mapping[str, T]) -> T | None:
        """What a word of the data set means, in any case; an unknown one is a finding and means nothing."""
        plain = str(value).strip().casefold() if value is not None else ""
        if not plain:
            self.note("unlabelled", subject, f"{field} is empty")
            return None
        if plain not in known:
            told = f"{field} is {str(value)[:80]!r}, which is none of {', '.join(known)}"
            self.note("label_mismatch", subject, told)
            return None
        return known[plain]

    def segments(self, subject: str, field: str, value: object, *modalities: Modality) -> tuple[Segment, ...]:
        """Pairs of seconds as segments of each modality; anything else is a `damaged` finding."""
        if not isinstance(value, list):
            if value is not None:
                self.note("damaged", subject, f"{field} is no list of [start, end]")
            return ()
        found = []
        for pair in value:
            if not _is_stretch(pair):
                self.note("damaged", subject, f"{field} holds {str(pair)[:60]}, which is no [start, end]")
                continue
            found += [Segment(modality, float(pair[0]), float(pair[1])) for modality in modalities]
        return tuple(found)


def records(tree: Tree, path: str) -> list[dict[str, Any]]:
    """A JSON file that is a list of objects. Raises: UsageError where it is anything else."""
    listed = tree.json(path)
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise UsageError(f"{path} is no list of objects; fetch it again")
    return listed


def needs(columns: Iterable[str], path: str, *wanted: str) -> None:
    """Raises: UsageError where a table lacks a column that its format must have."""
    there = set(columns)
    if lacking := [name for name in wanted if name not in there]:
        raise UsageError(f"{path} has no column {', '.join(lacking)}; it has {', '.join(sorted(there))}")


def _is_stretch(pair: object) -> bool:
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in pair)
        and 0 <= pair[0] < pair[1]
    )
