"""WildDeepfake: face sequences in tar archives of four groups, real and fake, train and test.

After: Zi et al., ACM Multimedia 2020. Shard numbers begin anew in each group, so a key holds the group. There is no
validation split: whoever makes one keeps the sequences of a shard together (`shard` in the details).
"""

from __future__ import annotations

import re
from typing import ClassVar

from haetae.importers.base import Entry, Importer, Reading, Split, Terms, Verdict
from haetae.importers.listed import Listing
from haetae.importers.tree import Tree, frame_number

_GROUP = re.compile(
    r"(?:.*/)?(?P<verdict>real|fake)[ _](?P<split>train|test)/(?P<shard>\d+)(?:\.tar(?:\.gz)?!|\.tgz!)?/(?P<inside>.*)",
    re.IGNORECASE,
)
_VERDICTS: dict[str, Verdict] = {"real": "real", "fake": "fake"}
_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}


class WildDeepfake(Importer):
    name: ClassVar[str] = "wilddeepfake"
    aliases: ClassVar[tuple[str, ...]] = ("deepfake-in-the-wild", "wdf")
    title: ClassVar[str] = "WildDeepfake"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-WildDeepfake",
        access="Fill in the holder's agreement form; the link comes with the answer.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "deepfake_in_the_wild/{real train,real test,fake train,fake test}/N.tar.gz   (a mirror has <label>_<split>)\n"
        "    in it: <shard>/<label>/<sequence>/<frame>.png"
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        for folder in tree.frame_folders():
            group = _GROUP.fullmatch(folder)
            if group is not None:
                _take(listing, folder, group)
        return listing.reading()


def _take(listing: Listing, folder: str, group: re.Match[str]) -> None:
    """One sequence: [<shard>/]<label>/<sequence>/ below its archive, or below the folder it was unpacked to."""
    verdict = _VERDICTS[group["verdict"].casefold()]
    split = _SPLITS[group["split"].casefold()]
    inside = group["inside"].rstrip("/").split("/")
    if len(inside) == 3 and inside[0] == group["shard"]:
        inside = inside[1:]
    if len(inside) != 2 or inside[0].casefold() not in _VERDICTS:
        listing.note("layout", folder, "it is not <shard>/<label>/<sequence>/; it is left out")
        return
    shard = f"{verdict}_{split}/{group['shard']}"
    stated = _VERDICTS[inside[0].casefold()]
    if stated != verdict:
        told = f"its group is {verdict}, its own folder {inside[0]}; it has no verdict"
        listing.note("label_mismatch", folder, told)
    numbers = [frame_number(path) or 0 for path in listing.tree.frames(folder)]
    listing.entries.append(
        Entry(
            key=f"{shard}/{inside[1]}",
            path=folder,
            form="frames",
            video=verdict if stated == verdict else None,
            split=split,
            detail={"shard": shard, "first_frame": numbers[0], "last_frame": numbers[-1]},
        )
    )
