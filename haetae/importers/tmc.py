"""The Trusted Media Challenge data set (AI Singapore). Its layout is not published, so it needs a mapping.

After: Chen et al., arXiv 2201.04788. Picture, sound or both are fake in it, so one label for both is not enough. What
a mapping file holds is in `mapping`.
"""

from __future__ import annotations

from typing import ClassVar

from haetae.importers.base import Terms
from haetae.importers.mapping import MappingImporter


class Tmc(MappingImporter):
    name: ClassVar[str] = "tmc"
    aliases: ClassVar[tuple[str, ...]] = ("trusted-media-challenge",)
    title: ClassVar[str] = "Trusted Media Challenge"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-TMC",
        access="Available for research on request from AI Singapore (tmc-dataset@aisingapore.org).",
        purposes=("benchmark",),
        consent="release",
    )
    layout: ClassVar[str] = "Not published: videos with sound, and labels by kind of manipulation."
    must_hold: ClassVar[str] = (
        "the table of labels, the column of the file, and for each kind of manipulation what is fake: the picture "
        "(verdicts.video), the sound (verdicts.audio) or both"
    )
