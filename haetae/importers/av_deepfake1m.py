"""AV-Deepfake1M and AV-Deepfake1M++: picture, sound or both changed for some words, with the seconds of each.

After: Cai et al., ACM MM 2024 and 2025. Test files come without labels. The published segments of some
thousand items name a modality that their `modify_type` leaves untouched; those segments are not taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Modality, Reading, Segment, Split, Terms, Verdict
from haetae.importers.inventory import SLACK_S
from haetae.importers.listed import SPLITS, Listing, kept, records
from haetae.importers.tree import Tree

_TYPES: dict[str, tuple[Verdict, Verdict]] = {
    "real": ("real", "real"),
    "visual_modified": ("fake", "real"),
    "audio_modified": ("real", "fake"),
    "both_modified": ("fake", "fake"),
}
_SAMPLE_RATE_HZ = 16_000
_FPS = 25
_LENGTHS_AGREE_S = 0.5


class AvDeepfake1m(Importer):
    name: ClassVar[str] = "av-deepfake1m"
    aliases: ClassVar[tuple[str, ...]] = ("avdf1m", "1m-deepfakes")
    title: ClassVar[str] = "AV-Deepfake1M"
    terms: ClassVar[Terms] = Terms(
        licence="CC-BY-NC-4.0",
        access="Register, sign the end-user licence agreement and send it to the organisers.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "train_metadata.json  val_metadata.json  test_files.txt\n"
        "train/<id>/<yt>/<utt>/{real,fake_video_*,real_video_fake_audio*}.mp4   val/…   test/…\n"
        "train_metadata/<same path>.json   (where train_metadata.json is not there)"
    )
    tests: ClassVar[tuple[str, ...]] = ("test",)

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        for part in ("train", "val"):
            for row, where in _rows(tree, part):
                _add(listing, row, part, where)
        for part in self.tests:
            _add_unlabelled(listing, part)
        if not listing.entries and not listing.findings:
            raise UsageError(
                f"{tree.root} holds no metadata of {self.title}; unpack it with `7z x`, then expected:\n"
                f"{self.layout}"
            )
        return listing.reading()


class AvDeepfake1mPlusPlus(AvDeepfake1m):
    name: ClassVar[str] = "av-deepfake1m-plusplus"
    aliases: ClassVar[tuple[str, ...]] = ("av-deepfake1m++", "avdf1m++")
    title: ClassVar[str] = "AV-Deepfake1M++"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-AV-Deepfake1M-PlusPlus",
        access="Register for the challenge and agree to its end-user licence agreement; ask the holder.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "{train,val}/{vox_celeb_2,lrs3,silent_videos}/…/<name>.mp4 with <name>.json beside it\n"
        "{train,val}_metadata.json   testA_files.txt  testA/…   testB_files.txt  testB/…"
    )
    tests: ClassVar[tuple[str, ...]] = ("testA", "testB")


def _rows(tree: Tree, part: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Rows of a part with the file each is from: the one list, or a file for each video."""
    if table := tree.find(f"{part}_metadata.json"):
        yield from ((row, table) for row in records(tree, table))
        return
    for folder in (f"{part}_metadata", part):
        for path in tree.files(".json", under=folder):
            row = tree.json(path)
            if isinstance(row, dict) and "modify_type" in row:
                yield row, path


def _add(listing: Listing, row: Mapping[str, Any], part: str, where: str) -> None:
    file = row.get("file")
    if not isinstance(file, str):
        listing.note("damaged", where, f"a row without a file: {str(row)[:80]}")
        return
    key = f"{part}/{file}"
    if (path := listing.file(key, where)) is None:
        return
    split: Split | None = SPLITS[part]
    if SPLITS.get(str(row.get("split")).casefold()) != split:
        listing.note("label_mismatch", key, f"its split is {row.get('split')!r}, its folder {part}")
        split = None
    stated = listing.word(key, "modify_type", row.get("modify_type"), _TYPES) or (None, None)
    length = _length_s(listing, key, row)
    length_s = length.get("duration_s", math.inf)
    video, seen = _timed(listing, key, row, "video", stated[0], length_s)
    audio, heard = _timed(listing, key, row, "audio", stated[1], length_s)
    original = row.get("original")
    listing.entries.append(
        Entry(
            key=key,
            path=path,
            video=video,
            audio=audio,
            sync="real" if (video, audio) == ("real", "real") else None,
            segments=seen + heard,
            split=split,
            pair=f"{part}/{original}" if isinstance(original, str) and original not in ("", file) else None,
            identities=_speaker(file),
            generator=_generator(row, video, audio),
            family=_family(video, audio),
            detail=kept(row, "file", "split", "original") | length,
        )
    )


