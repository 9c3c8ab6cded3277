"""Which clips a generator may take, and with which donor and which sentence.

Whether anything may be made of a clip at all (consent, licence, purposes) is not decided here but by the
policy gate; candidates come already limited to the split of the clip.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from generators.protocol import Card
from haetae.locales import load
from haetae.locales.edits import proposals
from haetae.provenance.ids import seed_of
from haetae.voice.espeak import VOICES, speak

Row = dict[str, Any]

MIN_FOUND_FRACTION = 0.8
MIN_SPEECH_S = 0.6
MIN_MOUTH_TRAVEL = 0.06
FASTEST_WPM = 230
_MARGIN_S = 0.1
_BEST_DONORS = 3


@dataclass(frozen=True)
class FaceLimits:
    """Which faces can be changed or lent. min_px: least median height of the box; max_yaw_deg, max_pitch_deg: how far
    a head may be turned, median over the track, either way."""

    min_px: float = 64.0
    max_yaw_deg: float = 60.0
    max_pitch_deg: float = 45.0


ANY_ORDINARY_FACE = FaceLimits()


@dataclass(frozen=True)
class Planned:
    """What to make a fake with, or why not: `reason` is None when it can be made."""

    reason: str | None = None
    donor: Row | None = None
    sentence: str | None = None


def plan(
    card: Card,
    clip: Row,
    tracks: Sequence[Row],
    utterances: Sequence[Row],
    candidates: Sequence[Row],
    seed: int,
    limits: FaceLimits = ANY_ORDINARY_FACE,
) -> Planned:
    """Everything that one request needs, or the reason why there is none.

    clip, tracks, utterances: rows of the lake; candidates: clip rows of the same split, each with "tracks" and
    "utterances".
    Reasons: those of `eligible`, no_donor, no_sentence_fits.
    """
    if reason := eligible(card, clip, tracks, utterances, limits):
        return Planned(reason)
    donor = None
    if {"donor_face", "donor_voice", "donor_words"} & set(card.needs):
        mine = {**clip, "tracks": list(tracks), "utterances": list(utterances)}
        donor = choose_donor(card, mine, candidates, seed, limits)
        if donor is None:
            return Planned("no_donor")
    sentence = None
    if "sentence" in card.needs:
        low_s, high_s = room_for_speech(clip, utterances, placed_in_speech="audio" in card.modalities)
        sentence = choose_sentence(clip["language"], clip["use_case"], seed, low_s, high_s)
        if sentence is None:
            return Planned("no_sentence_fits")
    return Planned(None, donor, sentence)


def eligible(
    card: Card,
    clip: Row,
    tracks: Sequence[Row],
    utterances: Sequence[Row],
    limits: FaceLimits = ANY_ORDINARY_FACE,
) -> str | None:
    """Why a generator may not take a clip, or None if it may.

    Reasons: language_not_claimed, no_sentences (no locale or voice for its language), no_audio, no_speech,
    no_words (what is said, and when, is not known), no_edit (nothing in it can be exchanged by a sure rule), no_face,
    face_too_small, face_turned_away, face_lost (mesh found in too few frames), mouth_too_still (it never opens and
    closes).
    """
    if clip["language"] not in card.languages:
        return "language_not_claimed"
    if "sentence" in card.needs and clip["language"] not in VOICES:
        return "no_sentences"
    if "audio" in card.modalities or "speech" in card.needs:
        if not clip["has_audio"]:
            return "no_audio"
        if sum(u["end_s"] - u["start_s"] for u in utterances) < MIN_SPEECH_S:
            return "no_speech"
    if {"words", "edit"} & set(card.needs) and not any(u["words"] for u in utterances):
        return "no_words"
    if "edit" in card.needs and not _may_be_edited(clip["language"], utterances):
        return "no_edit"
    if "video" in card.modalities or {"face", "mouth"} & set(card.needs):
        reason = _face_reason(clip, tracks, limits)
        if reason is None and "mouth" in card.needs and _largest(tracks)["mouth_travel"] < MIN_MOUTH_TRAVEL:
            return "mouth_too_still"
        return reason
    return None


def choose_donor(
    card: Card, clip: Row, candidates: Sequence[Row], seed: int, limits: FaceLimits = ANY_ORDINARY_FACE
) -> Row | None:
    """A clip of another person that can lend its face or voice; None if there is none.

    clip, candidates: clip rows with "tracks" and "utterances" (rows of these tables). Of the candidates whose face is
    nearest in pose, size and light, or whose voice in pitch and language, one is drawn by the seed; the order of the
    candidates does not matter.
    """
    usable = [
        other
        for other in candidates
        if _another_person(clip, other)
        and ("donor_face" not in card.needs or _face_reason(other, other["tracks"], limits) is None)
        and ("donor_voice" not in card.needs or (other["has_audio"] and _speech_s(other) >= MIN_SPEECH_S))
        and ("donor_words" not in card.needs or _says_something_else(clip, other))
    ]
    if not usable:
        return None
    faces, voices = "donor_face" in card.needs, "donor_voice" in card.needs

    def unlike(other: Row) -> float:
        seen = _unlike_faces(clip, other) if faces or not voices else 0.0
        return seen + (_unlike_voices(clip, other) if voices else 0.0)

    ranked = sorted(usable, key=lambda other: (unlike(other), other["clip_id"]))[:_BEST_DONORS]
    return ranked[seed_of("donor", card.key, clip["clip_id"], seed) % len(ranked)]


def budget_of(card: Card, budget: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Most fakes of a batch that a generator makes, by language; `*` stands for any other language.

    budget: by family and language, either of which may be `*`; what is said of the family itself comes first.
    """
    return {**budget.get("*", {}), **budget.get(card.family, {})}


