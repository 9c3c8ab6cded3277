"""The policy gate at the generators' door: which clips may be used for which purpose, every decision in the ledger.

What a verdict rests on is told in `haetae.provenance.policy`; which clips suit a generator, in `desk`.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from generators.protocol import Card
from haetae.engine import Row
from haetae.lake import Lake
from haetae.media.manifest import forbids_training
from haetae.params import Params
from haetae.provenance.ledger import Ledger
from haetae.provenance.policy import Verdict, may_make, may_show, may_use
from haetae.provenance.protected import load_protected


class Gate:
    """Decides over the clips of a batch, or of all of them, for one generator.

    purposes: what the sources must have declared, such as synthesis; media, tracks, groups, sources: rows of the lake.
    """

    def __init__(
        self,
        lake: Lake,
        params: Params,
        card: Card,
        batch: str | None,
        purposes: Sequence[str],
        *,
        media: Iterable[Row],
        tracks: Iterable[Row],
        groups: Iterable[Row],
        sources: Iterable[Row],
    ) -> None:
        self._card = card
        self._batch = batch
        self._purposes = purposes
        self._commercial = params.policy.commercial
        self._protected = load_protected(params.policy.protected)
        self._forbidden = {row["media_id"] for row in media if forbids_training(row["c2pa"])}
        self._tracks = by_clip(tracks)
        self._split: dict[str, str] = {row["clip_id"]: row["split"] for row in groups}
        self._sources = {row["source_id"]: row for row in sources}
        self._usable: dict[str, bool] = {}
        self._today = dt.date.today()
        self._ledger = Ledger(lake.local_path("ledger.jsonl"))

    def may_run(self) -> bool:
        """Whether the licences of the generator and its weights let it work for our purpose at all."""
        licences = [self._card.licence, *(weights.licence for weights in self._card.weights)]
        verdict = may_make(licences, commercial=self._commercial)
        return verdict.allowed or self._decided(self._card.key, verdict)

    def why_not(self, clip: Row) -> str | None:
        """Why a clip may not be used, or None if it may; refused sources and people go to the ledger."""
        if not self._source_is_usable(clip["source_id"]):
            return "refused_by_policy"
        shown = may_show(self._people(clip), self._protected, self._today)
        if not shown.allowed:
            self._decided(clip["clip_id"], shown)
            return "protected_person"
        if clip["media_id"] in self._forbidden:
            return "forbidden_by_manifest"
        if clip["declared_verdict"] != "real":
            return "not_declared_real"
        if clip["kind"] == "image":
            return "still_image"
        return None if clip["clip_id"] in self._split else "no_split"

    def split(self, clip: Row) -> str:
        """The split of a clip that has one."""
        return self._split[clip["clip_id"]]

    def licence(self, clip: Row) -> str | None:
        """The licence of a clip's source."""
        licence: str | None = self._sources[clip["source_id"]]["licence"]
        return licence

    def _source_is_usable(self, source_id: str) -> bool:
        """Decided once for each source, and written down."""
        if source_id not in self._usable:
            source = self._sources[source_id]
            licensed = may_make([source["licence"]], commercial=self._commercial)
            verdicts = [*(may_use(source, purpose, self._today) for purpose in self._purposes), licensed]
            reasons = dict.fromkeys(reason for verdict in verdicts for reason in verdict.reasons)
            self._usable[source_id] = self._decided(source_id, Verdict(not reasons, tuple(reasons)))
        return self._usable[source_id]

    def _decided(self, subject: str, verdict: Verdict) -> bool:
        """Write a decision of the gate to the ledger, and return it."""
        detail = {"batch": self._batch, "reasons": list(verdict.reasons), "generator": self._card.key}
        if "training" in self._purposes:
            detail["for"] = "lesson"
        self._ledger.record("synthesis", subject, "allowed" if verdict.allowed else "refused", detail)
        return verdict.allowed

    def _people(self, clip: Row) -> list[str]:
        """Everybody who is declared of the clip, or known on one of its faces."""
        faces = (track["identity"] for track in self._tracks[clip["clip_id"]])
        return [*clip["identities"], *(name for name in faces if name)]


def by_clip(rows: Iterable[Row]) -> Mapping[str, list[Any]]:
    """Rows by their clip; an unknown clip has none."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["clip_id"]].append(row)
    return found
