"""Text to speech with espeak-ng, with the exact time of every word and phoneme it speaks.

What is said, and which voice suits which fake, is not decided here.
"""

from __future__ import annotations

import _ctypes
import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haetae.errors import Rejected, UsageError
from haetae.voice.tokens import Token, plain_text, tokenize
from haetae.voice.words import Word

VOICES = {"ko": "ko", "en-SG": "en-029", "en": "en", "ms": "ms", "ta": "ta"}
"""espeak voice of each language. There is no Singapore voice: of the English ones en-029 (Caribbean) is
nearest to Singlish, for it stops dental fricatives and has nearly even stress lengths; `en` is British."""

VARIANTS = ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")
"""Voice variants that change the speaker: female f1 to f5, male m1 to m8."""

MAX_CHARACTERS = 4000

_SYNCHRONOUS, _PHONEME_EVENTS, _PHONEMES_IN_IPA, _DO_NOT_EXIT = 2, 1, 2, 0x8000
_END_OF_EVENTS, _WORD, _PHONEME = 0, 1, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8, _CHARACTER_POSITIONS = 1, 1


@dataclass(frozen=True, slots=True)
class Phoneme:
    """One spoken sound: an IPA symbol, stress marks included, and its times in seconds."""

    symbol: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Speech:
    """Made speech. audio: float32 [N] in [-1, 1] at `rate_hz`; words and phonemes in order of time."""

    audio: NDArray[np.float32]
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]
    rate_hz: int
    language: str

    @property
    def duration_s(self) -> float:
        return len(self.audio) / self.rate_hz


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass
class _Heard:
    """What one synthesis gave: audio in pieces, (sample, character) of words, (sample, symbol) of sounds."""

    pieces: list[NDArray[np.int16]] = field(default_factory=list)
    words: list[tuple[int, int]] = field(default_factory=list)
    sounds: list[tuple[int, str]] = field(default_factory=list)


_lock = threading.Lock()


def speak(
    text: str,
    language: str,
    *,
    rate_wpm: int = 160,
    pitch: int = 50,
    pitch_range: int = 50,
    variant: str | None = None,
    rate_hz: int = 16000,
) -> Speech:
    """Speak a text.

    language: a key of `VOICES`; rate_wpm: 80 to 450 words a minute; pitch, pitch_range: 0 to 100;
    variant: one of `VARIANTS` (a leading "+" is accepted) or None; rate_hz: of the audio given back.
    A word is a stretch of text between spaces, without the punctuation around it; its end is the end of
    its last sound, so pauses lie between words. The same arguments give the same samples in any process.
    Raises: UsageError for an unknown language or variant or a parameter out of range; Rejected
    (`text_too_long`, `nothing_to_say`) for a text that cannot be spoken.
    """
    voice = _voice(language, variant)
    for name, value, low, high in (
        ("rate_wpm", rate_wpm, 80, 450),
        ("pitch", pitch, 0, 100),
        ("pitch_range", pitch_range, 0, 100),
        ("rate_hz", rate_hz, 8000, 48000),
    ):
        if not low <= value <= high:
            raise UsageError(f"espeak: {name}={value} is not in [{low}, {high}]")
    if len(text) > MAX_CHARACTERS:
        raise Rejected("text_too_long", f"{len(text)} characters, of at most {MAX_CHARACTERS}")
    text = plain_text(text)
    settings = ((_RATE, rate_wpm), (_PITCH, pitch), (_RANGE, pitch_range))
    heard, made_hz = _synthesise(text, voice, settings)
    samples = np.concatenate(heard.pieces) if heard.pieces else np.zeros(0, np.int16)
    phonemes = _phonemes(heard.sounds, len(samples), made_hz)
    if not phonemes or not np.any(samples):
        raise Rejected("nothing_to_say", f"espeak makes no sound of {text[:40]!r} in {language}")
    words = _words(text, language, heard.words, phonemes, made_hz)
    return Speech(_resample(samples, made_hz, rate_hz), words, phonemes, rate_hz, language)


def _voice(language: str, variant: str | None) -> str:
    if language not in VOICES:
        raise UsageError(f"espeak: no voice for language {language!r}; there are {', '.join(VOICES)}")
    if variant is None:
        return VOICES[language]
    if variant.removeprefix("+") not in VARIANTS:
        raise UsageError(f"espeak: no voice variant {variant!r}; there are {', '.join(VARIANTS)}")
    return f"{VOICES[language]}+{variant.removeprefix('+')}"


@contextmanager
def _fresh_library() -> Iterator[tuple[ctypes.CDLL, int]]:
    """espeak-ng loaded anew, and its sample rate.

    Its flutter and noise run on from call to call in static variables that no call resets, so the same
    text would sound different the second time; loading the library again costs 0.6 ms and resets them.
    """
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    options = _PHONEME_EVENTS | _PHONEMES_IN_IPA | _DO_NOT_EXIT
    path = espeakng_loader.get_data_path().encode()
    try:
        made_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, path, options)
        if made_hz <= 0:
            raise RuntimeError(f"espeak-ng does not start (code {made_hz}); reinstall espeakng-loader")
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        yield library, made_hz
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)


