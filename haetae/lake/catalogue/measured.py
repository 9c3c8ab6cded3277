"""Tables of what is cut from media and measured on it.

What is made of it is in `made`.
"""

from __future__ import annotations

import pyarrow as pa

from haetae.lake.columns import BOOL, BOXES, EMBEDDING, F64, I32, I64, TEXT, TEXTS, WORDS, Table
from haetae.lake.columns import column as c

CLIPS = Table(
    "clips",
    "batch",
    "A normalised cut of a media file: one shot, 25 fps H.264, 16 kHz mono.",
    (
        c("clip_id", TEXT, "h(media_id, start_ms, end_ms, profile)"),
        c("media_id", TEXT, "the media it was cut from"),
        c("batch", TEXT, "ingest batch"),
        c("source_id", TEXT, "its source"),
        c("start_s", F64, "start in the media file, seconds"),
        c("end_s", F64, "end in the media file, seconds"),
        c("duration_s", F64, "measured duration of the clip, seconds"),
        c("blob_id", TEXT, "blob of the clip: .mp4, or .wav where there is no video"),
        c("fps", F64, "25, or null without video"),
        c("n_frames", I32, "frames in the clip; 0 without video"),
        c("width", I32, "pixels, even; null without video"),
        c("height", I32, "pixels, even; null without video"),
        c("has_video", BOOL, "the clip has pictures"),
        c("has_audio", BOOL, "the clip has sound"),
        c("kind", TEXT, "video | audio | image; an image is a clip of one frame, 0.04 s"),
        c("language", TEXT, "language declared by the source"),
        c("use_case", TEXT, "use case declared by the source"),
        c("identities", TEXTS, "declared people; empty: unknown"),
        c("declared_verdict", TEXT, "real | fake | unknown"),
        c("declared_generator", TEXT, "null: not declared"),
        c("captions_blob", TEXT, "subtitles of the media file, media time; null: none"),
        c("captions_kind", TEXT, "sidecar | manual | automatic; null: none"),
    ),
    key=("clip_id",),
    derived=(
        (
            c("n_tracks", I64, "faces followed through the clip"),
            "(SELECT count(*) FROM tracks t WHERE t.clip_id = self.clip_id)",
        ),
        (
            c("speech_s", F64, "seconds of speech found in the clip"),
            "(SELECT coalesce(sum(u.end_s - u.start_s), 0) FROM utterances u WHERE u.clip_id = self.clip_id)",
        ),
    ),
)

TRACKS = Table(
    "tracks",
    "batch",
    "One face followed through a clip.",
    (
        c("track_id", TEXT, "h(clip_id, first_frame, rounded first box)"),
        c("clip_id", TEXT, "its clip"),
        c("batch", TEXT, "ingest batch"),
        c("index", I32, "0 for the largest face of the clip, then by size"),
        c("first_frame", I32, "first frame, counted from 0"),
        c("last_frame", I32, "last frame, inclusive"),
        c("boxes", BOXES, "one [x1, y1, x2, y2] in pixels per frame from first to last"),
        c("mesh_blob", TEXT, "blob of mesh.npz: mesh float32 [T, 478, 3] px, found bool [T]"),
        c("identity", TEXT, "declared or clustered identity; null: unknown"),
        c("size_px", F64, "median height of the box, pixels"),
        c("found_fraction", F64, "share of its frames in which the mesh was found, 0 to 1"),
        c("yaw_deg", F64, "median head yaw, degrees, positive to the image's right"),
        c("pitch_deg", F64, "median head pitch, degrees, positive up"),
        c("roll_deg", F64, "median head roll, degrees, positive clockwise"),
        c("mouth_open", F64, "95th percentile of lip gap over mouth width"),
        c("mouth_travel", F64, "the same less the 5th percentile: how much the mouth opens and closes"),
        c("blur", F64, "median variance of the Laplacian in a 128 px face crop; low is blurred"),
        c("exposure", F64, "median luma of the face, 0 to 1; near 0 is dark, near 1 is burnt out"),
        c(
            "points",
            BOXES,
            "per frame from first to last x, y px of eyes, nose tip, mouth corners (10 values)",
        ),
        c("embedding", EMBEDDING, "512 values of a face recogniser, unit length; null: no weights given"),
    ),
    key=("track_id",),
)

UTTERANCES = Table(
    "utterances",
    "batch",
    "One stretch of speech in a clip.",
    (
        c("utterance_id", TEXT, "h(clip_id, start_ms, end_ms)"),
        c("clip_id", TEXT, "its clip"),
        c("batch", TEXT, "ingest batch"),
        c("start_s", F64, "start in the clip, seconds"),
        c("end_s", F64, "end in the clip, seconds"),
        c("text", TEXT, "what is said; null: unknown"),
        c("language", TEXT, "language of the speech as declared"),
        c("words", WORDS, "words with times in the clip, seconds; empty: unknown"),
        c("text_source", TEXT, "sidecar | manual | automatic; null: no text"),
        c("aligner", TEXT, "name@version of what timed the words; null: no words"),
        c("loudness_dbfs", F64, "RMS level over the stretch, dB full scale"),
        c("f0_hz", F64, "median pitch of the voice, hertz; null: nothing voiced"),
        c("spoken_language", TEXT, "ko | en-SG | ms | ta | other, by its text; null: no text, or too short"),
        c("spoken_confidence", F64, "0 to 1; null: no spoken_language"),
    ),
    key=("utterance_id",),
)

