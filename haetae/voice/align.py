"""When each word of a known text is spoken: the embedded aligner, which needs no downloaded model.

It compares the audio with espeak's reading of the text, whose word times are known. What the text is, and
whether it is what was said, is judged elsewhere (a low score says that it may not be).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.voice.activity import Region, speech_regions
from haetae.voice.espeak import Speech, speak
from haetae.voice.features import HOP, mfcc
from haetae.voice.level import RATE_HZ, frame_dbfs
from haetae.voice.words import Word

ALIGNER = "espeak_dtw@1"
MAX_ALIGN_S = 120.0
REFERENCE_VARIANTS = ("m3", "f2")
"""A lower and a higher voice; the one nearer to the speaker is used."""

_FRAME_S = HOP / RATE_HZ
_PAUSE_S = 0.18
_PAUSE_BELOW_LOUD_DB = 30.0
_BAND = 0.25
_STEPS = np.array([[1, 1], [0, 1], [1, 0]])
_STEP_WEIGHTS = np.array([2.0, 1.5, 1.5])
_BEST_COST, _WORST_COST = 0.30, 0.90
"""Path cost over the mean cost of all pairs of frames: about 0.35 for espeak itself, 0.65 for the right text
in a person's voice, 0.72 and more for a wrong text."""


def align_words(
    audio: NDArray[np.float32], text: str, language: str, regions: Sequence[Region] | None = None
) -> tuple[list[Word], str]:
    """Time the words of a text in audio.

    audio: float32 [N] at 16 kHz; language: one that espeak speaks; regions: where speech is, found by VAD
    when not given. Returns: words in order, not overlapping, inside the regions, times in seconds from the
    start of the audio, score 0 to 1; and the aligner's name. No regions: no words.
    Raises: Rejected (`nothing_to_say`, `text_too_long`, `too_long_to_align`), UsageError (language).

    After: aeneas (Pettarin, 2015-2017, https://github.com/readbeyond/aeneas, HOWITWORKS): dynamic time
    warping of MFCCs against synthesised speech. Added here: pauses are cut out of both sides first, and
    the synthesis is made as fast as the speaker, so that the path can be held near the diagonal.
    """
    regions = speech_regions(audio) if regions is None else list(regions)
    if not regions:
        return [], ALIGNER
    if sum(end_s - start_s for start_s, end_s in regions) > MAX_ALIGN_S:
        raise Rejected("too_long_to_align", f"more than {MAX_ALIGN_S:g} s of speech for one text")
    heard = _Spoken.of_audio(audio, regions)
    if len(heard.frames) == 0:
        return [], ALIGNER
    readings = [_reading(text, language, variant, len(heard.frames)) for variant in REFERENCE_VARIANTS]
    best = min((_path(reading, heard) for reading in readings), key=lambda path: path.cost)
    return best.words(), ALIGNER