def _synthesise(text: str, voice: str, settings: tuple[tuple[int, int], ...]) -> tuple[_Heard, int]:
    heard = _Heard()

    def take(wave: Any, n: int, events: Any) -> int:
        if n > 0:
            heard.pieces.append(np.frombuffer(ctypes.string_at(wave, 2 * n), dtype=np.int16))
        i = 0
        while events[i].type != _END_OF_EVENTS:
            event = events[i]
            if event.type == _WORD:
                heard.words.append((event.sample, event.text_position - 1))
            elif event.type == _PHONEME:
                heard.sounds.append((event.sample, event.id.string.decode("utf-8", "ignore")))
            i += 1
        return 0

    callback = _Callback(take)
    encoded = text.encode("utf-8", "ignore")
    with _lock, _fresh_library() as (library, made_hz):
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"espeak-ng has no voice {voice}; reinstall espeakng-loader")
        for parameter, value in settings:
            library.espeak_SetParameter(parameter, value, 0)
        code = library.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded) + 1), 0, _CHARACTER_POSITIONS, 0, _UTF8, None, None
        )
    if code != 0:
        raise RuntimeError(f"espeak_Synth failed with code {code}")
    return heard, made_hz


def _phonemes(sounds: list[tuple[int, str]], n_samples: int, made_hz: int) -> tuple[Phoneme, ...]:
    """Sounds with their ends; an empty symbol is a pause and only ends the sound before it."""
    ends = [start for start, _ in sounds[1:]] + [n_samples]
    return tuple(
        Phoneme(symbol, start / made_hz, end / made_hz)
        for (start, symbol), end in zip(sounds, ends, strict=True)
        if symbol.strip() and end > start
    )


def _words(
    text: str, language: str, events: list[tuple[int, int]], phonemes: tuple[Phoneme, ...], made_hz: int
) -> tuple[Word, ...]:
    """Words from word events: the first event inside a token starts it, its last sound ends it.

    espeak expands a number into several events inside its token, and gives none for some words (Korean ones
    that begin with a nasal; the second of English pairs such as "of the"). The sounds up to the next event
    are then shared out by how many sounds each token has alone.
    """
    tokens = tokenize(text)
    starts: dict[int, float] = {}
    latest = -1
    for sample, character in sorted(events):
        here = next((i for i, token in enumerate(tokens) if character < token.last), -1)
        if here > latest:
            latest = here
            starts[latest] = sample / made_hz
    first = next((i for i, token in enumerate(tokens) if token.is_word), 0)
    if first < min(starts, default=len(tokens)):
        starts[first] = phonemes[0].start_s
    bounds = [*sorted(starts), len(tokens)]
    words: list[Word] = []
    for here, there in pairwise(bounds):
        until_s = starts.get(there, np.inf)
        sounds = [p for p in phonemes if p.start_s >= starts[here] - 1e-6 and p.start_s < until_s - 1e-6]
        run = [tokens[here], *(token for token in tokens[here + 1 : there] if token.is_word)]
        words.extend(_share_out(run, sounds, language, starts[here]))
    followers = [*(word.start_s for word in words[1:]), np.inf]
    return tuple(
        Word(word.word, word.start_s, min(word.end_s, follower))
        for word, follower in zip(words, followers, strict=True)
    )


def _share_out(run: list[Token], sounds: list[Phoneme], language: str, start_s: float) -> list[Word]:
    if not sounds:
        return []
    if len(run) == 1:
        return [Word(run[0].text, start_s, sounds[-1].end_s)]
    counts = np.array([_n_sounds(token.text, language) for token in run], dtype=np.float64)
    if counts.sum() == 0:
        return []
    edges = np.rint(np.concatenate(([0.0], np.cumsum(counts))) / counts.sum() * len(sounds)).astype(int)
    return [
        Word(token.text, sounds[first].start_s, sounds[last - 1].end_s)
        for token, first, last in zip(run, edges, edges[1:], strict=False)
        if last > first
    ]


def _n_sounds(text: str, language: str) -> int:
    heard, _ = _synthesise(text, VOICES[language], ())
    return sum(1 for _, symbol in heard.sounds if symbol.strip())


def _resample(samples: NDArray[np.int16], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Polyphase resampling; its filter has no delay, so times in seconds stay right."""
    from scipy.signal import resample_poly

    wave = samples.astype(np.float64) / 32768.0
    if from_hz != to_hz:
        common = gcd(from_hz, to_hz)
        wave = resample_poly(wave, to_hz // common, from_hz // common)
    return np.clip(wave, -1.0, 1.0).astype(np.float32)
