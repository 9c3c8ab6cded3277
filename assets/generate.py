"""Fakes: which clips stay together (`groups`), and what each generator makes of a batch (`fakes`).

How a fake is made is told by its generator; whether it may be made, by the policy gate.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.partitions import batch, batch_by_generator, when_parents_are_complete
from assets.pipes import engine_for
from assets.previews import fakes_preview
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from generators.make import MakeFakes
from generators.plan import plan
from generators.protocol import Card
from generators.registry import find
from haetae.dataset.official import checked_splits, keys_of
from haetae.dataset.split import assign_groups
from haetae.engine import Engine, Failed, Row
from haetae.lake import Lake
from haetae.media.manifest import forbids_training
from haetae.params import Params
from haetae.provenance.ids import seed_of
from haetae.provenance.ledger import Ledger
from haetae.provenance.policy import Verdict, may_make, may_show, may_use, meet
from haetae.provenance.protected import load_protected

PASSED_OVER = "passed over: "
"""Prefix of the metadata that tell how many clips a generator passed over, by reason."""


@dg.asset(
    partitions_def=batch,
    group_name="generate",
    owners=OWNERS,
    kinds={"parquet"},
    code_version=RECIPES["groups"].code_version,
    automation_condition=when_parents_are_complete,
)
def groups(
    context: dg.AssetExecutionContext,
    media: pa.Table,
    clips: pa.Table,
    imports: pa.Table,
    duplicates: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
) -> dg.MaterializeResult:
    """Link clips by person, file, pair and likeness, and give every group its split for good (one clip, one row)."""
    stage = Stage(context, lake, params)
    key = stage.partition[0]
    language = {row["clip_id"]: row["language"] for row in lake.rows("clips")}
    known = [
        {**row, "language": language.get(row["clip_id"])}
        for row in lake.rows("groups")
        if row["batch"] != key
    ]
    links = Links(lake, media, imports, duplicates, official=params.dataset.official_splits)
    linked, failed = links.of(clips.to_pylist())
    knobs = params.dataset
    placed = assign_groups(linked, known, {"train": knobs.train, "val": knobs.val, "test": knobs.test})
    failed += [
        Failed(row["clip_id"], "groups", str(row["reason"]), f"linked by {', '.join(row['keys'][:5])}")
        for row in placed
        if not row["split"]
    ]
    rows = [
        {**{name: row[name] for name in ("clip_id", "group_id", "keys", "split")}, "batch": key}
        for row in placed
        if row["split"]
    ]
    return stage.commit(rows, failed=failed, metadata=Counter(f"clips in {row['split']}" for row in rows))


class Links:
    """What ties the clips of a batch to other clips, and the official splits they come with."""

    def __init__(
        self, lake: Lake, media: pa.Table, imports: pa.Table, duplicates: pa.Table, *, official: bool
    ) -> None:
        self._item_of = {row["media_id"]: row["item_id"] for row in media.to_pylist()}
        self._stated = {row["item_id"]: row for row in imports.to_pylist()}
        self._media_of = {row["clip_id"]: row["media_id"] for row in lake.rows("clips")}
        self._copies: dict[str, set[str]] = defaultdict(set)
        for pair in duplicates.to_pylist():
            self._copies[pair["clip_id"]].add(pair["other_id"])
        sources = {row["source_id"] for row in self._stated.values()}
        of_data_sets = (
            [row for row in lake.rows("imports") if row["source_id"] in sources] if official else []
        )
        self._splits = checked_splits(of_data_sets)

    def of(self, clips: list[Row]) -> tuple[list[Row], list[Failed]]:
        """Input of `assign_groups`, and clips that their data set's own splits rule out."""
        linked: list[Row] = []
        left_out: list[Failed] = []
        for clip in clips:
            item = self._item_of[clip["media_id"]]
            split, reason = self._splits.get(item, (None, None))
            if reason:
                left_out.append(Failed(clip["clip_id"], "groups", "official_split_leaks", reason))
            else:
                linked.append(
                    {
                        "clip_id": clip["clip_id"],
                        "language": clip["language"],
                        "keys": self._keys(clip, item),
                        "official": split,
                    }
                )
        return linked, left_out

    def _keys(self, clip: Row, item: str) -> list[str]:
        keys = [f"media:{clip['media_id']}", *(f"identity:{name}" for name in clip["identities"])]
        keys += [
            f"media:{self._media_of[other]}"
            for other in self._copies[clip["clip_id"]]
            if other in self._media_of
        ]
        return [*keys, *(keys_of(self._stated[item]) if item in self._stated else ())]


