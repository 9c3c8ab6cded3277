"""DeepfakeBench: its JSON files of folders of face pictures, for several data sets at once.

After: Yan et al., NeurIPS Datasets and Benchmarks 2023. DF40 has JSON files of the same kind; see `df40`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Split, Terms, Verdict
from haetae.importers.faceforensics import FAMILY
from haetae.importers.listed import Listing
from haetae.importers.tree import Tree

LEVELS = ("raw", "c23", "c40")
SPLITS: tuple[Split, ...] = ("train", "val", "test")
PRIORITY: tuple[Split, ...] = ("test", "train", "val")
"""Which split a video of several has: a test video is never trained on, what is trained on is not held out."""
LABELS: dict[str, Verdict] = {
    **dict.fromkeys(
        (
            "DFD_real", "FF-real", "CelebDFv1_real", "CelebDFv2_real", "DFDCP_Real", "DFDC_Real", "DF_real",
            "UADFV_Real", "roop_Real",
        ),
        "real",
    ),
    **dict.fromkeys(
        (
            "DFD_fake", "FF-SH", "FF-F2F", "FF-DF", "FF-FS", "FF-NT", "FF-FH", "CelebDFv1_fake",
            "CelebDFv2_fake", "DFDCP_FakeA", "DFDCP_FakeB", "DFDC_Fake", "DF_fake", "UADFV_Fake", "roop_Fake",
        ),
        "fake",
    ),
}  # fmt: skip
"""What `label_dict` of its configuration says; one in the tree is read too."""
_METHOD = {
    "FF-DF": "Deepfakes", "FF-F2F": "Face2Face", "FF-FS": "FaceSwap", "FF-NT": "NeuralTextures",
    "FF-FH": "FaceShifter", "FF-SH": "FaceShifter", "DFD_fake": "DeepFakeDetection",
    "CelebDFv1_fake": "Celeb-DF", "CelebDFv2_fake": "Celeb-DF", "DFDCP_FakeA": "method_A",
    "DFDCP_FakeB": "method_B",
}  # fmt: skip
_REAL_PLACE = re.compile(
    r"(?:^|/)(original_sequences|celeb-real|youtube-real|original_videos)/", re.IGNORECASE
)
_FAKE_PLACE = re.compile(
    r"(?:^|/)(manipulated_sequences|celeb-synthesis|method_a|method_b|manipulated_videos)/", re.IGNORECASE
)
_FACEFORENSICS = re.compile(r"(?:^|.*/)((?:original|manipulated)_sequences/.*)")
_ANCHOR = re.compile(
    r"(?:^|.*/)((?:[^/]+/)?(?:celeb-real|youtube-real|celeb-synthesis|original_videos|method_[ab]"
    r"|dfdc_train_part_\d+|source_videos|manipulated_videos)/.*)",
    re.IGNORECASE,
)
_FROM = re.compile(
    r"(?:.*/)?(?=(?:DF40|DF40_train|FaceForensics\+\+|(?:original|manipulated)_sequences"
    r"|(?:[^/]+/)?(?:celeb-real|youtube-real|celeb-synthesis|original_videos|method_[ab]|dfdc_train_part_\d+))/)",
    re.IGNORECASE,
)
"""What stands before the part of a path that a data set is known by."""
VerdictOf = Callable[[str], Verdict | None]


@dataclass
class Stated:
    """What the JSON files state of one folder of pictures."""

    folder: str
    """On disk."""
    named: str
    """In the file, with '/' and without `frames`."""
    dataset: str
    label: str
    level: str | None
    splits: set[Split]
    listed: int
    """Pictures that are listed."""
    mask: str | None
    verdict: Verdict | None


class DeepfakeBench(Importer):
    name: ClassVar[str] = "deepfakebench"
    aliases: ClassVar[tuple[str, ...]] = ("deepfake-bench", "dfb", "deepfakebench-json")
    title: ClassVar[str] = "DeepfakeBench JSON"
    terms: ClassVar[Terms] = Terms(
        licence="CC-BY-NC-4.0",
        access="The pictures are those of the data sets that they were cut from: accept the terms of each of them.",
        consent="none",
    )
    layout: ClassVar[str] = (
        '<any>.json   {DATASET: {LABEL: {train|val|test: {[c23|c40|raw: {] "<video>": {"label": LABEL, '
        '"frames": […], "masks": […]} [}]}}}}\n'
        "<video dir>/frames/<video>/NNN.png  masks/<video>/NNN.png  landmarks/<video>/NNN.npy"
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        stated = statements(listing, verdicts(tree).get)
        known = {key_of(one) for one in stated}
        listing.entries += [_entry(one, key_of(one), known) for one in stated]
        return listing.reading()


def _entry(one: Stated, key: str, known: set[str]) -> Entry:
    method = _METHOD.get(one.label)
    name = key.rsplit("/", 1)[-1]
    detail: dict[str, str | int] = {"dataset": one.dataset, "label": one.label, "listed_frames": one.listed}
    if one.level:
        detail["compression"] = one.level
    return Entry(
        key=key,
        path=one.folder,
        form="frames",
        video=one.verdict,
        split=split_of(one),
        pair=target_of(key, known) if one.verdict == "fake" else None,
        mask=one.mask,
        identities=people_in(name),
        generator=method if one.verdict == "fake" else None,
        family=FAMILY.get(method or "", "face_swap" if method else None) if one.verdict == "fake" else None,
        detail=detail,
    )


def verdicts(tree: Tree) -> dict[str, Verdict]:
    """Verdict of each label: the published ones, and those of any `label_dict` in the tree (0 real, 1 fake)."""
    found = dict(LABELS)
    for path in tree.files("_config.yaml"):
        try:
            content = yaml.safe_load(tree.text(path))
        except yaml.YAMLError as error:
            raise UsageError(f"{path} is not YAML: {error}") from error
        given = content.get("label_dict") if isinstance(content, dict) else None
        for label, number in (given if isinstance(given, dict) else {}).items():
            verdict: Verdict | None = "real" if number == 0 else "fake" if number == 1 else None
            if verdict is None or found.setdefault(str(label), verdict) != verdict:
                raise UsageError(f"{path}: label_dict says {label}: {number}; 0 is real and 1 is fake")
    return found


def statements(listing: Listing, verdict_of: VerdictOf) -> list[Stated]:
    """What all JSON files of the tree state, one for each folder on disk; none where there is no such file.

    A folder that is stated with two verdicts, or whose place says otherwise, keeps none.
    """
    stated: dict[str, Stated] = {}
    for path in listing.tree.files(".json"):
        content = listing.tree.json(path)
        if not _is_ours(content):
            continue
        for where, dataset, label, split, level, told in _videos(listing, path, content):
            folder = _folder(listing, where, told)
            if folder is None:
                continue
            one = stated.get(folder)
            if one is None:
                one = stated[folder] = _new(listing, folder, dataset, label, level, told, verdict_of)
            elif one.verdict is not None and verdict_of(label) != one.verdict:
                twice = f"{where} calls it {label}, another place {one.label}; it has no verdict"
                listing.note("label_mismatch", folder, twice)
                one.verdict = None
            one.splits.add(split)
    _tell_splits(listing, stated.values())
    return list(stated.values())


def _is_ours(content: Any) -> bool:
    """Whether a JSON file has the levels data set, label, split."""
    if not isinstance(content, dict) or not all(isinstance(labels, dict) for labels in content.values()):
        return False
    splits = [splits for labels in content.values() for splits in labels.values()]
    return bool(splits) and all(isinstance(one, dict) and set(one) <= set(SPLITS) for one in splits)


def _videos(
    listing: Listing, path: str, content: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, Split, str | None, Mapping[str, Any]]]:
    """Every video: where it is told, data set, label, split, compression (of FaceForensics++) and its object."""
    for dataset, labels in content.items():
        for label, splits in labels.items():
            for split in [one for one in SPLITS if isinstance(splits.get(one), dict)]:
                for name, told in splits[split].items():
                    is_level = name in LEVELS and isinstance(told, dict) and "frames" not in told
                    for video, one in told.items() if is_level else [(name, told)]:
                        level = name if is_level else None
                        where = f"{path}: {dataset}/{label}/{split}/{video}"
                        if isinstance(one, dict):
                            yield where, dataset, label, split, level, one
                        else:
                            # Its own script once writes label and frames of a video in place of the videos.
                            listing.note("layout", where, "no video: it has no label and frames of its own")


def _folder(listing: Listing, where: str, told: Mapping[str, Any]) -> str | None:
    """Folder on disk of one video's pictures; None with a finding where it cannot be told."""
    frames = told.get("frames")
    if not isinstance(frames, list) or not all(isinstance(one, str) for one in frames):
        listing.note("layout", where, "its frames are no list of paths")
        return None
    named = {_slashes(one).rpartition("/")[0] for one in frames}
    if not named:
        listing.note("missing", where, "it lists no frames")
        return None
    if len(named) > 1:
        listing.note("layout", where, f"its frames are in {len(named)} folders")
        return None
    folder = named.pop()
    found = _on_disk(listing.tree, folder)
    if found is None or not found.endswith("/"):
        listing.note("missing", folder, f"{where}: the folder of its pictures is not there")
        return None
    there = {name.casefold() for name in listing.tree.names(found)}
    gone = [one for one in frames if _slashes(one).rpartition("/")[2].casefold() not in there]
    if gone:
        listing.note("missing", found, f"{len(gone)} of {len(frames)} listed pictures, such as {gone[0]}")
    return found


