"""espeak speaks four languages, and says exactly when each word and sound is."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from haetae.errors import Rejected, UsageError
from haetae.voice.espeak import VARIANTS, VOICES, speak
from haetae.voice.tokens import tokenize

TEXTS = {
    "ko": "안녕하세요 여러분, 오늘은 내일보다 날씨가 좋습니다.",
    "en-SG": "Wah, this laksa very shiok lah, you must try.",
    "en": "The weather is fine today, and tomorrow it may rain.",
    "ms": "Selamat pagi, hari ini cuaca sangat baik.",
    "ta": "வணக்கம், இன்று வானிலை நன்றாக உள்ளது.",
}


def rms(audio: NDArray[np.float32], start_s: float, end_s: float, rate_hz: int = 16000) -> float:
    return float(np.sqrt(np.mean(np.square(audio[round(start_s * rate_hz) : round(end_s * rate_hz)]))))


@pytest.mark.parametrize("language", VOICES)
def test_every_word_of_a_sentence_has_its_times_in_order(language: str) -> None:
    text = TEXTS[language]
    speech = speak(text, language)
    assert [word.word for word in speech.words] == [token.text for token in tokenize(text)]
    edges = [edge for word in speech.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert 0 <= edges[0] < 0.1
    assert speech.duration_s - 0.3 < edges[-1] <= speech.duration_s
    assert all(0.04 < word.end_s - word.start_s < 1.5 for word in speech.words)
    assert speech.audio.dtype == np.float32
    assert 0.2 < np.abs(speech.audio).max() <= 1.0


@pytest.mark.parametrize("language", VOICES)
def test_words_are_where_the_sound_is_and_pauses_where_it_is_not(language: str) -> None:
    speech = speak(TEXTS[language], language)
    gaps = [
        (before.end_s, after.start_s)
        for before, after in zip(speech.words, speech.words[1:], strict=False)
        if after.start_s - before.end_s > 0.1
    ]
    assert gaps, "the comma makes a pause"
    quietest_word = min(rms(speech.audio, word.start_s, word.end_s) for word in speech.words)
    for start_s, end_s in gaps:
        assert rms(speech.audio, start_s + 0.03, end_s - 0.03) < 0.02 * quietest_word


@pytest.mark.parametrize("language", VOICES)
def test_sounds_fill_the_words_and_carry_their_symbols(language: str) -> None:
    speech = speak(TEXTS[language], language)
    assert all(
        a.end_s <= b.start_s + 1e-9 for a, b in zip(speech.phonemes, speech.phonemes[1:], strict=False)
    )
    for word in speech.words:
        inside = [p for p in speech.phonemes if word.start_s - 1e-9 <= p.start_s < word.end_s - 1e-9]
        assert inside, word
        assert all(symbol.isprintable() and symbol.strip() for symbol in (p.symbol for p in inside))
    n_words = len(speech.words)
    assert 2 * n_words < len(speech.phonemes) < 16 * n_words


def test_korean_words_that_begin_with_a_nasal_are_timed_too() -> None:
    speech = speak("내일 아침 마지막 네 명", "ko")
    assert [word.word for word in speech.words] == ["내일", "아침", "마지막", "네", "명"]
    for word in speech.words[2:]:
        first = min((p for p in speech.phonemes if p.start_s >= word.start_s - 1e-6), key=lambda p: p.start_s)
        assert first.symbol.lstrip("ˈˌ")[0] in "nm"


def test_a_number_is_one_word_however_many_are_spoken() -> None:
    short = speak("It costs 7 dollars.", "en").words
    long = speak("It costs 777777 dollars.", "en").words
    assert [word.word for word in long] == ["It", "costs", "777777", "dollars"]
    assert long[2].end_s - long[2].start_s > 4 * (short[2].end_s - short[2].start_s)
    assert speak("2024년 5월입니다.", "ko").words[0].word == "2024년"


def test_two_words_spoken_as_one_share_its_time() -> None:
    words = speak("the end of the day", "en").words
    assert [word.word for word in words] == ["the", "end", "of", "the", "day"]


def test_the_same_text_gives_the_same_samples_in_any_order_thread_and_process() -> None:
    def digest(text: str, language: str) -> str:
        return hashlib.sha256(speak(text, language, variant="f2").audio.tobytes()).hexdigest()

    first = {language: digest(text, language) for language, text in TEXTS.items()}
    backwards = {language: digest(TEXTS[language], language) for language in reversed(TEXTS)}
    assert backwards == first
    with ThreadPoolExecutor(4) as pool:
        jobs = [language for language in TEXTS for _ in range(4)]
        for language, value in zip(jobs, pool.map(lambda x: digest(TEXTS[x], x), jobs), strict=True):
            assert value == first[language]
    code = (
        "import hashlib; from haetae.voice.espeak import speak;"
        f"print(hashlib.sha256(speak({TEXTS['ta']!r}, 'ta', variant='f2').audio.tobytes()).hexdigest())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == first["ta"]


def test_rate_pitch_and_variant_do_what_they_say() -> None:
    text = TEXTS["ms"]
    assert speak(text, "ms", rate_wpm=240).duration_s < 0.75 * speak(text, "ms", rate_wpm=150).duration_s
    assert pitch_hz(speak(text, "ms", pitch=90).audio) > 1.3 * pitch_hz(speak(text, "ms", pitch=10).audio)
    voices = {speak(text, "ms", variant=variant).audio.tobytes() for variant in VARIANTS}
    assert len(voices) == len(VARIANTS)


def pitch_hz(audio: NDArray[np.float32]) -> float:
    """Median over 40 ms stretches of the strongest repetition between 60 and 400 Hz."""
    found = []
    for piece in audio[: len(audio) // 640 * 640].reshape(-1, 640):
        if np.sqrt(np.mean(piece**2)) > 0.05:
            repeats = np.correlate(piece, piece, "full")[639:]
            lag = 40 + int(np.argmax(repeats[40:267]))
            if repeats[lag] > 0.5 * repeats[0]:
                found.append(16000 / lag)
    return float(np.median(found))


def test_another_sample_rate_keeps_the_times() -> None:
    low, high = speak(TEXTS["ko"], "ko"), speak(TEXTS["ko"], "ko", rate_hz=22050)
    assert low.words == high.words
    assert abs(low.duration_s - high.duration_s) < 1e-3
    onset = low.words[2].start_s
    for speech in (low, high):
        before = rms(speech.audio, onset - 0.06, onset - 0.01, speech.rate_hz)
        after = rms(speech.audio, onset + 0.02, onset + 0.08, speech.rate_hz)
        assert after > 20 * before


def test_hidden_characters_and_decomposed_hangul_change_nothing() -> None:
    plain = speak(TEXTS["ko"], "ko")
    dressed = unicodedata.normalize("NFD", "\u202e" + TEXTS["ko"].replace(" ", "\u200b \n\t"))
    assert np.array_equal(speak(dressed, "ko").audio, plain.audio)
    assert speak(dressed, "ko").words == plain.words


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"language": "fr"}, "ko, en-SG, en, ms, ta"),
        ({"variant": "../../x"}, "variant"),
        ({"rate_wpm": 10}, r"rate_wpm=10 is not in \[80, 450\]"),
        ({"pitch": 101}, "pitch"),
    ],
)
def test_a_wrong_argument_is_named(change: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        speak("hello", **({"language": "ms"} | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "reason"), [("", "nothing_to_say"), ("a " * 3000, "text_too_long")])
def test_a_text_that_cannot_be_spoken_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Rejected) as refusal:
        speak(text, "ms")
    assert refusal.value.reason == reason