@dg.asset(
    partitions_def=batch_by_generator,
    group_name="generate",
    owners=OWNERS,
    kinds={"opencv", "parquet"},
    code_version=RECIPES["fakes"].code_version,
    automation_condition=when_parents_are_complete,
    pool="encode",
)
def fakes(
    context: dg.AssetExecutionContext,
    media: pa.Table,
    clips: pa.Table,
    tracks: pa.Table,
    utterances: pa.Table,
    groups: pa.Table,
    sources: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Let one generator work on every clip that it may and can change (one clip in, at most one fake out)."""
    stage = Stage(context, lake, params, engine)
    key, generator = stage.partition
    card = find(generator).card
    memory_bytes = round(params.engine.worker_memory_gib * (1 << 30))
    stage.engine = engine_for(card, context, engine, params.generate.timeout_s, memory_bytes)
    desk = Desk(lake, params, card, key, media, clips, tracks, utterances, groups, sources)
    requests, passed_over = desk.requests()
    knobs = params.generate
    weights, sha256 = params.tracks.embedding_weights, params.tracks.embedding_sha256
    step = MakeFakes(
        lake_root=lake.root,
        crf=knobs.crf,
        timeout_s=knobs.timeout_s,
        recheck_every=knobs.recheck_every,
        recogniser=(weights, sha256) if weights is not None and sha256 is not None else None,
    )
    rows, failed = stage.map(step, requests)
    edges = [edge for row in rows for edge in _edges(row)]
    told: dict[str, Any] = {f"{PASSED_OVER}{reason}": n for reason, n in sorted(passed_over.items())}
    told["asked of the generator"] = len(requests)
    return stage.commit(rows, edges, failed, told, fakes_preview(lake, rows))


class Desk:
    """Turns a batch into requests for one generator: policy first, then eligibility, donor and sentence."""

    def __init__(
        self,
        lake: Lake,
        params: Params,
        card: Card,
        batch_key: str,
        media: pa.Table,
        clips: pa.Table,
        tracks: pa.Table,
        utterances: pa.Table,
        groups: pa.Table,
        sources: pa.Table,
    ) -> None:
        self._params = params
        self._card = card
        self._batch = batch_key
        self._clips = clips.to_pylist()
        self._tracks = _by_clip(tracks)
        self._utterances = _by_clip(utterances)
        self._split: dict[str, str] = {row["clip_id"]: row["split"] for row in groups.to_pylist()}
        self._sources = {row["source_id"]: row for row in sources.to_pylist()}
        self._forbidden = {row["media_id"] for row in media.to_pylist() if forbids_training(row["c2pa"])}
        self._protected = load_protected(params.policy.protected)
        self._today = dt.date.today()
        self._ledger = Ledger(lake.local_path("ledger.jsonl"))

    def requests(self) -> tuple[list[Row], Counter[str]]:
        """Rows for `MakeFakes`, and how many clips were passed over for which reason."""
        passed_over: Counter[str] = Counter()
        if not self._may_run():
            return [], Counter({"refused_by_policy": len(self._clips)})
        usable = self._usable_sources()
        targets = []
        for clip in self._clips:
            reason = self._not_a_target(clip, usable)
            if reason:
                passed_over[reason] += 1
            else:
                known = {"tracks": self._tracks, "utterances": self._utterances}
                targets.append({**clip, **{name: rows[clip["clip_id"]] for name, rows in known.items()}})
        requests = []
        for clip in targets:
            made = self._request(clip, [one for one in targets if self._same_split(one, clip)])
            if isinstance(made, str):
                passed_over[made] += 1
            else:
                requests.append(made)
        return requests, passed_over

    def _may_run(self) -> bool:
        """Whether the licences of the generator and its weights let it work for our purpose at all."""
        licences = [self._card.licence, *(weights.licence for weights in self._card.weights)]
        verdict = may_make(licences, commercial=self._params.policy.commercial)
        return verdict.allowed or self._decided(self._card.key, verdict)

    def _usable_sources(self) -> set[str]:
        """Sources of the batch that the policy gate lets through; every decision goes to the ledger."""
        usable = set()
        for source_id in sorted({clip["source_id"] for clip in self._clips}):
            source = self._sources[source_id]
            allowed: Verdict = may_use(source, "synthesis", self._today)
            licensed = may_make([source["licence"]], commercial=self._params.policy.commercial)
            reasons = dict.fromkeys((*allowed.reasons, *licensed.reasons))
            if self._decided(source_id, Verdict(not reasons, tuple(reasons))):
                usable.add(source_id)
        return usable

    def _decided(self, subject: str, verdict: Verdict) -> bool:
        """Write a decision of the gate to the ledger, and return it."""
        detail = {"batch": self._batch, "reasons": list(verdict.reasons), "generator": self._card.key}
        self._ledger.record("synthesis", subject, "allowed" if verdict.allowed else "refused", detail)
        return verdict.allowed

    def _not_a_target(self, clip: Row, usable: set[str]) -> str | None:
        if clip["source_id"] not in usable:
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
        if clip["clip_id"] not in self._split:
            return "no_split"
        return None

    def _people(self, clip: Row) -> list[str]:
        """Everybody who is declared of the clip, or known on one of its faces."""
        faces = (track["identity"] for track in self._tracks[clip["clip_id"]])
        return [*clip["identities"], *(name for name in faces if name)]

    def _same_split(self, one: Row, other: Row) -> bool:
        mine, theirs = str(one["clip_id"]), str(other["clip_id"])
        return mine != theirs and self._split[mine] == self._split[theirs]

    def _request(self, clip: Row, candidates: list[Row]) -> Row | str:
        """What to ask of the generator for one clip, or why it is passed over."""
        seed = seed_of(self._params.seed, clip["clip_id"], self._card.key)
        utterances = self._utterances[clip["clip_id"]]
        px = self._params.generate.min_face_px
        planned = plan(self._card, clip, clip["tracks"], utterances, candidates, seed, px)
        if planned.reason:
            return planned.reason
        involved = [clip, *([planned.donor] if planned.donor else [])]
        licences = [self._sources[one["source_id"]]["licence"] for one in involved]
        return {
            **clip,
            "generator": self._card.key,
            "utterances": utterances,
            "donor": planned.donor,
            "sentence": planned.sentence,
            "seed": seed,
            "licence": meet([*licences, *(weights.licence for weights in self._card.weights)]),
        }


def _by_clip(table: pa.Table) -> Mapping[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in table.to_pylist():
        found[row["clip_id"]].append(row)
    return found


def _edges(fake: Row) -> list[tuple[str, str, str]]:
    parents = [
        (fake["clip_id"], "target_of"),
        (fake["donor_id"], "donor_of"),
        (fake["track_id"], "changed_face_of"),
        (fake["generator"], "made"),
    ]
    return [(parent, fake["fake_id"], relation) for parent, relation in parents if parent]
