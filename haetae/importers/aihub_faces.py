"""K-FACE, the Korean face pictures of AI Hub (한국인 안면 이미지): untouched studio pictures of 400 people.

After: Choi et al., arXiv 2103.02211; the layout is the one that public converters read. Pictures of other
face sets of AI Hub go through a mapping.
"""

from __future__ import annotations

import re
from typing import ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Terms
from haetae.importers.listed import Listing
from haetae.importers.tree import Tree

_PICTURE = re.compile(
    r"(?:^|/)(?:(?P<resolution>high|middle|low)[^/]*/(?:.*/)?)?(?P<person>\d{8})/"
    r"(?P<accessories>S\d{3})/(?P<light>L\d{1,2})/(?P<expression>E\d{2})/(?P<camera>C\d{1,2})\.(?:jpe?g|png)",
    re.IGNORECASE,
)


class AiHubFaces(Importer):
    name: ClassVar[str] = "aihub-faces"
    aliases: ClassVar[tuple[str, ...]] = ("k-face", "aihub-korean-faces")
    title: ClassVar[str] = "K-FACE (AI Hub 한국인 안면 이미지)"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-AI-Hub-K-FACE",
        access="Apply at AI Hub, which gives it out in Korea for the use that was applied for; ask the holder.",
        consent="release",
    )
    language: ClassVar[str] = "ko"
    layout: ClassVar[str] = (
        "{High,Middle,Low}/<8 digits: person>/<S001…S006: worn>/<L1…L30: light>/<E01…E03: expression>/\n"
        "    <C1…C20: camera>.jpg   (unpacked, or one archive for each person)"
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        for path in tree.files(".jpg", ".jpeg", ".png"):
            # An archive stands for the folder that it would unpack to.
            plain = re.sub(r"\.(?:zip|tar(?:\.\w+)?|tgz)!/", "/", path, flags=re.IGNORECASE)
            found = _PICTURE.search(plain)
            if found is None or found.end() != len(plain):
                listing.note("extra", path, "is not named as a picture of K-FACE; it is left out")
                continue
            taken = {name: value for name, value in found.groupdict().items() if value}
            person = taken.pop("person")
            listing.entries.append(
                Entry(
                    key="/".join(value for value in found.groupdict("any").values()),
                    path=path,
                    video="real",
                    identities=(person,),
                    detail=taken,
                )
            )
        if not listing.entries:
            raise UsageError(
                f"{tree.root} holds no picture named as in K-FACE; expected:\n{self.layout}\n"
                "For another face set of AI Hub write a mapping: `haetae import mapping PATH --mapping FILE`"
            )
        return listing.reading()