def _new(
    listing: Listing,
    folder: str,
    dataset: str,
    label: str,
    level: str | None,
    told: Mapping[str, Any],
    verdict_of: VerdictOf,
) -> Stated:
    """The first statement of a folder, checked against what the video and the folder call themselves."""
    verdict, inner = verdict_of(label), told.get("label")
    place = "real" if _REAL_PLACE.search(folder) else "fake" if _FAKE_PLACE.search(folder) else None
    if verdict is None:
        listing.note("label_mismatch", folder, f"label {label!r} is in no label_dict; it has no verdict")
    elif inner is not None and str(inner) != label:
        listing.note("label_mismatch", folder, f"it is under {label}, but says {inner}; it has no verdict")
        verdict = None
    elif place is not None and place != verdict:
        listing.note(
            "label_mismatch", folder, f"{label} is {verdict}, but its folder is of {place}s; no verdict"
        )
        verdict = None
    masks = told.get("masks")
    folders = {_slashes(str(one)).rpartition("/")[0] for one in masks} if isinstance(masks, list) else set()
    named = min(folders, default=None)
    return Stated(
        folder=folder,
        named="/".join(p for p in _slashes(told["frames"][0]).split("/")[:-1] if p and p != "frames"),
        dataset=dataset,
        label=label,
        level=level,
        splits=set(),
        listed=len(told["frames"]),
        mask=(_on_disk(listing.tree, named) or f"{named}/") if named else None,
        verdict=verdict,
    )


