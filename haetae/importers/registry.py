"""Which formats can be imported, by name; each module is loaded when it is asked for.

What a format looks like is told in its own module.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from haetae.errors import UsageError
from haetae.importers.base import Importer
from haetae.importers.mapping import MappingImporter

_CLASSES = (
    "faceforensics:FaceForensics",
    "celeb_df:CelebDf",
    "deepfakebench:DeepfakeBench",
    "df40:Df40",
    "dfdc:Dfdc",
    "wilddeepfake:WildDeepfake",
    "redface:RedFace",
    "tmc:Tmc",
    "mapping:MappingImporter",
    "fakeavceleb:FakeAvCeleb",
    "lav_df:LavDf",
    "av_deepfake1m:AvDeepfake1m",
    "av_deepfake1m:AvDeepfake1mPlusPlus",
    "mavos_dd:MavosDd",
    "kodf:KoDf",
    "aihub_faces:AiHubFaces",
    "vggface2_hq:VggFace2Hq",
    "polyglotfake:PolyGlotFake",
    "deepspeak:DeepSpeak",
    "ffiw10k:Ffiw10k",
    "deepfake_eval_2024:DeepfakeEval2024",
    "asvspoof5:AsvSpoof5",
    "mlaad:Mlaad",
    "sea_spoof:SeaSpoof",
)
"""Module below `haetae.importers` and class in it, one line for each format."""


def find(name: str, mapping: Path | None = None) -> Importer:
    """The importer of that name or alias; case and punctuation do not matter, '+' does.

    mapping: mapping file, for the formats that read one.
    Raises: UsageError for an unknown name, with the names there are, and for a mapping that is not wanted.
    """
    wanted = _plain(name)
    known = _classes()
    for one in known:
        if wanted in {_plain(known_as) for known_as in (one.name, *one.aliases)}:
            if issubclass(one, MappingImporter):
                return one(mapping)
            if mapping is not None:
                raise UsageError(f"{one.name} has a known layout; leave the mapping file out")
            return one()
    names = ", ".join(sorted(one.name for one in known))
    raise UsageError(f"unknown format {name!r}; known are: {names}; anything else goes through 'mapping'")


def all_importers() -> list[Importer]:
    """One importer of each format, in the order of the list above; those with a mapping have none yet."""
    return [one() for one in _classes()]


def _classes() -> list[type[Importer]]:
    found = []
    for line in _CLASSES:
        module, _, name = line.partition(":")
        found.append(getattr(importlib.import_module(f"haetae.importers.{module}"), name))
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9+]", "", name.casefold())
