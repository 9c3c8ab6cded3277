"""Pictures: media are cut into `clips`, and every face is followed as one of the `tracks`."""

import dagster as dg
import pyarrow as pa

from assets.partitions import batch, when_parents_are_complete
from assets.previews import clips_preview, tracks_preview
from assets.recipes import RECIPES
from assets.stage import OWNERS, Stage
from haetae.engine import Engine
from haetae.faces.tracks import FollowFaces
from haetae.lake import Lake
from haetae.media.cut import CutAndNormalise
from haetae.params import Params


@dg.asset(
    partitions_def=batch,
    group_name="ingest",
    owners=OWNERS,
    kinds={"ffmpeg", "parquet"},
    code_version=RECIPES["clips"].code_version,
    automation_condition=when_parents_are_complete,
    pool="encode",
)
def clips(
    context: dg.AssetExecutionContext,
    media: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Cut each media file into shots and normalise them: 25 fps, 16 kHz (one file in, N clips out)."""
    stage = Stage(context, lake, params, engine)
    rows, failed = stage.map(
        CutAndNormalise(lake_root=lake.root, **params.ingest.model_dump()), media.to_pylist()
    )
    edges = [(row["media_id"], row["clip_id"], "cut_from") for row in rows]
    seconds = {"seconds": round(sum(row["duration_s"] for row in rows), 1)}
    return stage.commit(rows, edges, failed, seconds, clips_preview(lake, rows))


@dg.asset(
    partitions_def=batch,
    group_name="ingest",
    owners=OWNERS,
    kinds={"pytorch", "opencv", "parquet"},
    code_version=RECIPES["tracks"].code_version,
    automation_condition=when_parents_are_complete,
)
def tracks(
    context: dg.AssetExecutionContext,
    clips: pa.Table,
    lake: dg.ResourceParam[Lake],
    params: dg.ResourceParam[Params],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult:
    """Follow every face through its clip with MTCNN and the face mesh (one clip in, N faces out)."""
    stage = Stage(context, lake, params, engine)
    with_video = [row for row in clips.to_pylist() if row["has_video"]]
    rows, failed = stage.map(FollowFaces(lake_root=lake.root, **params.tracks.model_dump()), with_video)
    edges = [(row["clip_id"], row["track_id"], "tracked_in") for row in rows]
    told = {"clips with pictures": len(with_video), "clips without a face": len(failed)}
    return stage.commit(rows, edges, failed, told, tracks_preview(lake, with_video, rows))
