"""Celeb-DF v1, v2 and ++: `Celeb-real`, `YouTube-real`, `Celeb-synthesis` and the list of testing videos.

After: Li et al., CVPR 2020. In its list 1 is REAL and 0 is FAKE, against the habit of most other lists.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from haetae.importers.base import Entry, Importer, Reading, Terms, Verdict
from haetae.importers.listed import Listing
from haetae.importers.tree import Tree

TEST_LIST = "List_of_testing_videos.txt"
_VERDICTS: dict[str, Verdict] = {"1": "real", "0": "fake"}
_PLACE = re.compile(
    r"(?:.*/)?(?P<top>celeb-real|youtube-real|celeb-synthesis)/"
    r"(?:(?P<group>FaceSwap|FaceReenact|TalkingFace)/(?P<method>[^/]+)/)?(?P<name>[^/]+)\.mp4",
    re.IGNORECASE,
)
_TOPS = {"celeb-real": "Celeb-real", "youtube-real": "YouTube-real", "celeb-synthesis": "Celeb-synthesis"}
_FAMILY = {"faceswap": "face_swap", "facereenact": "face_reenactment", "talkingface": "talking_head"}
METHODS = {
    "faceswap": "Celeb-DF BlendFace GHOST HifiFace InSwapper MobileFaceSwap SimSwap UniFace",
    "facereenact": "DaGAN FSRT HyperReenact LIA LivePortrait MCNET TPSMM",
    "talkingface": "AniTalker EchoMimic EDTalk FLOAT IP_LAP Real3DPortrait SadTalker",
}
"""Methods of Celeb-DF++ by group; FaceSwap/Celeb-DF are the fakes of v2."""
_REAL = re.compile(r"(id\d+)_(\d{4})")
_SWAP = re.compile(r"(id\d+)_(id\d+)_(\d{4})")
_TALKING = re.compile(r"(id\d+)_(\d{4})_test_(.+)")
_PERSON = re.compile(r"id\d+")


class CelebDf(Importer):
    name: ClassVar[str] = "celeb-df"
    aliases: ClassVar[tuple[str, ...]] = ("celeb-df-v1", "celeb-df-v2", "celeb-df++", "celebdf++", "cdf")
    title: ClassVar[str] = "Celeb-DF v1, v2 and ++"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-Celeb-DF",
        access="Fill in the holder's form and accept the terms of use (non-commercial research); the link comes "
        "with the answer.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "Celeb-real/idA_NNNN.mp4  YouTube-real/NNNNN.mp4  Celeb-synthesis/idA_idB_NNNN.mp4\n"
        "Celeb-synthesis/{FaceSwap,FaceReenact,TalkingFace}/<method>/*.mp4   (++)\n"
        f'{TEST_LIST}   "<1|0> <folder>/<file>", 1 = real'
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        for path in tree.files(".mp4"):
            place = _PLACE.fullmatch(path)
            if place is not None:
                listing.entries.append(_entry(listing, path, place))
        if listing.entries:
            _set_splits(listing)
        return listing.reading()


def _entry(listing: Listing, path: str, place: re.Match[str]) -> Entry:
    """One video by where it lies and how it is named: target_source_recording, or target_recording."""
    top, group, name = _TOPS[place["top"].casefold()], place["group"], place["name"]
    if top != "Celeb-synthesis":
        person = _REAL.fullmatch(name)
        if top == "Celeb-real" and person is None:
            listing.note("layout", path, "its name is not idA_NNNN; who it shows is not known")
        return Entry(f"{top}/{name}", path, video="real", identities=(person[1],) if person else ())
    method = place["method"] or "Celeb-DF"
    if group and method.casefold() not in METHODS[group.casefold()].casefold().split():
        listing.note("layout", path, f"{method} is not among the published methods of {group}")
    swap, talking = _SWAP.fullmatch(name), _TALKING.fullmatch(name)
    pair = None
    if swap and (group or "FaceSwap").casefold() == "faceswap":
        pair = f"Celeb-real/{swap[1]}_{swap[3]}"
    elif talking and (group or "").casefold() == "talkingface":
        pair = f"Celeb-real/{talking[1]}_{talking[2]}"
    elif (group or "FaceSwap").casefold() != "facereenact":
        listing.note("layout", path, "its name does not tell target and source; it has no pair")
    return Entry(
        key="/".join(part for part in (top, group, place["method"], name) if part),
        path=path,
        video="fake",
        pair=pair,
        identities=tuple(dict.fromkeys(_PERSON.findall(name))),
        generator=method,
        family=_FAMILY[(group or "FaceSwap").casefold()],
    )


def _set_splits(listing: Listing) -> None:
    """What is in the list is test; everything else is train, by convention. Without the list nothing is."""
    lists = listing.tree.named(TEST_LIST)
    if not lists:
        listing.note("missing", TEST_LIST, "the official test list is not there; no video has a split")
        return
    tests: dict[str, Verdict | None] = {}
    for number, line in enumerate(listing.tree.text(lists[0]).splitlines(), start=1):
        word, _, name = line.strip().partition(" ")
        if not word:
            continue
        where = f"{lists[0]}, line {number}"
        if path := listing.file(_below(lists[0], name.strip()), where):
            tests[path] = listing.word(path, f"{where}: label", word, _VERDICTS)
    for place, entry in enumerate(listing.entries):
        if entry.path not in tests:
            listing.entries[place] = replace(entry, split="train")
            continue
        stated = tests[entry.path]
        if stated != entry.video:
            if stated is not None:
                told = f"{lists[0]} says {stated}, its folder says {entry.video}; it has no verdict"
                listing.note("label_mismatch", entry.path, told)
            entry = replace(entry, video=None)
        listing.entries[place] = replace(entry, split="test")


def _below(listed_in: str, name: str) -> str:
    """A name in a list is below the folder of the list, if that is not the root."""
    folder = listed_in.rpartition("/")[0]
    return f"{folder}/{name}" if folder else name