def _timed(
    listing: Listing,
    key: str,
    row: Mapping[str, Any],
    modality: Modality,
    stated: Verdict | None,
    length_s: float,
) -> tuple[Verdict | None, tuple[Segment, ...]]:
    """Verdict and segments of one modality. Where a change has no place in the item, neither is taken."""
    field = "visual_fake_segments" if modality == "video" else "audio_fake_segments"
    name = field if field in row else "fake_segments"
    if stated == "real" and row.get(field):
        told = f"{field} is {str(row[field])[:60]}, but modify_type is {row.get('modify_type')}; not taken"
        listing.note("label_mismatch", key, told)
    if stated != "fake":
        return stated, ()
    wanted = row.get(name)
    found = listing.segments(key, name, wanted, modality)
    if found and len(found) == len(wanted or ()) and max(s.end_s for s in found) <= length_s + SLACK_S:
        return stated, found
    told = (
        f"{name} is {str(wanted)[:60]}: no stretches of its {length_s:g} s, so its {modality} has no verdict"
    )
    listing.note("label_mismatch", key, told)
    return None, ()


def _length_s(listing: Listing, key: str, row: Mapping[str, Any]) -> dict[str, float]:
    """How long an item is by its own counts, so that no file need be opened to check its segments."""
    frames, samples = row.get("video_frames"), row.get("audio_frames")
    if not isinstance(frames, int) or not isinstance(samples, int):
        return {}
    picture_s, sound_s = frames / _FPS, samples / _SAMPLE_RATE_HZ
    if abs(picture_s - sound_s) > _LENGTHS_AGREE_S:
        told = f"video_frames are {picture_s:.2f} s at {_FPS} fps, audio_frames {sound_s:.2f} s at 16 kHz"
        listing.note("label_mismatch", key, told)
    return {"duration_s": max(picture_s, sound_s)}


def _speaker(file: str) -> tuple[str, ...]:
    """The VoxCeleb2 speaker; the folders of the other corpora are no people."""
    parts = file.removeprefix("vox_celeb_2/").split("/")
    return (parts[0],) if parts[0].startswith("id") and parts[0][2:].isdigit() else ()


def _generator(row: Mapping[str, Any], video: Verdict | None, audio: Verdict | None) -> str | None:
    stated = ((video, row.get("video_model")), (audio, row.get("audio_model")))
    models = [str(model) for verdict, model in stated if verdict == "fake" and model]
    return "+".join(models) or None


def _family(video: Verdict | None, audio: Verdict | None) -> str | None:
    families: dict[tuple[Verdict | None, Verdict | None], str] = {
        ("fake", "real"): "lip_sync",
        ("real", "fake"): "speech",
        ("fake", "fake"): "combination",
    }
    return families.get((video, audio))


def _add_unlabelled(listing: Listing, part: str) -> None:
    """Files of a test list: part of the benchmark, with no verdict until the holder gives one out."""
    table = listing.tree.find(f"{part}_files.txt")
    if table is None:
        return
    names = [line.strip() for line in listing.tree.text(table).splitlines() if line.strip()]
    for name in names:
        path = listing.file(name if name.startswith(f"{part}/") else f"{part}/{name}", table)
        if path is not None:
            listing.entries.append(
                Entry(key=f"{part}/{name.removeprefix(part + '/')}", path=path, split="test")
            )
    listing.note("unlabelled", table, f"its {len(names)} files are given out without labels")
