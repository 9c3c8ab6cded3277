"""Everything that the gallery shows of one fake: media, overlays, timeline, words, quality, where it comes from.

Which fakes are shown is decided in `pairs`, how a drawing looks in `figures`, where the page stands in `gallery`.
A file that cannot be shown becomes a sentence of its exhibit; it never costs the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.lake import Lake
from haetae.lake.schema import TABLES
from haetae.media.audio import read_audio
from haetae.params import FakeThresholds
from haetae.quality.fakes import FakeQuality
from haetae.quality.thresholds import RULES, Miss, misses
from haetae.web import figures
from haetae.web.contents import rows_of
from haetae.web.outlines import box_paths, outlines
from haetae.web.page import PLAYABLE
from haetae.web.pairs import Pair
from haetae.web.pictures import iter_masks
from haetae.web.wording import Wording, wording

DEFAULT_FPS = 25.0
LANE_PX = 600.0
"""Width of the timeline on a wide screen."""
MAX_GAIN = 100.0
"""What is softer than -40 dB full scale is drawn as the near silence that it is."""
Row = Mapping[str, Any]
Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Player:
    """One of the two media. path: below the lake; None where a browser cannot play it. is_video: has pictures."""

    path: str | None
    is_video: bool
    width: int
    height: int


@dataclass(frozen=True)
class Lane:
    """One row of the timeline."""

    name: str
    drawing: Markup


@dataclass(frozen=True)
class Figure:
    """One measured column of a fake. bounds: the thresholds on it and their knobs; missed: it misses one of them."""

    column: str
    meaning: str
    value: float | None
    bounds: tuple[tuple[str, str], ...]
    missed: bool


@dataclass(frozen=True)
class Origin:
    """A clip that a fake was made of: its row joined with media and source."""

    role: str
    row: Row


@dataclass(frozen=True)
class Exhibit:
    """One fake beside its target.

    frames: for the page's script: rate, and per frame the outline of the mask and the boxes, as SVG path data.
    left_out: why it is not in the data set, as (reason, detail); None where it is, or no data set was made.
    """

    pair: Pair
    target: Player
    fake: Player
    frames: Mapping[str, Any]
    lanes: tuple[Lane, ...]
    axis: Markup
    duration_s: float
    wording: Wording
    figures: tuple[Figure, ...]
    missed: tuple[Miss, ...]
    origins: tuple[Origin, ...]
    made_by: Row
    left_out: tuple[str, str] | None
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For scripts: what the exhibit is of, and what was measured."""
        fake = self.pair.fake
        return {
            "fake_id": self.pair.fake_id,
            "target_id": fake["pair_id"],
            "generator": fake["generator"],
            "family": fake["family"],
            "language": fake["language"],
            "modalities": list(fake["modalities"]),
            "segments": {
                name: [list(span) for span in spans] for name, spans in self.pair.changed.items() if spans
            },
            "quality": {figure.column: figure.value for figure in self.figures},
            "missed": [miss.rule.threshold for miss in self.missed],
            "split": self.pair.split,
            "left_out": self.left_out[0] if self.left_out else None,
            "licence": fake["licence"],
            "problems": list(self.problems),
        }


def make_exhibits(lake: Lake, pairs: Sequence[Pair], thresholds: FakeThresholds) -> tuple[Exhibit, ...]:
    """One exhibit for each pair, in their order."""
    ids = [pair.fake_id for pair in pairs]
    missed = misses(lake, thresholds)
    origins = _origins(lake, {str(p.fake[name]) for p in pairs for name in ("clip_id", "donor_id")})
    made_by = _made_by(lake, ids)
    left_out = _left_out(lake, ids)
    return tuple(
        _exhibit(
            lake,
            pair,
            missed.get(pair.fake_id, ()),
            thresholds,
            origins,
            made_by.get(pair.fake_id, {"asset": None, "code_version": None}),
            left_out.get(pair.fake_id),
        )
        for pair in pairs
    )


def _exhibit(
    lake: Lake,
    pair: Pair,
    missed: tuple[Miss, ...],
    thresholds: FakeThresholds,
    origins: Mapping[str, Row],
    made_by: Row,
    left_out: tuple[str, str] | None,
) -> Exhibit:
    problems: list[str] = []
    changed = (*pair.changed["audio"], *pair.changed["text"])
    said = wording(pair.spoken, pair.words if pair.words_are_made else (), changed)
    duration_s = float(pair.fake["duration_s"] or pair.twin["duration_s"] or 0.0)
    roles = (("target", pair.fake["clip_id"]), ("donor", pair.fake["donor_id"]))
    return Exhibit(
        pair=pair,
        target=_player(lake, pair.twin["blob_id"], pair.twin, "target", problems),
        fake=_player(lake, pair.fake["blob_id"], pair.twin, "fake", problems),
        frames=_frames(lake, pair, problems),
        lanes=_lanes(lake, pair, said, duration_s, problems),
        axis=figures.time_axis(duration_s),
        duration_s=duration_s,
        wording=said,
        figures=_figures(pair.fake, missed, thresholds),
        missed=missed,
        origins=tuple(Origin(role, origins[clip]) for role, clip in roles if clip in origins),
        made_by=made_by,
        left_out=left_out,
        problems=tuple(problems),
    )


