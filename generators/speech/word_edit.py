"""`word_edit`: one word of what is said becomes another, in the speaker's own voice; all else stays.

Which word becomes what is `haetae.locales.edits`; the word is spoken in `new_word`, and set in by `splice`.
Moving the lips to it is `dubbed_word`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from generators.protocol import Card, ClipView, FakeRequest, FakeResult, Segment, Word, settings
from generators.segments import RATE_HZ, audio_segments
from generators.speech.joins import Samples, measure_join
from generators.speech.new_word import PAUSE_S, NewWord, Slot, edge_silence, say_in_slot, slot_of
from generators.speech.placing import Voice, voice_near
from generators.speech.splice import FADE, Place, splice
from generators.speech.stretches import merged, sound_of
from generators.speech.timbre import converted, voiceprint
from haetae.errors import Rejected
from haetae.provenance.ids import seed_of
from haetae.voice.espeak import VOICES, Phoneme
from haetae.voice.level import loud_dbfs
from haetae.voice.pauses import room_beside
from haetae.voice.room import room_noise
from haetae.voice.world import analyse

MOST_STEP_DB = 2.0
"""How far the new word's level may lie from that of the words beside it."""
MIN_PHRASE_VOICED_S = 0.1
PARAMS: dict[str, float | int | str | bool] = {
    "kinds": "negation,number,name,place,word",
    "max_stretch": 0.3,
    "max_neighbours": 5,
    "attempts": 16,
}
INTENDED_USE = "Training and testing detectors of partial fakes that turn the meaning of what somebody said."


