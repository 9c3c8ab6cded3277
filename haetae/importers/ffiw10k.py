"""FFIW10K: scenes with several people, in which the faces of some were swapped, with masks of those faces.

After: Zhou et al., CVPR 2021. Which source a target was made from is not published, so nothing is paired.
"""

from __future__ import annotations

from typing import ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Terms
from haetae.importers.listed import SPLITS, Listing
from haetae.importers.tree import Tree

_VIDEOS = (".mp4", ".avi", ".mkv", ".mov")


class Ffiw10k(Importer):
    name: ClassVar[str] = "ffiw10k"
    aliases: ClassVar[tuple[str, ...]] = ("ffiw", "ffiw-10k")
    title: ClassVar[str] = "FFIW10K"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-FFIW10K",
        access="Fill in the terms-of-use form, best from an academic address; the link comes with the answer.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "{source,target,target_mask}/{train,val}/<name>.mp4   (test/ where it was given out)"
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        for path in tree.files(*_VIDEOS):
            parts = path.replace("!/", "/").split("/")
            groups = [at for at, part in enumerate(parts[:-2]) if part in ("source", "target", "target_mask")]
            if not groups or parts[groups[-1] + 1] not in SPLITS:
                listing.note("extra", path, "lies in no folder of FFIW10K; it is left out")
                continue
            at = groups[-1]
            if parts[at] == "target_mask":
                continue
            is_fake = parts[at] == "target"
            listing.entries.append(
                Entry(
                    key="/".join(parts[at:]).rpartition(".")[0],
                    path=path,
                    video="fake" if is_fake else "real",
                    split=SPLITS[parts[at + 1]],
                    mask=_mask(listing, path) if is_fake else None,
                    family="face_swap" if is_fake else None,
                )
            )
        if not listing.entries:
            raise UsageError(f"{tree.root} holds no video of FFIW10K; expected:\n{self.layout}")
        return listing.reading()


def _mask(listing: Listing, path: str) -> str | None:
    """The mask of the same name: a video, or a folder of pictures."""
    beside = "/target_mask/".join(f"/{path}".rsplit("/target/", 1)).lstrip("/")
    for wanted in (beside, beside.rpartition(".")[0]):
        if listing.tree.exists(wanted):
            return wanted if wanted == beside else f"{wanted}/"
    listing.note("missing", beside, f"the mask of {path}")
    return None
