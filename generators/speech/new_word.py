"""One word spoken for a slot: which words lie beside it, how fast the clip speaks, and what is said there.

Which word is exchanged is decided before; the samples are put into the clip by `splice`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from generators.speech.joins import SILENT_BELOW_LOUD_DB
from generators.speech.placing import Voice
from haetae.errors import Rejected
from haetae.voice.espeak import Phoneme, Speech, speak
from haetae.voice.level import FLOOR_DBFS, frame_dbfs
from haetae.voice.tokens import plain_text, tokenize
from haetae.voice.words import Word

MIN_SLOT_S = 0.08
BESIDE = 4
"""Words on either side that are spoken along with the new one, so that it is said as in a sentence."""
PAUSE_S = 0.15
"""A longer pause ends what is spoken along."""
MIDDLE_RATE_WPM = 160
RATES_WPM = (90, 320)
EDGE_SILENCE_S = 0.005
CLOSURE_BELOW_LOUD_DB = 25.0
"""So far below a word lies the closure of a voiced stop, which hums."""
_STEP_S = 0.005
_ABOVE_ROOM_DB = 3.0


@dataclass(frozen=True)
class Slot:
    """Words [first, last) of a clip, from `start_s` to `end_s`; low, high: the words [low, high) spoken along."""

    first: int
    last: int
    start_s: float
    end_s: float
    low: int
    high: int

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class NewWord:
    """A spoken phrase in which the new words lie at `start_s` to `end_s`, meant for a slot of the clip.

    length_ratio: how long they would last at the clip's own tempo / length of the slot; words, phonemes: in
    seconds of the clip.
    """

    slot: Slot
    speech: Speech
    start_s: float
    end_s: float
    length_ratio: float
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]


def slot_of(words: Sequence[Word], first: int, count: int, duration_s: float) -> Slot:
    """The slot of words [first, first + count) in a clip of `duration_s`.

    Raises: Rejected("word_does_not_fit") for words that are not there, or whose times leave no room.
    """
    last = first + count
    if not (0 <= first < last <= len(words)):
        raise Rejected("word_does_not_fit", f"words {first} to {last} of {len(words)}")
    start_s, end_s = max(0.0, words[first].start_s), min(words[last - 1].end_s, duration_s)
    if first:
        start_s = max(start_s, words[first - 1].end_s)
    if last < len(words):
        end_s = min(end_s, words[last].start_s)
    if end_s - start_s < MIN_SLOT_S:
        raise Rejected("word_does_not_fit", f"{words[first].word!r} lasts {max(0.0, end_s - start_s):.3f} s")
    low, high = first, last
    while low > max(0, first - BESIDE) and words[low].start_s - words[low - 1].end_s < PAUSE_S:
        low -= 1
    while high < min(len(words), last + BESIDE) and words[high].start_s - words[high - 1].end_s < PAUSE_S:
        high += 1
    return Slot(first, last, start_s, end_s, low, high)


def say_in_slot(
    words: Sequence[Word],
    slot: Slot,
    new: str,
    language: str,
    voice: Voice,
    most: float,
    silence_s: tuple[float, float] = (0.0, 0.0),
) -> NewWord:
    """Speak new text among the words beside it, about as long as the slot.

    most: by which share its length at the clip's own tempo may differ from the slot's; silence_s: how long the
    clip is silent at either end of the slot.
    Raises: Rejected word_does_not_fit, nothing_to_say.
    """
    before = " ".join(w.word for w in words[slot.low : slot.first])
    after = " ".join(w.word for w in words[slot.last : slot.high])
    old = " ".join(w.word for w in words[slot.first : slot.last])
    own = _said(before, old, after, language, voice, MIDDLE_RATE_WPM)
    made = _said(before, new, after, language, voice, MIDDLE_RATE_WPM)
    in_clip_s = words[slot.high - 1].end_s - words[slot.low].start_s
    tempo = in_clip_s / max(own.phrase_s, 1e-3)
    ratio, kept_s = 0.0, silence_s
    for share in (1.0, 0.5, 0.0):  # in haste, the silence of a stop is shorter
        kept_s = silence_s[0] * share, silence_s[1] * share
        ratio = made.without_silence(kept_s).length_s * tempo / slot.length_s
        if ratio <= 1.0 + most:
            break
    if abs(ratio - 1.0) > most:
        detail = f"{new!r} would last {ratio * slot.length_s:.2f} s in {slot.length_s:.2f} s of {old!r}"
        raise Rejected("word_does_not_fit", detail)
    lasts_s = made.without_silence(kept_s).length_s
    rate = int(np.clip(round(MIDDLE_RATE_WPM * lasts_s / slot.length_s), *RATES_WPM))
    made = _said(before, new, after, language, voice, rate).without_silence(kept_s)
    return NewWord(
        slot,
        made.speech,
        made.start_s,
        made.end_s,
        ratio,
        tuple(_moved(w, made, slot) for w in made.words),
        tuple(Phoneme(p.symbol, _at(p.start_s, made, slot), _at(p.end_s, made, slot)) for p in made.phonemes),
    )


@dataclass(frozen=True)
class _Said:
    """A spoken phrase; words, phonemes: those of the text in its middle, in seconds of `speech`, which are to be
    heard from `start_s` to `end_s`."""

    speech: Speech
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]
    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        return max(self.end_s - self.start_s, 1e-3)

    def without_silence(self, kept_s: tuple[float, float]) -> _Said:
        """The span without the silence at its ends that goes beyond 5 ms and beyond what is kept there, seconds.

        A stop begins with silence. Where the clip has none, that would be a gap; where it has, without it the word
        would begin in the middle of its first sound.
        """
        rate_hz = self.speech.rate_hz
        within = self.speech.audio[round(self.start_s * rate_hz) : round(self.end_s * rate_hz)]
        lead_s, tail_s = edge_silence(within, SILENT_BELOW_LOUD_DB)
        start_s = self.start_s + max(0.0, lead_s - max(EDGE_SILENCE_S, kept_s[0]))
        return replace(
            self, start_s=start_s, end_s=self.end_s - max(0.0, tail_s - max(EDGE_SILENCE_S, kept_s[1]))
        )

    @property
    def phrase_s(self) -> float:
        return self.speech.words[-1].end_s - self.speech.words[0].start_s


def _said(before: str, text: str, after: str, language: str, voice: Voice, rate_wpm: int) -> _Said:
    """The text among others where every word can be told apart in the speech, else the text alone."""
    for left, right in ((before, after), ("", "")):
        phrase = " ".join(part for part in (left, text, right) if part)
        speech = speak(phrase, language, rate_wpm=rate_wpm, pitch=voice.pitch, variant=voice.variant)
        n_left, n_text = (len(_tokens(part)) for part in (left, text))
        if [w.word for w in speech.words] == _tokens(phrase) and n_text:
            words = speech.words[n_left : n_left + n_text]
            break
    else:
        if not speech.words:
            raise Rejected("nothing_to_say", f"{text!r} holds no word that is spoken")
        words = speech.words
    sounds = tuple(
        p for p in speech.phonemes if words[0].start_s - 1e-3 <= p.start_s < words[-1].end_s - 1e-3
    )
    return _Said(speech, words, sounds, words[0].start_s, words[-1].end_s)


def edge_silence(
    audio: NDArray[np.float32], below_db: float = CLOSURE_BELOW_LOUD_DB, room_dbfs: float = FLOOR_DBFS
) -> tuple[float, float]:
    """How long a piece of 16 kHz audio is silent at its start and at its end, seconds; (0, 0) where all of it is.

    Silent is what lies `below_db` below its loudest 5 ms, or hardly above the level of the room.
    """
    levels = frame_dbfs(audio, _STEP_S)
    limit = max(levels.max(initial=FLOOR_DBFS) - below_db, room_dbfs + _ABOVE_ROOM_DB)
    heard = np.flatnonzero(levels > limit)
    if not len(heard):
        return 0.0, 0.0
    return float(heard[0] * _STEP_S), float((len(levels) - 1 - heard[-1]) * _STEP_S)


def _tokens(text: str) -> list[str]:
    return [token.text for token in tokenize(plain_text(text)) if token.is_word]


def _at(t_s: float, said: _Said, slot: Slot) -> float:
    """A moment of the spoken words as a moment of the clip."""
    share = min(max((t_s - said.start_s) / said.length_s, 0.0), 1.0)
    return slot.start_s + share * slot.length_s


def _moved(word: Word, said: _Said, slot: Slot) -> Word:
    return Word(word.word, _at(word.start_s, said, slot), _at(word.end_s, said, slot))
