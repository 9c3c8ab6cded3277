"""VGGFace2-HQ: face pictures of VGGFace2, aligned and restored by GFPGAN to 512 pixels.

After: the project's own scripts, which write `<person>/<picture>`. The set states no verdict: restored pictures
are neither untouched nor made to deceive, so they carry none.
"""

from __future__ import annotations

import re
from typing import ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Terms
from haetae.importers.listed import Listing
from haetae.importers.tree import Tree

_PICTURE = re.compile(r"(?:^|.*/)(n\d{6})/(\d{4}_\d{2})\.(?:jpe?g|png)", re.IGNORECASE)
_MASKS = re.compile(r"(?:^|/)[^/]*mask[^/]*/", re.IGNORECASE)


class VggFace2Hq(Importer):
    name: ClassVar[str] = "vggface2-hq"
    title: ClassVar[str] = "VGGFace2-HQ"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-VGGFace2-HQ",
        access="Given out for academic face editing; the pictures are those of VGGFace2, so ask both holders.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "[VGGface2_None_norm_512_true_bygfpgan/]<n000002: person>/<0001_01: picture>.jpg   (or .png)"
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        for path in tree.files(".jpg", ".jpeg", ".png"):
            if _MASKS.search(path):
                continue  # parsing masks that others make beside the pictures, under the same names
            found = _PICTURE.fullmatch(path.replace("!/", "/"))
            if found is None:
                listing.note("extra", path, "is not named as a picture of VGGFace2; it is left out")
                continue
            person, picture = found[1].lower(), found[2]
            key, detail = f"{person}/{picture}", {"restored_by": "GFPGAN"}
            listing.entries.append(Entry(key=key, path=path, identities=(person,), detail=detail))
        if not listing.entries:
            raise UsageError(f"{tree.root} holds no picture of VGGFace2-HQ; expected:\n{self.layout}")
        told = f"states no verdict for its {len(listing.entries)} pictures: they are restored, not untouched"
        listing.note("unlabelled", self.title, told)
        return listing.reading()
