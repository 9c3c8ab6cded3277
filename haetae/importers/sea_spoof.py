"""SEA-Spoof: untouched and made speech in Tamil, Malay, Indonesian, Hindi, Thai and Vietnamese, in tables.

After: Wu et al., 2025. An item is a row of a Parquet file; its sound stays there and is not read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Terms, Verdict
from haetae.importers.listed import SPLITS, Listing, kept, language_of, needs
from haetae.importers.tree import Tree
from haetae.media.parquet_cells import CONTAINER_ITEMS, STRING_BYTES

_LABELS: dict[str, Verdict] = {"bonafide": "real", "spoof": "fake"}
_NEEDED = ("row_id", "language", "label", "split")
_SOUND = "audio"


class SeaSpoof(Importer):
    name: ClassVar[str] = "sea-spoof"
    title: ClassVar[str] = "SEA-Spoof"
    terms: ClassVar[Terms] = Terms(
        licence="CC-BY-4.0",
        access="Ask on its hosting page, where the holder grants it by hand.",
        consent="licence",
    )
    layout: ClassVar[str] = (
        "data/{train,validation,evaluation}/*.parquet   row_id,utterance_id,audio,text,language,label,split,…"
    )

    def read(self, tree: Tree) -> Reading:
        tables = [path for path in tree.files(".parquet") if "!/" not in path]
        if not tables:
            raise UsageError(f"no Parquet table of SEA-Spoof is in {tree.root}; expected:\n{self.layout}")
        listing = Listing(tree)
        unread = []
        for table in tables:
            folder = SPLITS.get(table.split("/")[-2].casefold()) if "/" in table else None
            try:
                rows = list(_rows(tree, table))
            except UsageError as no:  # one of many parts: the others are still good
                listing.note("damaged", table, str(no))
                unread.append(no)
                continue
            for number, row in enumerate(rows):
                listing.entries.append(_entry(listing, row, f"{table}!/{number}", folder))
        if len(unread) == len(tables):
            raise unread[0]
        return listing.reading()


def _rows(tree: Tree, path: str) -> Iterator[dict[str, Any]]:
    """Rows without their sound. Raises: UsageError where it is no Parquet file, or lacks a column."""
    try:
        with pq.ParquetFile(
            tree.local(path),
            thrift_string_size_limit=STRING_BYTES,
            thrift_container_size_limit=CONTAINER_ITEMS,
        ) as file:
            needs(file.schema_arrow.names, path, *_NEEDED, _SOUND)
            columns = [name for name in file.schema_arrow.names if name != _SOUND]
            for batch in file.iter_batches(batch_size=10_000, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise UsageError(f"{path} is no Parquet table: {str(error)[:200]}; fetch it again") from error


def _entry(listing: Listing, row: Mapping[str, Any], path: str, folder: str | None) -> Entry:
    key = str(row["row_id"])
    audio = listing.word(key, "label", row["label"], _LABELS)
    split = listing.word(key, "split", row["split"], SPLITS)
    if split and folder and split != folder:
        listing.note("label_mismatch", key, f"split is {row['split']}, but it lies in the folder of {folder}")
        split = None
    text, model = row.get("text"), row.get("source_model")
    exact = row.get("is_text_exact") is True and isinstance(text, str) and bool(text)
    return Entry(
        key=key,
        path=path,
        audio=audio,
        split=split,
        identities=_speaker(row) if audio == "real" else (),
        generator=str(model) if audio == "fake" and model else None,
        family="speech" if audio == "fake" else None,
        language=language_of(str(row["language"] or "")),
        text=text if exact else None,
        detail=kept(row, "row_id", "label", "split", *(("text",) if exact else ())),
    )


def _speaker(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Who speaks, by the corpus that names them; a made voice is nobody."""
    speaker, corpus = row.get("speaker_or_voice"), row.get("source_dataset")
    return (f"{corpus}/{speaker}" if corpus else str(speaker),) if speaker else ()
