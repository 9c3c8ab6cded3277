"""Which fakes are shown beside their untouched twins, and what the tables say of each.

Frames and sounds are not opened here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from haetae.lake import Lake
from haetae.web.contents import CAPTION_LANGUAGES, MODALITIES, VERDICTS, Standing, rows_of

Row = Mapping[str, Any]
Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class Pair:
    """One fake, its untouched twin, and what is said of both.

    fake, twin: rows of `fakes` and `clips`; verdicts: modality → verdict of the fake;
    changed: modality → stretches, seconds; captions: language → sentences; spoken: words of the twin, seconds;
    words: what the fake says, or the twin where nothing else is told; scores: {} where not scored.
    """

    fake: Row
    twin: Row
    title: str | None
    split: str | None
    verdicts: Mapping[str, str]
    changed: Mapping[str, tuple[tuple[float, float], ...]]
    captions: Mapping[str, tuple[str, ...]]
    spoken: tuple[Row, ...]
    words: tuple[Row, ...]
    words_are_made: bool
    fake_scores: Scores
    twin_scores: Scores

    @property
    def fake_id(self) -> str:
        return str(self.fake["fake_id"])


def choose_pairs(
    lake: Lake,
    standing: Standing,
    max_pairs: int,
    generator: str | None = None,
    language: str | None = None,
) -> tuple[Pair, ...]:
    """At most `max_pairs` fakes, dealt evenly over generator × language, scored ones first.

    Those with new pictures come first, then by generator, language and id; equal tables give equal pairs.
    generator (name, or name@version), language: only fakes of these.
    """
    scored = (standing.model.model_id if standing.model else None, standing.scored_on)
    chosen = rows_of(
        lake,
        """
        WITH dealt AS (
            SELECT f.*, row_number() OVER (
                PARTITION BY f.generator, f.language
                ORDER BY f.fake_id NOT IN (
                    SELECT sample_id FROM predictions WHERE model_id = $1 AND snapshot_id = $2), f.fake_id
                ) AS turn
            FROM fakes f JOIN clips c ON c.clip_id = f.pair_id
            WHERE ($3 IS NULL OR f.generator = $3 OR split_part(f.generator, '@', 1) = $3)
                AND ($4 IS NULL OR f.language = $4)),
        few AS (SELECT * FROM dealt ORDER BY turn, generator, language, fake_id LIMIT $5)
        SELECT * EXCLUDE (turn) FROM few
        ORDER BY NOT list_contains(modalities, 'video'), generator, language, fake_id
        """,
        [*scored, generator, language, max_pairs],
    )
    fake_ids = [r["fake_id"] for r in chosen]
    twin_ids = sorted({r["pair_id"] for r in chosen})
    twins = _twins(lake, twin_ids)
    labels = _labels(lake, fake_ids)
    scores = _scores(lake, scored, fake_ids + twin_ids)
    spoken = _spoken(lake, twin_ids)
    splits = {
        r["sample_id"]: r["split"]
        for r in rows_of(
            lake, "SELECT sample_id, split FROM samples WHERE list_contains(?, sample_id)", [fake_ids]
        )
    }
    pairs = []
    for row in chosen:
        twin = twins[row["pair_id"]]
        said_in_twin = tuple(spoken.get(row["pair_id"], ()))
        said = labels.get(row["fake_id"], [])
        pairs.append(
            Pair(
                fake=row,
                twin=twin,
                title=twin["title"],
                split=splits.get(row["fake_id"]),
                verdicts=_verdicts(said),
                changed=_changed(row, said),
                captions=_captions(said),
                spoken=said_in_twin,
                words=tuple(row["words"]) or said_in_twin,
                words_are_made=bool(row["words"]),
                fake_scores=scores.get(row["fake_id"], {}),
                twin_scores=scores.get(row["pair_id"], {}),
            )
        )
    return tuple(pairs)


def _twins(lake: Lake, clip_ids: Sequence[str]) -> dict[str, Row]:
    found = rows_of(
        lake,
        "SELECT c.clip_id, c.media_id, c.blob_id, c.fps, c.duration_s, c.n_frames, c.width, c.height, "
        "c.has_video, c.has_audio, c.source_id, any_value(m.title) AS title "
        "FROM clips c LEFT JOIN media m USING (media_id) WHERE list_contains(?, c.clip_id) "
        "GROUP BY ALL ORDER BY c.clip_id",
        [clip_ids],
    )
    return {r["clip_id"]: r for r in found}


def _labels(lake: Lake, fake_ids: Sequence[str]) -> dict[str, list[Row]]:
    found = rows_of(
        lake,
        "SELECT sample_id, modality, verdict, segments, captions FROM current_labels "
        "WHERE list_contains(?, sample_id) ORDER BY sample_id, modality, track_id",
        [fake_ids],
    )
    grouped: dict[str, list[Row]] = {}
    for r in found:
        grouped.setdefault(r["sample_id"], []).append(r)
    return grouped


def _verdicts(labels: Sequence[Row]) -> dict[str, str]:
    """One verdict per modality: fake when any track is, else real when any is."""
    verdicts = {}
    for modality in MODALITIES:
        said = {label["verdict"] for label in labels if label["modality"] == modality}
        for verdict in VERDICTS:
            if verdict in said:
                verdicts[modality] = verdict
                break
    return verdicts


def _changed(fake: Row, labels: Sequence[Row]) -> dict[str, tuple[tuple[float, float], ...]]:
    """Changed stretches as the generator tells them; of `sync`, which nobody makes, as it is labelled."""
    told = [(s["modality"], s["start_s"], s["end_s"]) for s in fake["segments"] or ()]
    told += [
        ("sync", s["start_s"], s["end_s"])
        for label in labels
        if label["modality"] == "sync" and label["verdict"] == "fake"
        for s in label["segments"] or ()
    ]
    return {
        modality: tuple(sorted({(start, end) for m, start, end in told if m == modality}))
        for modality in MODALITIES
    }


def _captions(labels: Sequence[Row]) -> dict[str, tuple[str, ...]]:
    """What is said of the picture, or of the sound where only that is fake; and of their sync where it is fake.

    Where picture and sound were both changed, the sentence of either tells of both.
    """
    told = [label for label in labels if label["verdict"] == "fake" and label["captions"]]
    by_modality = {label["modality"]: label["captions"] for label in reversed(told)}
    first = next((by_modality[m] for m in ("video", "audio", "text") if m in by_modality), None)
    captions = {}
    for language in CAPTION_LANGUAGES:
        said = (caption[language] for caption in (first, by_modality.get("sync")) if caption)
        sentences = tuple(dict.fromkeys(sentence for sentence in said if sentence))
        if sentences:
            captions[language] = sentences
    return captions


def _scores(
    lake: Lake, scored: tuple[str | None, str | None], sample_ids: Sequence[str]
) -> dict[str, Scores]:
    found = rows_of(
        lake,
        "SELECT sample_id, score, video_score, audio_score, sync_score FROM predictions "
        "WHERE model_id = ? AND snapshot_id = ? AND list_contains(?, sample_id)",
        [*scored, sample_ids],
    )
    return {
        r["sample_id"]: {"sample": r["score"], **{m: r[f"{m}_score"] for m in ("video", "audio", "sync")}}
        for r in found
    }


def _spoken(lake: Lake, clip_ids: Sequence[str]) -> dict[str, list[Row]]:
    """Words of the untouched clips, in the order of time."""
    found = rows_of(
        lake,
        "SELECT clip_id, words FROM utterances WHERE list_contains(?, clip_id) ORDER BY clip_id, start_s",
        [clip_ids],
    )
    grouped: dict[str, list[Row]] = {}
    for r in found:
        grouped.setdefault(r["clip_id"], []).extend(r["words"] or ())
    return grouped
