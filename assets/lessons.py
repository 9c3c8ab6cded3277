"""Lessons: what a generator that learns was taught, on which faces, before its first fake.

How it learns is told by the generator; which clips may teach it, by the policy gate.
"""

import datetime as dt
import json
import time
from collections.abc import Mapping

import dagster as dg

from assets.gate import Gate, by_clip
from assets.partitions import generator as generator_partitions
from assets.partitions import when_a_parent_has_news
from assets.previews import lesson_preview
from assets.recipes import RECIPES, taught_with
from assets.stage import OWNERS, Stage
from generators.devices import device_for
from generators.learning import Material, faces_of, lesson_row, teach
from generators.protocol import Card, Generator, Lesson
from generators.registry import find
from haetae.engine import Engine, Failed, Progress, Row
from haetae.errors import UsageError
from haetae.lake import Lake
from haetae.params import Params
from haetae.provenance.ids import seed_of
from haetae.provenance.policy import meet

PURPOSES = ("synthesis", "training")
"""What the source of a clip must have declared for a generator to learn from it."""


@dg.asset(
    partitions_def=generator_partitions,
    deps=["clips", "tracks", "groups"],
    group_name="generate",
    owners=OWNERS,
    kinds={"pytorch", "parquet"},
    code_version=RECIPES["lessons"].code_version,
    automation_condition=when_a_parent_has_news,
    pool="gpu",
)
def lessons(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Teach one generator on faces of the train split, once; one that does not learn has no row."""
    stage = Stage(context, lake, params, engine)
    generator = find(stage.partition[0])()
    if not generator.card.learns:
        return stage.commit([])
    if (known := known_lesson(lake, params, generator.card)) is not None:
        return stage.commit([known], _edges(known))
    row, failed = _taught(lake, params, generator, engine)
    if row is None:
        return stage.commit([], failed=failed)
    told = {name: row[name] for name in ("n_faces", "n_people", "effort", "taught_s")}
    told |= json.loads(row["metrics"])
    return stage.commit([row], _edges(row), failed, told, lesson_preview(json.loads(row["curve"])))


def known_lesson(lake: Lake, params: Params, card: Card) -> Row | None:
    """What a generator learned with these parameters; finished work is not done again as the lake grows."""
    rows = lake.rows("lessons", card.key)
    return rows[0] if rows and rows[0]["taught_with"] == taught_with(params, card) else None


def _taught(
    lake: Lake, params: Params, generator: Generator, engine: Engine
) -> tuple[Row | None, list[Failed]]:
    """The row of one lesson, and clips that could not be read; None where the lake is too small for it."""
    card, knobs, began = generator.card, params.generate.learn, time.monotonic()
    clips, gate = teaching_clips(lake, params, card)
    material = Material(knobs.crop_px, knobs.crops_per_track, knobs.max_crops, params.generate.min_face_px)

    def report(stage: str, done: int, of: int) -> None:
        engine.report(Progress(stage, done, of, 0, time.monotonic() - began))

    gathered = faces_of(lake, clips, material, params.seed, lambda done, of: report("faces", done, of))
    failed = [Failed(clip, "lessons", error.reason, error.detail) for clip, error in gathered.refused]

    def tell(done: int, of: int, _losses: Mapping[str, float]) -> None:
        report("lessons", done, of)

    lesson = Lesson(seed_of(params.seed, "lesson", card.key), knobs.effort, device_for(card), tell)
    try:
        learned = teach(generator, gathered.faces, lesson)
    except UsageError as error:
        return None, [*failed, Failed(card.key, "lessons", "nothing_learned", str(error))]
    used = [clip for clip in clips if clip["clip_id"] in set(gathered.clips)]
    row = lesson_row(
        lake,
        card,
        learned,
        gathered.faces,
        lesson,
        clips=gathered.clips,
        licence=meet([gate.licence(clip) for clip in used]),
        taught_with=taught_with(params, card),
    )
    return row | {"taught_at": dt.datetime.now(dt.UTC), "taught_s": time.monotonic() - began}, failed


def teaching_clips(lake: Lake, params: Params, card: Card) -> tuple[list[Row], Gate]:
    """Clips of the train split that may teach, with their tracks."""
    tracks = lake.rows("tracks")
    gate = Gate(
        lake,
        params,
        card,
        None,
        PURPOSES,
        media=lake.rows("media"),
        tracks=tracks,
        groups=lake.rows("groups"),
        sources=lake.rows("sources"),
    )
    if not gate.may_run():
        return [], gate
    of_clip = by_clip(tracks)
    clips = [
        {**clip, "tracks": of_clip[clip["clip_id"]]}
        for clip in lake.rows("clips")
        if clip["has_video"] and gate.why_not(clip) is None and gate.split(clip) == "train"
    ]
    return clips, gate


def _edges(row: Row) -> list[tuple[str, str, str]]:
    taught = [(clip, row["lesson_id"], "taught") for clip in row["clips"]]
    return [*taught, (row["generator"], row["lesson_id"], "learned")]
