"""Sound: stretches of speech with their words (`utterances`), and how lips and sound agree (`cues`)."""

from collections import defaultdict

import dagster as dg
import pyarrow as pa

from assets.partitions import batch, when_parents_are_complete
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from haetae.engine import Engine, Row
from haetae.lake import Lake
from haetae.params import Params
from haetae.voice.cues import MeasureSync
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
