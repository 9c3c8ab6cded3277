"""Tables of what arrives: sources, what was seen there, public data sets, and the files themselves.

What is cut from them is in `measured`.
"""

from __future__ import annotations

from haetae.lake.columns import BOOL, CONSENT, F64, I32, I64, MODAL_SEGMENTS, TEXT, TEXTS, TIME, Table
from haetae.lake.columns import column as c
from haetae.lake.columns import volatile as v

SOURCES = Table(
    "sources",
    "–",
    "Declared places media come from; nothing enters the lake without one.",
    (
        c("source_id", TEXT, "id given in sources.yaml"),
        c("uri", TEXT, "address, file or folder; credentials and signed queries removed"),
        c("kind", TEXT, "page | feed | channel | file | folder | dataset:<format>"),
        c("language", TEXT, "ko | en-SG | ms | ta | other"),
        c("country", TEXT, "ISO 3166-1 alpha-2; null: not declared"),
        c("use_case", TEXT, "social_media | news | voice_biometrics | other"),
        c("licence", TEXT, "SPDX id or all-rights-reserved; null: unknown, review only"),
        c("consent", CONSENT, "basis release | licence | synthetic | none, and its reference"),
        c("purposes", TEXTS, "allowed purposes: synthesis, training, benchmark, release"),
        c("verdict", TEXT, "real | fake | unknown, as declared"),
        c("generator", TEXT, "for declared fakes, what made them; null: unknown or not a fake"),
        c("identities", TEXTS, "declared people in the media; empty: unknown"),
        c("retention_until", TEXT, "ISO date after which it may not be used; null: no limit"),
        c("status", TEXT, "active | withdrawn"),
        c("declared_by", TEXT, "who declared it: the sources file's name or a user"),
        v("declared_at", TIME, "when the row was written"),
    ),
    key=("source_id",),
)

ITEMS = Table(
    "items",
    "batch",
    "What a batch was asked to fetch: one row per file or address seen at a source.",
    (
        c("item_id", TEXT, "h(source_id, address, content hash where local)"),
        c("batch", TEXT, "the batch that fetches it"),
        c("source_id", TEXT, "where it was seen"),
        c("uri", TEXT, "address or path; credentials and signed queries removed"),
        c("sha256", TEXT, "content hash of local files; null: not fetched yet, or unreadable"),
        c("size_bytes", I64, "size of local files; null: unknown"),
    ),
    key=("item_id",),
)

MEDIA = Table(
    "media",
    "batch",
    "One downloaded or imported file, named by its SHA-256.",
    (
        c("media_id", TEXT, "SHA-256 of the file, lower-case hex"),
        c("source_id", TEXT, "its source"),
        c("batch", TEXT, "ingest batch"),
        c("item_id", TEXT, "the item it was fetched for"),
        c("origin_url", TEXT, "where it was fetched from; no credentials, no signatures"),
        c("title", TEXT, "title at the origin, or the file name"),
        c("blob_id", TEXT, "blob of the file: <sha256>.<ext>"),
        c("size_bytes", I64, "size of the file"),
        c("container", TEXT, "demuxer name"),
        c("video_codec", TEXT, "null: no video stream"),
        c("audio_codec", TEXT, "null: no audio stream"),
        c("duration_s", F64, "seconds of the longest decodable stream; 0 for still images"),
        c("width", I32, "displayed width in pixels, after rotation; null: no video"),
        c("height", I32, "displayed height in pixels, after rotation; null: no video"),
        c("rotation_deg", I32, "display rotation in the container: 0, 90, 180, 270"),
        c("fps", F64, "mean frames per second; null: no video or still image"),
        c("is_vfr", BOOL, "frame spacing varies by more than 10 %"),
        c("has_audio", BOOL, "an audio stream with at least one decodable frame"),
        c("has_video", BOOL, "a video stream with at least two decodable frames"),
        c("sample_rate_hz", I32, "null: no audio"),
        c("language", TEXT, "language declared by the source"),
        c("use_case", TEXT, "use case declared by the source"),
        c("identities", TEXTS, "declared people in this file; empty: unknown"),
        c("declared_verdict", TEXT, "real | fake | unknown"),
        c("declared_generator", TEXT, "null: not declared"),
        c("captions_blob", TEXT, "blob of its subtitles (.srt or .vtt); null: none"),
        c(
            "captions_kind",
            TEXT,
            "sidecar (a file beside it, or stated by its data set) | manual | automatic; null: none",
        ),
        c("c2pa", TEXT, "manifest summary as JSON; null: none found"),
        c("training_allowed", BOOL, "false when the source or a manifest forbids training"),
        c("thumbnail_blob", TEXT, "blob of the origin's preview picture; null: none"),
        c("masks_blob", TEXT, "blob of a public data set's mask video or frames; null: none"),
        c("encoder", TEXT, "what wrote the file, by its own tags; null: it does not say"),
        c("bit_rate_bps", I64, "bits per second of the whole file; null: still image"),
        c("origin_info", TEXT, "what the origin tells of it, as canonical JSON; null: a local file"),
        v("fetched_at", TIME, "when the bytes arrived"),
    ),
    key=("media_id",),
)

