"""Labels that follow from how a sample came to be: declared originals, and fakes that we made ourselves.

What a generator did is told by its `fakes` row; nothing is looked at or predicted here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from haetae.locales import caption
from haetae.locales.load import CaptionKind

Row = dict[str, Any]

CAPTION_LANGUAGES = ("ko", "en", "ms", "ta")

MOUTH_FAMILIES = ("lip_sync", "combination")
"""Families that move the mouth; the others leave its movement as it was."""


def label_original(clip: Mapping[str, Any], source: Mapping[str, Any], now: dt.datetime) -> list[Row]:
    """What the source's declaration says of an untouched clip, one row for each modality it has.

    A clip declared fake says so of a modality only where it has no other: which part of an audio-visual
    fake was changed is not known, and stays unknown.
    """
    modalities = modalities_of(clip)
    declared = clip["declared_verdict"]
    seen_or_heard = [modality for modality in modalities if modality != "text"]
    rows = []
    for modality in modalities:
        is_told = declared == "real" or seen_or_heard == [modality]
        verdict = declared if is_told else "unknown"
        rows.append(
            label_row(
                clip["clip_id"],
                clip["batch"],
                modality,
                None,
                verdict,
                evidence="imported",
                author=f"source:{source['source_id']}",
                captions=captions("real", {}) if verdict == "real" else None,
                now=now,
            )
        )
    return rows


def label_fake(
    fake: Mapping[str, Any], clip: Mapping[str, Any], tracks: Sequence[Mapping[str, Any]], now: dt.datetime
) -> list[Row]:
    """What making it tells of a fake: verdict, segments and boxes per modality, and per face.

    The changed face is fake where it was changed; every other face of the clip stays real. Sound and
    lips disagree (`sync` is fake) when one of them was changed without the other. Subtitles that were left as
    they are stay real, also where the voice was changed: what disagrees with them is the voice.
    """
    rows = []
    changed = set(fake["modalities"])
    for modality in modalities_of({**clip, "has_text": clip.get("has_text") or "text" in changed}):
        verdict, segments = _state(modality, fake, changed)
        boxes = list(fake["regions"]) if modality == "video" else []
        kind = _caption_kind(modality, verdict, changed)
        told = [s for s in fake["segments"] if s["modality"] != "text"] if kind == "both" else segments
        said = captions(kind, {"family": fake["family"], **_extent(told)})
        common: dict[str, Any] = {
            "evidence": "construction",
            "author": fake["generator"],
            "now": now,
        }
        one = label_row(
            fake["fake_id"],
            fake["batch"],
            modality,
            None,
            verdict,
            segments=segments,
            boxes=boxes,
            captions=said,
            **common,
        )
        rows.append(one)
        if modality == "video":
            rows += [_face(fake, track, verdict, segments, boxes, said, common) for track in tracks]
    return rows


def modalities_of(clip: Mapping[str, Any]) -> list[str]:
    """video, audio, sync where there are both, and text where the clip is known to have subtitles (`has_text`)."""
    found = [name for name, has in (("video", clip["has_video"]), ("audio", clip["has_audio"])) if has]
    if len(found) == 2:
        found.append("sync")
    return [*found, "text"] if clip.get("has_text") else found


def captions(kind: CaptionKind, fields: Mapping[str, Any]) -> dict[str, str]:
    """One sentence in each caption language from the locales' templates."""
    return {language: caption(language, kind, **fields) for language in CAPTION_LANGUAGES}


def _state(modality: str, fake: Mapping[str, Any], changed: set[str]) -> tuple[str, list[Row]]:
    if modality in ("video", "audio", "text"):
        kept = [
            {"start_s": s["start_s"], "end_s": s["end_s"]}
            for s in fake["segments"]
            if s["modality"] == modality
        ]
        return ("fake" if modality in changed else "real"), kept
    mouth_changed = "video" in changed and fake["family"] in MOUTH_FAMILIES
    if mouth_changed == ("audio" in changed):
        return "real", []
    kept = [
        {"start_s": s["start_s"], "end_s": s["end_s"]} for s in fake["segments"] if s["modality"] != "text"
    ]
    return "fake", kept


def _face(
    fake: Mapping[str, Any],
    track: Mapping[str, Any],
    verdict: str,
    segments: list[Row],
    boxes: list[Row],
    said: dict[str, str],
    common: Mapping[str, Any],
) -> Row:
    if verdict == "fake" and track["track_id"] == fake["track_id"]:
        mine = [region for region in boxes if region["track_id"] == track["track_id"]]
        return label_row(
            fake["fake_id"],
            fake["batch"],
            "video",
            track["track_id"],
            "fake",
            segments=segments,
            boxes=mine,
            captions=said,
            **common,
        )
    real = captions("real", {})
    return label_row(
        fake["fake_id"], fake["batch"], "video", track["track_id"], "real", captions=real, **common
    )


def _caption_kind(modality: str, verdict: str, changed: set[str]) -> CaptionKind:
    if verdict == "real":
        return "real"
    if modality in ("sync", "text"):
        return "sync" if modality == "sync" else "text"
    if {"video", "audio"} <= changed:
        return "both"
    return "video" if modality == "video" else "audio"


def _extent(segments: Sequence[Mapping[str, Any]]) -> Row:
    start_s = min((s["start_s"] for s in segments), default=0.0)
    end_s = max((s["end_s"] for s in segments), default=0.0)
    return {"start_s": start_s, "end_s": end_s}


def label_row(
    sample_id: str,
    batch: str,
    modality: str,
    track_id: str | None,
    verdict: str,
    *,
    evidence: str,
    author: str,
    now: dt.datetime,
    segments: Sequence[Row] = (),
    boxes: Sequence[Row] = (),
    captions: Mapping[str, str] | None = None,
) -> Row:
    """A row of `labels` that is certain of what it states."""
    return {
        "sample_id": sample_id,
        "batch": batch,
        "modality": modality,
        "track_id": track_id,
        "verdict": verdict,
        "segments": list(segments),
        "boxes": list(boxes),
        "captions": dict(captions) if captions else None,
        "evidence": evidence,
        "author": author,
        "confidence": 1.0,
        "labelled_at": now,
    }