def _player(lake: Lake, blob: str, twin: Row, what: str, problems: list[str]) -> Player:
    path = None
    if not PLAYABLE.match(blob):
        problems.append(f"The {what} cannot be played: {blob} is neither .mp4 nor .wav")
    elif not lake.files.exists(lake.blob_path(blob)):
        problems.append(f"The {what} cannot be played: its file is no longer in the lake")
    else:
        path = lake.blob_path(blob)
    return Player(path, bool(twin["has_video"]), twin["width"] or 0, twin["height"] or 0)


def _frames(lake: Lake, pair: Pair, problems: list[str]) -> dict[str, Any]:
    n = pair.fake["n_frames"] or 0
    told: dict[str, Any] = {
        "fps": pair.twin["fps"] or DEFAULT_FPS,
        "n": n,
        "masks": [],
        "boxes": box_paths(pair.fake["regions"], n) if pair.fake["regions"] else [],
    }
    if pair.fake["masks_blob"]:
        try:
            told["masks"] = outlines(iter_masks(lake.open_local(pair.fake["masks_blob"])))[:n]
        except (Rejected, OSError, ValueError) as error:
            problems.append(f"The masks cannot be shown: {error}")
    return told


def _lanes(lake: Lake, pair: Pair, said: Wording, duration_s: float, problems: list[str]) -> tuple[Lane, ...]:
    lanes = [
        Lane(name, figures.segment_lane(name, pair.changed[name], duration_s))
        for name in ("video", "audio", "sync", "text")
        if name in pair.verdicts or pair.changed[name]
    ]
    lanes += _sounds(lake, pair, duration_s, problems)
    said_lanes = (("target says", said.before), ("fake says", said.after))
    for name, words in said_lanes if said.is_changed else (("words", said.after),):
        if words:
            rows = [{"word": w.text, "start_s": w.start_s, "end_s": w.end_s} for w in words]
            marked = [(w.start_s, w.end_s) for w in words if w.changed]
            lanes.append(Lane(name, figures.word_lane(rows, marked, duration_s, LANE_PX)))
    return tuple(lanes)


def _sounds(lake: Lake, pair: Pair, duration_s: float, problems: list[str]) -> list[Lane]:
    """Both waveforms where the sound was changed, else the one that both have."""
    if not pair.twin["has_audio"]:
        return []
    changed = pair.changed["audio"]
    wanted = [("target sound", pair.twin["blob_id"]), ("fake sound", pair.fake["blob_id"])]
    heard: list[tuple[str, Sound]] = []
    for name, blob in wanted if "audio" in pair.fake["modalities"] else [("sound", pair.fake["blob_id"])]:
        try:
            heard.append((name, read_audio(lake.open_local(blob))))
        except (Rejected, OSError, ValueError) as error:
            problems.append(f"The waveform of the {name} cannot be shown: {error}")
    # One scale for both: a soft recording is seen too, and which of them is louder.
    loudest = max((float(np.abs(audio).max(initial=0.0)) for _, audio in heard), default=0.0)
    gain = np.float32(min(1.0 / loudest, MAX_GAIN) if loudest else 1.0)
    return [
        Lane(name, figures.waveform(audio * gain, changed, duration_s, f"Waveform, {name}"))
        for name, audio in heard
    ]


def _figures(fake: Row, missed: Sequence[Miss], thresholds: FakeThresholds) -> tuple[Figure, ...]:
    """Every measured column, with the thresholds that are set on it."""
    meanings = {column.name: column.doc for column in TABLES["fakes"].columns}
    failed = {miss.rule.column for miss in missed}
    made = []
    for column in FakeQuality().as_columns():
        set_on_it = [(rule, getattr(thresholds, rule.threshold)) for rule in RULES if rule.column == column]
        bounds = tuple(
            (
                f"{'≤' if rule.threshold.startswith('max') else '≥'} {bound:g}",
                f"quality.fakes.{rule.threshold}",
            )
            for rule, bound in set_on_it
            if bound is not None
        )
        made.append(Figure(column, meanings[column], fake[column], bounds, column in failed))
    return tuple(made)


def _origins(lake: Lake, clip_ids: set[str]) -> dict[str, Row]:
    found = rows_of(
        lake,
        "SELECT c.clip_id, c.start_s, c.end_s, c.media_id, m.title, m.origin_url, c.source_id, s.licence, s.consent, "
        "s.purposes, s.country, s.use_case, s.status, s.retention_until FROM clips c "
        "LEFT JOIN media m ON m.media_id = c.media_id AND m.batch = c.batch "
        "LEFT JOIN sources s ON s.source_id = c.source_id "
        "WHERE list_contains(?, c.clip_id) ORDER BY c.clip_id",
        [sorted(clip_ids)],
    )
    return {row["clip_id"]: row for row in found}


def _made_by(lake: Lake, fake_ids: Sequence[str]) -> dict[str, Row]:
    found = rows_of(
        lake,
        "SELECT child_id, any_value(asset) AS asset, any_value(code_version) AS code_version FROM edges "
        "WHERE asset = 'fakes' AND list_contains(?, child_id) GROUP BY child_id",
        [list(fake_ids)],
    )
    return {row["child_id"]: row for row in found}


def _left_out(lake: Lake, fake_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    found = rows_of(
        lake,
        "SELECT item_id, reason, detail FROM quarantine WHERE stage = 'samples' AND list_contains(?, item_id) "
        "ORDER BY item_id, reason DESC",
        [list(fake_ids)],
    )
    return {row["item_id"]: (row["reason"], row["detail"] or "") for row in found}
