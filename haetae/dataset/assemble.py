"""Which clips and fakes are in the data set, as rows of `samples` with their slice columns.

Splits come from `haetae.dataset.split`, and what a sample is comes from its labels.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

from haetae.dataset.prepare import streams_of
from haetae.engine import Failed
from haetae.lake import Lake
from haetae.media.manifest import forbids_training
from haetae.params import Params
from haetae.provenance.policy import may_use, purpose_of
from haetae.quality.thresholds import misses

Row = dict[str, Any]


def assemble(lake: Lake, params: Params, today: dt.date) -> tuple[list[Row], list[Failed]]:
    """All rows of `samples`, and for everything labelled that is left out the reason.

    Left out: what failed a check or has no label yet, verdict unknown (it waits for review), no split (it
    would bridge two), a source that does not allow the split's purpose, a file that may not be trained on, a fake
    whose picture and sound are its twin's, a fake that misses a threshold of `quality.fakes` (reason: `missed_`
    and the name of the first that it misses).
    """
    labels = {
        (row["sample_id"], row["modality"]): row["verdict"]
        for row in lake.sql(
            "SELECT sample_id, modality, verdict FROM current_labels WHERE track_id IS NULL"
        ).to_pylist()
    }
    clips = {row["clip_id"]: row for row in lake.rows("clips")}
    context = _Context(lake, params, today)
    labelled = {sample_id for sample_id, _ in labels}
    rows: list[Row] = []
    left_out: list[Failed] = []
    for kind, sample_id, clip, fake in _everything(lake, clips):
        verdicts = {m: labels.get((sample_id, m)) for m in ("video", "audio", "sync")}
        verdict = _overall(verdicts, clip, fake)
        reason = context.refusal(clip, fake, verdict, sample_id in labelled)
        if reason:
            left_out.append(Failed(sample_id, "samples", *reason))
            continue
        rows.append(context.row(kind, sample_id, clip, fake, verdict, verdicts))
    return rows, left_out


def _everything(lake: Lake, clips: dict[str, Row]) -> list[tuple[str, str, Row, Row | None]]:
    found: list[tuple[str, str, Row, Row | None]] = [("clip", key, clip, None) for key, clip in clips.items()]
    found += [
        ("fake", fake["fake_id"], clips[fake["clip_id"]], fake)
        for fake in lake.rows("fakes")
        if fake["clip_id"] in clips
    ]
    return found


def _overall(verdicts: dict[str, str | None], clip: Row, fake: Row | None) -> str:
    if fake is not None or "fake" in verdicts.values():
        return "fake"
    known = [verdict for verdict in verdicts.values() if verdict is not None]
    if known and all(verdict == "real" for verdict in known):
        # Also a stretch of a partly changed file that no change reaches into.
        return "real"
    return "fake" if clip["declared_verdict"] == "fake" else "unknown"


class _Context:
    """What is looked up for every sample."""

    def __init__(self, lake: Lake, params: Params, today: dt.date) -> None:
        self._groups = {row["clip_id"]: row for row in lake.rows("groups")}
        self._sources = {row["source_id"]: row for row in lake.rows("sources")}
        media = lake.rows("media")
        self._trainable = {row["media_id"]: row["training_allowed"] for row in media}
        self._forbidden = {row["media_id"] for row in media if forbids_training(row["c2pa"])}
        self._faces = Counter(row["clip_id"] for row in lake.rows("tracks"))
        self._unsound = {(row["asset"], row["partition"]) for row in lake.rows("checks") if not row["passed"]}
        self._compression = f"h264-crf{params.ingest.crf}"
        self._stills = params.dataset.stills
        self._missed = misses(lake, params.quality.fakes)
        self._today = today

    def refusal(self, clip: Row, fake: Row | None, verdict: str, labelled: bool) -> tuple[str, str] | None:
        group = self._groups.get(clip["clip_id"])
        batch = clip["batch"]
        partitions = [("clips", batch), ("original_labels", batch)]
        if fake is not None:
            partitions += [(asset, f"{batch}~{fake['generator']}") for asset in ("fakes", "labels")]
        if unsound := [f"{asset} of {key}" for asset, key in partitions if (asset, key) in self._unsound]:
            return "failed_check", f"the check of {', '.join(unsound)} failed"
        if not labelled:
            return "not_labelled", "its labels are not there yet"
        if clip["media_id"] in self._forbidden:
            return "training_forbidden", "a manifest in the file forbids training; see media.c2pa"
        if clip["kind"] == "image" and not self._stills:
            return "single_picture", "single pictures are no samples; see dataset.stills"
        if group is None:
            return "no_split", "its clip would tie two splits together"
        if verdict == "unknown":
            return "verdict_unknown", "nobody has said yet whether it is real; it waits for review"
        purpose = purpose_of(group["split"])
        allowed = may_use(self._sources[clip["source_id"]], purpose, self._today)
        if not allowed.allowed:
            return (
                "not_allowed",
                f"split {group['split']} needs purpose {purpose}: {', '.join(allowed.reasons)}",
            )
        if purpose == "training" and not self._trainable.get(clip["media_id"], False):
            return "training_forbidden", "its source does not allow training"
        if fake is not None and set(fake["modalities"]) == {"text"}:
            return "only_text_changed", "picture and sound are its twin's, and no branch reads subtitles"
        if fake is not None and (missed := self._missed.get(fake["fake_id"])):
            return missed[0].reason, "; ".join(map(str, missed))
        return None

    def row(
        self,
        kind: str,
        sample_id: str,
        clip: Row,
        fake: Row | None,
        verdict: str,
        verdicts: dict[str, str | None],
    ) -> Row:
        group = self._groups[clip["clip_id"]]
        source = self._sources[clip["source_id"]]
        made = fake or {"generator": clip["declared_generator"], "family": None, "pair_id": None}
        return {
            "sample_id": sample_id,
            "kind": kind,
            "clip_id": clip["clip_id"],
            "blob_id": (fake or clip)["blob_id"],
            "batch": clip["batch"],
            "split": group["split"],
            "group_id": group["group_id"],
            "language": (fake or clip)["language"],
            "generator": made["generator"],
            "family": made["family"],
            "pair_id": made["pair_id"],
            "identity": "+".join(clip["identities"]) or None,
            "source_id": clip["source_id"],
            "use_case": clip["use_case"],
            "country": source["country"],
            "compression": self._compression if clip["has_video"] else "pcm16",
            "modality": streams_of(clip),
            "verdict": verdict,
            "video_verdict": verdicts["video"],
            "audio_verdict": verdicts["audio"],
            "sync_verdict": verdicts["sync"],
            "duration_s": (fake or clip)["duration_s"],
            "n_tracks": self._faces[clip["clip_id"]],
        }
