"""FaceForensics++ with DeepFakeDetection (DFD): `original_sequences`, `manipulated_sequences`, masks and splits.

After: Rössler et al., ICCV 2019. Its pictures as cut by DeepfakeBench are read by `deepfakebench`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Split, Terms
from haetae.importers.listed import Listing
from haetae.importers.tree import Tree

FAMILY = {
    "Deepfakes": "face_swap",
    "FaceSwap": "face_swap",
    "FaceShifter": "face_swap",
    "DeepFakeDetection": "face_swap",
    "Face2Face": "face_reenactment",
    "NeuralTextures": "face_reenactment",
}
_PLACE = re.compile(
    r"(?:.*/)?(?:(?P<top>original_sequences)/(?P<who>youtube|actors)|manipulated_sequences/(?P<method>[^/]+))"
    r"/(?P<level>raw|c23|c40)/videos/(?P<name>[^/]+)\.mp4"
)
_MASK = re.compile(r"(?:.*/)?manipulated_sequences/(?P<method>[^/]+)/masks/videos/(?P<name>[^/]+)\.mp4")
_MASK_FOLDER = re.compile(
    r"(?:.*/)?manipulated_sequences/(?P<method>[^/]+)/(?:(?:raw|c23|c40)/)?masks/(?P<name>[^/]+)/"
)
_SWAP = re.compile(r"(\d{3})_(\d{3})")
_DFD = re.compile(r"(\d+)_(\d+)__(.+)__[A-Za-z0-9]{8}")
_ACTOR = re.compile(r"(\d+)__(.+)")
_SPLITS: tuple[Split, ...] = ("train", "val", "test")


class FaceForensics(Importer):
    name: ClassVar[str] = "faceforensics"
    aliases: ClassVar[tuple[str, ...]] = ("ff++", "faceforensics++", "ffpp", "dfd", "deepfakedetection")
    title: ClassVar[str] = "FaceForensics++ with DeepFakeDetection"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-FaceForensics",
        access="Fill in the holder's form and accept the FaceForensics terms of use (non-commercial research and "
        "education); the download script comes with the answer.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "original_sequences/{youtube,actors}/{raw,c23,c40}/videos/*.mp4\n"
        "manipulated_sequences/<method>/{raw,c23,c40}/videos/*.mp4\n"
        "manipulated_sequences/<method>/masks/videos/*.mp4\n"
        "splits/{train,val,test}.json"
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        videos = tree.files(".mp4")
        masks = _masks(tree, videos)
        places = [(path, place) for path in videos if (place := _PLACE.fullmatch(path))]
        split_of = _splits(listing) if any(_has_split(path) for path, _ in places) else {}
        youtube = _youtube_ids(listing)
        for path, place in places:
            entry = (
                _original(listing, path, place) if place["top"] else _manipulated(listing, path, place, masks)
            )
            if entry is not None:
                listing.entries.append(_with_split(listing, entry, split_of, youtube))
        _expect_pairs(listing, split_of)
        return listing.reading()


def _original(listing: Listing, path: str, place: re.Match[str]) -> Entry | None:
    who, level, name = place["who"], place["level"], place["name"]
    actor = _ACTOR.fullmatch(name)
    if (who == "actors") != (actor is not None) or (who == "youtube" and not re.fullmatch(r"\d{3}", name)):
        listing.note("layout", path, "its name is neither a number of three digits nor <actor>__<scene>")
        return None
    return Entry(
        key=f"original_sequences/{who}/{level}/{name}",
        path=path,
        video="real",
        identities=(actor[1] if actor else name,),
        detail={"compression": level} | ({"scene": actor[2]} if actor else {}),
    )


def _manipulated(
    listing: Listing, path: str, place: re.Match[str], masks: dict[tuple[str, str], str]
) -> Entry | None:
    """A fake is named target_source, of the numbers or actors; its pair is the target at the same compression."""
    method, level, name = place["method"], place["level"], place["name"]
    swap, dfd = _SWAP.fullmatch(name), _DFD.fullmatch(name)
    if method not in FAMILY:
        listing.note("layout", path, f"{method} is no method of FaceForensics++; it is left out")
        return None
    named = dfd if method == "DeepFakeDetection" else swap
    if named is None:
        listing.note(
            "layout", path, "its name is neither TTT_SSS nor <target>_<source>__<scene>__<8 letters>"
        )
        return None
    original = f"youtube/{level}/{named[1]}" if swap else f"actors/{level}/{named[1]}__{named[3]}"
    return Entry(
        key=f"manipulated_sequences/{method}/{level}/{name}",
        path=path,
        video="fake",
        pair=f"original_sequences/{original}",
        mask=masks.get((method, name)),
        identities=(named[1], named[2]),
        generator=method,
        family=FAMILY[method],
        detail={"compression": level} | ({} if swap else {"scene": named[3]}),
    )


def _masks(tree: Tree, videos: list[str]) -> dict[tuple[str, str], str]:
    """Mask of each method and video: one for all compressions; the video before the folder of pictures."""
    folders = [(_MASK_FOLDER.fullmatch(path), path) for path in tree.frame_folders()]
    films = [(_MASK.fullmatch(path), path) for path in videos]
    return {(m["method"], m["name"]): path for m, path in [*folders, *films] if m is not None}


def _splits(listing: Listing) -> dict[str, Split]:
    """Split of each sequence number, by the three lists; a number in two of them has none.

    Raises: UsageError for a list that is not one of pairs.
    """
    found: dict[str, set[Split]] = {}
    for split in _SPLITS:
        lists = [path for path in listing.tree.named(f"{split}.json") if "!/" not in path]
        if not lists:
            told = "the official split is not there; its videos have no split"
            listing.note("missing", f"splits/{split}.json", told)
            continue
        pairs = listing.tree.json(lists[0])
        if not isinstance(pairs, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
            for pair in pairs
        ):
            raise UsageError(f'{lists[0]} is no list of pairs such as ["071", "054"]; fetch it again')
        for pair in pairs:
            for one in pair:
                found.setdefault(one, set()).add(split)
            # Both orders of a pair were made, and belong to its split.
            for name in ("_".join(pair), "_".join(reversed(pair))):
                found.setdefault(name, set()).add(split)
    for name, splits in found.items():
        if len(splits) > 1:
            told = f"listed in {' and '.join(sorted(splits))}; it has no split"
            listing.note("label_mismatch", f"splits: {name}", told)
    return {name: next(iter(splits)) for name, splits in found.items() if len(splits) == 1}


def _has_split(path: str) -> bool:
    """DFD has no official split; every other video is in one of the lists."""
    return "/actors/" not in path and "/DeepFakeDetection/" not in path


def _with_split(listing: Listing, entry: Entry, split_of: dict[str, Split], youtube: dict[str, str]) -> Entry:
    """The entry with its split, a fake by its pair of numbers, and the YouTube id of its target."""
    name = entry.key.rsplit("/", 1)[-1]
    if not _has_split(entry.key):
        return entry
    if split_of and name not in split_of:
        listing.note("unlabelled", entry.path, "in none of the split lists, or in two; it has no split")
    known = {"youtube_id": youtube[entry.identities[0]]} if entry.identities[0] in youtube else {}
    return replace(entry, split=split_of.get(name), detail={**entry.detail, **known})


def _youtube_ids(listing: Listing) -> dict[str, str]:
    """`conversion_dict.json`: "000" is "<youtube id> <number>". Not there: nothing is known of it."""
    lists = listing.tree.named("conversion_dict.json")
    content = listing.tree.json(lists[0]) if lists else {}
    if not isinstance(content, dict):
        raise UsageError(f"{lists[0]} is no object of sequence numbers; fetch it again")
    return {number: str(told).rpartition(" ")[0] or str(told) for number, told in content.items()}


def _expect_pairs(listing: Listing, split_of: dict[str, Split]) -> None:
    """Every listed number and pair has a video in each method and compression of which there are any."""
    there: dict[str, set[str]] = {}
    for entry in listing.entries:
        folder, _, name = entry.key.rpartition("/")
        there.setdefault(folder, set()).add(name)
    for folder, names in there.items():
        if not _has_split(f"{folder}/"):
            continue
        is_swap = folder.startswith("manipulated_sequences")
        for name in sorted(split_of):
            if ("_" in name) == is_swap and name not in names:
                listing.note("missing", f"{folder}/{name}", "a split list names it, but it is not there")
