"""Deepfake-Eval-2024: videos, sounds and pictures that went round in 2024, judged by experts.

After: Chandra et al., 2025. One table for each kind; anything but Real and Fake was not decided and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Split, Terms, Verdict
from haetae.importers.listed import Listing, kept, language_of, needs
from haetae.importers.tree import Tree

_TABLE = re.compile(r"(video|audio|image)-metadata-publish.*\.csv", re.IGNORECASE)
_VERDICTS: dict[str, Verdict] = {"real": "real", "fake": "fake"}
_SETS: dict[str, Split] = {"train": "train", "test": "test"}


class DeepfakeEval2024(Importer):
    name: ClassVar[str] = "deepfake-eval-2024"
    aliases: ClassVar[tuple[str, ...]] = ("de24",)
    title: ClassVar[str] = "Deepfake-Eval-2024"
    terms: ClassVar[Terms] = Terms(
        licence="CC-BY-SA-4.0",
        access="Ask on its hosting page with evidence of earlier work on detection; no use that may do harm.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "{video,audio,image}-metadata-publish-with-links.csv   Filename,<Kind> Ground Truth,Finetuning Set,link\n"
        "{video,audio,image}-data/<Filename>"
    )

    def read(self, tree: Tree) -> Reading:
        tables = [
            (found[1].lower(), path)
            for path in tree.files(".csv")
            if (found := _TABLE.fullmatch(path.rsplit("/", 1)[-1]))
        ]
        if not tables:
            raise UsageError(f"no metadata table of {self.title} is in {tree.root}; expected:\n{self.layout}")
        listing = Listing(tree)
        for kind, table in tables:
            rows = tree.csv(table)
            if rows:
                needs(rows[0], table, "Filename", "Finetuning Set", _column(rows[0], kind))
            for row in rows:
                _add(listing, row, kind, table)
        return listing.reading()


def _column(row: Mapping[str, str], kind: str) -> str:
    """The column of the verdict: with the kind before it, or without in a table of one kind."""
    named = f"{kind.capitalize()} Ground Truth"
    return "Ground Truth" if named not in row and "Ground Truth" in row else named


def _add(listing: Listing, row: Mapping[str, str], kind: str, table: str) -> None:
    key, column = f"{kind}/{row['Filename']}", _column(row, kind)
    verdict = _VERDICTS.get(row[column].casefold())
    if verdict is None:
        found = listing.tree.find(f"{kind}-data/{row['Filename']}")
        told = f"{column} is {row[column][:60]!r}: not decided, so it is left out"
        listing.note("unlabelled", found or key, told)
        return
    if (path := listing.file(f"{kind}-data/{row['Filename']}", table)) is None:
        return
    # A table of videos may also judge their sound; one of sounds never judges a picture.
    sound = _VERDICTS.get(row.get("Audio Ground Truth", "").casefold())
    listing.entries.append(
        Entry(
            key=key,
            path=path,
            video=verdict if kind in ("video", "image") else None,
            audio=verdict if kind == "audio" else sound,
            split=listing.word(key, "Finetuning Set", row["Finetuning Set"], _SETS),
            language=language_of(row.get("Language", "")),
            detail=kept(row, "Filename", column, "Finetuning Set", "link", "Link"),
        )
    )