@dataclass(frozen=True)
class _Spoken:
    """Cepstra of the spoken frames only. frames: their numbers in the audio; features: [n, d]."""

    frames: NDArray[np.int64]
    features: NDArray[np.float64]

    @classmethod
    def of(cls, audio: NDArray[np.float32], spoken: NDArray[np.bool_]) -> _Spoken:
        features = _features(audio)[: len(spoken)]
        return cls(np.flatnonzero(spoken), features[spoken])

    @classmethod
    def of_audio(cls, audio: NDArray[np.float32], regions: Sequence[Region]) -> _Spoken:
        """Frames inside the regions, without quiet stretches longer than a pause and quiet ends."""
        levels = frame_dbfs(audio, _FRAME_S)
        inside = np.zeros(len(levels), dtype=bool)
        for start_s, end_s in regions:
            inside[int(np.ceil(start_s / _FRAME_S - 1e-6)) : int(end_s / _FRAME_S + 1e-6)] = True
        if not inside.any():
            return cls.of(audio, inside)
        audible = np.flatnonzero(inside & (levels > np.percentile(levels[inside], 95) - _PAUSE_BELOW_LOUD_DB))
        spoken = np.zeros(len(levels), dtype=bool)
        spoken[audible[0] : audible[-1] + 1] = True
        for before, after in pairwise(audible):
            if (after - before) * _FRAME_S > _PAUSE_S:
                spoken[before + 1 : after] = False
        return cls.of(audio, spoken & inside)

    @classmethod
    def of_speech(cls, speech: Speech) -> _Spoken:
        """Frames of made speech in which a phoneme sounds."""
        spoken = np.zeros(len(speech.audio) // HOP, dtype=bool)
        for sound in speech.phonemes:
            spoken[int(sound.start_s / _FRAME_S) : int(np.ceil(sound.end_s / _FRAME_S))] = True
        return cls.of(speech.audio, spoken)


def _features(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cepstra with their slopes, each normalised over the audio; higher, less reliable cepstra weigh less."""
    from scipy.signal import savgol_filter

    cepstra = mfcc(audio).astype(np.float64)
    cepstra = (cepstra - cepstra.mean(axis=0)) / (cepstra.std(axis=0) + 1e-3)
    cepstra /= (1.0 + np.arange(cepstra.shape[1])) ** 0.25
    width = min(9, (len(cepstra) - 1) // 2 * 2 + 1)
    if width < 3:
        return np.hstack([cepstra, np.zeros_like(cepstra)])
    slopes = savgol_filter(cepstra, width, polyorder=1, deriv=1, axis=0)
    return np.hstack([cepstra, 2.0 * slopes])


def _reading(text: str, language: str, variant: str, n_frames: int) -> Speech:
    """espeak's reading of the text, with about as many spoken frames as the audio has."""
    rate_wpm = 160
    speech = speak(text, language, variant=variant)
    for _ in range(2):
        ratio = len(_Spoken.of_speech(speech).frames) / n_frames
        rate_wpm = int(np.clip(round(rate_wpm * ratio), 80, 400))
        speech = speak(text, language, variant=variant, rate_wpm=rate_wpm)
    return speech


@dataclass(frozen=True)
class _Path:
    """A warping path from a reading to the audio."""

    speech: Speech
    reading: _Spoken
    heard: _Spoken
    pairs: NDArray[np.int64]
    """[n, 2]: spoken frame of the reading, spoken frame of the audio; both never fall."""
    relative_cost: NDArray[np.float64]
    """[n]: cost of each pair over the mean cost of its frame of the audio with any frame of the reading."""

    @property
    def cost(self) -> float:
        return float(self.relative_cost.mean())

    def words(self) -> list[Word]:
        spans = [self._span(word) for word in self.speech.words]
        result: list[Word] = []
        for word, (first, last) in zip(self.speech.words, spans, strict=True):
            start_s = max(self.heard.frames[first] * _FRAME_S, result[-1].end_s if result else 0.0)
            end_s = max(start_s, (self.heard.frames[last] + 1) * _FRAME_S)
            score = self._score(word, first, last)
            result.append(Word(word.word, round(start_s, 3), round(end_s, 3), round(score, 3)))
        followers = [*(word.start_s for word in result[1:]), np.inf]
        return [
            Word(word.word, word.start_s, min(word.end_s, follower), word.score)
            for word, follower in zip(result, followers, strict=True)
        ]

    def _span(self, word: Word) -> tuple[int, int]:
        """First and last spoken frame of the audio for a word; a pause inside is moved to its nearer end."""
        first = self._position(word.start_s)
        last = max(first, self._position(word.end_s) - 1)
        gaps = np.diff(self.heard.frames[first : last + 1])
        if len(gaps) and gaps.max() > 1:
            pause = int(np.argmax(gaps))
            if pause + 1 <= last - first - pause:
                first += pause + 1
            else:
                last = first + pause
        return first, last

    def _position(self, reading_s: float) -> int:
        """Spoken frame of the audio that begins where a time of the reading is."""
        at = np.searchsorted(self.reading.frames, reading_s / _FRAME_S - 0.5)
        here = self.pairs[self.pairs[:, 0] == min(at, len(self.reading.frames) - 1), 1]
        past_end = at >= len(self.reading.frames)
        position = here[-1] + 1 if past_end else round(float(here.mean()))
        return int(np.clip(position, 0, len(self.heard.frames) - (0 if past_end else 1)))

    def _score(self, word: Word, first: int, last: int) -> float:
        """How well the word fits: 1 as espeak's own, 0 as any other sound; less where time is bent a lot."""
        here = (self.pairs[:, 1] >= first) & (self.pairs[:, 1] <= last)
        fit = (_WORST_COST - float(self.relative_cost[here].mean())) / (_WORST_COST - _BEST_COST)
        bend = (last - first + 1) * _FRAME_S / max(word.end_s - word.start_s, _FRAME_S)
        return float(np.clip(fit, 0.0, 1.0) * np.sqrt(min(bend, 1.0 / bend)))


def _path(speech: Speech, heard: _Spoken) -> _Path:
    from librosa.sequence import dtw
    from scipy.spatial.distance import cdist

    reading = _Spoken.of_speech(speech)
    costs = cdist(reading.features, heard.features, "cosine")
    _, backwards = dtw(
        C=costs,
        step_sizes_sigma=_STEPS,
        weights_mul=_STEP_WEIGHTS,
        global_constraints=True,
        band_rad=_BAND,
    )
    pairs = np.asarray(backwards[::-1], dtype=np.int64)
    relative = costs[pairs[:, 0], pairs[:, 1]] / np.maximum(costs.mean(axis=0)[pairs[:, 1]], 1e-6)
    return _Path(speech, reading, heard, pairs, relative)
