"""Tables of fakes, labels and the data set.

Detectors trained on it are in `judged`.
"""

from __future__ import annotations

from haetae.lake.columns import (
    CAPTIONS,
    F64,
    I32,
    I64,
    MODAL_SEGMENTS,
    REGIONS,
    SEGMENTS,
    TEXT,
    TEXTS,
    TIME,
    WORDS,
    Table,
)
from haetae.lake.columns import column as c
from haetae.lake.columns import volatile as v

FAKES = Table(
    "fakes",
    "batch × generator",
    "What a generator made of a clip.",
    (
        c("fake_id", TEXT, "h(clip_id, generator, seed, params)"),
        c("clip_id", TEXT, "the target: the clip that was changed"),
        c("batch", TEXT, "ingest batch of the target"),
        c("donor_id", TEXT, "clip that lent a face or voice; null: none"),
        c("lesson_id", TEXT, "what the generator was taught; null: it does not learn"),
        c("generator", TEXT, "name@version"),
        c("card_digest", TEXT, "hash of everything that its card stated when the fake was made"),
        c("family", TEXT, "face_swap | lip_sync | speech | diffusion | text | combination"),
        c("blob_id", TEXT, "blob of the fake: .mp4 or .wav"),
        c("modalities", TEXTS, "what was changed: video, audio, text"),
        c("segments", MODAL_SEGMENTS, "what was changed when, per modality, seconds"),
        c("regions", REGIONS, "changed boxes per frame and track, pixels; empty: no picture change"),
        c("masks_blob", TEXT, "blob of masks.npz: packed bits [T, H, ceil(W/8)]; null: none"),
        c("seed", I64, "seed derived from the ids"),
        c("params", TEXT, "parameters as canonical JSON"),
        c("licence", TEXT, "strictest licence of target, donor and weights"),
        c("pair_id", TEXT, "its untouched twin: the target clip"),
        c("track_id", TEXT, "the changed face; null: none"),
        c("language", TEXT, "language spoken in the fake"),
        c("text", TEXT, "what the fake says, where speech was made or subtitles changed; null: unchanged"),
        c("words", WORDS, "words of made speech or changed subtitles with times, seconds; empty: unchanged"),
        c(
            "captions_blob",
            TEXT,
            "blob of its subtitles where they were changed: .vtt, clip time; null: unchanged",
        ),
        c("duration_s", F64, "measured duration, seconds"),
        c("n_frames", I32, "frames; 0 without video"),
        c(
            "flicker",
            F64,
            "change from frame to frame that the target has not, in the masks, luma 0-255; null: no picture",
        ),
        c("seam", F64, "gradient at the masks' border that the target has not, luma/px; null: no picture"),
        c("identity_to_target", F64, "cosine of face embeddings, -1 to 1; null: no recogniser weights"),
        c("identity_to_donor", F64, "the same with the donor's face; null: also without one"),
        c("sync_offset_s", F64, "sound later than the lips, seconds; null: not measurable"),
        c("sync_confidence", F64, "how sure that is, 0-2; null: not measurable"),
        c(
            "loudness_change_lu",
            F64,
            "loudness of the changed sound over that of the target there, LU; null: no sound",
        ),
        c(
            "duration_change_s",
            F64,
            "length of the sound less that of the target's, seconds; null: no sound changed",
        ),
        c(
            "intelligibility",
            F64,
            "share of the letters it says that a recogniser understood, 0 to 1; null: no weights, or no speech made",
        ),
        c("metrics", TEXT, "what the harness measured while making it, as canonical JSON"),
    ),
    key=("fake_id",),
)

