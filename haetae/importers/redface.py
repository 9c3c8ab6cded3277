"""RedFace: forged pictures and videos of commercial platforms. Its layout is not published, so it needs a mapping.

After: Shi et al., arXiv 2510.08067. What a mapping file holds is in `mapping`.
"""

from __future__ import annotations

from typing import ClassVar

from haetae.importers.base import Terms
from haetae.importers.mapping import MappingImporter


class RedFace(MappingImporter):
    name: ClassVar[str] = "redface"
    aliases: ClassVar[tuple[str, ...]] = ()
    title: ClassVar[str] = "RedFace"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-RedFace",
        access="One archive is offered for download; no licence is stated: ask the holder.",
        purposes=("benchmark",),
        consent="none",
    )
    layout: ClassVar[str] = "Not published: one archive of pictures and videos."
    must_hold: ClassVar[str] = (
        "a table that you write of its files (pictures and videos), what is real and what is fake among them "
        "(verdicts.video), and the platform or method as generator"
    )
