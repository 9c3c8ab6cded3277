"""DF40: folders of face pictures by method and domain, with JSON files as DeepfakeBench has them.

After: Yan et al., NeurIPS Datasets and Benchmarks 2024. Known methods hold fakes only; nine unknown ones hold both.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from haetae.importers.base import Entry, Importer, Reading, Split, Terms, Verdict
from haetae.importers.deepfakebench import (
    Stated,
    key_of,
    people_in,
    split_of,
    statements,
    verdicts,
)
from haetae.importers.listed import Listing
from haetae.importers.tree import Tree

_FAMILIES = {
    "face_swap": "fsgan faceswap simswap inswap blendface uniface mobileswap e4s facedancer deepfacelab",
    "lip_sync": "wav2lip",
    "face_reenactment": "fomm facevid2vid mraa one_shot_free pirender tpsm lia danet dagan sadtalker mcnet "
    "hyperreenact heygen",
    "whole_face": "vqgan stylegan2 stylegan3 styleganxl sd1.5 sd2.1 ddim rddm pixart dit sit midjourney whichisreal",
    "face_edit": "collabdiff e4e stargan starganv2 styleclip",
}
FAMILY = {method: family for family, methods in _FAMILIES.items() for method in methods.split()}
_PICTURES = re.compile(
    r"(?:.*/)?(?P<top>DF40|DF40_train)/(?P<method>[^/]+)/"
    r"(?:(?P<domain>ff|cdf)/|(?P<label>fake|real)/)?(?:frames/)?(?:(?P<video>[^/]+)/)?"
)
_PART: dict[str, Split] = {"DF40": "test", "DF40_train": "train"}
_WORDS: dict[str, Verdict] = {"real": "real", "fake": "fake"}


class Df40(Importer):
    name: ClassVar[str] = "df40"
    title: ClassVar[str] = "DF40"
    terms: ClassVar[Terms] = Terms(
        licence="CC-BY-NC-4.0",
        access="Fill in the holder's form (non-commercial research); accept the terms of FaceForensics++ and Celeb-DF "
        "for the real pictures.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "DF40/<method>/{ff,cdf}/frames/<video>/*.png   (known methods: fakes)\n"
        "DF40/<method>/{fake,real}/                    (nine unknown methods)\n"
        "DF40_train/<method>/…                         <method>_{ff,cdf}.json as of DeepfakeBench"
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        published = verdicts(tree)
        stated = {one.folder: one for one in statements(listing, lambda label: _verdict(label, published))}
        for folder in tree.frame_folders():
            place = _PICTURES.fullmatch(folder)
            if place is not None and place["video"] != "masks":
                _take(listing, folder, place, stated.pop(folder, None))
        listing.entries += [_outside(one) for one in stated.values()]
        return Reading(_with_pairs(listing.entries), listing.findings)


def _verdict(label: str, published: Mapping[str, Verdict]) -> Verdict | None:
    """Of the labels of DeepfakeBench, and of <method>_Real and <method>_Fake of the methods of DF40."""
    if label in published:
        return published[label]
    method, _, word = label.rpartition("_")
    known = method.casefold() in (*FAMILY, "fsall", "frall", "efsall")
    return _WORDS.get(word.casefold()) if known else None


def _take(listing: Listing, folder: str, place: re.Match[str], stated: Stated | None) -> None:
    """One folder of pictures: a video's, or single pictures where it is not that of a video."""
    top, method, group = place["top"], place["method"], place["domain"] or place["label"]
    if group is None and top == "DF40":
        listing.note("layout", folder, "it is neither below ff or cdf nor below fake or real; it is left out")
        return
    verdict: Verdict | None = _WORDS[place["label"]] if place["label"] else "fake"
    if stated is not None and stated.verdict != verdict:
        if stated.verdict is not None:
            told = f"{stated.label} is {stated.verdict}, its folder says {verdict}; it has no verdict"
            listing.note("label_mismatch", folder, told)
        verdict = None
    if method.casefold() not in FAMILY:
        listing.note("layout", folder, f"{method} is not among the methods of DF40")
    entry = Entry(
        key="/".join(part for part in (top, method, group, place["video"]) if part),
        path=folder,
        form="frames",
        video=verdict,
        split=split_of(stated) if stated is not None else _PART[top],
        mask=stated.mask if stated is not None else None,
        identities=people_in(place["video"] or ""),
        generator=None if place["label"] == "real" else method,
        family=None if place["label"] == "real" else FAMILY.get(method.casefold()),
        detail={"domain": place["domain"]} if place["domain"] else {},
    )
    if place["video"]:
        listing.entries.append(entry)
        return
    for picture in listing.tree.frames(folder):
        name = picture.rsplit("/", 1)[-1]
        listing.entries.append(replace(entry, key=f"{entry.key}/{name}", path=picture, form="file"))


def _outside(one: Stated) -> Entry:
    """Pictures that a JSON file names outside the folders of DF40: the real ones, of the sets it is made of."""
    return Entry(
        key=key_of(one),
        path=one.folder,
        form="frames",
        video=one.verdict,
        split=split_of(one),
        mask=one.mask,
        identities=people_in(key_of(one).rsplit("/", 1)[-1]),
        detail={"dataset": one.dataset, "label": one.label},
    )


def _with_pairs(entries: Sequence[Entry]) -> list[Entry]:
    """Face swaps are named as those of FaceForensics++ and Celeb-DF: their target, where it is there once."""
    reals: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        if entry.video == "real":
            reals[entry.key.rsplit("/", 1)[-1]].append(entry.key)
    paired = []
    for entry in entries:
        name = entry.key.rsplit("/", 1)[-1]
        swap = re.fullmatch(r"(\d{3})_\d{3}|(id\d+)_id\d+_(\d{4})", name)
        target = reals.get((swap[1] or f"{swap[2]}_{swap[3]}") if swap else "", [])
        is_swap = entry.family == "face_swap" and entry.video == "fake"
        paired.append(replace(entry, pair=target[0]) if is_swap and len(target) == 1 else entry)
    return paired
