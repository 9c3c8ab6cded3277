"""Fakes: which clips stay together (`groups`), and what each generator makes of a batch (`fakes`).

How a fake is made is told by its generator; whether it may be made, by the policy gate.
"""

from collections import Counter, defaultdict
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.desk import Desk
from assets.lessons import known_lesson
from assets.partitions import batch, batch_by_generator, when_parents_are_complete
from assets.pipes import engine_for
from assets.previews import fakes_preview
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from generators.devices import device_for
from generators.make import MakeFakes
from generators.registry import find
from haetae.dataset.official import checked_splits, keys_of
from haetae.dataset.split import assign_groups
from haetae.engine import Engine, Failed, Row
from haetae.lake import Lake
from haetae.params import Params

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
    deps=["lessons"],
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
    lesson = known_lesson(lake, params, card)
    desk = Desk(lake, params, card, key, media, clips, tracks, utterances, groups, sources, lesson)
    requests, passed_over = desk.requests()
    knobs = params.generate
    weights, sha256 = params.tracks.embedding_weights, params.tracks.embedding_sha256
    step = MakeFakes(
        lake_root=lake.root,
        crf=knobs.crf,
        device=device_for(card),
        timeout_s=knobs.timeout_s,
        recheck_every=knobs.recheck_every,
        recogniser=(weights, sha256) if weights is not None and sha256 is not None else None,
        listener=(knobs.asr_weights, knobs.asr_sha256) if knobs.asr_weights and knobs.asr_sha256 else None,
    )
    rows, failed = stage.map(step, requests)
    edges = [edge for row in rows for edge in _edges(row)]
    told: dict[str, Any] = {f"{PASSED_OVER}{reason}": n for reason, n in sorted(passed_over.items())}
    told["asked of the generator"] = len(requests)
    return stage.commit(rows, edges, failed, told, fakes_preview(lake, rows))


def _edges(fake: Row) -> list[tuple[str, str, str]]:
    parents = [
        (fake["clip_id"], "target_of"),
        (fake["donor_id"], "donor_of"),
        (fake["track_id"], "changed_face_of"),
        (fake["generator"], "made"),
        (fake["lesson_id"], "taught_for"),
    ]
    return [(parent, fake["fake_id"], relation) for parent, relation in parents if parent]
