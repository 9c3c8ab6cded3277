"""DeepSpeak v1 and v2: webcam recordings of consenting people, and face swaps, dubbed lips and avatars of them.

After: Barrington, Bohacek & Farid, 2024. Tables say what a fake is; where they are not there, names of v1 do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Split, Terms, Verdict
from haetae.importers.listed import SPLITS, Listing, kept, needs
from haetae.importers.tree import Tree

_REAL = re.compile(r"(?P<identity>\d+)-(?P<recording>\d+)")
_FAKE = re.compile(
    r"(?P<engine>[a-z0-9_]+)--(?P<source>\d+)-(?P<target>\d+)"
    r"--(?P<recording_source>\d+)-(?P<recording_target>\d+)--(?P<number>\d+)",
    re.IGNORECASE,
)
_KINDS = {
    "lip-sync": "lip_sync",
    "lipsync": "lip_sync",
    "face-swap": "face_swap",
    "faceswap": "face_swap",
    "avatar": "talking_head",
}
_ENGINES = {
    "facefusion": "face-swap",
    "facefusion_gan": "face-swap",
    "facefusion_live": "face-swap",
    "wav2lip": "lip-sync",
    "retalking": "lip-sync",
}
"""Of v1, whose names alone tell what a fake is."""
_VOICES: dict[str, Verdict] = {
    "real": "real", "original": "real", "elevenlabs": "fake", "playht": "fake", "speechify": "fake",
}  # fmt: skip


class DeepSpeak(Importer):
    name: ClassVar[str] = "deepspeak"
    aliases: ClassVar[tuple[str, ...]] = ("deepspeak-v1", "deepspeak-v1.1", "deepspeak-v2")
    title: ClassVar[str] = "DeepSpeak v1 and v2"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-DeepSpeak",
        access="Fill in the licence form: free for qualifying academic institutions, for a fee for others.",
        consent="release",
    )
    layout: ClassVar[str] = (
        "…/<identity>-<recording>.mp4\n"
        "…/<engine>--<source>-<target>--<source rec>-<target rec>--<n>.mp4   (v2: as annotations-fake.csv says)\n"
        "annotations-fake.csv  annotations-real.csv  annotations-split-def.csv"
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        splits = _splits(listing)
        stated = {}
        for table in tree.named("annotations-fake.csv"):
            rows = tree.csv(table)
            if rows:
                needs(rows[0], table, "video-file", "kind", "engine", "identity-source", "identity-target")
            for row in rows:
                stem = row["video-file"].replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".mp4")
                stated[stem] = row
                if path := listing.by_name(f"{stem}.mp4", table):
                    listing.entries.append(_fake(listing, stem, path, row, splits))
        for path in tree.files(".mp4"):
            stem = path.rsplit("/", 1)[-1].removesuffix(".mp4")
            if real := _REAL.fullmatch(stem):
                listing.entries.append(_real(stem, path, real["identity"], splits))
            elif stem not in stated and (named := _FAKE.fullmatch(stem)):
                listing.entries.append(_fake(listing, stem, path, _row_of(named), splits))
        _missing_reals(listing)
        if not listing.entries and not listing.findings:
            raise UsageError(f"{tree.root} holds no recording of DeepSpeak; expected:\n{self.layout}")
        return listing.reading()


def _splits(listing: Listing) -> dict[str, Split | None]:
    """Official split of each person; one listed in two has none."""
    found: dict[str, Split | None] = {}
    for table in listing.tree.named("annotations-split-def.csv"):
        rows = listing.tree.csv(table)
        if rows:
            needs(rows[0], table, "identity", "split")
        for row in rows:
            split = listing.word(f"{table}: {row['identity']}", "split", row["split"], SPLITS)
            if found.setdefault(row["identity"], split) != split:
                listing.note("label_mismatch", f"{table}: {row['identity']}", "this person is in two splits")
                found[row["identity"]] = None
    return found


def _row_of(named: re.Match[str]) -> dict[str, str]:
    """What the name of a v1 fake says, as a row of the table would."""
    return {
        "kind": _ENGINES.get(named["engine"].casefold(), ""),
        "engine": named["engine"],
        "identity-source": named["source"],
        "identity-target": named["target"],
        "recording-source": named["recording_source"],
        "recording-target": named["recording_target"],
    }


def _real(stem: str, path: str, identity: str, splits: Mapping[str, Split | None]) -> Entry:
    return Entry(
        key=f"real/{stem}",
        path=path,
        video="real",
        audio="real",
        sync="real",
        split=splits.get(identity),
        identities=(identity,),
    )


def _fake(
    listing: Listing, stem: str, path: str, row: Mapping[str, str], splits: Mapping[str, Split | None]
) -> Entry:
    """A fake shows its target; the face or voice that drove it is its source's."""
    key = f"fake/{stem}"
    source, target = row["identity-source"], row["identity-target"]
    named = _FAKE.fullmatch(stem)
    if named and (named["source"], named["target"]) != (source, target):
        listing.note("label_mismatch", key, f"its row says {source} on {target}, its name says otherwise")
        source = target = ""
    family = listing.word(key, "kind", row["kind"], _KINDS)
    voice = row.get("audio-config", "")
    audio = listing.word(key, "audio-config", voice, _VOICES) if voice else None
    people = tuple(dict.fromkeys(one for one in (target, source) if one))
    both = {splits.get(one) for one in people}
    if len(both - {None}) > 1:
        listing.note("label_mismatch", key, f"{source} and {target} are in different splits; it is in none")
    recording = row.get("recording-target", "")
    return Entry(
        key=key,
        path=path,
        video="fake" if family else None,
        audio=audio if family else None,
        sync="fake" if family == "lip_sync" and audio != "fake" else None,
        split=both.pop() if len(both) == 1 else None,
        pair=f"real/{target}-{recording}" if target and recording else None,
        identities=people,
        generator=row["engine"] or None,
        family="combination" if family and audio == "fake" else family,
        detail=kept(row, "video-file"),
    )


def _missing_reals(listing: Listing) -> None:
    for table in listing.tree.named("annotations-real.csv"):
        for row in listing.tree.csv(table):
            name = row.get("video-file", "").replace("\\", "/").rsplit("/", 1)[-1]
            if name and not listing.tree.named(name if name.endswith(".mp4") else f"{name}.mp4"):
                listing.note("missing", name, f"{table} names it, but no file of that name is there")
