"""A fake and its twin made visible: frames in three states, sounds as strips, a timeline.

Which pairs are shown is decided in `pairs`; how one picture is drawn is in `pictures` and `figures`.
A file that cannot be shown becomes a sentence on its plate; it never costs the page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.lake import Lake
from haetae.media.audio import read_audio
from haetae.web import figures, pictures
from haetae.web.pairs import Pair
from haetae.web.pictures import Mask, Picture, Window

FRAME_WIDTH_PX = 320
DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class Image:
    """A file of the page; `src` is relative to it."""

    src: str
    width: int
    height: int


@dataclass(frozen=True)
class Triple:
    """One moment: the untouched frame, the fake one, and the fake one with what was changed marked."""

    frame: int
    time_s: float
    untouched: Image
    fake: Image
    marked: Image


@dataclass(frozen=True)
class Sound:
    """One of the two sounds of a pair."""

    what: str
    wave: Markup
    mel: Image


@dataclass(frozen=True)
class Lane:
    """One row of the timeline with the scores of its modality."""

    name: str
    drawing: Markup
    fake_score: float | None
    twin_score: float | None


@dataclass(frozen=True)
class Plate:
    """Everything the page shows of one pair; `is_detail`: the frames show a part of the picture."""

    pair: Pair
    triples: tuple[Triple, ...]
    sounds: tuple[Sound, ...]
    lanes: tuple[Lane, ...]
    axis: Markup
    scale: Markup | None
    is_detail: bool
    problems: tuple[str, ...]


class ImageFolder:
    """Images by content: equal pictures are one file, and a name never stands for two of them."""

    def __init__(self, page: Path, name: str = "img") -> None:
        self._page, self._name = page, name
        (page / name).mkdir(parents=True, exist_ok=True)

    def add(self, picture: Picture) -> Image:
        content = pictures.webp(picture)
        src = f"{self._name}/{hashlib.sha256(content).hexdigest()[:24]}.webp"
        (self._page / src).write_bytes(content)
        return Image(src, picture.shape[1], picture.shape[0])


def make_plates(
    lake: Lake, pairs: Sequence[Pair], threshold: float | None, images: ImageFolder
) -> tuple[Plate, ...]:
    """One plate for each pair, in their order; a twin is read once for all its fakes."""
    made: dict[str, Plate] = {}
    by_twin = sorted(pairs, key=lambda pair: str(pair.fake["pair_id"]))
    for _, group in groupby(by_twin, lambda pair: pair.fake["pair_id"]):
        members = list(group)
        twin = _Twin(lake, members)
        made |= {pair.fake_id: _plate(lake, pair, twin, threshold, images) for pair in members}
    return tuple(made[pair.fake_id] for pair in pairs)


class _Twin:
    """An untouched clip, read once for all the fakes that were made of it."""

    def __init__(self, lake: Lake, pairs: list[Pair]) -> None:
        self.moments = {pair.fake_id: _moments(pair) for pair in pairs}
        self.problems: list[str] = []
        self.frames: Mapping[int, Picture] = {}
        self.audio: NDArray[np.float32] | None = None
        blob = str(pairs[0].twin["blob_id"])
        wanted = {frame for moments in self.moments.values() for frame in moments}
        try:
            self.frames = pictures.pick_frames(lake.open_local(blob), wanted)
        except (Rejected, OSError, ValueError) as error:
            self.problems.append(f"The frames of the untouched clip cannot be shown: {error}")
        if any(_has_new_sound(pair) for pair in pairs):
            try:
                self.audio = read_audio(lake.open_local(blob))
            except (Rejected, OSError, ValueError) as error:
                self.problems.append(f"The sound of the untouched clip cannot be shown: {error}")


def _moments(pair: Pair) -> list[int]:
    if "video" not in (pair.fake["modalities"] or ()):
        return []
    return pictures.representative_frames(
        pair.changed["video"],
        pair.fake["regions"],
        pair.fake["n_frames"] or 0,
        pair.twin["fps"] or DEFAULT_FPS,
    )


def _has_new_sound(pair: Pair) -> bool:
    return "audio" in (pair.fake["modalities"] or ())


def _plate(lake: Lake, pair: Pair, twin: _Twin, threshold: float | None, images: ImageFolder) -> Plate:
    problems = list(twin.problems)
    triples: tuple[Triple, ...] = ()
    sounds: tuple[Sound, ...] = ()
    is_detail = False
    try:
        path = lake.open_local(str(pair.fake["blob_id"]))
        frames = pictures.pick_frames(path, twin.moments[pair.fake_id])
        triples, is_detail = _triples(pair, twin, frames, _masks(lake, pair, list(frames), problems), images)
        if _has_new_sound(pair):
            sounds = _sounds(pair, twin.audio, read_audio(path), images)
    except (Rejected, OSError, ValueError) as error:
        problems.append(f"The fake cannot be shown: {error}")
    fake_score, twin_score = pair.fake_scores.get("sample"), pair.twin_scores.get("sample")
    scored = fake_score is not None or twin_score is not None
    return Plate(
        pair=pair,
        triples=triples,
        sounds=sounds,
        lanes=_lanes(pair),
        axis=figures.time_axis(_duration_s(pair)),
        scale=figures.score_scale(fake_score, twin_score, threshold) if scored else None,
        is_detail=is_detail,
        problems=tuple(problems),
    )


def _masks(lake: Lake, pair: Pair, wanted: Sequence[int], problems: list[str]) -> dict[int, Mask]:
    if not pair.fake["masks_blob"] or not wanted:
        return {}
    try:
        return pictures.load_mask_frames(lake.open_local(pair.fake["masks_blob"]), wanted)
    except (Rejected, OSError, ValueError) as error:
        problems.append(f"The masks cannot be shown: {error}")
        return {}


def _triples(
    pair: Pair, twin: _Twin, frames: Mapping[int, Picture], masks: Mapping[int, Mask], images: ImageFolder
) -> tuple[tuple[Triple, ...], bool]:
    regions = pair.fake["regions"]
    shown = sorted(i for i in frames if i in twin.frames)
    if not shown:
        return (), False
    height, width = twin.frames[shown[0]].shape[:2]
    every_box = [box for i in shown for box in pictures.boxes_at(regions, i)]
    part = pictures.window_around(every_box, width, height)
    triples = []
    for i in shown:
        before, after, boxes = twin.frames[i], frames[i], pictures.boxes_at(regions, i)
        window: Window = part if after.shape == before.shape else (0, 0, after.shape[1], after.shape[0])
        triples.append(
            Triple(
                frame=i,
                time_s=i / (pair.twin["fps"] or DEFAULT_FPS),
                untouched=images.add(pictures.cropped(before, part, FRAME_WIDTH_PX)),
                fake=images.add(pictures.cropped(after, window, FRAME_WIDTH_PX)),
                marked=images.add(pictures.marked(after, boxes, masks.get(i), window, FRAME_WIDTH_PX)),
            )
        )
    return tuple(triples), part != (0, 0, width, height)


def _sounds(
    pair: Pair, before: NDArray[np.float32] | None, after: NDArray[np.float32], images: ImageFolder
) -> tuple[Sound, ...]:
    changed, duration_s = pair.changed["audio"], _duration_s(pair)
    sounds = []
    for what, audio in (("Untouched", before), ("Fake", after)):
        if audio is not None and len(audio):
            wave = figures.waveform(audio, changed, duration_s, f"Waveform, {what.lower()}")
            sounds.append(Sound(what, wave, images.add(pictures.mel_strip(audio))))
    return tuple(sounds)


def _lanes(pair: Pair) -> tuple[Lane, ...]:
    duration_s = _duration_s(pair)
    lanes = []
    for name in ("video", "audio", "sync"):
        if name in pair.verdicts or pair.changed[name] or pair.fake_scores.get(name) is not None:
            drawing = figures.segment_lane(name, pair.changed[name], duration_s)
            lanes.append(Lane(name, drawing, pair.fake_scores.get(name), pair.twin_scores.get(name)))
    if pair.words:
        made = pair.changed["audio"] if pair.words_are_made else ()
        lanes.append(Lane("words", figures.word_lane(pair.words, made, duration_s), None, None))
    return tuple(lanes)


def _duration_s(pair: Pair) -> float:
    return float(pair.fake["duration_s"] or pair.twin["duration_s"] or 0.0)