IMPORTS = Table(
    "imports",
    "batch",
    "What a public data set states of one of its items. Nothing that it does not state is filled in.",
    (
        c("item_id", TEXT, "the item; its media row carries the same item_id"),
        c("batch", TEXT, "ingest batch"),
        c("source_id", TEXT, "the data set as a source"),
        c("format", TEXT, "name of the importer"),
        c("item_key", TEXT, "name of the item in its data set; unique there"),
        c("form", TEXT, "file: one media file | frames: a folder of numbered pictures"),
        c("video_verdict", TEXT, "real | fake; null: not stated, or no video"),
        c("audio_verdict", TEXT, "real | fake; null: not stated, or no audio"),
        c("sync_verdict", TEXT, "real | fake; null: not stated"),
        c("text_verdict", TEXT, "real | fake; null: not stated"),
        c("segments", MODAL_SEGMENTS, "changed stretches, seconds; empty: not stated, or all of it"),
        c("pair_item_id", TEXT, "the item it was made from; null: none, or not in the data set"),
        c("mask", TEXT, "path of its mask below the data set's root; null: none"),
        c("identities", TEXTS, "people as the data set names them, prefixed by the source; empty: unknown"),
        c("generator", TEXT, "method as the data set names it; null: untouched or not stated"),
        c("family", TEXT, "face_swap | lip_sync | speech | ...; null: not known"),
        c("split", TEXT, "official split: train | val | test; null: none"),
        c("language", TEXT, "ko | en-SG | ms | ta | other; null: not stated"),
        c("text", TEXT, "transcript; null: none"),
        c("detail", TEXT, "everything else it states, as canonical JSON"),
    ),
    key=("item_id",),
)

REPORTS = Table(
    "reports",
    "report",
    "Media that somebody reported or suspects; what they are is not known. One partition for each report.",
    (
        c("report_id", TEXT, "h(address or content, reporter, time)"),
        c("uri", TEXT, "address without secrets, or name of the file that was sent"),
        c("blob_id", TEXT, "blob of a file that was sent; null: an address"),
        c("language", TEXT, "ko | en-SG | ms | ta | other, as reported"),
        c("use_case", TEXT, "social_media | news | voice_biometrics | other, as reported"),
        c("note", TEXT, "what the reporter says; null: nothing"),
        c("reporter", TEXT, "who reported it; null: not told"),
        v("reported_at", TIME, "when it arrived"),
    ),
    key=("report_id",),
)

VISITS = Table(
    "visits",
    "source",
    "The last look at each source: when, and what was there. One partition for each source.",
    (
        c("source_id", TEXT, "the source"),
        v("looked_at", TIME, "when it was listed"),
        v("n_found", I64, "entries that were listed"),
        v("n_fresh", I64, "of them not seen before"),
        v("problem", TEXT, "why it could not be listed; null: it was"),
    ),
    key=("source_id",),
)

TABLES = (SOURCES, ITEMS, IMPORTS, REPORTS, VISITS, MEDIA)
