"""MLAAD: made speech in many languages; the untouched recordings are those of M-AILABS and not in the set.

After: Müller et al., IJCNN 2024. Each model's folder has a `meta.csv` separated by '|', in which '"' is a letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Terms
from haetae.importers.listed import Listing, kept, language_of, needs
from haetae.importers.tree import Tree


class Mlaad(Importer):
    name: ClassVar[str] = "mlaad"
    title: ClassVar[str] = "MLAAD"
    terms: ClassVar[Terms] = Terms(
        licence="CC-BY-NC-4.0",
        access="Accept the conditions on its hosting page; for academic research, not commercial.",
        consent="licence",
    )
    layout: ClassVar[str] = (
        "fake/<lang>/<model>/*.wav\n"
        "fake/<lang>/<model>/meta.csv   path|original_file|language|is_original_language|duration|training_data|\n"
        "    model_name|architecture|transcript[|reference_speaker]"
    )

    def read(self, tree: Tree) -> Reading:
        tables = tree.named("meta.csv")
        if not tables:
            raise UsageError(f"no meta.csv of MLAAD is in {tree.root}; expected:\n{self.layout}")
        listing = Listing(tree)
        for table in tables:
            rows = tree.csv(table, delimiter="|", quoted=False)
            if rows:
                needs(rows[0], table, "path", "original_file", "language", "model_name", "architecture")
            for row in rows:
                _add(listing, row, table)
        return listing.reading()


def _add(listing: Listing, row: Mapping[str, str], table: str) -> None:
    folder = table.rpartition("/")[0]
    name = row["path"].replace("\\", "/").removeprefix("./")
    wanted = name if "/" in name else f"{folder}/{name}"
    if (path := listing.file(wanted, table)) is None:
        return
    key = "/".join(path.replace("!/", "/").split("/")[-3:])
    language = language_of(row["language"])
    spoken_in = key.split("/")[0]
    if row["language"].casefold() != spoken_in.casefold():
        listing.note("label_mismatch", key, f"language is {row['language']!r}, its folder {spoken_in!r}")
        language = None
    listing.entries.append(
        Entry(
            key=key,
            path=path,
            audio="fake",
            identities=_reader(row["original_file"]),
            generator=row["model_name"] or None,
            family="speech",
            language=language,
            text=row.get("transcript") or None,
            detail=kept(row, "path", "transcript", "model_name"),
        )
    )


def _reader(original: str) -> tuple[str, ...]:
    """Who read the original: `…/by_book/<gender>/<reader>/…`."""
    parts = original.replace("\\", "/").split("/")
    at = parts.index("by_book") + 2 if "by_book" in parts else len(parts)
    return (parts[at],) if at < len(parts) - 1 else ()
