"""FakeAVCeleb v1.2: real and fake, picture and sound apart, in four folders.

After: Khalid et al., NeurIPS Datasets and Benchmarks 2021. Its table is `meta_data.csv`: `path` holds the file's
name, and the tenth column, which has no name, its folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Terms, Verdict
from haetae.importers.listed import Listing, kept, needs
from haetae.importers.tree import Tree

_TYPES: dict[str, tuple[str, Verdict, Verdict]] = {
    "realvideo-realaudio": ("A", "real", "real"),
    "realvideo-fakeaudio": ("B", "real", "fake"),
    "fakevideo-realaudio": ("C", "fake", "real"),
    "fakevideo-fakeaudio": ("D", "fake", "fake"),
}
_METHODS: dict[str, str | None] = {
    "real": None,
    "rtvc": "speech",
    "faceswap": "face_swap",
    "fsgan": "face_swap",
    "wav2lip": "lip_sync",
    "faceswap-wav2lip": "combination",
    "fsgan-wav2lip": "combination",
}
_ID = re.compile(r"id\d+")
_NONE = ("", "-")


class FakeAvCeleb(Importer):
    name: ClassVar[str] = "fakeavceleb"
    aliases: ClassVar[tuple[str, ...]] = ("favc", "fakeavceleb-v1.2")
    title: ClassVar[str] = "FakeAVCeleb v1.2"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-FakeAVCeleb",
        access="Fill in the request form of the DASH Lab; the link to the data comes with their answer.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "FakeAVCeleb/meta_data.csv   source,target1,target2,method,category,type,race,gender,path,<no name>\n"
        "FakeAVCeleb/{RealVideo-RealAudio,RealVideo-FakeAudio,FakeVideo-RealAudio,FakeVideo-FakeAudio}/\n"
        "    <race>/<men|women>/<id>/<clip>.mp4"
    )

    def read(self, tree: Tree) -> Reading:
        tables = tree.named("meta_data.csv")
        if not tables:
            raise UsageError(f"meta_data.csv of FakeAVCeleb is not in {tree.root}; expected:\n{self.layout}")
        listing = Listing(tree)
        rows = tree.csv(tables[0])
        if rows:
            needs(rows[0], tables[0], "source", "method", "category", "type", "path")
        for row in rows:
            folder = row.get("") or "/".join(
                ("FakeAVCeleb", row["type"], row.get("race", ""), row.get("gender", ""), row["source"])
            )
            if (path := _find(listing, folder, row["path"])) is not None:
                listing.entries.append(_entry(listing, row, f"{folder}/{row['path']}", path))
        return listing.reading()


def _find(listing: Listing, folder: str, name: str) -> str | None:
    """The file; of real pictures with fake sound it may be `<clip>/fake.mp4` where the table has another name."""
    if found := listing.tree.find(f"{folder}/{name}"):
        return found
    stem = name.removesuffix(".mp4").removesuffix("_fake")
    return listing.tree.find(f"{folder}/{stem}/fake.mp4") or listing.file(f"{folder}/{name}", "meta_data.csv")


def _entry(listing: Listing, row: Mapping[str, str], listed_as: str, path: str) -> Entry:
    key = listed_as.removeprefix("FakeAVCeleb/")
    stated = listing.word(key, "type", row["type"], _TYPES)
    family = listing.word(key, "method", row["method"], _METHODS)
    known = row["method"].casefold() in _METHODS and stated is not None
    if stated and (
        row["category"] != stated[0] or f"/{row['type']}/".casefold() not in f"/{path}".casefold()
    ):
        told = f"type {row['type']}, category {row['category']} and folder {path} do not agree"
        listing.note("label_mismatch", key, told)
        known = False
    if stated and (stated[1:] == ("real", "real")) != (row["method"].casefold() == "real"):
        listing.note("label_mismatch", key, f"type {row['type']} does not go with method {row['method']}")
        known = False
    video, audio = (stated[1], stated[2]) if stated and known else (None, None)
    people = (row["source"], row.get("target1", ""), row.get("target2", ""))
    return Entry(
        key=key,
        path=path,
        video=video,
        audio=audio,
        sync=_sync(video, audio, row["method"]),
        pair=_pair(key, video, audio),
        identities=tuple(dict.fromkeys(one for one in people if _ID.fullmatch(one))),
        generator=row["method"] if row["method"].casefold() not in ("real", *_NONE) else None,
        family=family,
        detail={k: v for k, v in kept(row, "path").items() if v != "-"},
    )


def _sync(video: Verdict | None, audio: Verdict | None, method: str) -> Verdict | None:
    """Lips that were driven by other sound than is heard; whether lips made to a made voice agree is not stated."""
    if (video, audio) == ("real", "real"):
        return "real"
    return "fake" if (video, audio) == ("fake", "real") and "wav2lip" in method.casefold() else None


def _pair(key: str, video: Verdict | None, audio: Verdict | None) -> str | None:
    """Key of the untouched clip: the same person's, with the number that the fake's name begins with."""
    parts = key.split("/")
    if video is None or (video, audio) == ("real", "real") or len(parts) < 5:
        return None
    number = re.match(r"\d+", parts[-2] if parts[-1] == "fake.mp4" else parts[-1])
    return f"RealVideo-RealAudio/{'/'.join(parts[1:4])}/{number[0]}.mp4" if number else None
