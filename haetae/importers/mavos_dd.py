"""MAVOS-DD: real and fake talking heads in eight languages, with what of the test set is open (model, language).

After: Croitoru et al., 2025. The table is an Arrow data set at the root, as `datasets` saves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pyarrow as pa

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Terms, Verdict
from haetae.importers.listed import SPLITS, Listing, kept, language_of, needs
from haetae.importers.tree import Tree

_LABELS: dict[str, Verdict] = {"real": "real", "fake": "fake"}
_FAMILIES = {
    "inswapper": "face_swap",
    "hififace": "face_swap",
    "roop": "face_swap",
    "liveportrait": "face_reenactment",
    "echomimic": "talking_head",
    "memo": "talking_head",
    "sonic": "talking_head",
}
_COLUMNS = ("video_path", "label", "split", "language", "generative_method")


class MavosDd(Importer):
    name: ClassVar[str] = "mavos-dd"
    title: ClassVar[str] = "MAVOS-DD"
    terms: ClassVar[Terms] = Terms(
        licence="CC-BY-NC-SA-4.0",
        access="Given out on its hosting page, for use that is not commercial and shares alike.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "dataset_info.json  state.json  data-*.arrow   video_path,label,split,open_set_model,open_set_language,…\n"
        "<language>/<generator|real>/*.mp4"
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        tables = [path for path in tree.files(".arrow") if "!/" not in path]
        if not tables:
            raise UsageError(f"no .arrow table of MAVOS-DD is in {tree.root}; expected:\n{self.layout}")
        for table in tables:
            for row in _rows(tree, table):
                name = str(row["video_path"] or "")
                if (path := listing.file(name, table)) is not None:
                    key = "/".join(name.replace("\\", "/").split("/")[-3:])
                    listing.entries.append(_entry(listing, row, key, path))
        return listing.reading()


def _rows(tree: Tree, path: str) -> Iterator[dict[str, Any]]:
    """Rows of an Arrow file, as a stream or with a footer. Raises: UsageError where it is neither."""
    try:
        with pa.memory_map(str(tree.local(path))) as source:
            try:
                table = pa.ipc.open_stream(source).read_all()
            except pa.ArrowInvalid:
                source.seek(0)
                table = pa.ipc.open_file(source).read_all()
            table.validate(full=True)
            needs(table.column_names, path, *_COLUMNS)
            for batch in table.to_batches():
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise UsageError(f"{path} is no Arrow table: {str(error)[:200]}; fetch it again") from error


def _entry(listing: Listing, row: Mapping[str, Any], key: str, path: str) -> Entry:
    verdict = listing.word(key, "label", row["label"], _LABELS)
    method = str(row["generative_method"] or "").strip()
    folder = path.split("/")[-2] if "/" in path else ""
    if verdict and (verdict == "real") != (folder.casefold() == "real"):
        listing.note("label_mismatch", key, f"its label is {row['label']}, its folder {folder}")
        verdict = None
    video, audio = _modalities(row, verdict, method)
    methods = (method, str(row.get("audio_generative_method") or "").strip())
    made = [one for one in methods if verdict == "fake" and _is_made(one)]
    return Entry(
        key=key,
        path=path,
        video=video,
        audio=audio,
        sync="real" if verdict == "real" else None,
        split=listing.word(key, "split", row["split"], SPLITS),
        generator="+".join(made) or None,
        family=_FAMILIES.get(method.casefold()) if made == [method] else None,
        language=language_of(str(row["language"] or "")),
        detail=kept(row, "video_path", "split", "label"),
    )


def _modalities(
    row: Mapping[str, Any], verdict: Verdict | None, method: str
) -> tuple[Verdict | None, Verdict | None]:
    """Picture and sound. The first release says of a fake which generator made its picture, later ones both."""
    if verdict is None:
        return None, None
    if verdict == "real":
        return "real", "real"
    words: dict[object, Verdict] = {True: "fake", False: "real"}
    video, audio = words.get(row.get("video_fake")), words.get(row.get("audio_fake"))
    if video is None and _is_made(method):
        video = "fake"
    return video, audio


def _is_made(method: str) -> bool:
    return method.casefold() not in ("", "real", "none")
