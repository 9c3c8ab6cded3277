"""DFDC and its preview DFDCP: `metadata.json` beside the videos, `labels.csv` of the test set, `dataset.json`.

After: Dolhansky et al., 2019 and 2020. A fake is a face or a voice that was exchanged, and nothing says which: the
label is taken for the picture, as everywhere, and nothing is known of the sound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Split, Terms, Verdict
from haetae.importers.listed import SPLITS, Listing, kept, needs
from haetae.importers.tree import Tree

_WORDS: dict[str, Verdict] = {"real": "real", "fake": "fake"}
_NUMBERS: dict[str, Verdict] = {"0": "real", "1": "fake"}
_PACKED = re.compile(r"\.(zip|tar|tar\.gz|tgz)!$", re.IGNORECASE)
_FOLDERS: dict[str, tuple[Verdict, str | None]] = {
    "original_videos": ("real", None),
    "method_a": ("fake", "method_A"),
    "method_b": ("fake", "method_B"),
}


class Dfdc(Importer):
    name: ClassVar[str] = "dfdc"
    aliases: ClassVar[tuple[str, ...]] = ("dfdcp", "dfdc-preview")
    title: ClassVar[str] = "DFDC and its preview DFDCP"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-DFDC",
        access="Accept the dataset licence of the Deepfake Detection Challenge; the download asks for an account.",
        consent="release",
    )
    layout: ClassVar[str] = (
        'dfdc_train_part_N/{*.mp4,metadata.json}   {"x.mp4": {"label": "FAKE|REAL", "split", "original": "y.mp4"}}\n'
        "test/{*.mp4,labels.csv}                   filename,label with 0 = real, 1 = fake\n"
        'dataset.json, {method_A,method_B,original_videos}/…   (preview) {path: {"label", "set", …}}'
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        for path in tree.named("metadata.json"):
            _train_part(listing, path)
        for path in tree.named("labels.csv"):
            _test_set(listing, path)
        for path in tree.named("dataset.json"):
            _preview(listing, path)
        return listing.reading()


def _train_part(listing: Listing, path: str) -> None:
    folder = path.rpartition("/")[0]
    for name, told in _objects(listing.tree, path).items():
        file = listing.file(_in(folder, name), path)
        if file is None:
            continue
        verdict = listing.word(file, "label", told.get("label"), _WORDS)
        original = told.get("original")
        if isinstance(original, str) and verdict == "real":
            listing.note("label_mismatch", file, f"it is REAL, but made from {original}; it has no verdict")
            verdict = None
        listing.entries.append(
            Entry(
                key=_key(folder, name),
                path=file,
                video=verdict,
                split=_split(listing, file, told.get("split")),
                pair=_key(folder, original) if isinstance(original, str) and original else None,
                detail=kept(told, "split", "original"),
            )
        )


def _test_set(listing: Listing, path: str) -> None:
    """Numbers here, words in metadata.json. Videos lie beside the list or in a folder beside it."""
    folder = path.rpartition("/")[0]
    rows = listing.tree.csv(path)
    if rows:
        needs(rows[0], path, "filename", "label")
    here = {file.rsplit("/", 1)[-1]: file for file in reversed(listing.tree.files(".mp4", under=folder))}
    for row in rows:
        name = row["filename"]
        file = here.get(name)
        if file is None:
            listing.note("missing", _in(folder, name), f"{path} names it, but it is not there")
            continue
        listing.entries.append(
            Entry(
                key=_key(folder or "test", name),
                path=file,
                video=listing.word(file, "label", row["label"], _NUMBERS),
                split=SPLITS.get(folder.rsplit("/", 1)[-1].casefold(), "test"),
                detail=kept(row, "filename"),
            )
        )


def _preview(listing: Listing, path: str) -> None:
    folder = path.rpartition("/")[0]
    for name, told in _objects(listing.tree, path).items():
        file = listing.file(_in(folder, name), path)
        if file is None:
            continue
        verdict = listing.word(file, "label", told.get("label"), _WORDS)
        place = _FOLDERS.get(name.replace("\\", "/").partition("/")[0].casefold())
        if verdict is not None and place is not None and place[0] != verdict:
            listing.note(
                "label_mismatch", file, f"label is {verdict}, its folder is of {place[0]}s; no verdict"
            )
            verdict = None
        method = place[1] if place else None
        listing.entries.append(
            Entry(
                key=name.replace("\\", "/").rpartition(".")[0],
                path=file,
                video=verdict,
                split=_split(listing, file, told.get("set")),
                generator=method,
                family="face_swap" if method else None,
                detail=kept(told, "set"),
            )
        )


def _objects(tree: Tree, path: str) -> dict[str, Mapping[str, Any]]:
    content = tree.json(path)
    if not isinstance(content, dict) or not all(isinstance(told, dict) for told in content.values()):
        raise UsageError(f"{path} is no object with an object for each video; fetch it again")
    return content


def _split(listing: Listing, file: str, word: object) -> Split | None:
    return listing.word(file, "split", word, SPLITS)


def _key(folder: str, name: str) -> str:
    """Part and name: names are unique in their part, and a part is complete in itself."""
    part = _PACKED.sub("", folder.rsplit("/", 1)[-1])
    return f"{part}/{name.rpartition('.')[0]}" if part else name.rpartition(".")[0]


def _in(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
