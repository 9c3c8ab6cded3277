"""KoDF, the Korean deepfake set of AI Hub: originals, and five ways of changing them, in both of its exports.

After: Kwon et al., ICCV 2021. Files are matched by name, because its archives unpack to different roots.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Split, Terms
from haetae.importers.listed import SPLITS, Listing, kept, needs
from haetae.importers.tree import Tree

_TABLE = re.compile(r"(원본|변조)영상_(training|validation|test)_메타데이터\.csv")
_FAKE = re.compile(r"(?P<target>[^_]+)_(?P<source>[^_]+)_(?P<code>\d)_(?P<number>\d+)")
_MODELS = {
    "dfl": ("1", "face_swap"),
    "dffs": ("2", "face_swap"),
    "fsgan": ("3", "face_swap"),
    "fo": ("4", "face_reenactment"),
    "audio-driven": ("5", "lip_sync"),
}
"""Code in the name of a file, and family."""


class KoDf(Importer):
    name: ClassVar[str] = "kodf"
    aliases: ClassVar[tuple[str, ...]] = ("aihub-deepfake", "aihub-55")
    title: ClassVar[str] = "KoDF (AI Hub 딥페이크 변조 영상)"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-KoDF",
        access="In Korea apply at AI Hub (data set 55), elsewhere by the form of DeepBrain AI; they send the link.",
        consent="release",
    )
    language: ClassVar[str] = "ko"
    layout: ClassVar[str] = (
        "1.Training/[원천][원본]원본N.zip  [원천][변조]train_{dffs,dfl,fo,fsgan}N_data.zip  audio_drivenN.zip\n"
        "1.Training/[라벨링]train_meta/train_meta_data/{원본영상,변조영상}_training_메타데이터.csv\n"
        "2.Validation/… the same with validation; or 원천데이터/ and 라벨링데이터/; packed or unpacked"
    )

    def read(self, tree: Tree) -> Reading:
        tables: dict[str, tuple[str, str]] = {}
        for path in tree.files(".csv"):
            name = unicodedata.normalize("NFC", path.rsplit("/", 1)[-1])
            if found := _TABLE.fullmatch(name):
                tables.setdefault(name, (path, found[2]))
        if not tables:
            raise UsageError(f"no 메타데이터.csv of KoDF is in {tree.root}; expected:\n{self.layout}")
        listing = Listing(tree)
        for name, (path, part) in sorted(tables.items()):
            rows = tree.csv(path)
            is_fake = name.startswith("변조")
            if rows:
                fake_needs = ("영상ID", "타겟영상", "타겟UUID", "소스UUID", "변조모델")
                needs(rows[0], path, *(fake_needs if is_fake else ("영상ID", "UUID")))
            for row in rows:
                (_add_fake if is_fake else _add_real)(listing, row, SPLITS[part], path)
        return listing.reading()


def _add_real(listing: Listing, row: Mapping[str, str], split: Split, table: str) -> None:
    stem = _stem(row["영상ID"])
    if (path := listing.by_name(f"{stem}.mp4", table)) is None:
        return
    listing.entries.append(
        Entry(
            key=f"real/{stem}",
            path=path,
            video="real",
            audio="real",
            sync="real",
            split=split,
            identities=(row["UUID"],) if row["UUID"] else (),
            language="ko",
            detail=kept(row, "영상ID", "UUID"),
        )
    )


def _add_fake(listing: Listing, row: Mapping[str, str], split: Split, table: str) -> None:
    stem = _stem(row["영상ID"])
    if (path := listing.by_name(f"{stem}.mp4", table)) is None:
        return
    key = f"fake/{stem}"
    model = listing.word(key, "변조모델", row["변조모델"].replace("_", "-"), _MODELS)
    named = _FAKE.fullmatch(stem)
    people = (row["타겟UUID"], row["소스UUID"])
    if named and model and named["code"] != model[0]:
        listing.note(
            "label_mismatch", key, f"변조모델 is {row['변조모델']}, its name has code {named['code']}"
        )
        model = None
    if named and tuple(map(str.casefold, people)) != (
        named["target"].casefold(),
        named["source"].casefold(),
    ):
        listing.note("label_mismatch", key, f"타겟UUID and 소스UUID are {people}, its name says otherwise")
        people = ("", "")
    target = _stem(row["타겟영상"])
    listing.entries.append(
        Entry(
            key=key,
            path=path,
            video="fake" if model else None,
            sync="fake" if model and model[1] == "lip_sync" else None,
            split=split,
            pair=f"real/{target}" if target else None,
            identities=tuple(dict.fromkeys(one for one in people if one)),
            generator=row["변조모델"] if model else None,
            family=model[1] if model else None,
            language="ko",
            detail=kept(row, "영상ID", "타겟UUID", "소스UUID"),
        )
    )


def _stem(name: str) -> str:
    """The name of a video as the tables give it, with or without its ending, with composed letters."""
    return unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".mp4")