CUES = Table(
    "cues",
    "batch",
    "A measured human cue on a clip.",
    (
        c("sample_id", TEXT, "the clip (or fake) it was measured on"),
        c("batch", TEXT, "ingest batch"),
        c("cue", TEXT, "av_offset | av_confidence | ..."),
        c("value", F64, "measured value in `unit`"),
        c("unit", TEXT, "unit of the value"),
        c("track_id", TEXT, "the face it was measured on; null: the whole clip"),
    ),
    key=("sample_id", "cue", "track_id"),
)

GROUPS = Table(
    "groups",
    "batch",
    "Which clips must stay together in one split: linked by person, media file or declared pair.",
    (
        c("clip_id", TEXT, "a clip of the batch"),
        c("batch", TEXT, "ingest batch"),
        c("group_id", TEXT, "smallest key of the linked set; equal for all clips of a group"),
        c("keys", TEXTS, "the identity and media keys that link the clip"),
        c("split", TEXT, "train | val | test; fixed when the group was first seen"),
    ),
    key=("clip_id",),
)

SIGNALS = Table(
    "signals",
    "batch",
    "What was measured on the signals of a clip: levels, silence, noise, and traces of earlier codecs.",
    (
        c("clip_id", TEXT, "the clip"),
        c("batch", TEXT, "ingest batch"),
        c("loudness_lufs", F64, "integrated loudness, ITU-R BS.1770; null: no sound, silent or below 0.4 s"),
        c("peak_dbfs", F64, "largest sample, dB full scale; null: no sound or digital silence"),
        c("snr_db", F64, "level of speech over level between speech, dB; null: one of them is missing"),
        c("leading_silence_s", F64, "seconds before the first sound above the silence level; null: no sound"),
        c("trailing_silence_s", F64, "seconds after the last; null: no sound"),
        c("speech_fraction", F64, "share of the clip in which somebody speaks, 0 to 1; null: no sound"),
        c("clipped_fraction", F64, "share of samples at full scale; null: no sound"),
        c(
            "audio_bandwidth_hz",
            F64,
            "frequency above which the original's spectrum is empty; null: no sound",
        ),
        c("blockiness", F64, "edge strength on the original's 8 px grid over that beside it; null: no video"),
        c("bits_per_pixel", F64, "video bits per pixel and frame of the original; null: no video"),
        c("motion", F64, "mean absolute change between frames, 0 to 255; null: no video"),
        c("codec_history", TEXTS, "codecs the media has been through, oldest first: stated or measured"),
        c("spoken_language", TEXT, "of most speech with text: ko | en-SG | ms | ta | other; null: no text"),
        c("spoken_confidence", F64, "0 to 1; null: no spoken_language"),
        c("singlish_score", F64, "share of evidence for Singlish among English words, 0 to 1; null: no text"),
    ),
    key=("clip_id",),
)

FINGERPRINTS = Table(
    "fingerprints",
    "batch",
    "Perceptual hashes of a clip, to find it again after re-encoding, scaling, cropping or a change of speed.",
    (
        c("clip_id", TEXT, "the clip"),
        c("batch", TEXT, "ingest batch"),
        c("video_step_s", F64, "seconds from one picture hash to the next; 0: an image; null: no video"),
        c(
            "video_hashes",
            TEXTS,
            "one hash of 256 bits for each step, hex; of an image: the whole, and 3 % off every edge; empty: no video",
        ),
        c("video_quality", TEXTS, "how much structure each hashed picture has, 0 to 100, as hex bytes"),
        c("audio_step_s", F64, "seconds from one sound hash to the next; null: no sound"),
        c("audio_hashes", pa.list_(I64), "one hash of 32 bits for each step; empty: no sound"),
        c("method", TEXT, "name and version of the hashes; only equal methods are compared"),
    ),
    key=("clip_id",),
)

DUPLICATES = Table(
    "duplicates",
    "batch",
    "Pairs of clips that show or sound the same; the partition is that of the clip that came later.",
    (
        c("clip_id", TEXT, "the clip that came later; within a batch the larger id"),
        c("batch", TEXT, "its batch"),
        c("other_id", TEXT, "the clip that was there before"),
        c("modality", TEXT, "video | audio"),
        c("similarity", F64, "share of the compared stretch that agrees, 0 to 1"),
        c("overlap_s", F64, "length of the common stretch, seconds"),
        c("offset_s", F64, "where the later clip begins in the other one, seconds"),
        c("speed", F64, "speed of the later clip over that of the other"),
        c("mirrored", BOOL, "it is a mirror image of the other"),
    ),
    key=("clip_id", "other_id", "modality"),
)

IDENTITIES = Table(
    "identities",
    "–",
    "Which tracks show the same person, by their embeddings, over all media. Empty without weights.",
    (
        c("track_id", TEXT, "a track with an embedding"),
        c("person_id", TEXT, "the cluster: smallest track_id of its members"),
        c("similarity", F64, "cosine with the centre of its cluster, -1 to 1"),
        c("declared", TEXT, "identity declared for the track; null: none"),
    ),
    key=("track_id",),
)

TABLES = (CLIPS, TRACKS, UTTERANCES, CUES, SIGNALS, FINGERPRINTS, DUPLICATES, IDENTITIES, GROUPS)
