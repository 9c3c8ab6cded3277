"""Sound: stretches of speech with their words (`utterances`), how lips and sound agree (`cues`), and `signals`."""

from collections import Counter, defaultdict

import dagster as dg
import pyarrow as pa

from assets.partitions import batch, when_parents_are_complete
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from haetae.engine import Engine, Row
from haetae.lake import Lake
from haetae.params import Params
from haetae.voice.cues import MeasureSync
from haetae.voice.signals import MeasureSignals
from haetae.voice.utterances import FindUtterances


@dg.asset(
    partitions_def=batch,
    group_name="speech",
    owners=OWNERS,
    kinds={"pytorch", "parquet"},
    code_version=RECIPES["utterances"].code_version,
    automation_condition=when_parents_are_complete,
)
def utterances(
    context: dg.AssetExecutionContext,
    clips: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Find speech with silero-vad, take its text from captions, time its words (one clip in, N stretches out)."""
    stage = Stage(context, lake, params, engine)
    lasts_s = {row["media_id"]: row["duration_s"] for row in lake.rows("media", stage.partition[0])}
    audible = [
        {**row, "media_duration_s": lasts_s[row["media_id"]]} for row in clips.to_pylist() if row["has_audio"]
    ]
    rows, failed = stage.map(FindUtterances(lake_root=lake.root, **params.speech.model_dump()), audible)
    edges = [(row["clip_id"], row["utterance_id"], "heard_in") for row in rows]
    told = {
        "seconds of speech": round(sum(row["end_s"] - row["start_s"] for row in rows), 1),
        "with text": sum(row["text"] is not None for row in rows),
    }
    return stage.commit(rows, edges, failed, told)


@dg.asset(
    partitions_def=batch,
    group_name="speech",
    owners=OWNERS,
    kinds={"numpy", "parquet"},
    code_version=RECIPES["cues"].code_version,
    automation_condition=when_parents_are_complete,
)
def cues(
    context: dg.AssetExecutionContext,
    clips: pa.Table,
    tracks: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Measure the AV-sync offset of every face: mouth opening against the speech envelope."""
    stage = Stage(context, lake, params, engine)
    faces: dict[str, list[Row]] = defaultdict(list)
    for track in tracks.to_pylist():
        faces[track["clip_id"]].append(track)
    both = [
        {**row, "tracks": faces[row["clip_id"]]}
        for row in clips.to_pylist()
        if row["has_audio"] and faces[row["clip_id"]]
    ]
    rows, failed = stage.map(MeasureSync(lake_root=lake.root, **params.cues.model_dump()), both)
    edges = [(row["sample_id"], f"cue:{row['cue']}:{row['track_id']}", "measured_on") for row in rows]
    return stage.commit(rows, edges, failed, {"clips with face and sound": len(both)})


@dg.asset(
    partitions_def=batch,
    group_name="speech",
    owners=OWNERS,
    kinds={"numpy", "parquet"},
    code_version=RECIPES["signals"].code_version,
    automation_condition=when_parents_are_complete,
)
def signals(
    context: dg.AssetExecutionContext,
    media: pa.Table,
    clips: pa.Table,
    utterances: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Measure level, noise, silence, traces of earlier codecs and the spoken language (one clip in, one row out)."""
    stage = Stage(context, lake, params, engine)
    media_of = {row["media_id"]: row for row in media.to_pylist()}
    said: dict[str, list[Row]] = defaultdict(list)
    for one in utterances.to_pylist():
        said[one["clip_id"]].append(one)
    measured = [
        {**row, "media": media_of[row["media_id"]], "utterances": said[row["clip_id"]]}
        for row in clips.to_pylist()
    ]
    rows, failed = stage.map(MeasureSignals(lake_root=lake.root, **params.signals.model_dump()), measured)
    edges = [(row["clip_id"], f"signals:{row['clip_id']}", "measured_on") for row in rows]
    return stage.commit(rows, edges, failed, Counter(f"spoken {row['spoken_language']}" for row in rows))
