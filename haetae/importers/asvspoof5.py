"""ASVspoof 5: English speech, untouched and made by thirty-two attacks.

After: Wang et al., ASVspoof Workshop 2024. Protocols of track 1 have ten columns separated by spaces and no
header; those of track 2 are trials, not files, and are not read.
"""

from __future__ import annotations

import re
from typing import ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Reading, Split, Terms, Verdict
from haetae.importers.listed import Listing
from haetae.importers.tree import Tree

_PROTOCOLS: dict[str, Split] = {
    "ASVspoof5.train.tsv": "train",
    "ASVspoof5.dev.track_1.tsv": "val",
    "ASVspoof5.eval.track_1.tsv": "test",
}
_COLUMNS = (
    "SPEAKER_ID", "FLAC_FILE_NAME", "GENDER", "CODEC", "CODEC_Q", "CODEC_SEED", "ATTACK_TAG", "ATTACK_LABEL",
    "KEY", "TMP",
)  # fmt: skip
_KEYS: dict[str, Verdict] = {"bonafide": "real", "spoof": "fake"}
_ATTACK = re.compile(r"A\d+")


class AsvSpoof5(Importer):
    name: ClassVar[str] = "asvspoof5"
    aliases: ClassVar[tuple[str, ...]] = ("asvspoof-2024",)
    title: ClassVar[str] = "ASVspoof 5"
    terms: ClassVar[Terms] = Terms(
        licence="LicenseRef-ASVspoof5",
        access="Open to download; its LICENSE.txt lies beside the data and is to be read before.",
        consent="licence",
    )
    layout: ClassVar[str] = (
        "ASVspoof5.{train,dev.track_1,eval.track_1}.tsv   ten columns, separated by spaces, no header:\n"
        f"    {' '.join(_COLUMNS)}\n"
        "flac_T/*.flac  flac_D/*.flac  flac_E_eval/*.flac"
    )

    def read(self, tree: Tree) -> Reading:
        listing = Listing(tree)
        found = False
        for name, split in _PROTOCOLS.items():
            for table in tree.named(name)[:1]:
                found = True
                for number, line in enumerate(tree.text(table).splitlines(), start=1):
                    if cells := line.split():
                        _add(listing, cells, split, f"{table}:{number}")
        if not found:
            raise UsageError(f"no protocol of ASVspoof 5 is in {tree.root}; expected:\n{self.layout}")
        return listing.reading()


def _add(listing: Listing, cells: list[str], split: Split, where: str) -> None:
    if len(cells) != len(_COLUMNS):
        told = f"{len(cells)} columns where a protocol of track 1 has {len(_COLUMNS)}; the line is left out"
        listing.note("layout", where, told)
        return
    row = dict(zip(_COLUMNS, cells, strict=True))
    key = row["FLAC_FILE_NAME"]
    if (path := listing.by_name(f"{key}.flac", where.rpartition(":")[0])) is None:
        return
    audio = listing.word(key, "KEY", row["KEY"], _KEYS)
    attack = row["ATTACK_LABEL"]
    if audio and (audio == "fake") != bool(_ATTACK.fullmatch(attack)):
        listing.note("label_mismatch", key, f"KEY {row['KEY']} does not go with ATTACK_LABEL {attack}")
        audio = None
    stated = {name.lower(): row[name] for name in _COLUMNS[2:8] if row[name] != "-"}
    listing.entries.append(
        Entry(
            key=key,
            path=path,
            audio=audio,
            split=split,
            identities=(row["SPEAKER_ID"],),
            generator=attack if audio == "fake" else None,
            family="speech" if audio == "fake" else None,
            detail=stated,
        )
    )