class Edit(Protocol):
    """Words [index, index + count) become `new`."""

    @property
    def index(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def old(self) -> str: ...
    @property
    def new(self) -> str: ...
    @property
    def kind(self) -> str: ...


class Editor(Protocol):
    """Who knows which words may be exchanged: the module `haetae.locales.edits`, or another like it."""

    def proposals(self, words: Sequence[str], language: str, kinds: Sequence[str]) -> Sequence[Any]: ...
    def apply(self, words: Sequence[str], edit: Any) -> str: ...


class WordEdit:
    """Exchange of one word by espeak speech in the clip's own voice; no weights."""

    card = Card(
        name="word_edit",
        version="1",
        family="speech",
        modalities=("audio",),
        languages=("ko", "en-SG", "ms", "ta"),
        needs=("speech", "words", "edit"),
        params=PARAMS,
        description=(
            "Exchanges one word (a negation, number, name, place or other word) for another that fits its time,"
            " spoken with espeak-ng and given the clip's own timbre, pitch contour, level and room by the WORLD"
            " vocoder; every other word stays to the sample."
        ),
        intended_use=INTENDED_USE,
        paper="Morise et al., WORLD: A Vocoder-Based High-Quality Speech Synthesis System, 2016",
    )

    def __init__(self, editor: Editor | None = None) -> None:
        self._editor = editor

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Exchange one word of the target. Raises: Rejected as `exchange_word`."""
        made = exchange_word(request, settings(self.card, request), self._editor)
        return FakeResult(
            segments=made.segments,
            audio=made.audio,
            text=made.text,
            words=made.words,
            metrics=made.metrics,
        )


@dataclass(frozen=True)
class Exchanged:
    """A sound track with one word exchanged. audio: float32 [N], N as before; times in seconds of the clip.

    text: all that is said now; words: the same, word by word; slot: where the new word is; phonemes: its sounds.
    """

    audio: Samples
    text: str
    words: tuple[Word, ...]
    slot: Slot
    phonemes: tuple[Phoneme, ...]
    segments: tuple[Segment, ...]
    metrics: dict[str, float]


def exchange_word(
    request: FakeRequest, s: dict[str, float | int | str | bool], editor: Editor | None = None
) -> Exchanged:
    """Exchange one word of the target's speech.

    Several edits are tried, in an order drawn by the seed; the first whose word fits its slot is made. Where none
    does, up to `max_neighbours` words beside it are spoken anew with it, and belong to the slot.
    Raises: Rejected no_audio, no_words, no_voice (language without one), no_edit (no word of the clip can be
    exchanged), word_does_not_fit (none of those that can), too_little_voice.
    """
    clip = request.target
    old = sound_of(clip)
    words = tuple(sorted(clip.words, key=lambda w: (w.start_s, w.end_s)))
    if not words:
        raise Rejected("no_words", f"it is not known what clip {clip.clip_id} says, and when")
    if request.language not in VOICES:
        raise Rejected("no_voice", f"there is no voice for {request.language}")
    known = _known_edits() if editor is None else editor
    said = _speech(clip, old)
    voice = voice_near(said, " ".join(w.word for w in words[:12]), request.language, request.seed)
    tone = room_beside(old, clip.speech or [(w.start_s, w.end_s) for w in words])
    edit, word = _first_that_fits(request, words, voice, s, known, tone.level_dbfs)
    place = Place.of(old, word.slot.start_s, word.slot.end_s)
    phrase = analyse(word.speech.audio)
    of = voiceprint(phrase, "the spoken phrase", MIN_PHRASE_VOICED_S)
    to = voiceprint(analyse(said, quick=True), "the clip")
    wanted_dbfs = _wanted_dbfs(old, words, word.slot, said)
    room = room_noise(tone, place.high - place.low, seed_of("room", request.seed) % 2**32)
    voiced = converted(phrase, of, to)
    audio = splice(old, place, voiced, (word.start_s, word.end_s), wanted_dbfs, room)
    kept = (words[: word.slot.first], words[word.slot.last :])
    return Exchanged(
        audio=audio,
        text=known.apply([w.word for w in words], edit),
        words=(*kept[0], *word.words, *kept[1]),
        slot=word.slot,
        phonemes=word.phonemes,
        segments=audio_segments(old, audio),
        metrics=_metrics(old, audio, said, word, wanted_dbfs),
    )


def _known_edits() -> Editor:
    """The edits of the locales; read late, for a worker that never edits needs no lexicon."""
    from haetae.locales import edits

    return edits


def _first_that_fits(
    request: FakeRequest,
    words: Sequence[Word],
    voice: Voice,
    s: dict[str, float | int | str | bool],
    editor: Editor,
    room_dbfs: float,
) -> tuple[Edit, NewWord]:
    kinds = tuple(part.strip() for part in str(s["kinds"]).split(",") if part.strip())
    audio = sound_of(request.target)
    possible = editor.proposals([w.word for w in words], request.language, kinds)
    edits = _in_turn(possible, request.seed)[: int(s["attempts"])]
    refusal = Rejected("no_edit", f"no word of clip {request.target.clip_id} can be exchanged")
    for beside in range(int(s["max_neighbours"]) + 1):
        for edit in edits:
            for first, count, new in _spans(edit, words, beside):
                try:
                    slot = slot_of(words, first, count, audio.size / RATE_HZ)
                    within = audio[round(slot.start_s * RATE_HZ) : round(slot.end_s * RATE_HZ)]
                    silence_s = edge_silence(within, room_dbfs=room_dbfs)
                    most = float(s["max_stretch"])
                    return edit, say_in_slot(words, slot, new, request.language, voice, most, silence_s)
                except Rejected as refused:
                    refusal = refused
    raise refusal


def _spans(edit: Edit, words: Sequence[Word], beside: int) -> list[tuple[int, int, str]]:
    """First word, number of words and new text of what is spoken for an edit.

    beside: 0 for the edit itself, without the words at its ends that stay, and whole; else so many of the words
    around it are spoken anew along with it: what is too long for one slot may fit where there is more to shorten.
    """
    if beside:
        last = edit.index + edit.count
        return [
            (edit.index - left, edit.count + beside, " ".join([*before, edit.new, *after]))
            for left in range(beside, -1, -1)
            if edit.index - left >= 0 and last + beside - left <= len(words)
            for before in [[w.word for w in words[edit.index - left : edit.index]]]
            for after in [[w.word for w in words[last : last + beside - left]]]
            if _unbroken(words[edit.index - left : last + beside - left])
        ]
    old, new, first = edit.old.split(), edit.new.split(), edit.index
    whole = (edit.index, edit.count, edit.new)
    if len(old) != edit.count:
        return [whole]
    while len(old) > 1 and len(new) > 1 and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    while len(old) > 1 and len(new) > 1 and old[0] == new[0]:
        old, new, first = old[1:], new[1:], first + 1
    return [whole] if len(old) == edit.count else [(first, len(old), " ".join(new)), whole]


def _unbroken(words: Sequence[Word]) -> bool:
    """Whether words follow each other without a pause."""
    return all(b.start_s - a.end_s < PAUSE_S for a, b in pairwise(words))


def _in_turn(edits: Sequence[Edit], seed: int) -> list[Edit]:
    """Edits in an order drawn by the seed, one of each kind in turn: there are far more words than negations."""
    drawn = sorted(edits, key=lambda e: seed_of("word_edit", seed, e.index, e.count, e.kind, e.new))
    turn: dict[str, int] = {}
    ranked = []
    for edit in drawn:
        turn[edit.kind] = turn.get(edit.kind, 0) + 1
        ranked.append((turn[edit.kind], seed_of("kind", seed, edit.kind), edit))
    return [edit for _, _, edit in sorted(ranked, key=lambda entry: entry[:2])]


def _speech(clip: ClipView, audio: Samples) -> Samples:
    """What is said, cut together: by the clip's speech stretches, else by its words."""
    stretches = merged(clip.speech or [(w.start_s, w.end_s) for w in clip.words])
    return np.concatenate([audio[max(0, round(a * RATE_HZ)) : round(b * RATE_HZ)] for a, b in stretches])


def _wanted_dbfs(audio: Samples, words: Sequence[Word], slot: Slot, said: Samples) -> float:
    """The level for the new word: that of the old one, held near that of the words beside it."""
    beside = [
        *words[max(slot.low, slot.first - 2) : slot.first],
        *words[slot.last : min(slot.high, slot.last + 2)],
    ]
    around = [audio[round(w.start_s * RATE_HZ) : round(w.end_s * RATE_HZ)] for w in beside]
    around_dbfs = loud_dbfs(np.concatenate(around)) if around else loud_dbfs(said)
    own_dbfs = loud_dbfs(audio[round(slot.start_s * RATE_HZ) : round(slot.end_s * RATE_HZ)])
    return float(np.clip(own_dbfs, around_dbfs - MOST_STEP_DB, around_dbfs + MOST_STEP_DB))


def _metrics(
    old: Samples, new: Samples, said: Samples, word: NewWord, wanted_dbfs: float
) -> dict[str, float]:
    first, last = (round(t * RATE_HZ) for t in (word.slot.start_s, word.slot.end_s))
    joins = [measure_join(old, new, at, said) for at in (first - FADE // 2, last + FADE // 2)]
    return {
        "words_spoken": float(len(word.words)),
        "word_start_s": round(word.slot.start_s, 6),
        "word_end_s": round(word.slot.end_s, 6),
        "length_ratio": round(word.length_ratio, 4),
        "level_error_db": round(loud_dbfs(new[first:last]) - wanted_dbfs, 3),
        "join_click": round(max(j.click for j in joins), 4),
        "join_gap_s": round(max(j.gap_s for j in joins), 4),
    }
