"""What every importer shares: the entries it reads, what it finds wrong, and the terms of the data set.

How a tree is looked at is in `tree`; which formats there are is in `registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    from haetae.importers.tree import Tree

Verdict = Literal["real", "fake"]
Split = Literal["train", "val", "test"]
Modality = Literal["video", "audio", "sync", "text"]
FindingKind = Literal["missing", "extra", "label_mismatch", "duplicate", "damaged", "unlabelled", "layout"]


class Segment(NamedTuple):
    """A changed stretch of one modality, in seconds from the start of the item."""

    modality: Modality
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Entry:
    """One item of a public data set, with what the data set states of it. None: it does not state it.

    key: its name in the data set, unique over all groups, splits and methods. path: POSIX path below the root of the
    data set, as on disk; a member of an archive is `archive.zip!/member`, a row of a table `x.parquet!/<row id>`.
    form: `file`, or `frames` for a folder of pictures. pair: key of the untouched entry it was made from.
    mask: path of its mask video, or folder of mask pictures. identities: people as the data set names them.
    segments: changed stretches; empty while a modality is fake: not stated, or all of it.
    detail: everything else worth keeping, by the data set's own field names.
    """

    key: str
    path: str
    form: Literal["file", "frames"] = "file"
    video: Verdict | None = None
    audio: Verdict | None = None
    sync: Verdict | None = None
    text_verdict: Verdict | None = None
    segments: tuple[Segment, ...] = ()
    split: Split | None = None
    pair: str | None = None
    mask: str | None = None
    identities: tuple[str, ...] = ()
    generator: str | None = None
    family: str | None = None
    language: str | None = None
    text: str | None = None
    detail: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """Something that is not as the data set states: which file or row, and what is wrong with it."""

    kind: FindingKind
    subject: str
    detail: str


@dataclass(frozen=True)
class Reading:
    """All that an importer read: the entries that are there, and every finding."""

    entries: Sequence[Entry]
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class Terms:
    """Under what terms a data set is given out.

    licence: SPDX id or LicenseRef-<name>. access: what the holder asks of whoever wants it, in one sentence.
    purposes: what a user who accepted them may use it for. consent: ground on which the people in it agreed.
    """

    licence: str
    access: str
    purposes: tuple[Literal["synthesis", "training", "benchmark", "release"], ...] = ("training", "benchmark")
    consent: Literal["release", "licence", "synthetic", "none"] = "licence"


class Importer(ABC):
    """Reads one layout. A new format is one module with one such class, named in `registry`."""

    name: ClassVar[str]
    """As typed by a user: `haetae import NAME PATH`; lower case, letters, digits and '-'."""
    aliases: ClassVar[tuple[str, ...]] = ()
    title: ClassVar[str]
    terms: ClassVar[Terms]
    language: ClassVar[str] = "other"
    """Of entries that state none: ko | en-SG | ms | ta | other."""
    layout: ClassVar[str]
    """The expected tree in a few lines; shown where nothing of it is found."""

    @abstractmethod
    def read(self, tree: Tree) -> Reading:
        """Entries and findings of the tree. Nothing is decoded; what is not stated stays None.

        Raises: UsageError where the tree is not of this layout at all, or a file it needs cannot be read.
        """
