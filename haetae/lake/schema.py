"""Every table of the lake: its columns, their types, units and null meaning, and its partitions.

This is the one catalogue: storage, checks, documentation and SQL views are derived from it. What is
in a table at a given moment is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

TEXT = pa.string()
TEXTS = pa.list_(pa.string())
F32 = pa.float32()
F64 = pa.float64()
I32 = pa.int32()
I64 = pa.int64()
BOOL = pa.bool_()
TIME = pa.timestamp("us", tz="UTC")
BOXES = pa.list_(pa.list_(pa.float32()))
SEGMENTS = pa.list_(pa.struct([("start_s", F64), ("end_s", F64)]))
MODAL_SEGMENTS = pa.list_(pa.struct([("modality", TEXT), ("start_s", F64), ("end_s", F64)]))
REGIONS = pa.list_(pa.struct([("track_id", TEXT), ("first_frame", I32), ("boxes", BOXES)]))
WORDS = pa.list_(pa.struct([("word", TEXT), ("start_s", F64), ("end_s", F64), ("score", F64)]))
CAPTIONS = pa.struct([("ko", TEXT), ("en", TEXT), ("ms", TEXT), ("ta", TEXT)])
CONSENT = pa.struct([("basis", TEXT), ("ref", TEXT)])


@dataclass(frozen=True)
class Column:
    """One column; `volatile` columns (times, run ids) are left out of content digests."""

    name: str
    type: pa.DataType
    doc: str
    volatile: bool = False


@dataclass(frozen=True)
class Table:
    """One table; `derived` columns exist in SQL only, computed from other tables when read."""

    name: str
    partition: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    derived: tuple[tuple[Column, str], ...] = field(default=())

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(c.name, c.type, metadata={"doc": c.doc}) for c in self.columns])


def _c(name: str, type_: pa.DataType, doc: str) -> Column:
    return Column(name, type_, doc)


def _v(name: str, type_: pa.DataType, doc: str) -> Column:
    return Column(name, type_, doc, volatile=True)


SOURCES = Table(
    "sources",
    "–",
    "Declared places media come from; nothing enters the lake without one.",
    (
        _c("source_id", TEXT, "id given in sources.yaml"),
        _c("uri", TEXT, "address, file or folder; credentials and signed queries removed"),
        _c("kind", TEXT, "page | feed | channel | file | folder | dataset:<format>"),
        _c("language", TEXT, "ko | en-SG | ms | ta | other"),
        _c("country", TEXT, "ISO 3166-1 alpha-2; null: not declared"),
        _c("use_case", TEXT, "social_media | news | voice_biometrics | other"),
        _c("licence", TEXT, "SPDX id or all-rights-reserved; null: unknown, review only"),
        _c("consent", CONSENT, "basis release | licence | synthetic | none, and its reference"),
        _c("purposes", TEXTS, "allowed purposes: synthesis, training, benchmark, release"),
        _c("verdict", TEXT, "real | fake | unknown, as declared"),
        _c("generator", TEXT, "for declared fakes, what made them; null: unknown or not a fake"),
        _c("identities", TEXTS, "declared people in the media; empty: unknown"),
        _c("retention_until", TEXT, "ISO date after which it may not be used; null: no limit"),
        _c("status", TEXT, "active | withdrawn"),
        _c("declared_by", TEXT, "who declared it: the sources file's name or a user"),
        _v("declared_at", TIME, "when the row was written"),
    ),
    key=("source_id",),
)

ITEMS = Table(
    "items",
    "batch",
    "What a batch was asked to fetch: one row per file or address seen at a source.",
    (
        _c("item_id", TEXT, "h(source_id, address, content hash where local)"),
        _c("batch", TEXT, "the batch that fetches it"),
        _c("source_id", TEXT, "where it was seen"),
        _c("uri", TEXT, "address or path; credentials and signed queries removed"),
        _c("sha256", TEXT, "content hash of local files; null: not fetched yet, or unreadable"),
        _c("size_bytes", I64, "size of local files; null: unknown"),
    ),
    key=("item_id",),
)

MEDIA = Table(
    "media",
    "batch",
    "One downloaded or imported file, named by its SHA-256.",
    (
        _c("media_id", TEXT, "SHA-256 of the file, lower-case hex"),
        _c("source_id", TEXT, "its source"),
        _c("batch", TEXT, "ingest batch"),
        _c("item_id", TEXT, "the item it was fetched for"),
        _c("origin_url", TEXT, "where it was fetched from; no credentials, no signatures"),
        _c("title", TEXT, "title at the origin, or the file name"),
        _c("blob_id", TEXT, "blob of the file: <sha256>.<ext>"),
        _c("size_bytes", I64, "size of the file"),
        _c("container", TEXT, "demuxer name"),
        _c("video_codec", TEXT, "null: no video stream"),
        _c("audio_codec", TEXT, "null: no audio stream"),
        _c("duration_s", F64, "seconds of the longest decodable stream; 0 for still images"),
        _c("width", I32, "displayed width in pixels, after rotation; null: no video"),
        _c("height", I32, "displayed height in pixels, after rotation; null: no video"),
        _c("rotation_deg", I32, "display rotation in the container: 0, 90, 180, 270"),
        _c("fps", F64, "mean frames per second; null: no video or still image"),
        _c("is_vfr", BOOL, "frame spacing varies by more than 10 %"),
        _c("has_audio", BOOL, "an audio stream with at least one decodable frame"),
        _c("has_video", BOOL, "a video stream with at least two decodable frames"),
        _c("sample_rate_hz", I32, "null: no audio"),
        _c("language", TEXT, "language declared by the source"),
        _c("use_case", TEXT, "use case declared by the source"),
        _c("identities", TEXTS, "declared people in this file; empty: unknown"),
        _c("declared_verdict", TEXT, "real | fake | unknown"),
        _c("declared_generator", TEXT, "null: not declared"),
        _c("captions_blob", TEXT, "blob of its subtitles (.srt or .vtt); null: none"),
        _c("captions_kind", TEXT, "sidecar | manual | automatic; null: none"),
        _c("c2pa", TEXT, "manifest summary as JSON; null: none found"),
        _c("training_allowed", BOOL, "false when the source or a manifest forbids training"),
        _v("fetched_at", TIME, "when the bytes arrived"),
    ),
    key=("media_id",),
)

CLIPS = Table(
    "clips",
    "batch",
    "A normalised cut of a media file: one shot, 25 fps H.264, 16 kHz mono.",
    (
        _c("clip_id", TEXT, "h(media_id, start_ms, end_ms, profile)"),
        _c("media_id", TEXT, "the media it was cut from"),
        _c("batch", TEXT, "ingest batch"),
        _c("source_id", TEXT, "its source"),
        _c("start_s", F64, "start in the media file, seconds"),
        _c("end_s", F64, "end in the media file, seconds"),
        _c("duration_s", F64, "measured duration of the clip, seconds"),
        _c("blob_id", TEXT, "blob of the clip: .mp4, or .wav where there is no video"),
        _c("fps", F64, "25, or null without video"),
        _c("n_frames", I32, "frames in the clip; 0 without video"),
        _c("width", I32, "pixels, even; null without video"),
        _c("height", I32, "pixels, even; null without video"),
        _c("has_video", BOOL, "the clip has pictures"),
        _c("has_audio", BOOL, "the clip has sound"),
        _c("language", TEXT, "language declared by the source"),
        _c("use_case", TEXT, "use case declared by the source"),
        _c("identities", TEXTS, "declared people; empty: unknown"),
        _c("declared_verdict", TEXT, "real | fake | unknown"),
        _c("declared_generator", TEXT, "null: not declared"),
        _c("captions_blob", TEXT, "subtitles of the media file, media time; null: none"),
        _c("captions_kind", TEXT, "sidecar | manual | automatic; null: none"),
    ),
    key=("clip_id",),
    derived=(
        (
            _c("n_tracks", I64, "faces followed through the clip"),
            "(SELECT count(*) FROM _tracks t WHERE t.clip_id = self.clip_id)",
        ),
        (
            _c("speech_s", F64, "seconds of speech found in the clip"),
            "(SELECT coalesce(sum(u.end_s - u.start_s), 0) FROM _utterances u "
            "WHERE u.clip_id = self.clip_id)",
        ),
    ),
)

TRACKS = Table(
    "tracks",
    "batch",
    "One face followed through a clip.",
    (
        _c("track_id", TEXT, "h(clip_id, first_frame, rounded first box)"),
        _c("clip_id", TEXT, "its clip"),
        _c("batch", TEXT, "ingest batch"),
        _c("index", I32, "0 for the largest face of the clip, then by size"),
        _c("first_frame", I32, "first frame, counted from 0"),
        _c("last_frame", I32, "last frame, inclusive"),
        _c("boxes", BOXES, "one [x1, y1, x2, y2] in pixels per frame from first to last"),
        _c("mesh_blob", TEXT, "blob of mesh.npz: mesh float32 [T, 478, 3] px, found bool [T]"),
        _c("identity", TEXT, "declared or clustered identity; null: unknown"),
        _c("size_px", F64, "median height of the box, pixels"),
        _c("found_fraction", F64, "share of its frames in which the mesh was found, 0 to 1"),
        _c("yaw_deg", F64, "median head yaw, degrees, positive to the image's right"),
        _c("pitch_deg", F64, "median head pitch, degrees, positive up"),
        _c("roll_deg", F64, "median head roll, degrees, positive clockwise"),
        _c("mouth_open", F64, "95th percentile of lip gap over mouth width"),
        _c("blur", F64, "median variance of the Laplacian in a 128 px face crop; low is blurred"),
    ),
    key=("track_id",),
)

UTTERANCES = Table(
    "utterances",
    "batch",
    "One stretch of speech in a clip.",
    (
        _c("utterance_id", TEXT, "h(clip_id, start_ms, end_ms)"),
        _c("clip_id", TEXT, "its clip"),
        _c("batch", TEXT, "ingest batch"),
        _c("start_s", F64, "start in the clip, seconds"),
        _c("end_s", F64, "end in the clip, seconds"),
        _c("text", TEXT, "what is said; null: unknown"),
        _c("language", TEXT, "language of the speech as declared"),
        _c("words", WORDS, "words with times in the clip, seconds; empty: unknown"),
        _c("text_source", TEXT, "sidecar | manual | automatic; null: no text"),
        _c("aligner", TEXT, "name@version of what timed the words; null: no words"),
        _c("loudness_dbfs", F64, "RMS level over the stretch, dB full scale"),
    ),
    key=("utterance_id",),
)

CUES = Table(
    "cues",
    "batch",
    "A measured human cue on a clip.",
    (
        _c("sample_id", TEXT, "the clip (or fake) it was measured on"),
        _c("batch", TEXT, "ingest batch"),
        _c("cue", TEXT, "av_offset | av_confidence | ..."),
        _c("value", F64, "measured value in `unit`"),
        _c("unit", TEXT, "unit of the value"),
        _c("track_id", TEXT, "the face it was measured on; null: the whole clip"),
    ),
    key=("sample_id", "cue", "track_id"),
)

GROUPS = Table(
    "groups",
    "batch",
    "Which clips must stay together in one split: linked by person, media file or declared pair.",
    (
        _c("clip_id", TEXT, "a clip of the batch"),
        _c("batch", TEXT, "ingest batch"),
        _c("group_id", TEXT, "smallest key of the linked set; equal for all clips of a group"),
        _c("keys", TEXTS, "the identity and media keys that link the clip"),
        _c("split", TEXT, "train | val | test; fixed when the group was first seen"),
    ),
    key=("clip_id",),
)

FAKES = Table(
    "fakes",
    "batch × generator",
    "What a generator made of a clip.",
    (
        _c("fake_id", TEXT, "h(clip_id, generator, seed, params)"),
        _c("clip_id", TEXT, "the target: the clip that was changed"),
        _c("batch", TEXT, "ingest batch of the target"),
        _c("donor_id", TEXT, "clip that lent a face or voice; null: none"),
        _c("generator", TEXT, "name@version"),
        _c("family", TEXT, "face_swap | lip_sync | speech | diffusion | text | combination"),
        _c("blob_id", TEXT, "blob of the fake: .mp4 or .wav"),
        _c("modalities", TEXTS, "what was changed: video, audio, text"),
        _c("segments", MODAL_SEGMENTS, "what was changed when, per modality, seconds"),
        _c("regions", REGIONS, "changed boxes per frame and track, pixels; empty: no picture change"),
        _c("masks_blob", TEXT, "blob of masks.npz: packed bits [T, H, ceil(W/8)]; null: none"),
        _c("seed", I64, "seed derived from the ids"),
        _c("params", TEXT, "parameters as canonical JSON"),
        _c("licence", TEXT, "strictest licence of target, donor and weights"),
        _c("pair_id", TEXT, "its untouched twin: the target clip"),
        _c("track_id", TEXT, "the changed face; null: none"),
        _c("language", TEXT, "language spoken in the fake"),
        _c("text", TEXT, "what the fake says, where speech was made; null: unchanged"),
        _c("words", WORDS, "words of made speech with times, seconds; empty: unchanged"),
        _c("duration_s", F64, "measured duration, seconds"),
        _c("n_frames", I32, "frames; 0 without video"),
        _c("metrics", TEXT, "what the harness measured while making it, as canonical JSON"),
    ),
    key=("fake_id",),
)

LABELS = Table(
    "labels",
    "batch (× generator)",
    "One statement on one sample, modality and track. Append-only; the strongest and latest wins.",
    (
        _c("sample_id", TEXT, "a clip or a fake"),
        _c("batch", TEXT, "ingest batch"),
        _c("modality", TEXT, "video | audio | sync | text"),
        _c("track_id", TEXT, "the face it is about; null: the whole modality"),
        _c("verdict", TEXT, "real | fake | unknown"),
        _c("segments", SEGMENTS, "fake stretches, seconds; empty: none"),
        _c("boxes", REGIONS, "fake regions per frame, pixels; empty: none"),
        _c("captions", CAPTIONS, "one sentence per language on what was changed; null: none"),
        _c("evidence", TEXT, "construction | imported | reviewed | predicted"),
        _c("author", TEXT, "who or what states it"),
        _c("confidence", F64, "0 to 1"),
        _v("labelled_at", TIME, "when it was stated"),
    ),
    key=("sample_id", "modality", "track_id", "evidence", "author"),
)

SAMPLES = Table(
    "samples",
    "–",
    "Clips and fakes that are in the dataset, with split and slice columns.",
    (
        _c("sample_id", TEXT, "clip_id or fake_id"),
        _c("kind", TEXT, "clip | fake"),
        _c("clip_id", TEXT, "the clip itself, or the fake's target"),
        _c("blob_id", TEXT, "blob of the media"),
        _c("batch", TEXT, "ingest batch"),
        _c("split", TEXT, "train | val | test"),
        _c("group_id", TEXT, "split group"),
        _c("language", TEXT, "language of the sample"),
        _c("generator", TEXT, "name@version; null: untouched or unknown"),
        _c("family", TEXT, "generator family; null: untouched or unknown"),
        _c("pair_id", TEXT, "untouched twin of a fake; null: none"),
        _c("identity", TEXT, "person in the target; null: unknown"),
        _c("source_id", TEXT, "source of the target"),
        _c("use_case", TEXT, "use case of the source"),
        _c("country", TEXT, "country of the source; null: not declared"),
        _c("compression", TEXT, "encode profile of the blob"),
        _c("modality", TEXT, "modalities present: av | video | audio"),
        _c("verdict", TEXT, "real | fake, over all modalities"),
        _c("video_verdict", TEXT, "real | fake | unknown; null: no video"),
        _c("audio_verdict", TEXT, "real | fake | unknown; null: no audio"),
        _c("sync_verdict", TEXT, "real | fake | unknown; null: no video or no audio"),
        _c("duration_s", F64, "seconds"),
        _c("n_tracks", I32, "faces"),
    ),
    key=("sample_id",),
)

SNAPSHOTS = Table(
    "snapshots",
    "snapshot",
    "A frozen, content-hashed list of samples plus shards.",
    (
        _c("snapshot_id", TEXT, "s-<first 12 hex of the digest of its samples and parameters>"),
        _v("created_at", TIME, "when it was frozen"),
        _c("code_version", TEXT, "version of the code that froze it"),
        _c("params_hash", TEXT, "hash of the dataset parameters"),
        _c("n", I64, "samples"),
        _c("digest", TEXT, "SHA-256 over the manifest and the shards"),
        _c("path", TEXT, "folder below the lake root"),
        _c("n_shards", I32, "shards"),
        _c("size_bytes", I64, "bytes of all its files"),
        _c("dvc_hash", TEXT, "hash recorded by DVC for the folder; null: lake is not local"),
    ),
    key=("snapshot_id",),
)

MODELS = Table(
    "models",
    "snapshot",
    "Trained candidates.",
    (
        _c("model_id", TEXT, "h(snapshot_id, weights)"),
        _c("snapshot_id", TEXT, "what it was trained on"),
        _c("weights_sha256", TEXT, "hash of the safetensors file"),
        _c("uri", TEXT, "MLflow model URI"),
        _v("mlflow_run_id", TEXT, "MLflow run"),
        _c("version", TEXT, "version in the MLflow registry"),
        _c("config", TEXT, "architecture and training parameters as canonical JSON"),
        _c("threshold", F64, "verdict threshold on the score, fixed on the val split"),
        _c("best_epoch", I32, "epoch kept, chosen on the val split"),
        _c("val_auc", F64, "AUC on the val split; null: one class only"),
        _v("trained_at", TIME, "when training ended"),
    ),
    key=("model_id",),
)

EVALUATIONS = Table(
    "evaluations",
    "snapshot",
    "Metrics by slice with bootstrap intervals.",
    (
        _c("model_id", TEXT, "the model"),
        _c("snapshot_id", TEXT, "the snapshot whose test split it was scored on"),
        _c("protocol", TEXT, "how scores were made and pooled"),
        _c("slice", TEXT, "all, or column=value joined by &"),
        _c("metric", TEXT, "auc | eer | ..."),
        _c("value", F64, "null: undefined on the slice (one class only)"),
        _c("ci_low", F64, "lower end of the 95 % bootstrap interval; null: undefined"),
        _c("ci_high", F64, "upper end; null: undefined"),
        _c("n", I64, "samples in the slice"),
    ),
    key=("model_id", "protocol", "slice", "metric"),
)

PREDICTIONS = Table(
    "predictions",
    "snapshot",
    "Scores of a model on the test split of a snapshot.",
    (
        _c("model_id", TEXT, "the model"),
        _c("snapshot_id", TEXT, "the snapshot"),
        _c("sample_id", TEXT, "the sample"),
        _c("split", TEXT, "split of the sample"),
        _c("score", F64, "fake score, 0 to 1"),
        _c("video_score", F64, "null: no face or no video"),
        _c("audio_score", F64, "null: no audio"),
        _c("sync_score", F64, "null: no face or no audio"),
    ),
    key=("model_id", "sample_id"),
)

PROMOTIONS = Table(
    "promotions",
    "snapshot",
    "Decisions of the promotion gate.",
    (
        _c("promotion_id", TEXT, "h(model_id, verdict, champion it was compared with)"),
        _c("model_id", TEXT, "the candidate"),
        _c("snapshot_id", TEXT, "the snapshot it was scored on"),
        _c("promoted", BOOL, "true: the champion alias moved to it"),
        _c("previous_model_id", TEXT, "champion before the decision; null: none"),
        _c("reasons", TEXTS, "each rule with what was measured and what was required"),
        _c("ledger_id", TEXT, "entry of the decision in the ledger"),
    ),
    key=("promotion_id",),
)

QUARANTINE = Table(
    "quarantine",
    "batch",
    "Where a failing row goes; the batch goes on.",
    (
        _c("item_id", TEXT, "the row that failed"),
        _c("batch", TEXT, "ingest batch; null: not part of one"),
        _c("stage", TEXT, "stage that refused it"),
        _c("reason", TEXT, "stable snake_case word"),
        _c("detail", TEXT, "for a person: what was wrong"),
        _v("run_id", TEXT, "run that refused it"),
    ),
    key=("item_id", "stage", "reason"),
)

CHECKS = Table(
    "checks",
    "asset × its partition",
    "What the blocking check of an asset partition came to; what failed is not read downstream.",
    (
        _c("asset", TEXT, "the checked asset"),
        _c("partition", TEXT, "its partition, parts joined by ~; all: not partitioned"),
        _c("digest", TEXT, "content digest of the partition that was checked"),
        _c("knobs", TEXT, "hash of the thresholds it was checked with"),
        _c("passed", BOOL, "true: every expectation held"),
        _c("n", I64, "rows checked"),
        _c("findings", TEXTS, "each broken expectation with its column, number of rows and examples"),
    ),
    key=("asset", "partition"),
)

EDGES = Table(
    "edges",
    "as its asset",
    "Lineage: written by the lake with every table write.",
    (
        _c("parent_id", TEXT, "what the child was made from"),
        _c("child_id", TEXT, "the row"),
        _c("relation", TEXT, "crawled_from | cut_from | tracked_in | target_of | made_by | ..."),
        _c("asset", TEXT, "asset that wrote it"),
        _v("run_id", TEXT, "run that wrote it"),
        _c("code_version", TEXT, "code version of the asset"),
    ),
    key=("parent_id", "child_id", "relation"),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        SOURCES,
        ITEMS,
        MEDIA,
        CLIPS,
        TRACKS,
        UTTERANCES,
        CUES,
        GROUPS,
        FAKES,
        LABELS,
        SAMPLES,
        SNAPSHOTS,
        MODELS,
        PREDICTIONS,
        EVALUATIONS,
        PROMOTIONS,
        QUARANTINE,
        CHECKS,
        EDGES,
    )
}
"""All tables by name."""