def within_budget(card: Card, requests: Sequence[Row], budget: Mapping[str, Mapping[str, int]]) -> list[Row]:
    """The requests that the budget has room for, in their order.

    requests: clip rows. People are served in turn, and their clips in an order that the ids draw, so that a small
    budget is spent on many people; more clips in a batch do not change the order of the others.
    """
    most = budget_of(card, budget)
    kept: set[str] = set()
    for language in {row["language"] for row in requests}:
        mine = [row for row in requests if row["language"] == language]
        room = most.get(language, most.get("*", len(mine)))
        kept |= {row["clip_id"] for row in _in_turn(card, mine)[:room]}
    return [row for row in requests if row["clip_id"] in kept]


def _in_turn(card: Card, rows: Sequence[Row]) -> list[Row]:
    """First one clip of everybody, then another one: people and clips in orders drawn by their ids."""
    drawn = sorted(rows, key=lambda row: seed_of("budget", card.key, row["clip_id"]))
    turn: dict[str, int] = {}
    ranked = []
    for row in drawn:
        person = min(_names(row), default=row["media_id"])
        turn[person] = turn.get(person, -1) + 1
        ranked.append((turn[person], row))
    return [row for _, row in sorted(ranked, key=lambda pair: pair[0])]


def choose_sentence(language: str, use_case: str, seed: int, min_s: float, max_s: float) -> str | None:
    """A sentence of the locale that lasts between `min_s` and `max_s` when spoken at an ordinary rate.

    Sentences are tried in an order drawn by the seed. Where none is that short or long, the one that
    is longest of those that a fast speaker (230 words a minute) says within `max_s`; None if none can.
    Raises: UsageError for a language without locale.
    """
    locale = load(language)
    slow, fast = locale.voice.rate_wpm
    sentences = sorted(
        locale.sentences_for(use_case), key=lambda text: seed_of("sentence", language, seed, text)
    )
    for sentence in sentences:
        if min_s <= spoken_s(sentence, language, (slow + fast) // 2) <= max_s:
            return sentence
    fitting = [s for s in sentences if spoken_s(s, language, FASTEST_WPM) <= max_s]
    return max(fitting, key=lambda s: spoken_s(s, language, FASTEST_WPM)) if fitting else None


@lru_cache(maxsize=4096)
def spoken_s(sentence: str, language: str, rate_wpm: int) -> float:
    """How long a sentence lasts, from its first sound to its last, in seconds."""
    sounds = speak(sentence, language, rate_wpm=rate_wpm).phonemes
    return sounds[-1].end_s - sounds[0].start_s


def room_for_speech(
    clip: Row, utterances: Sequence[Row], placed_in_speech: bool = True
) -> tuple[float, float]:
    """Shortest and longest sentence that suits a clip, seconds.

    In speech: up to what lies between the first utterance's start and the clip's end; else up to the clip's
    length. At least a third of it, so that what is changed can be seen.
    """
    start_s = min((u["start_s"] for u in utterances), default=0.0) if placed_in_speech else 0.0
    room_s = max(0.0, float(clip["duration_s"]) - start_s - _MARGIN_S)
    spoken = sum(u["end_s"] - u["start_s"] for u in utterances)
    most_s = min(room_s, spoken + 0.5) if placed_in_speech else room_s
    return most_s / 3, most_s


def _face_reason(clip: Row, tracks: Sequence[Row], limits: FaceLimits) -> str | None:
    if not clip["has_video"] or not tracks:
        return "no_face"
    face = _largest(tracks)
    if face["size_px"] < limits.min_px:
        return "face_too_small"
    if abs(face["yaw_deg"]) > limits.max_yaw_deg or abs(face["pitch_deg"]) > limits.max_pitch_deg:
        return "face_turned_away"
    if face["found_fraction"] < MIN_FOUND_FRACTION:
        return "face_lost"
    return None


def _may_be_edited(language: str, utterances: Sequence[Row]) -> bool:
    said = [
        word["word"] for u in sorted(utterances, key=lambda u: float(u["start_s"])) for word in u["words"]
    ]
    return bool(proposals(said, language))


def _largest(tracks: Sequence[Row]) -> Row:
    return min(tracks, key=lambda track: track["index"])


def _another_person(clip: Row, other: Row) -> bool:
    """Different media, and no name in common; tracks may carry names that the clip does not declare."""
    return other["media_id"] != clip["media_id"] and not (_names(clip) & _names(other))


def _speech_s(clip: Row) -> float:
    return float(sum(u["end_s"] - u["start_s"] for u in clip["utterances"]))


def _says_something_else(clip: Row, other: Row) -> bool:
    """Words to lend must be in the clip's language."""
    return other["language"] == clip["language"] and any(u["words"] for u in other["utterances"])


def _names(clip: Row) -> set[str]:
    return {*(clip.get("identities") or ()), *(t["identity"] for t in clip["tracks"] if t.get("identity"))}


def _unlike_voices(clip: Row, other: Row) -> float:
    """Distance of two voices in pitch (half an octave counts 1, which is about man against woman), and in language."""
    pitches = [_pitch_octaves(one) for one in (clip, other)]
    known = [pitch for pitch in pitches if pitch is not None]
    apart = 2.0 * abs(known[0] - known[1]) if len(known) == 2 else 1.0
    return float(apart + 0.5 * (clip["language"] != other["language"]))


def _pitch_octaves(clip: Row) -> float | None:
    """Pitch of a clip's speech, octaves above 1 Hz; longer stretches count more."""
    voiced = [u for u in clip["utterances"] if u.get("f0_hz")]
    weights_s = [u["end_s"] - u["start_s"] for u in voiced]
    if not sum(weights_s):
        return None
    return float(np.average([math.log2(u["f0_hz"]) for u in voiced], weights=weights_s))


def _unlike_faces(clip: Row, other: Row) -> float:
    """Distance of two faces in pose (30° counts 1), size (an octave counts 1), light (half of the range counts 1)
    and openness of the mouth."""
    if not clip["tracks"] or not other["tracks"]:
        return 0.0
    a, b = (_largest(one["tracks"]) for one in (clip, other))
    pose = (abs(a["yaw_deg"] - b["yaw_deg"]) + abs(a["pitch_deg"] - b["pitch_deg"])) / 30.0
    ratio = max(a["size_px"], b["size_px"]) / max(min(a["size_px"], b["size_px"]), 1.0)
    small = 1.0 if b["size_px"] < a["size_px"] else 0.5
    light = 2.0 * abs(a["exposure"] - b["exposure"])
    return float(pose + small * (ratio - 1.0) + light + 0.5 * max(0.0, a["mouth_open"] - b["mouth_open"]))
