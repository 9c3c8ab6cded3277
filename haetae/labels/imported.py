"""Labels of clips cut from public data sets: what the set states of the file, cut to the clip's stretch.

What a set states is in `imports`; nothing that it leaves open is filled in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from haetae.labels.construct import captions, label_row, modalities_of

Row = dict[str, Any]
LEAST_S = 0.04
"""A changed stretch that reaches into a clip by less than a frame changes nothing in it."""


def label_imported(
    clip: Mapping[str, Any],
    stated: Mapping[str, Any],
    now: dt.datetime,
    boxes: Sequence[Row] = (),
) -> list[Row]:
    """One row for each modality of the clip; of text only where the set states it.

    A modality that is fake in stated stretches is real in a clip that none of them touches. Where a set
    states a fake and no stretch, all of it counts, with no segments. boxes: regions of the set's masks.
    """
    author = f"dataset:{stated['format']}"
    modalities = modalities_of(clip)
    if stated["text_verdict"] is not None and "text" not in modalities:
        modalities = [*modalities, "text"]
    rows = []
    for modality in modalities:
        verdict, segments = _state(modality, clip, stated)
        rows.append(
            label_row(
                clip["clip_id"],
                clip["batch"],
                modality,
                None,
                verdict,
                segments=segments,
                boxes=boxes if modality == "video" and verdict == "fake" else (),
                captions=captions("real", {}) if verdict == "real" else None,
                evidence="imported",
                author=author,
                now=now,
            )
        )
    return rows


def _state(modality: str, clip: Mapping[str, Any], stated: Mapping[str, Any]) -> tuple[str, list[Row]]:
    verdict = stated[f"{modality}_verdict"]
    if verdict != "fake":
        return verdict or "unknown", []
    segments = stated["segments"]
    # Lips and sound disagree where one of them was changed, if the set times the changes at all.
    timed = [s for s in segments if s["modality"] == modality or modality == "sync"]
    if not timed:
        return "fake", []
    inside = [cut for s in timed if (cut := _cut(s, clip)) is not None]
    return ("fake" if inside else "real"), inside


def _cut(segment: Mapping[str, Any], clip: Mapping[str, Any]) -> Row | None:
    """A stretch of the file in seconds of the clip; None where it does not reach into it."""
    start_s = max(0.0, segment["start_s"] - clip["start_s"])
    end_s = min(clip["duration_s"], segment["end_s"] - clip["start_s"])
    if end_s - start_s < LEAST_S - 1e-9:
        return None
    return {"start_s": round(start_s, 3), "end_s": round(end_s, 3)}