LESSONS = Table(
    "lessons",
    "generator",
    "What a generator that learns was taught, once, before its first fake.",
    (
        c("lesson_id", TEXT, "h(generator, weights)"),
        c("generator", TEXT, "name@version"),
        c("weights_blob", TEXT, "blob of what it learned: .safetensors"),
        c(
            "taught_with",
            TEXT,
            "hash of card, parameters and seed: a lesson with an older one is taught again",
        ),
        c("effort", F64, "share of the steps that the generator holds right"),
        c("seed", I64, "seed of the lesson"),
        c("device", TEXT, "cpu | cuda"),
        c("n_faces", I64, "aligned crops it learned from"),
        c("n_people", I64, "people they show; a track without name counts as one"),
        c("clips", TEXTS, "clips they are of; all of the train split"),
        c("licence", TEXT, "strictest licence of their sources"),
        c("curve", TEXT, "losses from first step to last, as canonical JSON"),
        c("metrics", TEXT, "what was measured on faces held back, as canonical JSON"),
        v("taught_at", TIME, "when, UTC"),
        v("taught_s", F64, "how long it took, seconds"),
    ),
    key=("lesson_id",),
)

LABELS = Table(
    "labels",
    "batch (× generator)",
    "One statement on one sample, modality and track. Append-only; the strongest and latest wins.",
    (
        c("sample_id", TEXT, "a clip or a fake"),
        c("batch", TEXT, "ingest batch"),
        c("modality", TEXT, "video | audio | sync | text"),
        c("track_id", TEXT, "the face it is about; null: the whole modality"),
        c("verdict", TEXT, "real | fake | unknown"),
        c("segments", SEGMENTS, "fake stretches, seconds; empty: none"),
        c("boxes", REGIONS, "fake regions per frame, pixels; empty: none"),
        c("captions", CAPTIONS, "one sentence per language on what was changed; null: none"),
        c("evidence", TEXT, "construction | imported | reviewed | predicted"),
        c("author", TEXT, "who or what states it"),
        c("confidence", F64, "0 to 1"),
        v("labelled_at", TIME, "when it was stated"),
    ),
    key=("sample_id", "modality", "track_id", "evidence", "author"),
)

SAMPLES = Table(
    "samples",
    "–",
    "Clips and fakes that are in the dataset, with split and slice columns.",
    (
        c("sample_id", TEXT, "clip_id or fake_id"),
        c("kind", TEXT, "clip | fake"),
        c("clip_id", TEXT, "the clip itself, or the fake's target"),
        c("blob_id", TEXT, "blob of the media"),
        c("batch", TEXT, "ingest batch"),
        c("split", TEXT, "train | val | test"),
        c("group_id", TEXT, "split group"),
        c("language", TEXT, "language of the sample"),
        c("generator", TEXT, "name@version; null: untouched or unknown"),
        c("family", TEXT, "generator family; null: untouched or unknown"),
        c("pair_id", TEXT, "untouched twin of a fake; null: none"),
        c("identity", TEXT, "person in the target; null: unknown"),
        c("source_id", TEXT, "source of the target"),
        c("use_case", TEXT, "use case of the source"),
        c("country", TEXT, "country of the source; null: not declared"),
        c("compression", TEXT, "encode profile of the blob"),
        c("modality", TEXT, "modalities present: av | video | audio"),
        c("verdict", TEXT, "real | fake, over all modalities"),
        c("video_verdict", TEXT, "real | fake | unknown; null: no video"),
        c("audio_verdict", TEXT, "real | fake | unknown; null: no audio"),
        c("sync_verdict", TEXT, "real | fake | unknown; null: no video or no audio"),
        c("duration_s", F64, "seconds"),
        c("n_tracks", I32, "faces"),
    ),
    key=("sample_id",),
)

SNAPSHOTS = Table(
    "snapshots",
    "snapshot",
    "A frozen, content-hashed list of samples plus shards.",
    (
        c("snapshot_id", TEXT, "s-<first 12 hex of the digest of its samples and parameters>"),
        v("created_at", TIME, "when it was frozen"),
        c("code_version", TEXT, "version of the code that froze it"),
        c("params_hash", TEXT, "hash of the dataset parameters"),
        c("n", I64, "samples"),
        c("digest", TEXT, "SHA-256 over the manifest and the shards"),
        c("path", TEXT, "folder below the lake root"),
        c("n_shards", I32, "shards"),
        c("size_bytes", I64, "bytes of all its files"),
        c("dvc_hash", TEXT, "hash recorded by DVC for the folder; null: lake is not local"),
    ),
    key=("snapshot_id",),
)

TABLES = (LESSONS, FAKES, LABELS, SAMPLES, SNAPSHOTS)
