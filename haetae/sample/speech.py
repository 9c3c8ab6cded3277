"""What the actors say and how it sounds when recorded: sentences, timing, room, microphone, noise.

The voice itself is `haetae.voice.espeak`; the sentences are in `haetae.locales`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haetae.locales.load import load
from haetae.media.audio import RATE_HZ
from haetae.media.encode import FPS
from haetae.provenance.ids import seed_of
from haetae.sample.looks import Look
from haetae.voice.espeak import Phoneme, Speech, speak
from haetae.voice.level import loud_dbfs, with_gain
from haetae.voice.words import Word

Audio = NDArray[np.float32]

LEAD_S, GAP_S, TAIL_S = 0.32, 0.28, 0.28


@dataclass(frozen=True)
class Line:
    """One sentence with its times in the clip, seconds."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class Script:
    """What is said in a clip: dry audio float32 [N] at 16 kHz; lines, words and sounds, timed in the clip."""

    audio: Audio
    lines: tuple[Line, ...]
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)


def silent_script(n_frames: int) -> Script:
    """Nobody speaks for `n_frames` frames."""
    return Script(np.zeros(n_frames * RATE_HZ // FPS, np.float32), (), (), ())


def write_script(look: Look, use_case: str, n_frames: int, seed: int, turn: int = 0) -> Script:
    """Sentences of a use case that fit into `n_frames` frames, in the actor's voice.

    turn: actors of one language (and shots of one actor) with different turns say different things. Where
    not even the shortest sentence fits, the first words of one are said.
    """
    locale = load(look.language)
    sentences = locale.sentences_for(use_case)
    order = np.random.default_rng(seed_of("script", seed, look.language, use_case)).permutation(
        len(sentences)
    )
    order = np.roll(order, -turn * max(1, len(sentences) // 6))
    end_s = n_frames / FPS - TAIL_S
    at_s = LEAD_S
    spoken: list[tuple[str, Speech, float]] = []
    for k in order:
        speech = _trimmed(_say(sentences[int(k)], look))
        if at_s + speech.duration_s <= end_s:
            spoken.append((sentences[int(k)], speech, at_s))
            at_s += speech.duration_s + GAP_S
        if end_s - at_s < 1.0:
            break
    if not spoken:
        spoken = [_first_words(sentences[int(order[0])], look, end_s - at_s)]
    return _assembled(spoken, n_frames)


def _say(text: str, look: Look) -> Speech:
    voice = look.voice
    return speak(text, look.language, rate_wpm=voice.rate_wpm, pitch=voice.pitch, variant=voice.variant)


def _first_words(sentence: str, look: Look, room_s: float) -> tuple[str, Speech, float]:
    words = sentence.split()
    for n in range(len(words), 1, -1):
        text = " ".join(words[:n])
        speech = _trimmed(_say(text, look))
        if speech.duration_s <= room_s:
            return text, speech, LEAD_S
    return words[0], _trimmed(_say(words[0], look)), LEAD_S


def _trimmed(speech: Speech) -> Speech:
    """Without the silence after the last sound."""
    end = min(len(speech.audio), round((speech.phonemes[-1].end_s + 0.05) * speech.rate_hz))
    return Speech(speech.audio[:end], speech.words, speech.phonemes, speech.rate_hz, speech.language)


def _assembled(spoken: list[tuple[str, Speech, float]], n_frames: int) -> Script:
    audio = np.zeros(n_frames * RATE_HZ // FPS, np.float32)
    lines, words, phonemes = [], [], []
    for text, speech, at_s in spoken:
        first = round(at_s * RATE_HZ)
        piece = speech.audio[: len(audio) - first]
        audio[first : first + len(piece)] += piece
        lines.append(Line(text, at_s, at_s + len(piece) / RATE_HZ))
        words += [word.shifted(at_s) for word in speech.words]
        phonemes += [Phoneme(p.symbol, p.start_s + at_s, p.end_s + at_s) for p in speech.phonemes]
    return Script(audio, tuple(lines), tuple(words), tuple(phonemes))


@dataclass(frozen=True)
class Recording:
    """Where and with what it is recorded. rt60_s: reverberation time; wet: level of the room, 0 to 1;
    low_hz, high_hz, tilt_db: the microphone's band and slope over it; noise_dbfs: level of the pink noise;
    level_dbfs: level of the loud parts of the voice."""

    rt60_s: float
    wet: float
    low_hz: float
    high_hz: float
    tilt_db: float
    noise_dbfs: float
    level_dbfs: float

    @classmethod
    def drawn(cls, seed: int) -> Recording:
        rng = np.random.default_rng(seed)
        return cls(
            rt60_s=float(rng.uniform(0.15, 0.45)),
            wet=float(rng.uniform(0.10, 0.30)),
            low_hz=float(rng.uniform(60, 140)),
            high_hz=float(rng.uniform(5200, 7600)),
            tilt_db=float(rng.uniform(-5, 3)),
            noise_dbfs=float(rng.uniform(-55, -45)),
            level_dbfs=float(rng.uniform(-22, -15)),
        )


def record(dry: Audio, recording: Recording, seed: int) -> Audio:
    """The dry voice as recorded: float32 [N], 16 kHz, of the same length. The direct sound is not delayed."""
    rng = np.random.default_rng(seed)
    voice = _through(dry, recording, rng)
    if np.any(dry):
        voice = with_gain(voice, recording.level_dbfs - loud_dbfs(voice))
    noise = _pink(rng, len(dry)) * 10 ** (recording.noise_dbfs / 20)
    return np.clip(voice + noise, -0.99, 0.99).astype(np.float32)


def _through(dry: Audio, recording: Recording, rng: np.random.Generator) -> Audio:
    """Room and microphone, both as one zero-delay filter in the frequency domain."""
    n_room = round(recording.rt60_s * RATE_HZ)
    t = np.arange(n_room) / RATE_HZ
    tail = rng.standard_normal(n_room) * 10 ** (-3 * t / recording.rt60_s)
    tail[: round(0.004 * RATE_HZ)] = 0
    tail *= recording.wet / (np.sqrt((tail**2).sum()) + 1e-9)
    tail[0] = 1.0
    size = 1 << int(np.ceil(np.log2(len(dry) + n_room)))
    hz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    octaves = np.log2(np.maximum(hz, 50) / 1000)
    gain = 10 ** (recording.tilt_db * octaves / 3 / 20)
    gain = gain / np.sqrt(1 + (recording.low_hz / np.maximum(hz, 1)) ** 4)
    gain = gain / np.sqrt(1 + (hz / recording.high_hz) ** 8)
    spectrum: Any = np.fft.rfft(dry, size) * np.fft.rfft(tail, size) * gain
    return np.fft.irfft(spectrum, size)[: len(dry)].astype(np.float32)


def _pink(rng: np.random.Generator, n: int) -> Audio:
    """Noise with a power of 1/f above 50 Hz and an RMS of 1."""
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(n)) / np.sqrt(np.maximum(hz, 50))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, n)
    return np.asarray(noise / (np.sqrt((noise**2).mean()) + 1e-12), dtype=np.float32)
