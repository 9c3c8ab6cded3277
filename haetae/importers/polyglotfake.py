"""PolyGlotFake: clips in seven languages, and dubbed copies with a cloned voice and lips driven by it.

After: Hou et al., 2024. File names say what a clip is; the JSON lists add how the lips were made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Terms
from haetae.importers.listed import Listing, kept, language_of
from haetae.importers.tree import Tree

LANGUAGES = ("ar", "en", "es", "fr", "ja", "ru", "zh")
_REAL = re.compile(r"(?P<lang>[a-z]{2})_(?P<number>\d+)")
_FAKE = re.compile(r"(?P<source>[a-z]{2})_(?P<number>\d+)_to_(?P<lang>[a-z]{2})_(?P<tts>[^_/]+(?:_[^_/]+)*)")
_LIST = re.compile(r"(?:to_[a-z]{2}|[a-z]{2}|all_fake_video|all_real_video)\.json")


class PolyGlotFake(Importer):
    name: ClassVar[str] = "polyglotfake"
    title: ClassVar[str] = "PolyGlotFake"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-PolyGlotFake",
        access="Fill in the request form; restricted to academic institutions, for research only.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "real/<lang>/<lang>_<n>.mp4   fake/to_<lang>/<src>_<n>_to_<lang>_<tts>.mp4\n"
        "real_json_files/<lang>.json   fake lists to_<lang>.json, where they were taken from the repository"
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        stated = _lists(tree)
        seen = set()
        for path in tree.files(".mp4"):
            name = path.rsplit("/", 1)[-1]
            seen.add(name)
            if entry := _entry(listing, path, stated.get(name, {})):
                listing.entries.append(entry)
        if not listing.entries:
            raise UsageError(f"{tree.root} holds no clip named as in PolyGlotFake; expected:\n{self.layout}")
        for name in sorted(set(stated) - seen):
            listing.note("missing", name, "its list names it, but no file of that name is there")
        return listing.reading()


def _lists(tree: Tree) -> dict[str, Mapping[str, Any]]:
    """What the JSON lists say of each file, by its name; those of one language first, then the lists of all."""
    found: dict[str, Mapping[str, Any]] = {}
    paths = [path for path in tree.files(".json") if _LIST.fullmatch(path.rsplit("/", 1)[-1])]
    for path in sorted(paths, key=lambda p: (p.rsplit("/", 1)[-1].startswith("all_"), p)):
        listed = tree.json(path)
        rows = listed.get("videos") or listed.get("video") if isinstance(listed, dict) else None
        for row in rows if isinstance(rows, list) else []:
            name = row.get("filename") or row.get("name") if isinstance(row, dict) else None
            if isinstance(name, str):
                found.setdefault(name, row)
    return found


def _entry(listing: Listing, path: str, row: Mapping[str, Any]) -> Entry | None:
    stem = path.rsplit("/", 1)[-1].removesuffix(".mp4")
    fake, real = _FAKE.fullmatch(stem), _REAL.fullmatch(stem)
    named = fake or real
    if named is None:
        listing.note("extra", path, "is not named as a clip of PolyGlotFake; it is left out")
        return None
    unknown = [one for one in (named["lang"], fake["source"] if fake else "en") if one not in LANGUAGES]
    if unknown:
        told = f"language {unknown[0]!r} of its name is none of {', '.join(LANGUAGES)}"
        listing.note("label_mismatch", path, told)
    folders = set(path.casefold().split("/")[:-1])
    misplaced = ("real" if fake else "fake") in folders
    if misplaced:
        listing.note("label_mismatch", path, f"is named as {'fake' if fake else 'real'}, but lies elsewhere")
    key = f"{'fake' if fake else 'real'}/{stem}"
    language = None if unknown else language_of(named["lang"])
    if misplaced or unknown:
        return Entry(key=key, path=path, language=language)
    if fake is None:
        detail = kept(row, "filename", "source")
        return Entry(key, path, video="real", audio="real", sync="real", language=language, detail=detail)
    lips = row.get("sync_tech")
    return Entry(
        key=key,
        path=path,
        video="fake",
        audio="fake",
        pair=f"real/{fake['source']}_{fake['number']}",
        generator=f"{fake['tts']}+{lips}" if isinstance(lips, str) and lips else fake["tts"],
        family="combination",
        language=language,
        detail={"source_language": fake["source"], **kept(row, "filename", "name")},
    )