def _on_disk(tree: Tree, path: str) -> str | None:
    """As `Tree.find`; of a path of another machine the part from the data set's own folder on, where it is once."""
    if found := tree.find(path):
        return found
    start = _FROM.match(path)
    return tree.find(path[start.end() :]) if start and start.end() else None


def _slashes(path: str) -> str:
    return path.replace("\\", "/")


def _tell_splits(listing: Listing, stated: Iterable[Stated]) -> None:
    """One finding for each label whose videos are in several splits at once."""
    seen: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
    for one in stated:
        if len(one.splits) > 1:
            seen[one.dataset, one.label, tuple(s for s in SPLITS if s in one.splits)] += 1
    for (dataset, label, splits), count in seen.items():
        taken = next(split for split in PRIORITY if split in splits)
        told = f"{count} videos are in {' and '.join(splits)} at once; they are taken as {taken}"
        listing.note("duplicate", f"{dataset}/{label}", told)


def split_of(one: Stated) -> Split | None:
    """The one split of a folder, by `PRIORITY` where it is in several."""
    return next((split for split in PRIORITY if split in one.splits), None)


def key_of(one: Stated) -> str:
    """Name that does not depend on where the root is: the folder from a part on that data sets are known by.

    Pictures of FaceForensics++ are named by several JSON files and have one key in all of them.
    """
    if known := _FACEFORENSICS.fullmatch(one.named):
        return known[1]
    anchored = _ANCHOR.fullmatch(one.named)
    return anchored[1] if anchored else f"{one.dataset}/{'/'.join(one.named.split('/')[-2:])}"


def people_in(name: str) -> tuple[str, ...]:
    """People in a video's name: `000_003`, `id0_id1_0000`, `id0_0000` or `01_02__scene__ABCDEFGH`."""
    if found := re.fullmatch(r"(\d{3})(?:_(\d{3}))?|(\d\d)(?:_(\d\d))?__.+", name):
        return tuple(one for one in found.groups() if one)
    return tuple(dict.fromkeys(re.findall(r"(?:^|(?<=_))id\d+", name)))


def target_of(key: str, known: Collection[str]) -> str | None:
    """Key of the untouched video that a fake of FaceForensics++, DFD or Celeb-DF was made from, if it is known."""
    above, _, name = key.rpartition("/")
    level = above.rpartition("/")[2]
    wanted = None
    if swap := re.fullmatch(r"(\d{3})_\d{3}", name):
        wanted = f"original_sequences/youtube/{level}/{swap[1]}"
    elif dfd := re.fullmatch(r"(\d\d)_\d\d__(.+)__[A-Za-z0-9]{8}", name):
        wanted = f"original_sequences/actors/{level}/{dfd[1]}__{dfd[2]}"
    elif celeb := re.fullmatch(r"(id\d+)_id\d+_(\d{4})", name):
        wanted = f"{above.rpartition('/')[0]}/Celeb-real/{celeb[1]}_{celeb[2]}".lstrip("/")
    return wanted if wanted in known else None
